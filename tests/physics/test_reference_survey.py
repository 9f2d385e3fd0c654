import pytest

from onnes.errors import ConfigError
from onnes.physics.reference_survey import survey_reference, survey_system
from tests.physics.references import PHASES, reference


def test_a_reference_in_numbers() -> None:
    survey = survey_reference(reference())
    assert (survey.phases, survey.with_energy, survey.hypothetical) == (18, 17, 0)
    assert (survey.formulas, survey.formulas_with_energy) == (16, 15)
    assert survey.elements == ["Al", "Nb", "O", "Sn"]  # hafnium is in a compound, but has no energy itself
    assert survey.systems == {2: 3, 3: 1}  # Nb-Sn, Nb-Al, Nb-O; Nb-Al-O; Hf-Nb cannot be placed
    assert survey.possible_systems == {2: 6, 3: 4}


def test_a_system() -> None:
    survey = survey_system(reference(), ["Sn", "Nb", "Al"])
    assert survey.system == "Al-Nb-Sn"
    found = {formula.formula: formula for formula in survey.formulas}
    assert list(found)[:3] == ["Al", "Nb", "Sn"]
    assert set(found) == {"Al", "Nb", "Sn", "Nb3Sn", "Nb6Sn5", "NbSn2", "NbSn", "Nb3Al", "Nb2Al", "NbAl3", "Nb4AlSn"}
    assert (found["Nb3Sn"].phases, found["Nb3Sn"].with_energy, found["Nb3Sn"].id) == (2, 2, "Nb3Sn-A15")
    assert {name for name, formula in found.items() if formula.stable} == {
        "Al", "Nb", "Sn", "Nb3Sn", "Nb6Sn5", "NbSn2", "Nb2Al", "NbAl3",
    }  # fmt: skip
    assert found["Nb3Al"].e_above_hull_eV_per_atom == pytest.approx(0.035)
    assert found["Nb4AlSn"].e_above_hull_eV_per_atom is None
    assert survey.subsystems == {"Al-Nb": 3, "Al-Sn": 0, "Nb-Sn": 4, "Al-Nb-Sn": 0}
    assert survey.without_energy == ["Nb4AlSn"]
    assert survey.without_compounds == ["Al-Sn", "Al-Nb-Sn"]
    assert survey.missing_elements == []


def test_an_element_without_an_energy() -> None:
    survey = survey_system(reference(), ["Hf", "Nb"])
    assert survey.missing_elements == ["Hf"]
    found = {formula.formula: formula for formula in survey.formulas}
    assert found["HfNb"].e_above_hull_eV_per_atom is None
    assert found["HfNb"].with_energy == 1
    assert not found["HfNb"].stable
    assert found["Nb"].stable


def test_hypothetical_phases_are_said_to_be() -> None:
    made = reference([*PHASES, ("NbSn3", -5.6, "guess")])
    index = made.table.schema.get_field_index("source")
    sources = ["prototype" if name == "guess" else "tests" for name in made.table["id"].to_pylist()]
    object.__setattr__(made, "table", made.table.set_column(index, "source", [sources]))
    found = {formula.formula: formula for formula in survey_system(made, ["Nb", "Sn"]).formulas}
    assert found["NbSn3"].hypothetical
    assert not found["NbSn2"].hypothetical
    assert survey_reference(made).hypothetical == 1


@pytest.mark.parametrize("wrong", [["Nb", "Xx"], [""], []])
def test_no_element(wrong) -> None:
    with pytest.raises(ConfigError, match="Nb-Hf-Be"):
        survey_system(reference(), wrong)
