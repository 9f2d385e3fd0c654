"""How many of a few sought rows a ranking brings to the top, against chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

TOP_SHARE = 0.1
PRECISION_AT = (10, 50, 100)


def expected_hits(score: Floats, sought: Bools, k: int) -> float:
    """Sought rows among the first k of a ranking; where scores are equal the order is random, and the mean is given.

    Parameters
    ----------
    score
        Larger is better, shape (n,); NaN comes last.
    sought
        Shape (n,).
    k
        Rows looked at; more than n counts as n.

    Examples
    --------
    >>> import numpy as np
    >>> expected_hits(np.array([3.0, 1.0, 1.0, 0.0]), np.array([True, True, False, False]), 2)
    1.5
    """
    k = min(k, len(score))
    if k <= 0:
        return 0.0
    found = np.where(np.isnan(score), -np.inf, score)
    edge = np.partition(found, len(found) - k)[len(found) - k]
    above, level = found > edge, found == edge
    return float(sought[above].sum() + (k - above.sum()) * sought[level].mean())


def top(n: int, share: float = TOP_SHARE) -> int:
    """Rows in the top share of n, at least one.

    Examples
    --------
    >>> top(330), top(4)
    (33, 1)
    """
    return max(1, int(n * share + 1e-9))


def enrichment(score: Floats, sought: Bools, *, share: float = TOP_SHARE) -> float:
    """Recall in the top share of a ranking over that of a random order; NaN when nothing is sought."""
    k = top(len(score), share)
    return expected_hits(score, sought, k) * len(score) / (k * sought.sum()) if sought.any() else np.nan


@dataclass(frozen=True)
class Retrieval:
    """What a ranking of n rows finds.

    Attributes
    ----------
    recall
        Share of the sought rows in the top tenth.
    enrichment
        The same over that of a random order.
    interval
        95 % interval of the enrichment.
    precision
        Share of sought rows among the first `PRECISION_AT`.
    """

    recall: float
    enrichment: float
    interval: tuple[float, float]
    precision: tuple[float, ...]


def retrieval(
    score: Floats, sought: Bools, groups: Sequence[str] | NDArray[np.str_], *, draws: int = 1000
) -> Retrieval:
    """Score a ranking; see `expected_hits` for ``score`` and ``sought``, `enrichment_interval` for the rest."""
    k = top(len(score))
    return Retrieval(
        expected_hits(score, sought, k) / max(int(sought.sum()), 1),
        enrichment(score, sought),
        enrichment_interval(score, sought, groups, draws=draws),
        tuple(expected_hits(score, sought, at) / min(at, len(score)) for at in PRECISION_AT),
    )


def enrichment_interval(
    score: Floats, sought: Bools, groups: Sequence[str] | NDArray[np.str_], *, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of the enrichment.

    The groups (chemical systems) of the sought rows and those of the others are resampled apart, so that some are sought in every
    draw (Efron, Tibshirani, An Introduction to the Bootstrap, 1993).

    Parameters
    ----------
    score, sought
        As in `expected_hits`.
    groups
        Group of each row, length n.
    draws, seed
        Of the resampling.
    """
    if not sought.any():
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    group = np.unique(np.asarray(groups), return_inverse=True)[1]
    parts = [(rows, np.unique(group[rows], return_inverse=True)[1]) for rows in map(np.flatnonzero, (sought, ~sought))]
    found = np.empty(draws)
    for i in range(draws):
        drawn = []
        for rows, own in parts:
            n = own.max(initial=-1) + 1
            times = np.bincount(rng.integers(0, max(n, 1), n), minlength=n)
            drawn.append(np.repeat(rows, times[own]))
        chosen = np.concatenate(drawn)
        found[i] = enrichment(score[chosen], sought[chosen])
    return float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))


def chance(n: int, n_sought: int) -> Retrieval:
    """What a random order finds: the expectation, and the 95 % range of the enrichment (hypergeometric distribution).

    Examples
    --------
    >>> chance(330, 30).recall
    0.1
    """
    from scipy.stats import hypergeom

    k = top(n)
    low, high = (float(hypergeom.ppf(q, n, n_sought, k)) * n / (k * n_sought) for q in (0.025, 0.975))
    return Retrieval(k / n, 1.0, (low, high), (n_sought / n,) * len(PRECISION_AT))
