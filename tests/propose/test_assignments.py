"""Counting, listing and drawing give the same set."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from onnes.propose.assignments import count, drawn, listed

OWN = np.array([41, 41, 4, 8])
ALTERNATIVES = [[22, 23, 24], [22, 23, 24], [], [16, 34]]


@pytest.mark.parametrize(("max_changed", "expected"), [(1, 8), (2, 8 + 9 + 6 + 6), (3, 4 * 4 * 3 - 1), (4, 47)])
def test_count_and_list_agree(max_changed: int, expected: int) -> None:
    rows = listed(OWN, ALTERNATIVES, max_changed)
    assert count(ALTERNATIVES, max_changed) == expected == len(rows) == len({tuple(row) for row in rows.tolist()})
    changed = (rows != OWN).sum(axis=1)
    assert changed.min() == 1
    assert changed.max() <= max_changed
    assert np.all(np.diff(changed) >= 0)


def test_drawing_reaches_every_assignment_and_no_other() -> None:
    allowed = {tuple(row) for row in listed(OWN, ALTERNATIVES, 2).tolist()}
    random = Random(1)  # noqa: S311
    seen = {tuple(row) for _ in range(100) for row in drawn(OWN, ALTERNATIVES, 2, 10, random).tolist()}
    assert seen == allowed


def test_drawing_is_uniform_over_assignments() -> None:
    random = Random(2)  # noqa: S311
    rows = np.concatenate([drawn(OWN, ALTERNATIVES, 2, 1, random) for _ in range(6000)])
    _, hits = np.unique(rows, axis=0, return_counts=True)
    assert len(hits) == 29
    assert np.all(np.abs(hits - 6000 / 29) < 5 * np.sqrt(6000 / 29))


def test_nothing_to_change() -> None:
    assert count([[], []], 2) == 0
    assert listed(np.array([4, 8]), [[], []], 2).shape == (0, 2)
