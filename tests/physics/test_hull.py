import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from onnes.physics.hull import Hull, chemical_system
from onnes.physics.lower_hull import LowerHull
from tests.physics.references import PHASES, reference

CANDIDATES = [
    ("Nb3Sn", -8.80),  # below the hull
    ("Nb3Sn", -8.70),  # the known phase itself
    ("Nb3Sn", -8.40),  # above
    ("Nb12Sn4", -8.80),  # the same composition in a larger cell
    ("Nb2AlSn", -7.00),  # a system without a known compound of all three
    ("Nb2AlSn", -9.50),
    ("Nb6AlSn", -8.60),
    ("NbAl", -7.40),
    ("Nb", -10.00),  # an element above its ground state
    ("Nb", -10.20),  # and below
    ("Al2NbO6", -7.30),
    ("Al2O3", -7.40),  # no known compound of Al and O here
    ("NbAlO4", -7.70),
    ("O", -4.5),
]


@pytest.fixture(scope="module")
def hull():
    return Hull(reference())


@pytest.fixture(scope="module")
def diagram():
    entries = [
        PDEntry(Composition(formula), energy * Composition(formula).num_atoms)
        for formula, energy, _ in PHASES
        if energy is not None and "Hf" not in formula
    ]
    return PhaseDiagram(entries)


@pytest.mark.parametrize(("formula", "energy"), CANDIDATES)
def test_equal_to_pymatgen(hull, diagram, formula, energy) -> None:
    composition = Composition(formula)
    entry = PDEntry(composition, energy * composition.num_atoms)
    place = hull.place(formula, energy)
    assert place.e_above_hull_eV_per_atom == pytest.approx(
        diagram.get_e_above_hull(entry, allow_negative=True, check_stable=False), abs=1e-10
    )
    assert place.formation_energy_eV_per_atom == pytest.approx(diagram.get_form_energy_per_atom(entry), abs=1e-10)


def test_signs(hull) -> None:
    assert hull.place("Nb3Sn", -8.80).e_above_hull_eV_per_atom == pytest.approx(-0.10)
    assert hull.place("Nb3Sn", -8.70).e_above_hull_eV_per_atom == pytest.approx(0, abs=1e-12)
    assert hull.place("Nb3Sn", -8.60).e_above_hull_eV_per_atom == pytest.approx(0.10)
    assert hull.place("Nb3Sn", -8.70).formation_energy_eV_per_atom == pytest.approx(-8.70 + 0.75 * 10.10 + 0.25 * 4.00)


def test_lever_rule_by_hand(hull) -> None:
    # Nb7Sn1 lies halfway between Nb and Nb3Sn, by atoms: 1/2 Nb3Sn (0.75 Nb) + 1/2 Nb
    place = hull.place("Nb7Sn", -9.30)
    assert place.e_above_hull_eV_per_atom == pytest.approx(-9.30 - 0.5 * (-8.70 - 10.10))
    assert place.decomposes_to == "0.50 Nb + 0.50 Nb3Sn"


def test_decomposition_lists_the_largest_part_first(hull) -> None:
    assert hull.place("Nb3Sn", -8.0).decomposes_to == "1.00 Nb3Sn"
    parts = hull.place("Nb6AlSn", -8.6).decomposes_to.split(" + ")
    shares = [float(part.split()[0]) for part in parts]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=0.02)
    assert {part.split()[1] for part in parts} <= {formula for formula, _, _ in PHASES}


def test_polymorph_of_higher_energy_never_competes(hull) -> None:
    with_worse = Hull(reference([*PHASES, ("Nb3Sn", -5.0, "worse")]))
    assert with_worse.place("Nb3Sn", -8.0) == hull.place("Nb3Sn", -8.0)


def test_coverage_counts_known_compounds_of_the_system_and_its_subsystems(hull) -> None:
    assert hull.place("Nb", -10.0).coverage == 0
    assert hull.place("Nb3Sn", -8.7).coverage == 4  # Nb3Sn, Nb6Sn5, NbSn2, NbSn
    assert hull.place("Nb2AlSn", -8.7).coverage == 7  # and Nb3Al, Nb2Al, NbAl3
    assert hull.place("SnAl", -4.0).coverage == 0
    assert hull.place("SnAl", -4.0).e_above_hull_eV_per_atom == pytest.approx(-4.0 + 0.5 * (4.00 + 3.75))


