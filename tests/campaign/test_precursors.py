import pytest
from pymatgen.core import Composition

from onnes.campaign.precursors import POWDERS, weigh
from onnes.errors import ConfigError, CrystalError


def amounts(charge):
    return {p.formula: round(p.moles_per_formula, 4) for p in charge.precursors}


def brought(charge):
    """Elements in the precursors, by mass in grams."""
    found = {}
    for p in charge.precursors:
        composition = Composition(p.formula)
        for element, share in composition.as_weight_dict().items():
            found[element] = found.get(element, 0.0) + share * p.mass_g
    return found


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("Nb3Sn", {"Nb": 3, "Sn": 1}),
        ("Nb0.75Ti0.25", {"Nb": 0.75, "Ti": 0.25}),
        ("MgB2", {"Mg": 1, "B": 2}),
        ("TiN", {"Ti": 1, "N2": 0.5}),  # never from itself
        ("Ti2NbN3", {"TiN": 2, "NbN": 1}),
        ("La3Ni2B2N3", {"La": 2, "Ni": 2, "BN": 2, "LaN": 1}),
        ("SrTiO3", {"SrO": 1, "TiO2": 1}),
        ("YBa2Cu3O7", {"Y2O3": 0.5, "BaO": 2, "CuO": 3, "O2": 0.25}),
        ("NbO2", {"Nb": 0.2, "Nb2O5": 0.4}),  # the metal takes oxygen from the oxide
        ("LiTi2O4", {"Li2O": 0.5, "TiO2": 1, "Ti2O3": 0.5}),
        ("LaFeAsO", {"La": 0.3333, "Fe": 1, "As": 1, "La2O3": 0.3333}),
    ],
)
def test_chosen_precursors(formula, expected):
    charge = weigh(formula, 2.0)
    assert amounts(charge) == expected
    assert sum(p.mass_g for p in charge.precursors) == pytest.approx(2.0)
    wanted = Composition(formula).as_weight_dict()
    assert brought(charge) == pytest.approx({element: 2.0 * share for element, share in wanted.items()})


def test_carbon_comes_in_compounds_where_powders_are_wanted():
    assert amounts(weigh("Nb4C2N", 1.0)) == {"C": 2, "Nb": 3, "NbN": 1}
    assert amounts(weigh("Nb4C2N", 1.0, powders=True)) == {"Nb": 1, "NbN": 1, "NbC": 2}


def test_masses_follow_from_published_molar_masses():
    nb, sn = weigh("Nb3Sn", 2.0).precursors
    whole = 3 * 92.906 + 118.71
    assert nb.mass_g == pytest.approx(2 * 3 * 92.906 / whole, rel=1e-4)
    assert sn.mass_g == pytest.approx(2 * 118.71 / whole, rel=1e-4)
    assert (nb.kind, sn.kind) == ("element", "element")


def test_given_precursors():
    charge = weigh("TiZrN", 1.0, precursors=["TiN", "Zr"])
    assert amounts(charge) == {"TiN": 1, "Zr": 1}
    assert charge.notes == charge.unused == ()
    assert [p.kind for p in charge.precursors] == ["compound", "element"]


def test_carbonates_give_off_carbon_dioxide():
    charge = weigh("SrTiO3", 1.0, precursors=["SrCO3", "TiO2"])
    assert amounts(charge) == {"SrCO3": 1, "TiO2": 1, "CO2": -1}
    assert charge.precursors[-1].mass_g == pytest.approx(-44.009 / 183.49, rel=1e-3)
    assert sum(p.mass_g for p in charge.precursors) == pytest.approx(1.0)
    assert any("CO2 is given off" in note for note in charge.notes)


def test_oxides_take_oxygen_from_the_air_and_say_so():
    charge = weigh("YBa2Cu3O7", 1.0, precursors=["Y2O3", "BaCO3", "CuO"])
    assert amounts(charge) == {"Y2O3": 0.5, "BaCO3": 2, "CuO": 3, "O2": 0.25, "CO2": -2}
    assert any("O2 is taken up" in note for note in charge.notes)


def test_a_precursor_that_is_not_needed_is_named():
    charge = weigh("TiZrN", 1.0, precursors=["TiN", "Zr", "Ti"])
    assert charge.unused == ("Ti",)
    assert amounts(charge) == {"TiN": 1, "Zr": 1}


def test_several_answers_are_told():
    assert any("Other masses" in note for note in weigh("Nb3Sn", 1.0, precursors=["Nb", "Sn", "NbSn2"]).notes)
    assert weigh("Nb3Sn", 1.0, precursors=["Nb", "NbSn2"]).notes == ()


@pytest.mark.parametrize(
    ("precursors", "words"),
    [
        (["TiN"], "none of them holds Zr"),
        (["TiN", "ZrN"], "too much N and too little Ti, Zr"),
        (["TiN", "ZrO2"], "too much O and too little Zr"),
        (["Ti", "Zr"], "none of them holds N"),
    ],
)
def test_impossible_mixtures_say_why(precursors, words):
    with pytest.raises(ConfigError, match=words):
        weigh("TiZrN", 1.0, precursors=precursors)


def test_what_is_no_formula_and_what_is_no_mass():
    with pytest.raises(CrystalError, match="'Qq7' is no formula"):
        weigh("Nb3Sn", 1.0, precursors=["Nb", "Qq7"])
    for mass in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="above 0 g"):
            weigh("Nb3Sn", mass)


@pytest.mark.parametrize("formula", ["RbNbF6", "NbCl4", "CsCl", "NaCl", "KBr"])
def test_halogens_are_never_weighed_as_elements(formula):
    with pytest.raises(ConfigError, match=r"no route is suggested.*--precursor"):
        weigh(formula, 1.0)
    assert amounts(weigh(formula, 1.0, precursors=[formula])) == {formula: 1}


def test_halogens_are_refused_when_they_are_asked_for():
    with pytest.raises(ConfigError, match="Cl2 as the element"):
        weigh("NbCl4", 1.0, precursors=["Nb", "Cl2"])
    assert amounts(weigh("CsPbCl3", 1.0, precursors=["CsCl", "PbCl2"])) == {"CsCl": 1, "PbCl2": 1}


def test_a_closed_vessel_exchanges_no_gas_where_it_need_not():
    open_to_air = weigh("YBa2Cu3O7", 1.0)
    closed = weigh("YBa2Cu3O7", 1.0, vessel="closed")
    assert "O2" in amounts(open_to_air)
    assert amounts(closed) == {"Y2O3": 0.5, "BaO": 1.5, "BaO2": 0.5, "CuO": 3}
    assert closed.notes == ()


@pytest.mark.parametrize("vessel", ["closed", "loaded", "unknown"])
def test_only_an_open_vessel_has_an_atmosphere(vessel):
    (note,) = weigh("MgH2", 1.0, vessel=vessel).notes
    assert note.startswith("H2 is ")
    assert "atmosphere" not in note
    assert "atmosphere" in weigh("MgH2", 1.0).notes[0]
    assert "atmosphere" in weigh("NbN", 1.0, precursors=["Nb", "N2"]).notes[0]


def test_every_powder_is_a_compound_of_a_gas_or_a_light_element():
    assert len(set(POWDERS)) == len(POWDERS)
    for name in POWDERS:
        elements = {str(e) for e in Composition(name, strict=True).elements}
        assert len(elements) == 2
        assert elements & {"H", "B", "C", "N", "O", "F", "Cl"}
