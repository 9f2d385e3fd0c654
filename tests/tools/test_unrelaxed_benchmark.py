import numpy as np
import pytest

from onnes.crystals.schema import values
from onnes.potentials import potential as registry
from onnes.tools import unrelaxed_benchmark
from onnes.tools.unrelaxed_benchmark import PARENTS, benchmark_unrelaxed, candidates
from tests.potentials.fakes import FakePotential


def test_candidates_come_from_every_parent() -> None:
    table = candidates(30)
    assert table.num_rows == 30
    assert set(values(table, "parent_id")) == set(PARENTS)
    assert values(candidates(30), "id") == values(table, "id")
    assert len(set(values(table, "id"))) == 30


def test_score_by_hand() -> None:
    above = np.array([0.00, 0.05, 0.20, 0.30, np.nan])
    hull = np.array([-5.0, -6.0, -7.0, -8.0, np.nan])
    truth = np.where(np.isnan(hull), -1.0, hull + above)
    score = unrelaxed_benchmark._score(truth + [0.01, 0.07, -0.15, 0.03, 0.04], truth, hull)
    assert score["mae_meV_per_atom"] == pytest.approx(60)
    assert score["bias_meV_per_atom"] == pytest.approx(0)
    assert score["median_error_meV_per_atom"] == pytest.approx(40)
    assert score["recall"] == pytest.approx(1 / 2)
    assert score["precision"] == pytest.approx(1 / 2)
    assert score["rank_correlation"] == pytest.approx(0.8)


def test_scan_comes_closer_than_the_proposed_volume(monkeypatch) -> None:
    """Pair forces know no covalent radii: their own volume is found by the scan or by relaxation only."""
    monkeypatch.setattr(registry, "_ADAPTERS", {"fake": ("tests.potentials.fakes", "FakePotential")})
    monkeypatch.setattr(registry, "_LOADED", {("fake", "cpu"): FakePotential()})
    monkeypatch.setattr(unrelaxed_benchmark, "_hull_shift", lambda formulas, _: np.full(len(formulas), -3.0))
    found = benchmark_unrelaxed(count=10, potential="fake")
    proposed, scanned = (
        found.values[f"{name}: mae_meV_per_atom"] for name in ("as proposed", "lowest of 20 volumes, 0.8 to 1.2")
    )
    assert scanned < proposed
    assert found.values["relaxed: mae_meV_per_atom"] == 0
    assert found.values["relaxed: ratio"] == pytest.approx(1)
    assert len(found.rows) == 4
