"""Operations that are nearly symmetries of a crystal: what they join, a structure matcher takes for one crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import moyopy
import numpy as np

from onnes.propose.colouring import canonical

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

# The defaults of pymatgen's StructureMatcher, which decides what counts as a new crystal elsewhere.
LENGTH_TOLERANCE = 0.2
ANGLE_TOLERANCE_DEG = 5.0
SITE_TOLERANCE = 0.3
"""Largest displacement of an atom in units of the cube root of the volume per atom."""


@dataclass(frozen=True, eq=False)
class Pseudosymmetry:
    """Operations that bring a crystal nearly onto itself.

    Attributes
    ----------
    rotations
        What the lattice vectors become, in units of themselves, rows, shape (m, 3, 3).
    maps
        Site that each operation brings to each site, shape (m, n).
    """

    rotations: Ints
    maps: Ints


def pseudosymmetry(lattice: Floats, frac: Floats, numbers: Ints | None = None) -> Pseudosymmetry:
    """Find all operations whose strain and displacements stay within the tolerances of a structure matcher.

    Lengths may differ by a fifth, angles by 5 degrees, and no atom, once the mean displacement is taken off, may miss its
    image by more than 0.3 of the cube root of the volume per atom. These operations need not form a group.

    Parameters
    ----------
    lattice, frac
        Shapes (3, 3) in angstrom with vectors as rows, and (n, 3).
    numbers
        Atomic numbers that must be kept, shape (n,); by default all atoms are alike.

    Examples
    --------
    >>> cell = np.diag([4.0, 4.0, 4.1])  # all but cubic
    >>> len(pseudosymmetry(cell, np.zeros((1, 3))).rotations)
    48
    """
    from pymatgen.core import Lattice

    reduced, change = moyopy.niggli_reduce(lattice.tolist())
    turn = np.array(change, np.int64).T
    cell, coords = np.array(reduced), frac @ np.linalg.inv(turn)
    kinds = np.ones(len(frac), np.int64) if numbers is None else np.asarray(numbers)
    rarest = np.flatnonzero(kinds == min(set(kinds.tolist()), key=lambda z: ((kinds == z).sum(), z)))
    limit = SITE_TOLERANCE * (abs(np.linalg.det(cell)) / len(frac)) ** (1 / 3)
    start = Lattice(cell)
    rotations: list[Ints] = []
    maps: list[Ints] = []
    for _, _, scale in start.find_all_mappings(start, LENGTH_TOLERANCE, ANGLE_TOLERANCE_DEG, skip_rotation_matrix=True):
        if round(abs(float(np.linalg.det(scale)))) != 1:
            continue
        images = coords @ scale
        shifts = coords[rarest] - images[rarest[0]]
        apart = coords[None, :, None] - images[None, None] - shifts[:, None, None]
        apart -= np.round(apart)
        distances = np.linalg.norm(apart @ cell, axis=3)
        distances[:, kinds[:, None] != kinds[None]] = np.inf
        sources = distances.argmin(axis=2)
        for which, source in enumerate(sources):
            if len(set(source.tolist())) < len(frac):
                continue
            moved = apart[which, np.arange(len(frac)), source] @ cell
            if np.linalg.norm(moved - moved.mean(axis=0), axis=1).max() <= limit:
                rotations.append(np.rint(np.linalg.inv(turn) @ scale @ turn).astype(np.int64))
                maps.append(source)
    return Pseudosymmetry(np.array(rotations, np.int64), np.array(maps, np.int64))


def distinct_colourings(colours: Ints, maps: Ints, near: Ints) -> Ints:
    """Choose colourings of sites of which no two are nearly the same crystal.

    Parameters
    ----------
    colours
        Atomic number on each site, shape (c, n), 1 to 255; the earlier of two is kept.
    maps
        Operations of the symmetry of the bare sites, from `onnes.propose.colouring.site_maps`, shape (m, n).
    near
        Operations of its pseudosymmetry, shape (k, n).

    Returns
    -------
    Indices of those kept, ascending.
    """
    _, first = np.unique(canonical(colours, maps), return_index=True)
    kept = np.sort(first)
    exact = {row.tobytes() for row in maps}
    extra = np.array([row for row in near if row.tobytes() not in exact], np.int64).reshape(-1, maps.shape[1])
    if not len(extra):
        return kept
    packed = _packed(colours[kept])
    order = np.argsort(packed)
    earlier: dict[int, set[int]] = {}
    for chosen in extra:
        images = _packed(colours[kept][:, chosen])
        place = np.minimum(np.searchsorted(packed[order], images), len(order) - 1)
        same = order[place]
        for one in np.flatnonzero((packed[same] == images) & (same != np.arange(len(kept)))).tolist():
            earlier.setdefault(max(one, int(same[one])), set()).add(min(one, int(same[one])))
    lost: set[int] = set()
    for one in sorted(earlier):
        if earlier[one] - lost:
            lost.add(one)
    return np.array([index for i, index in enumerate(kept.tolist()) if i not in lost], np.int64)


def _packed(colours: Ints) -> NDArray[np.bytes_]:
    small = np.ascontiguousarray(colours, np.uint8)
    return small.view(f"S{small.shape[1]}")[:, 0]
