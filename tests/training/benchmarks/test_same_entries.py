import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from onnes.training.benchmarks.same_entries import above_competitors, above_hull, hull_of_entries

FORMULAS = ["MgB2", "MgB2", "MgB4", "MgB7", "Mg", "MgNi2", "Mg2Ni", "MgNi3C"]
ENERGIES = np.array([-0.15, -0.05, -0.10, -0.12, 0.02, -0.2, -0.22, np.nan])


@pytest.fixture(scope="module")
def hull():
    return hull_of_entries(FORMULAS, ENERGIES)


def diagram(skip=()):
    entries = [PDEntry(Composition(e), 0.0) for e in ("Mg", "B", "Ni")]
    for formula, energy in zip(FORMULAS, ENERGIES, strict=True):
        if np.isfinite(energy) and formula not in skip:
            c = Composition(formula)
            entries.append(PDEntry(c, energy * c.num_atoms))
    return PhaseDiagram(entries)


def test_equals_pymatgen(hull) -> None:
    found = above_hull(hull, FORMULAS, ENERGIES)
    for formula, energy, above in zip(FORMULAS[:-1], ENERGIES, found, strict=False):
        assert above == pytest.approx(energy - diagram().get_hull_energy_per_atom(Composition(formula)), abs=1e-9)
    assert np.isnan(found[-1])


def test_competitors_are_the_other_formulas(hull) -> None:
    done = []
    found = above_competitors(hull, FORMULAS[:-1], ENERGIES[:-1], on_rows=done.append)
    assert sum(done) == 7
    for formula, energy, above in zip(FORMULAS[:4], ENERGIES, found, strict=False):
        rest = diagram(skip=(formula,)).get_hull_energy_per_atom(Composition(formula))
        assert above == pytest.approx(energy - rest, abs=1e-9)
    assert found[0] < 0 < found[2]
    assert found[1] == pytest.approx(found[0] + 0.1)  # another crystal of the same formula
    assert found[4] == pytest.approx(0.02)  # an element has no competitor but itself


def test_a_new_formula_meets_the_same_hull(hull) -> None:
    new = above_competitors(hull, ["B4Mg2Ni", "Mg2B4"], np.array([0.0, -0.15]))
    assert new[0] == pytest.approx(-diagram().get_hull_energy_per_atom(Composition("Mg2NiB4")))
    assert new[1] == pytest.approx(above_competitors(hull, ["MgB2"], np.array([-0.15]))[0])