def test_unknown_element_or_energy_has_no_place(hull) -> None:
    assert hull.missing_elements(["Nb", "Hf", "Xe"]) == ["Hf", "Xe"]
    assert hull.place("HfNb", -9.9) is None  # the compound is known, the element is not
    assert hull.place("Nb3Sn", np.nan) is None
    assert hull.diagram(frozenset({"Hf", "Nb"})) is None


def test_many_at_once_are_placed_as_one_by_one(hull) -> None:
    formulas, energies = (
        [*(formula for formula, _ in CANDIDATES), "HfNb", "Nb3Sn"],
        [*(e for _, e in CANDIDATES), -9.9, np.nan],
    )
    seen = []
    placed = hull.place_all(formulas, energies, on_rows=seen.append)
    assert placed == [hull.place(formula, energy) for formula, energy in zip(formulas, energies, strict=True)]
    assert placed[-2:] == [None, None]
    assert sum(seen) == len(formulas)
    assert hull.place_all([], []) == []


def test_a_system_is_solved_once(monkeypatch) -> None:
    made = []
    build = LowerHull.of
    monkeypatch.setattr(LowerHull, "of", lambda *given: made.append(given) or build(*given))
    fresh = Hull(reference())
    fresh.place_all(["NbAl2Sn", "NbAlSn2", "Nb3AlSn"], [-6.0, -6.0, -6.0])
    # the ternary, two binaries with compounds, three elements
    assert len(made) == 6
    fresh.place("Nb5AlSn", -8)
    assert len(made) == 6


def test_phases_above_the_hull_of_a_subsystem_are_left_out(monkeypatch) -> None:
    sizes = []
    build = LowerHull.of
    monkeypatch.setattr(LowerHull, "of", lambda *given: sizes.append(len(given[1])) or build(*given))
    Hull(reference()).place("NbAlSn", -6.0)
    assert sizes[-1] == 3 + 3 + 2  # NbSn does not form, and Nb3Al lies above the line from Nb to Nb2Al
    assert Hull(reference()).place("Nb3Al", -8.70).e_above_hull_eV_per_atom == pytest.approx(0.035)


def test_equal_to_pymatgen_over_the_shipped_reference(shipped_reference) -> None:
    hull = Hull(shipped_reference)
    rng = np.random.default_rng(4)
    known = [formula for formula in shipped_reference.lowest if len(chemical_system(formula)) > 1]
    formulas = [known[i] for i in rng.integers(len(known), size=25)]
    elements = ["Nb", "Be", "Hf", "Mg", "B", "C", "Si", "Ni", "Al", "O"]
    for size in 3 * (2, 3, 4, 5, 6):
        formulas += ["".join(f"{e}{rng.integers(1, 6)}" for e in rng.permutation(elements)[:size])]
    placed = hull.place_all(formulas, np.zeros(len(formulas)))
    for formula, place in zip(formulas, placed, strict=True):
        diagram = hull.diagram(chemical_system(formula))
        shares = diagram.get_decomposition(Composition(formula))
        energy = sum(share * entry.energy_per_atom for entry, share in shares.items())
        assert -place.e_above_hull_eV_per_atom == pytest.approx(energy, abs=1e-9), formula
        parts = sorted((-round(share, 6), entry.composition.reduced_formula) for entry, share in shares.items())
        assert place.decomposes_to == " + ".join(f"{-share:.2f} {name}" for share, name in parts)
        assert place.coverage == sum(len(entry.composition.elements) > 1 for entry in diagram.all_entries)


def test_shipped_reference_knows_what_is_stable(shipped_reference) -> None:
    hull = Hull(shipped_reference)
    for formula in ("MgB2", "NaCl", "Nb3Sn", "Be2Nb3"):
        energy = shipped_reference.lowest[formula][0]
        place = hull.place(formula, energy)
        assert place.formation_energy_eV_per_atom < -0.02, formula
        assert 0 <= place.e_above_hull_eV_per_atom < 0.1, formula
    assert hull.place("NaCl", shipped_reference.lowest["NaCl"][0]).formation_energy_eV_per_atom == pytest.approx(
        -1.8, abs=0.3
    )
