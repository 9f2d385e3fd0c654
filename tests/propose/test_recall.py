"""Known crystals found again by substitution."""

from __future__ import annotations

import numpy as np
import pytest

from onnes.errors import CrystalError
from onnes.propose import recall as module
from onnes.propose.recall import Recall, benchmark_substitution, recall, recall_task


def perovskite(a: str, b: str, x: str) -> str:
    from onnes.crystals.prototype_label import anonymous_prototype
    from onnes.crystals.symbols import atomic_numbers
    from onnes.crystals.symmetry import prototype_of

    frac = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    label = prototype_of(4 * np.eye(3), frac, [atomic_numbers()[s] for s in (a, b, x, x, x)])
    assert anonymous_prototype(label)[0].amounts == (1, 1, 3)
    return label


LABELS = [
    perovskite("Sr", "Ti", "O"), perovskite("Ba", "Ti", "O"), perovskite("Ba", "Zr", "O"),
    perovskite("Sr", "Zr", "O"), perovskite("K", "Mg", "F"), "A3B_cP8_223_c_a:Nb-Sn",
]  # fmt: skip
BUCKETS = np.array([1, 2, 3, 85, 85, 85])


def shares(amounts: dict[int, int]) -> dict[int, np.ndarray]:
    """Barium and strontium, titanium and zirconium for each other, and hafnium for the latter."""
    table = {56: {38: 0.5}, 38: {56: 0.5}, 22: {40: 0.3, 72: 0.4}, 40: {22: 0.3, 72: 0.4}}
    found = {}
    for z in amounts:
        found[z] = np.zeros(95)
        for other, share in table.get(z, {}).items():
            found[z][other] = share
    return found


def test_targets_have_three_elements_and_parents_of_their_prototype() -> None:
    task = recall_task(LABELS, BUCKETS)
    assert {label for labels in task.targets.values() for label in labels} == set(LABELS[3:5])
    assert [len(labels) for labels in task.parents.values()] == [3]
    assert len(recall_task(LABELS, BUCKETS, n=1, seed=3).targets) == 1


def test_ranks_and_the_random_expectation() -> None:
    found = recall(recall_task(LABELS, BUCKETS), shares)
    # BaHfO3 sums to 0.4 + 0.4 + 0.2, SrZrO3 to 0.3 + 0.5 + 0.15, SrHfO3 to 0.4 + 0.2 + 0.2; KMgF3 is out of reach.
    assert sorted(found.ranks.tolist()) == [1.0, np.inf]
    assert found.pools.tolist() == [3, 3]
    assert found.parents.tolist() == [3, 3]
    assert found.among(200) == 0.5
    assert found.expected(1) == pytest.approx(1 / 6)


def test_parents_without_probabilities_propose_nothing() -> None:
    def none(_: dict[int, int]) -> dict[int, np.ndarray]:
        raise CrystalError("no oxidation states")

    found = recall(recall_task(LABELS, BUCKETS), none)
    assert not np.isfinite(found.ranks).any()
    assert found.expected(200) == 0


def test_the_share_counts_targets_before_a_place() -> None:
    found = Recall(np.array([0, 199, 200, np.inf]), np.array([1000, 400, 400, 10]), np.ones(4, np.int64))
    assert found.among(200) == 0.5
    assert found.expected(200) == pytest.approx((0.2 + 0.5 + 0.5) / 4)


def test_the_benchmark_tells_its_split_and_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "labelled_crystals", lambda on_rows=None: (LABELS, BUCKETS))
    done: list[int] = []
    result = benchmark_substitution(on_rows=done.append)
    assert [row[0] for row in result.rows] == ["observed", "ionic", "metallic", "auto"]
    assert sum(done) == 8
    assert result.values["observed: recall"] == 0.5
    assert "buckets 80 to 89" in result.markdown()
