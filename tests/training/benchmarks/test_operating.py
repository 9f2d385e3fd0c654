import numpy as np
import pytest

from onnes.errors import ConfigError
from onnes.training.benchmarks.operating import Confusion, LabelledSet, precision_threshold, recall_threshold


@pytest.fixture
def made():
    rng = np.random.default_rng(0)
    truth = rng.random(2000) < 0.3
    score = truth + 0.8 * rng.normal(size=2000)
    return truth, score, rng.integers(0, 5, 2000)


def test_threshold_keeps_the_recall_and_no_stricter_one_does(made) -> None:
    truth, score, _ = made
    for recall in (0.5, 0.9, 0.95):
        threshold = recall_threshold(truth, score, recall)
        assert (score[truth] >= threshold).mean() >= recall
        assert (score[truth] > threshold).mean() < recall


def test_all_positives_pass_at_recall_one(made) -> None:
    truth, score, _ = made
    assert recall_threshold(truth, score, 1.0) == score[truth].min()


def test_without_positives_there_is_no_threshold() -> None:
    with pytest.raises(ConfigError, match="no positive row"):
        recall_threshold(np.zeros(3, bool), np.arange(3.0), 0.9)


def test_recall_is_kept_in_every_fold(made) -> None:
    truth, score, fold = made
    rows = LabelledSet("made up", truth, score, truth, score, fold)
    threshold = rows.threshold_for_recall(0.9)
    recalls = [(score[truth & (fold == f)] >= threshold).mean() for f in range(5)]
    assert min(recalls) >= 0.9
    assert threshold < recall_threshold(truth, score, 0.9)


def test_precision_is_kept_by_the_lowest_threshold(made) -> None:
    truth, score, fold = made
    threshold = precision_threshold(truth, score, 0.7)
    assert truth[score >= threshold].mean() >= 0.7
    lower = np.unique(score[score < threshold])
    assert all(truth[score >= t].mean() < 0.7 for t in lower)
    assert LabelledSet("", truth, score, truth, score, fold).threshold_for_precision(0.7) == threshold


def test_rows_of_one_score_pass_together() -> None:
    truth, score = np.array([True, True, False, False]), np.array([2.0, 1.0, 1.0, 1.0])
    assert precision_threshold(truth, score, 0.6) == 2.0
    assert precision_threshold(~truth, score, 0.9) == 2.0  # nothing is as precise: the highest score


def test_confusion() -> None:
    truth = np.array([True, True, True, False, False, False, False, False])
    passed = np.array([True, True, False, True, False, False, False, False])
    c = Confusion.of(truth, passed)
    assert (c.true_positive, c.false_negative, c.false_positive, c.true_negative) == (2, 1, 1, 4)
    assert (c.precision, c.recall) == pytest.approx((2 / 3, 2 / 3))
    assert (c.n, c.pass_rate, c.prevalence) == (8, 3 / 8, 3 / 8)
    assert Confusion.of(truth, np.zeros(8, bool)).precision == 0
