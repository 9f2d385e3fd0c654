import pytest

from onnes.campaign.phase_competition import phase_competition
from onnes.physics.hull import Hull
from onnes.physics.reference import HYPOTHETICAL, Reference
from tests.physics.references import PHASES, reference

NB3SN = -0.125  # formation energies in eV/atom that follow from the phases
NB6SN5 = -7.45 - (6 * -10.10 + 5 * -4.00) / 11
NBSN2 = -6.15 - (-10.10 + 2 * -4.00) / 3


@pytest.fixture(scope="module")
def hull():
    return Hull(reference())


def test_a_stable_compound_lies_below_its_neighbours(hull):
    found = phase_competition("Nb3Sn", hull, energy_eV_per_atom=-8.70)
    assert found.on_hull
    assert found.formation_energy_eV_per_atom == pytest.approx(NB3SN)
    assert [(p.formula, round(p.share_by_atoms, 4)) for p in found.decomposition] == [("Nb6Sn5", 0.55), ("Nb", 0.45)]
    assert found.depth_eV_per_atom == pytest.approx(0.55 * NB6SN5 - NB3SN)
    share = (5 / 11 - 1 / 4) / (2 / 3 - 1 / 4)  # of NbSn2 at the composition of Nb6Sn5
    neighbour, element = found.decomposition
    assert neighbour.depth_eV_per_atom == pytest.approx((1 - share) * NB3SN + share * NBSN2 - NB6SN5)
    assert element.depth_eV_per_atom is None
    assert found.coverage == 4
    assert found.stand_in is None
    assert found.source.startswith("by hand (sha256 ")


def test_the_crystal_counts_for_its_neighbours_at_its_own_energy(hull):
    at_known = phase_competition("Nb3Sn", hull, energy_eV_per_atom=-8.70).decomposition[0]
    higher = phase_competition("Nb3Sn", hull, energy_eV_per_atom=-8.68).decomposition[0]
    assert higher.depth_eV_per_atom > at_known.depth_eV_per_atom


def test_another_structure_of_a_known_composition(hull):
    found = phase_competition("Nb3Sn", hull, energy_eV_per_atom=-8.60)
    assert not found.on_hull
    assert found.e_above_hull_eV_per_atom == pytest.approx(0.10)
    assert found.lower_polymorph == "Nb3Sn-A15"
    assert found.lower_polymorph_by_eV_per_atom == pytest.approx(0.10)
    assert found.depth_eV_per_atom == pytest.approx(0.55 * NB6SN5 - (NB3SN + 0.10))
    assert found.congruence == "unfavourable"


def test_without_an_energy_the_lowest_known_phase_stands_in_and_is_named(hull):
    found = phase_competition("Sn2Nb6", hull)
    assert found.reduced_formula == "Nb3Sn"
    assert found.stand_in == "Nb3Sn-A15"
    assert found.energy_eV_per_atom == -8.70
    assert "Nb3Sn-A15" in found.energy_source


def test_an_unknown_composition_without_an_energy_has_a_decomposition_only(hull):
    found = phase_competition("Nb2Sn", hull)
    assert (found.energy_eV_per_atom, found.on_hull, found.congruence) == (None, None, "unknown")
    assert {p.formula for p in found.decomposition} == {"Nb3Sn", "Nb6Sn5"}
    assert sum(p.share_by_atoms for p in found.decomposition) == pytest.approx(1)
    assert found.coverage == 4


def test_an_element_that_the_reference_lacks(hull):
    assert phase_competition("NbTi", hull) is None


def test_an_element_decomposes_to_nothing(hull):
    found = phase_competition("Nb", hull)
    assert (found.on_hull, found.decomposition, found.depth_eV_per_atom) == (True, (), None)
    assert found.congruence == "unknown"


def test_nearby_phases_are_near_in_composition_and_energy(hull):
    near = phase_competition("Nb2Sn", hull)
    assert [p.formula for p in near.nearby] == ["Nb3Sn", "Nb6Sn5"]
    assert [round(p.composition_distance, 3) for p in near.nearby] == [0.083, 0.121]
    assert near.n_nearby == 2
    phases = [*PHASES, ("Nb7Sn4", -7.0, "far-above")]  # 0.9 eV/atom above the hull
    assert phase_competition("Nb2Sn", Hull(reference(phases))).n_nearby == 2


def test_phases_that_nobody_reported_are_marked():
    made = reference()
    sources = [HYPOTHETICAL if row == "Nb6Sn5" else "tests" for row in made.table["id"].to_pylist()]
    table = made.table.set_column(1, made.table.schema.field("source"), [sources])
    known = Reference(made.name, made.potential, "0" * 64, "tests", table, "", {})
    found = phase_competition("Nb3Sn", Hull(known))
    assert {p.formula: p.hypothetical for p in found.decomposition} == {"Nb6Sn5": True, "Nb": False}


# Elements melt at 1687 (Si) and 2183 K (V), 505 (Sn) and 2750 K (Nb).
@pytest.mark.parametrize(
    ("deep", "neighbour", "verdict"),
    [(-0.20, -0.10, "favourable"), (-0.12, -0.14, "undecided"), (-0.17, -0.24, "unfavourable")],
)
def test_the_indicator_compares_depths(deep, neighbour, verdict):
    phases = [("V", 0.0, "v"), ("Si", 0.0, "si"), ("V3Si", deep, "a15"), ("V5Si3", neighbour, "w5si3")]
    found = phase_competition("V3Si", Hull(reference(phases)))
    assert found.congruence == verdict
    assert "0 K" in found.congruence_text
    assert f"{found.depth_eV_per_atom:.3f}" in found.congruence_text


def test_a_refractory_element_spoils_a_favourable_indicator():
    same = [("Nb", 0.0, "nb"), ("Sn", 0.0, "sn"), ("Nb3Sn", -0.2, "a15")]
    found = phase_competition("Nb3Sn", Hull(reference(same)))
    assert found.congruence == "undecided"
    assert "Nb melts far above" in found.congruence_text
    near = [("V", 0.0, "v"), ("Si", 0.0, "si"), ("V3Si", -0.2, "a15")]
    assert phase_competition("V3Si", Hull(reference(near))).congruence == "favourable"
