"""How sure a difference between two models is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def paired_interval(
    gain: NDArray[np.float64], groups: NDArray[np.integer], *, draws: int = 2000
) -> tuple[float, float]:
    """95 % interval of a mean over rows, whole groups (formulas, chemical systems) resampled.

    Parameters
    ----------
    gain
        Of each row, shape (n,).
    groups
        Number of the group of each row, shape (n,).
    draws
        Resamplings.
    """
    group = np.unique(groups, return_inverse=True)[1]
    sums, counts = np.bincount(group, gain), np.bincount(group)
    drawn = np.random.default_rng(0).integers(0, len(sums), (draws, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))
