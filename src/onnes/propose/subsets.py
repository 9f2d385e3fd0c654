"""Which atoms of one element to replace: all choices in a cell that symmetry, or nearly symmetry, does not make equal."""

from __future__ import annotations

from itertools import chain, combinations
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from onnes.propose.colouring import site_maps
from onnes.propose.pseudosymmetry import distinct_colourings, pseudosymmetry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

MAX_LISTED_ATOMS = 16
"""With more atoms of one element not all 2^n choices are listed."""
DRAWN = 4_096
"""So many are drawn then, beside the choices of whole orbits."""
_MAX_LISTED_ORBITS = 12
_MARK = 200  # stands for the new element; no atomic number here is as large


def distinct_subsets(
    lattice: Floats, frac: Floats, numbers: Ints, orbits: Ints, cells: Ints, *, seed: int = 0
) -> dict[int, list[Ints]]:
    """For each element the sets of its atoms to replace; of those that (pseudo)symmetry makes the same crystal, one.

    Parameters
    ----------
    lattice, frac, numbers
        A primitive cell or a supercell: shapes (3, 3) in angstrom with vectors as rows, (n, 3), (n,).
    orbits
        Wyckoff orbit of each atom in the primitive cell, shape (n,).
    cells
        Image of each atom under each translation of the primitive lattice, shape (translations, n), the identity first.
    seed
        For elements with more than `MAX_LISTED_ATOMS` atoms: all choices of whole orbits (of up to 12) and `DRAWN` random
        sets.

    Returns
    -------
    By atomic number, fewest atoms first. A set that is periodic in a part of the cell is left out: it belongs to a
    smaller one.
    """
    maps = site_maps(lattice, frac, np.arange(len(numbers)))
    near = pseudosymmetry(lattice, frac).maps
    found: dict[int, list[Ints]] = {}
    for number in np.unique(numbers).tolist():
        atoms = np.flatnonzero(numbers == number)
        chosen = _marked(_choices(atoms, orbits, seed), len(numbers))
        if len(cells) > 1:
            periodic = (chosen[:, cells[1:]] == chosen[:, None, :]).all(axis=2).any(axis=1)
            chosen = chosen[~periodic]
        kept = distinct_colourings(np.where(chosen, _MARK, numbers), maps, near)
        subsets = [np.flatnonzero(row) for row in chosen[kept]]
        found[number] = sorted(subsets, key=lambda subset: (len(subset), subset.tolist()))
    return found


def _choices(atoms: Ints, orbits: Ints, seed: int) -> Iterable[tuple[int, ...]]:
    if len(atoms) <= MAX_LISTED_ATOMS:
        return _nonempty(atoms.tolist())
    groups = [atoms[orbits[atoms] == orbit].tolist() for orbit in np.unique(orbits[atoms])]
    listed = groups if len(groups) <= _MAX_LISTED_ORBITS else []
    whole = (tuple(chain.from_iterable(union)) for union in _nonempty(listed))
    random = Random(seed)
    drawn = (tuple(random.sample(atoms.tolist(), random.randint(1, len(atoms)))) for _ in range(DRAWN))
    return chain(whole, drawn)


def _nonempty(items: list) -> Iterator[tuple]:
    return chain.from_iterable(combinations(items, n) for n in range(1, len(items) + 1))


def _marked(choices: Iterable[tuple[int, ...]], n: int) -> Flags:
    listed = list(choices)
    found = np.zeros((len(listed), n), bool)
    rows = np.repeat(np.arange(len(listed)), [len(choice) for choice in listed])
    found[rows, np.fromiter(chain.from_iterable(listed), np.int64, len(rows))] = True
    return found
