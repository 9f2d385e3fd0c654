import pytest

from onnes.campaign.element_melting import composition_of, element_meltings
from onnes.campaign.procedures import AMBIENT_GPA
from onnes.campaign.synthesis import METASTABLE_EV, suggest_route
from onnes.errors import CrystalError
from onnes.physics.hull import Hull
from onnes.physics.reference import Reference
from tests.physics.references import reference


@pytest.fixture(scope="module")
def empty():
    """A reference that knows no element: the elements alone decide."""
    return Hull(reference([("Xe", 0.0, "xe")]))


def flat(*formulas, **energies):
    """Hull of elements at zero and compounds with formation energies."""
    phases = [(symbol, 0.0, symbol) for symbol in formulas]
    return Hull(reference([*phases, *((name, energy, name) for name, energy in energies.items())]))


@pytest.mark.parametrize(
    ("formula", "method"),
    [
        ("V3Si", "arc melting"),
        ("Nb", "arc melting"),
        ("Nb0.75Zr0.25", "arc melting"),
        ("Be2HfNb2", "arc melting with excess"),  # Be boils at 2742 K, Nb melts at 2750 K
        ("NbMn2", "arc melting with excess"),
        ("MgB2", "sealed ampoule"),
        ("FeSe", "sealed ampoule"),
        ("Mg2Si", "sealed ampoule"),  # Mg boils above the melting point of Si, yet does not stay in an arc
        ("Nb3Sb", "sealed ampoule"),
        ("CaC6", "sealed ampoule"),
        ("NaCl", "sealed ampoule"),
        ("HgBa2CuO4", "sealed ampoule"),
        ("ZrB2", "powders and spark plasma"),
        ("NbC", "powders and spark plasma"),
        ("Ti2NbN3", "powders and spark plasma"),
        ("SrTiO3", "powders and spark plasma"),  # strontium is volatile, its oxide is not
        ("YNi2B2C", "arc melting"),  # nickel is no refractory metal
        ("NbN", "gas reaction"),
        ("PdH", "gas reaction"),
        ("LaH10", "high pressure"),
    ],
)
def test_elements_decide_the_method(formula, method, empty):
    found = suggest_route(formula, empty)
    assert found.method == method
    assert found.reasons
    assert all(reason.source for reason in found.reasons)
    assert method not in {other.method for other in found.alternatives}
    assert found.competition is None
    assert "nothing is known of competing phases" in found.warnings[0].text


def test_a_crystal_for_high_pressure(empty):
    found = suggest_route("V3Si", empty, pressure_GPa=20.0)
    assert found.method == "high pressure"
    assert "at 20 GPa" in found.procedure
    assert suggest_route("V3Si", empty, pressure_GPa=AMBIENT_GPA).method == "arc melting"


def test_a_nitride_far_above_the_hull_needs_pressure():
    hull = flat("Nb", "N2", Nb2N=-1.0)
    assert suggest_route("NbN", hull, energy_eV_per_atom=-0.75 + METASTABLE_EV - 0.01).method == "gas reaction"
    found = suggest_route("NbN", hull, energy_eV_per_atom=-0.75 + METASTABLE_EV + 0.01)
    assert found.method == "high pressure"
    assert any("only pressure keeps it in" in reason.text for reason in found.reasons)
    assert any("Sci. Adv. 2, e1600225 (2016)" in warning.source for warning in found.warnings)


def test_energies_of_oxides_with_u_do_not_decide():
    phases = [("La", 0.0, "la"), ("Fe", 0.0, "fe"), ("O2", 0.0, "o2"), ("La2O3", -3.0, "la2o3")]
    made = reference(phases)
    hubbard = Hull(Reference(made.name, made.potential, "0" * 64, "PBE(+U), uncorrected", made.table, "", {}))
    plain, with_u = (suggest_route("LaFeO3", one, energy_eV_per_atom=0.0) for one in (Hull(made), hubbard))
    assert plain.method == "high pressure"
    assert with_u.method == "powders and spark plasma"
    assert "Fe" in with_u.warnings[0].text
    assert "Hubbard" in with_u.warnings[0].text


