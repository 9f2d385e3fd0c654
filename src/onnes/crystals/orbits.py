"""Build a crystal from its space group, its cell and one atom of each occupied Wyckoff position."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import moyopy
import numpy as np

from onnes.errors import CrystalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_SPACE_GROUPS = 230
SAME_SITE = 1e-4  # fractional; written thirds and eighths close their orbits far below this


@lru_cache(maxsize=256)
def _operations(space_group: int) -> tuple[Floats, Floats]:
    if not 1 <= space_group <= _SPACE_GROUPS:
        raise CrystalError(f"space group {space_group} does not exist; numbers run from 1 to {_SPACE_GROUPS}")
    found = moyopy.operations_from_number(space_group, setting=moyopy.Setting.standard())
    return np.array(found.rotations, float), np.array(found.translations, float)


def orbit(space_group: int, position: Sequence[float]) -> Floats:
    """All symmetry-equivalent positions of one atom in the conventional cell.

    Parameters
    ----------
    space_group
        Number in International Tables A, standard setting (hexagonal axes for R; second origin choice where two exist).
    position
        Fractional coordinates of one atom, shape (3,).

    Returns
    -------
    Fractional coordinates, shape (multiplicity, 3), the given atom first.

    Examples
    --------
    >>> orbit(223, (0.25, 0.0, 0.5)).shape
    (6, 3)
    """
    rotations, translations = _operations(space_group)
    images = (rotations @ np.asarray(position, float) + translations) % 1.0
    apart = images[:, None] - images[None]
    same = (np.abs(apart - np.round(apart)) < SAME_SITE).all(axis=2)
    return images[np.unique(same.argmax(axis=1))]


def expand(
    space_group: int,
    cell: Sequence[float],
    sites: Sequence[tuple[int, Sequence[float]]],
    *,
    primitive: bool = False,
) -> tuple[Floats, Floats, Ints]:
    """Fill the cell of a crystal given by its Wyckoff positions.

    Parameters
    ----------
    space_group
        Number in International Tables A, standard setting.
    cell
        a, b, c in angstrom and alpha, beta, gamma in degrees.
    sites
        (atomic number, fractional coordinates of one atom) of each occupied Wyckoff position.
    primitive
        Return the primitive cell instead of the conventional one.

    Returns
    -------
    Lattice (3, 3) with vectors as rows in angstrom, frac_coords (n, 3), atomic_numbers (n,).

    Raises
    ------
    CrystalError
        When the space group does not exist or the cell has no volume.

    Examples
    --------
    >>> _, _, numbers = expand(225, (5.64, 5.64, 5.64, 90, 90, 90), [(11, (0, 0, 0)), (17, (0.5, 0.5, 0.5))])
    >>> numbers.tolist()
    [11, 11, 11, 11, 17, 17, 17, 17]
    """
    from pymatgen.core import Lattice

    lattice = np.array(Lattice.from_parameters(*cell).matrix)
    if not abs(np.linalg.det(lattice)) > 0:
        raise CrystalError(f"cell {list(cell)} has no volume; give a, b, c in angstrom and three angles in degrees")
    orbits = [orbit(space_group, position) for _, position in sites]
    frac = np.concatenate(orbits)
    numbers = np.repeat([number for number, _ in sites], [len(o) for o in orbits]).astype(np.int64)
    return to_primitive(lattice, frac, numbers) if primitive else (lattice, frac, numbers)


def to_primitive(lattice: Floats, frac: Floats, numbers: Ints) -> tuple[Floats, Floats, Ints]:
    """Standardised primitive cell of a crystal: lattice (3, 3), frac_coords (n, 3), atomic_numbers (n,)."""
    cell = moyopy.Cell(lattice.tolist(), frac.tolist(), numbers.tolist())
    found = moyopy.MoyoDataset(cell, symprec=1e-3).prim_std_cell
    return np.array(found.basis), np.array(found.positions) % 1.0, np.array(found.numbers, np.int64)
