import itertools

import numpy as np
import pytest

from onnes.training.benchmarks.retrieval import chance, enrichment, enrichment_interval, expected_hits, retrieval, top


def test_hits_with_equal_scores_are_the_mean_over_all_orders() -> None:
    score, sought = np.array([2.0, 1.0, 1.0, 1.0, 0.0]), np.array([False, True, True, False, True])
    for k in range(6):
        orders = [
            o for o in itertools.permutations(range(5)) if all(score[a] >= score[b] for a, b in itertools.pairwise(o))
        ]
        mean = np.mean([sought[list(order[:k])].sum() for order in orders])
        assert expected_hits(score, sought, k) == pytest.approx(mean)
    assert expected_hits(score, sought, 50) == 3


def test_a_row_without_a_score_comes_last() -> None:
    score, sought = np.array([np.nan, -1e9, np.nan, 5.0]), np.array([True, False, True, False])
    assert expected_hits(score, sought, 2) == 0
    assert expected_hits(score, sought, 3) == pytest.approx(1.0)


def test_enrichment_is_one_for_chance_and_ten_at_best() -> None:
    sought = np.arange(100) < 10
    assert enrichment(sought.astype(float), sought) == 10
    assert enrichment(-sought.astype(float), sought) == 0
    assert enrichment(np.zeros(100), sought) == pytest.approx(1)
    assert np.isnan(enrichment(np.zeros(100), np.zeros(100, bool)))
    rng = np.random.default_rng(0)
    assert np.mean([enrichment(rng.random(100), sought) for _ in range(2000)]) == pytest.approx(1, abs=0.07)


def test_recall_and_precision() -> None:
    score = -np.arange(200.0)
    sought = np.isin(np.arange(200), [0, 3, 12, 30, 150])
    found = retrieval(score, sought, [str(i) for i in range(200)])
    assert top(200) == 20
    assert found.recall == pytest.approx(3 / 5)
    assert found.enrichment == pytest.approx(6)
    assert found.precision == (0.2, 4 / 50, 4 / 100)
    assert found.interval[0] < 6 < found.interval[1]


def test_the_interval_holds_the_truth_and_narrows_with_more_rows() -> None:
    def drawn(n_hot, seed):
        rng = np.random.default_rng(seed)
        sought = np.arange(11 * n_hot) < n_hot
        return rng.normal(size=len(sought)) + 1.5 * sought, sought

    truth = enrichment(*drawn(200_000, 99))
    inside, widths = 0, {30: [], 300: []}
    for seed in range(40):
        for n_hot, found in widths.items():
            score, sought = drawn(n_hot, seed)
            low, high = enrichment_interval(score, sought, np.arange(len(score)).astype(str), draws=200)
            found.append(high - low)
            inside += (low <= truth <= high) and n_hot == 30
    assert inside >= 34
    assert np.mean(widths[30]) > 2.4 * np.mean(widths[300])


def test_rows_of_a_group_stay_together() -> None:
    sought = np.arange(220) < 20
    found = np.arange(220) % 2 == 0  # half of the sought ones come first, the others last
    score = np.where(sought, np.where(found, 9.0, -9.0), 0.0)
    apart = enrichment_interval(score, sought, np.arange(220).astype(str))
    together = np.where(sought, np.where(found, "A", "B"), np.arange(220).astype(str))
    low, high = enrichment_interval(score, sought, together)
    assert (low, high) == (0.0, 10.0)  # two groups: both are found, one, or none
    assert 2 < apart[0] < 5 < apart[1] < 8
    assert all(np.isnan(enrichment_interval(score, np.zeros(220, bool), together)))


def test_chance_of_a_pool() -> None:
    found = chance(330, 30)
    assert (found.recall, found.enrichment) == (0.1, 1.0)
    assert found.precision == (30 / 330,) * 3
    rng = np.random.default_rng(1)
    sought = np.arange(330) < 30
    drawn = [enrichment(rng.random(330), sought) for _ in range(4000)]
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx(found.interval, abs=1e-9)
