import numpy as np
import pytest

from onnes.training.benchmarks.bootstrap import paired_interval


def test_interval_of_a_difference_counts_formulas_not_rows() -> None:
    groups = np.repeat(np.arange(50), 4)
    assert paired_interval(np.ones(200), groups) == (pytest.approx(1.0), pytest.approx(1.0))
    gain = np.repeat(np.random.default_rng(0).normal(0.1, 1, 50), 4)  # rows of a formula err alike
    low, high = paired_interval(gain, groups)
    assert low < gain.mean() < high
    assert high - low == pytest.approx(4 * 1 / np.sqrt(50), rel=0.3)  # as of 50 draws, not of 200
    narrow = paired_interval(gain, np.arange(200))
    assert narrow[1] - narrow[0] < 0.65 * (high - low)


def test_the_interval_is_that_of_its_draws() -> None:
    gain, groups = np.random.default_rng(1).normal(size=200), np.arange(200) // 4
    assert paired_interval(gain, groups) == paired_interval(gain, groups, draws=2000)
    assert paired_interval(gain, groups) != paired_interval(gain, groups, draws=1000)