def test_what_the_hull_says_is_told_with_the_name_of_the_reference():
    hull = flat("V", "Si", V3Si=-0.2, V5Si3=-0.25)
    found = suggest_route("V3Si", hull, energy_eV_per_atom=-0.2)
    said = " ".join(reason.text for reason in found.reasons)
    assert "On the hull of 2 known compounds" in said
    assert "0.67 V5Si3 + 0.33 V" in said
    assert "costs 0.033 eV/atom" in said  # 0.2 - 2/3 0.25
    assert "congruent melting" in said
    assert any("by hand (sha256 " in reason.source for reason in found.reasons)
    assert found.warnings == ()


def test_metastable_crystals_are_warned_of_and_get_pressure_as_an_alternative():
    hull = flat("V", "Si", V3Si=-0.2)
    found = suggest_route("V3Si", hull, energy_eV_per_atom=-0.1)
    assert found.method == "arc melting"
    assert "high pressure" in {other.method for other in found.alternatives}
    said = [warning.text for warning in found.warnings]
    assert any(text.startswith("0.100 eV/atom above the hull") for text in said)
    assert any("V3Si of the same composition lies 0.100 eV/atom lower" in text for text in said)
    assert "high pressure" not in {
        other.method for other in suggest_route("V3Si", hull, energy_eV_per_atom=-0.19).alternatives
    }


def test_the_energy_of_another_crystal_is_called_so():
    hull = flat("V", "Si", V3Si=-0.2)
    assert any("V3Si, the lowest known phase" in warning.text for warning in suggest_route("V3Si", hull).warnings)
    assert any("has no energy" in warning.text for warning in suggest_route("VSi", hull).warnings)


def test_a_wide_spread_of_melting_points_is_a_reason_to_remelt(empty):
    found = suggest_route("Nb3Sn", empty)
    assert found.melting_point_spread_K == pytest.approx(2750 - 505.08)
    assert any("differ by 2245 K" in reason.text for reason in found.reasons)
    assert not any("differ" in reason.text for reason in suggest_route("V3Si", empty).reasons)


def test_annealing_is_a_rule_of_thumb(empty):
    found = suggest_route("V3Si", empty).annealing
    assert found.lowest_solid == "Si"
    assert found.hold_below_K == pytest.approx(0.7 * 1687)
    assert found.homogenise_at_K == pytest.approx(0.6 * (0.75 * 2183 + 0.25 * 1687))
    assert "rule of thumb" in found.source
    assert suggest_route("SrTiO3", empty).annealing is None  # the melting points of its elements tell nothing
    assert suggest_route("Nb", empty).annealing is None
    assert suggest_route("CaC6", empty).annealing.homogenise_at_K == pytest.approx(0.6 * 1115)  # graphite does not melt
    assert "Fused silica creeps" in suggest_route("NbC", empty).annealing.text
    assert "Fused silica creeps" not in found.text


@pytest.mark.parametrize(
    ("formula", "words"),
    [("MgB2", "tantalum"), ("FeSe", "fused silica, in a crucible"), ("LaOF", "platinum"), ("NbN", "nitrogen or ammonia"),
     ("PdH", "flowing hydrogen"), ("Ti2NbN3", "under nitrogen"), ("SrTiO3", "oxygen or argon"), ("Nb", "Melt the element")],
)  # fmt: skip
def test_the_procedure_suits_the_elements(formula, words, empty):
    assert words in suggest_route(formula, empty).procedure


def test_the_volatile_element_is_named(empty):
    assert "take the loss to be Be" in suggest_route("Be2HfNb2", empty).procedure


def test_carbon_counts_for_the_melt_when_it_is_much():
    kinds = {e.symbol: e.kind for e in element_meltings(composition_of("YNi2B2C"))}
    assert kinds == {"B": "solid", "C": "solid", "Ni": "solid", "Y": "solid"}  # Ni boils below where carbon melts
    kinds = {e.symbol: e.kind for e in element_meltings(composition_of("NiC"))}
    assert kinds == {"C": "solid", "Ni": "volatile"}


@pytest.mark.parametrize("formula", ["Qq7", "", "Nb3Sn-", "X2"])
def test_what_is_no_formula(formula, empty):
    with pytest.raises(CrystalError, match="is no formula"):
        suggest_route(formula, empty)
