"""What known crystals tell about unknown ones: how often a space group occurs, and how much room an element takes.

The numbers come from `onnes.propose.structure_statistics`, computed over crystals of the Materials Project whose
composition lies in a training bucket.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.symbols import atomic_numbers
from onnes.propose.radii import estimated_volume

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

# As in onnes.propose.structure_statistics, which made the two columns of volumes.
_ANIONS = frozenset({1, 7, 8, 9, 15, 16, 17, 33, 34, 35, 52, 53})


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Any]:
    text = files("onnes.propose").joinpath("data/structure_statistics.json").read_text(encoding="utf-8")
    return json.loads(text)


def space_group_weights() -> Floats:
    """How much known crystals prefer each space group among those that their atoms fit, shape (230,), sum 1.

    Examples
    --------
    >>> weights = space_group_weights()
    >>> bool(weights[225 - 1] > 100 * weights[16 - 1] > 0)  # rock salt and its kin against P222
    True
    """
    return np.array(_shipped()["space_groups"])


def unit_counts(most: int) -> Ints:
    """Known crystals by the number of formula units in the primitive cell, one added to each, shape (most,).

    Examples
    --------
    >>> one, two, three, four = unit_counts(4)
    >>> bool(one > two > four > three)
    True
    """
    counts = np.ones(most, np.int64)
    for units, count in _shipped()["units"].items():
        if int(units) <= most:
            counts[int(units) - 1] += count
    return counts


@lru_cache(maxsize=1)
def _volumes() -> dict[int, tuple[float | None, float | None]]:
    table = _shipped()["volumes_A3"]
    return {atomic_numbers()[symbol]: (pair[0], pair[1]) for symbol, pair in table.items()}


def typical_volume(numbers: Sequence[int] | Ints) -> float:
    """Volume in cubic angstrom that known crystals of such atoms take: a sum over the elements.

    Each element has one volume in crystals with anions (H, N, O, P, S, As, Se, Te and the halogens) and one in crystals
    without, fitted to known crystals; 90 % of those with other compositions lie within 0.88 and 1.18 of this sum, where
    the sum of spheres of `onnes.propose.radii.estimated_volume`, used for an element without a volume, has 0.84 to 2.85.

    Parameters
    ----------
    numbers
        Atomic number of every atom in the cell, shape (n,).

    Raises
    ------
    ConfigError
        For an element that has neither a volume nor a radius.

    Examples
    --------
    >>> round(typical_volume([11, 17]))  # rock salt has 45
    48
    """
    kinds, amounts = np.unique(np.asarray(numbers, np.int64), return_counts=True)
    column = 0 if _ANIONS.intersection(kinds.tolist()) else 1
    total = 0.0
    for kind, amount in zip(kinds.tolist(), amounts.tolist(), strict=True):
        pair = _volumes().get(kind, (None, None))
        one = pair[column] or pair[1 - column] or estimated_volume([kind])
        total += amount * one
    return total
