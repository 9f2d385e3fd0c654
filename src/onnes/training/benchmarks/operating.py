"""Operating points of a gate: thresholds chosen on some rows, scored on others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Scores of n rows whose labels are known, and of m other rows on which a threshold may be chosen.

    Attributes
    ----------
    label
        What is labelled, where, and how many rows.
    truth, score
        Rows that count, shape (n,): whether the row should pass, and what the gate looks at; a row passes from a threshold
        on. A gate that wants small numbers looks at their negative.
    chosen_truth, chosen_score, chosen_fold
        Rows to choose a threshold on, shape (m,), by models that never saw them; fold of each.
    """

    label: str
    truth: Mask
    score: Floats
    chosen_truth: Mask
    chosen_score: Floats
    chosen_fold: Ints

    def threshold_for_recall(self, recall: float) -> float:
        """Highest threshold that keeps a recall in every fold of the rows to choose on.

        The threshold that keeps it over all folds together would miss it in about half of them, and so on new rows.
        """
        return min(
            recall_threshold(self.chosen_truth[rows], self.chosen_score[rows], recall)
            for fold in np.unique(self.chosen_fold[self.chosen_truth])
            for rows in (self.chosen_fold == fold,)
        )

    def threshold_for_precision(self, precision: float) -> float:
        """Lowest threshold from which the precision over all rows to choose on is at least as high as asked."""
        return precision_threshold(self.chosen_truth, self.chosen_score, precision)


def recall_threshold(truth: Mask, score: Floats, recall: float) -> float:
    """Highest threshold at which at least the given share of the positives passes; truth and score of shape (n,).

    Examples
    --------
    >>> recall_threshold(np.array([True, True, True, False]), np.array([0.9, 0.5, 0.2, 0.4]), 0.66)
    0.5
    """
    positives = np.sort(score[truth])
    if not len(positives):
        raise ConfigError("no positive row to choose a threshold on")
    return float(positives[int(np.floor((1 - recall) * len(positives) + 1e-9))])


def precision_threshold(truth: Mask, score: Floats, precision: float) -> float:
    """Lowest threshold at which at least the given share of what passes is positive; the highest score if there is none.

    Examples
    --------
    >>> precision_threshold(np.array([True, False, True, False]), np.array([0.9, 0.5, 0.4, 0.2]), 0.6)
    0.4
    """
    order = np.argsort(-score, kind="stable")
    share = np.cumsum(truth[order]) / np.arange(1, len(order) + 1)
    last = np.append(np.diff(score[order]) != 0, True)  # of rows with the same score
    good = np.flatnonzero((share >= precision) & last)
    return float(score[order][good[-1]] if len(good) else score.max())


@dataclass(frozen=True)
class Confusion:
    """Confusion matrix of a gate: positives that pass and that do not, negatives that pass and that do not."""

    true_positive: int
    false_negative: int
    false_positive: int
    true_negative: int

    @classmethod
    def of(cls, truth: Mask, passed: Mask) -> Confusion:
        """Count rows, both of shape (n,)."""
        return cls(*(int(x.sum()) for x in (truth & passed, truth & ~passed, ~truth & passed, ~truth & ~passed)))

    @property
    def precision(self) -> float:
        """Share of positives among what passes."""
        return self.true_positive / max(self.true_positive + self.false_positive, 1)

    @property
    def recall(self) -> float:
        """Share of the positives that pass."""
        return self.true_positive / max(self.true_positive + self.false_negative, 1)

    @property
    def n(self) -> int:
        """All rows."""
        return self.true_positive + self.false_negative + self.false_positive + self.true_negative

    @property
    def pass_rate(self) -> float:
        """Share of all rows that passes: the recall of a random filter of that rate."""
        return (self.true_positive + self.false_positive) / max(self.n, 1)

    @property
    def prevalence(self) -> float:
        """Share of positives: the precision of any random filter."""
        return (self.true_positive + self.false_negative) / max(self.n, 1)
