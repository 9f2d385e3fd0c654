import numpy as np

from onnes.physics.hull import chemical_system
from onnes.physics.reference import Reference
from onnes.training.benchmarks.hull import benchmark_hull, hull_candidates


def test_candidates_are_spread_over_the_systems() -> None:
    reference = Reference.shipped("sevennet-0")
    formulas, energies = hull_candidates(reference, 400, 100, seed=3)
    systems = [chemical_system(formula) for formula in formulas]
    assert len(set(systems)) == 100
    assert all(systems.count(system) == 4 for system in set(systems))
    assert {len(system) for system in systems} >= {2, 3, 4}
    assert np.isfinite(energies).all()
    again, same = hull_candidates(reference, 400, 100, seed=3)
    assert again == formulas
    assert (same == energies).all()
    assert hull_candidates(reference, 400, 100, seed=4)[0] != formulas


def test_agreement_and_counts() -> None:
    seen = []
    found = benchmark_hull(count=300, systems=60, checked=30, on_rows=seen.append)
    assert sum(seen) == 300
    assert found.values["candidates"] == 300
    assert found.values["max_difference_eV_per_atom"] < 1e-6
    assert found.values["same_decomposition"] == found.values["checked"] == 30
    assert found.values["failed"] == 0
    assert found.values["candidates_per_s"] > 0
    assert "PhaseDiagram" in found.markdown()
