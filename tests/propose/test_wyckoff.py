"""Wyckoff positions, and how atoms fill them."""

from __future__ import annotations

from collections import Counter
from itertools import combinations_with_replacement

import numpy as np
import pytest

from onnes.crystals.orbits import orbit
from onnes.errors import ConfigError
from onnes.propose.wyckoff import ORBIT_WEIGHT, Fillings, fillings, occupied, space_group


@pytest.mark.parametrize("number", [1, 5, 12, 15, 38, 43, 62, 88, 139, 146, 160, 167, 194, 216, 220, 227, 230])
def test_positions_are_those_of_the_standard_setting(number: int) -> None:
    group = space_group(number)
    points = round(1 / np.linalg.det(group.to_primitive))
    for position in group.positions:
        point = np.array([0.1234, 0.2717, 0.3919])
        images = (position.rotations @ point + position.translations) % 1.0
        assert len(images) == points * position.multiplicity
        again = orbit(number, images[0])
        apart = images[:, None] - again[None]
        assert (np.abs(apart - np.round(apart)).max(axis=2).min(axis=1) < 1e-6).all()
        assert len(again) == len(images)


def test_weight_counts_every_way() -> None:
    """Against a list of all ways to put A2B4 on the positions of Pnma."""
    positions = [p for p in space_group(62).positions if p.multiplicity <= 8]
    total = 0.0
    ways = []
    for first in range(1, 3):
        for a in combinations_with_replacement(positions, first):
            if sum(p.multiplicity for p in a) != 4:
                continue
            for second in range(1, 3):
                for b in combinations_with_replacement(positions, second):
                    used = Counter(p.letter for p in (*a, *b) if p.freedom == 0)
                    if sum(p.multiplicity for p in b) == 8 and max(used.values(), default=0) <= 1:
                        ways.append(occupied([(0, p) for p in a] + [(1, p) for p in b]))
                        total += ORBIT_WEIGHT ** (first + second)
    assert Fillings(space_group(62), (4, 8)).weight == pytest.approx(total)
    random = np.random.default_rng(0)
    drawn = Counter(occupied(fillings(62, (4, 8)).draw(random)) for _ in range(3000))
    assert set(drawn) <= set(ways)
    share = sum(n for way, n in drawn.items() if len(way.replace("*2", " x").split()) == 2) / 3000
    expected = sum(len(way.replace("*2", " x").split()) == 2 for way in ways) * ORBIT_WEIGHT**2 / total
    assert share == pytest.approx(expected, abs=0.04)


def test_drawn_positions_hold_the_atoms() -> None:
    random = np.random.default_rng(1)
    for number, counts in ((223, (6, 2)), (2, (3, 5)), (166, (1, 2, 5)), (1, (2, 1))):
        for _ in range(20):
            chosen = fillings(number, counts).draw(random)
            for kind, count in enumerate(counts):
                assert sum(p.multiplicity for k, p in chosen if k == kind) == count
            fixed = Counter(p.letter for _, p in chosen if not p.freedom)
            assert max(fixed.values(), default=1) == 1


def test_atoms_that_do_not_fit() -> None:
    assert fillings(230, (1,)).weight == 0
    with pytest.raises(ConfigError, match="do not fit the positions of space group 230"):
        fillings(230, (1,)).draw(np.random.default_rng(0))


def test_without_pyxtal(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyxtal.symmetry", None)
    with pytest.raises(ConfigError, match=r"onnes\[generate\]"):
        space_group.__wrapped__(3)
