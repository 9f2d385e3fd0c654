"""All ways of choosing an element for each orbit, counted, listed or drawn at random."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


def count(alternatives: Sequence[Sequence[int]], max_changed: int) -> int:
    """Count the assignments that change at least one and at most ``max_changed`` orbits.

    Parameters
    ----------
    alternatives
        For each orbit the atomic numbers that may replace its element; empty for a fixed orbit.
    max_changed
        Most orbits to change.

    Examples
    --------
    >>> count([[22, 23], [22, 23, 24], []], 2)
    11
    """
    return _completions(alternatives, max_changed)[0][max_changed] - 1


def _completions(alternatives: Sequence[Sequence[int]], max_changed: int) -> list[list[int]]:
    """Entry [j][b]: ways to fill the orbits from j on with at most b changes."""
    table = [[1] * (max_changed + 1)]
    for options in reversed(alternatives):
        after = table[0]
        table.insert(0, [after[b] + (len(options) * after[b - 1] if b else 0) for b in range(max_changed + 1)])
    return table


def listed(own: Ints, alternatives: Sequence[Sequence[int]], max_changed: int) -> Ints:
    """Every assignment, fewest changed orbits first, shape (count, orbits).

    Examples
    --------
    >>> listed(np.array([41, 4]), [[72], [5]], 2).tolist()
    [[72, 4], [41, 5], [72, 5]]
    """
    rows = list(_each(own.tolist(), alternatives, max_changed))
    return np.array(rows, np.int64).reshape(len(rows), len(own))


def _each(own: list[int], alternatives: Sequence[Sequence[int]], max_changed: int) -> Iterator[list[int]]:
    free = [j for j, options in enumerate(alternatives) if options]
    for changed in range(1, min(max_changed, len(free)) + 1):
        for orbits in combinations(free, changed):
            for elements in product(*(alternatives[j] for j in orbits)):
                row = list(own)
                for j, element in zip(orbits, elements, strict=True):
                    row[j] = element
                yield row


def drawn(own: Ints, alternatives: Sequence[Sequence[int]], max_changed: int, n: int, random: Random) -> Ints:
    """Draw ``n`` different assignments uniformly, without listing them all; shape (n, orbits).

    ``n`` must be well below `count`.
    """
    table = _completions(alternatives, max_changed)
    total = table[0][max_changed]
    found: dict[tuple[int, ...], None] = {}
    while len(found) < n:
        row = _unrank(own.tolist(), alternatives, table, max_changed, random.randrange(total))
        if row != tuple(own.tolist()):
            found[row] = None
    return np.array(list(found), np.int64)


def _unrank(
    own: list[int], alternatives: Sequence[Sequence[int]], table: list[list[int]], budget: int, index: int
) -> tuple[int, ...]:
    row = list(own)
    for j, options in enumerate(alternatives):
        keep = table[j + 1][budget]
        if index >= keep:
            index -= keep
            budget -= 1
            which, index = divmod(index, table[j + 1][budget])
            row[j] = options[which]
    return tuple(row)
