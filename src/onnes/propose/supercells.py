"""Supercells of a primitive cell: one of each kind that the symmetry of the crystal, or nearly one, does not make equal."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from onnes.propose.pseudosymmetry import pseudosymmetry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def distinct_supercells(lattice: Floats, frac: Floats, numbers: Ints, n_cells: int) -> list[Ints]:
    """Every superlattice of an index, one of each class under the rotations that bring the crystal nearly onto itself.

    Superlattices are listed by their Hermite normal forms (Hart and Forcade, Phys. Rev. B 77, 224115 (2008)); for what is
    near, see `onnes.propose.pseudosymmetry.pseudosymmetry`.

    Parameters
    ----------
    lattice, frac, numbers
        Primitive cell: shapes (3, 3) in angstrom with vectors as rows, (n, 3), (n,).
    n_cells
        Primitive cells in a supercell.

    Returns
    -------
    Supercell vectors in units of the primitive ones, rows, shape (3, 3) each, as short as they get; of one cell its own.

    Examples
    --------
    >>> cube = 4.0 * np.eye(3), np.zeros((1, 3)), np.array([84])
    >>> [len(distinct_supercells(*cube, n)) for n in (1, 2, 3, 4)]  # simple cubic
    [1, 3, 3, 9]
    """
    from ase.geometry.minkowski_reduction import minkowski_reduce

    if n_cells == 1:
        return [np.eye(3, dtype=np.int64)]
    rotations = np.unique(pseudosymmetry(lattice, frac, numbers).rotations, axis=0)
    kept: list[Ints] = []
    seen: set[bytes] = set()
    for form in _hermite_normal_forms(n_cells):
        if form.tobytes() in seen:
            continue
        seen.update(_hermite(form @ rotation).tobytes() for rotation in rotations)
        _, change = minkowski_reduce(form @ lattice)
        kept.append(np.asarray(change, np.int64) @ form)
    return kept


def _hermite_normal_forms(n: int) -> Iterator[Ints]:
    """All upper triangular matrices of determinant n with each column reduced by its diagonal element."""
    for a in (d for d in range(1, n + 1) if n % d == 0):
        for b in (d for d in range(1, n // a + 1) if (n // a) % d == 0):
            c = n // a // b
            for x, y, z in product(range(b), range(c), range(c)):
                yield np.array([[a, x, y], [0, b, z], [0, 0, c]], np.int64)


def _hermite(matrix: Ints) -> Ints:
    """Hermite normal form of a matrix whose rows span a lattice."""
    rows = matrix.copy()
    for k in range(3):
        while np.count_nonzero(rows[k:, k]) > 1:
            order = k + np.argsort(np.where(rows[k:, k] == 0, np.iinfo(np.int64).max, np.abs(rows[k:, k])))
            rows[k:] = rows[order]
            rows[k + 1 :] -= rows[k + 1 :, k : k + 1] // rows[k, k] * rows[k]
        rows[k:] = rows[k + np.argsort(rows[k:, k] == 0, kind="stable")]
        rows[k] *= np.sign(rows[k, k])
        rows[:k] -= rows[:k, k : k + 1] // rows[k, k] * rows[k]
    return rows


def repeated(lattice: Floats, frac: Floats, cell: Ints) -> tuple[Floats, Floats, Ints]:
    """Sites of a supercell, always in the same order.

    Parameters
    ----------
    lattice, frac
        Primitive cell: shapes (3, 3) in angstrom with vectors as rows, and (n, 3).
    cell
        Supercell vectors in units of the primitive ones, rows, shape (3, 3).

    Returns
    -------
    Lattice (3, 3), frac_coords (m, 3), and the site of the primitive cell that each one repeats, shape (m,). Lattice
    point by lattice point, the sites of the primitive cell in their order.

    Examples
    --------
    >>> _, frac, sites = repeated(np.eye(3), np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]), np.diag([1, 1, 2]))
    >>> frac[:, 2].tolist(), sites.tolist()
    ([0.0, 0.25, 0.5, 0.75], [0, 1, 0, 1])
    """
    from ase.build.supercells import lattice_points_in_supercell

    # The points are exact multiples of 1/det; what rounding leaves would disturb symmetry searches.
    volume = abs(round(float(np.linalg.det(cell))))
    points = np.round(lattice_points_in_supercell(cell) * volume) / volume
    inner = frac @ np.linalg.inv(cell)
    coords = (points[:, None] + inner[None]).reshape(-1, 3) % 1.0
    return cell @ lattice, coords, np.tile(np.arange(len(inner)), len(points))


def translation_images(frac: Floats, sites: Ints) -> Ints:
    """Site onto which each translation of the primitive lattice carries each site of a supercell.

    Parameters
    ----------
    frac, sites
        From `repeated`.

    Returns
    -------
    Shape (translations, m), the identity first.
    """
    shifts = frac[sites == sites[0]] - frac[0]
    apart = frac[None, :, None] + shifts[:, None, None] - frac[None, None]
    apart = np.abs(apart - np.round(apart)).max(axis=3)
    # Of the sites that repeat the same one of the primitive cell the nearest is meant.
    apart[:, sites[:, None] != sites[None]] = np.inf
    return apart.argmin(axis=2)
