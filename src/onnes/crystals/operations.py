"""Symmetry operations of a crystal: what they do to vectors and to its atoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import CrystalError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

SYMPREC_A = 0.01


@dataclass(frozen=True, eq=False)
class Operations:
    """The G operations of a crystal with n atoms.

    Attributes
    ----------
    rotations
        Orthogonal matrices that turn Cartesian column vectors, shape (G, 3, 3).
    permutations
        Operation g moves atom i to where atom ``permutations[g, i]`` was, shape (G, n).
    """

    rotations: Floats
    permutations: Ints

    def __len__(self) -> int:
        return len(self.rotations)


def primitive_cell(
    lattice: ArrayLike, frac_coords: ArrayLike, numbers: ArrayLike, *, symprec: float = SYMPREC_A
) -> tuple[Floats, Floats, Ints]:
    """Find the primitive cell of a crystal, turned and distorted in no way.

    Parameters
    ----------
    lattice
        Row vectors, shape (3, 3), angstrom.
    frac_coords, numbers
        Shapes (n, 3) and (n,).
    symprec
        Tolerance of the search (angstrom).

    Returns
    -------
    tuple
        Lattice, fractional coordinates and atomic numbers; those given when spglib finds no smaller cell.

    Examples
    --------
    >>> aluminium = (4.05 * np.eye(3), [[0, 0, 0], [0, .5, .5], [.5, 0, .5], [.5, .5, 0]], [13] * 4)
    >>> primitive_cell(*aluminium)[2].tolist()
    [13]
    """
    import spglib

    given = (
        np.asarray(lattice, float).reshape(3, 3),
        np.asarray(frac_coords, float).reshape(-1, 3),
        np.asarray(numbers, np.int64),
    )
    found = spglib.standardize_cell(given, to_primitive=True, no_idealize=True, symprec=symprec)  # pyright: ignore[reportArgumentType]
    if found is None or len(found[2]) >= len(given[2]):
        return given
    return np.asarray(found[0], float), np.asarray(found[1], float), np.asarray(found[2], np.int64)


def operations(
    lattice: ArrayLike, frac_coords: ArrayLike, numbers: ArrayLike, *, symprec: float = SYMPREC_A
) -> Operations:
    """Find the symmetry operations of a crystal.

    Parameters
    ----------
    lattice
        Row vectors, shape (3, 3), angstrom.
    frac_coords, numbers
        Shapes (n, 3) and (n,).
    symprec
        Tolerance of the search (angstrom).

    Raises
    ------
    CrystalError
        When the search fails.

    Examples
    --------
    >>> len(operations(3.0 * np.eye(3), [[0, 0, 0]], [84]))
    48
    """
    import moyopy

    cell = np.asarray(lattice, float).reshape(3, 3)
    frac = np.asarray(frac_coords, float).reshape(-1, 3)
    z = np.asarray(numbers, np.int64)
    try:
        given = moyopy.Cell(cell.tolist(), (frac - np.floor(frac)).tolist(), z.tolist())
        found = moyopy.MoyoDataset(given, symprec=symprec).operations
    except (ValueError, RuntimeError) as error:
        raise CrystalError(f"no symmetry found ({error}); check the coordinates or change symprec") from error
    turns = np.array(found.rotations, float)
    moved = np.einsum("gij,nj->gni", turns, frac) + np.array(found.translations, float)[:, None]
    apart = moved[:, :, None] - frac[None, None]
    apart -= np.round(apart)
    distances = np.linalg.norm(apart @ cell, axis=3) + 1e3 * (z[:, None] != z[None])
    permutations = distances.argmin(axis=2)
    if not (np.sort(permutations, axis=1) == np.arange(len(z))).all():
        raise CrystalError("a symmetry operation puts two atoms on one site; check the coordinates or lower symprec")
    # In the basis of columns a, b, c a rotation is L W L^-1; what is left of the tolerance is projected out.
    left, _, right = np.linalg.svd(cell.T @ turns @ np.linalg.inv(cell.T))
    return Operations(left @ right, permutations.astype(np.int64))
