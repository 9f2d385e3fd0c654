"""Symmetry of a crystal: space group, prototype label and content hash (moyopy)."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from onnes.crystals.prototype_label import prototype_label
from onnes.errors import CrystalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

T = TypeVar("T")

SYMPREC_A = 0.1
FALLBACK_SYMPREC_A = (0.01, 1e-3)

# Rounding of the content hash, and a shift that keeps round numbers such as 3/16 or 3.165 off the edges of the bins.
_LENGTH_STEP_A = 0.01
_ANGLE_STEP_DEG = 0.1
_FRAC_STEP = 0.001
_OFF_EDGE = 0.137

_CORNERS = np.array([v for v in product((-1, 0, 1), repeat=3) if any(v)])


@dataclass(frozen=True)
class CrystalIdentity:
    """What a crystal is, apart from the way in which it was written down.

    Attributes
    ----------
    space_group
        International number, 1 to 230.
    prototype
        Protostructure label with elements, for example ``A2B_hP3_191_c_b:B-Mg``.
    crystal_hash
        32 hexadecimal characters; equal for the same crystal in another setting.
    """

    space_group: int
    prototype: str
    crystal_hash: str


def describe(
    lattice: ArrayLike, frac_coords: ArrayLike, atomic_numbers: ArrayLike, symprec: float = SYMPREC_A
) -> CrystalIdentity:
    """Find space group, prototype label and content hash.

    The label is that of `onnes.crystals.prototype_label.prototype_label`. Where the symmetry search fails at `symprec`,
    0.01 and 0.001 A are tried.

    The hash is made of the space group, the Niggli cell of the symmetrised primitive crystal (0.01 A, 0.1 degree)
    and the coordinates (0.001), the least of all choices of origin atom and of lattice axes. It does not depend on
    the order of the atoms, on the choice of the cell, on translation, rotation or reflection. It does not
    guarantee that two nearly equal crystals (another relaxation, another number of digits) share a hash, because
    a number near the edge of a rounding bin may fall to either side: compare prototypes or use a structure matcher
    for that. Mirror images share a hash, except in the eleven pairs of enantiomorphic space groups.

    Parameters
    ----------
    lattice
        Row vectors, shape (3, 3), angstrom.
    frac_coords
        Shape (n, 3).
    atomic_numbers
        Shape (n,).
    symprec
        Tolerance of the symmetry search, angstrom.

    Raises
    ------
    CrystalError
        If no tolerance gives a consistent space group.

    Examples
    --------
    >>> describe(4.05 * np.eye(3), [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], [13] * 4).prototype
    'A_cF4_225_a:Al'
    """

    def identity(dataset: Any, numbers: list[int]) -> CrystalIdentity:
        return CrystalIdentity(dataset.number, prototype_label(dataset, numbers), _content_hash(dataset))

    return _at_tolerance(lattice, frac_coords, atomic_numbers, symprec, identity)


def prototype_of(lattice: ArrayLike, frac_coords: ArrayLike, atomic_numbers: ArrayLike) -> str:
    """Find the prototype label alone, several times as fast as `describe`.

    Parameters and errors are those of `describe`.

    Examples
    --------
    >>> prototype_of(3.3 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [41, 41])
    'A_cI2_229_a:Nb'
    """
    return _at_tolerance(lattice, frac_coords, atomic_numbers, SYMPREC_A, prototype_label)


def _at_tolerance(
    lattice: ArrayLike,
    frac_coords: ArrayLike,
    atomic_numbers: ArrayLike,
    symprec: float,
    derive: Callable[[Any, list[int]], T],
) -> T:
    """Search the symmetry and derive something from it and the atomic numbers; again at a smaller tolerance if need be."""
    moyopy = _moyopy()
    basis = np.asarray(lattice, float).reshape(3, 3)
    coords = np.asarray(frac_coords, float).reshape(-1, 3)
    numbers = [int(z) for z in np.asarray(atomic_numbers).ravel()]
    cell = moyopy.Cell(basis.tolist(), (coords - np.floor(coords)).tolist(), numbers)
    trouble = ""
    for tolerance in (symprec, *(s for s in FALLBACK_SYMPREC_A if s < symprec)):
        try:
            return derive(moyopy.MoyoDataset(cell, symprec=tolerance), numbers)
        except (ValueError, RuntimeError, KeyError, CrystalError) as error:
            trouble = f"{type(error).__name__}: {error}"
    raise CrystalError(f"no symmetry found ({trouble}). Check the coordinates, or give another cell of this crystal")


@cache
def _moyopy() -> Any:
    import moyopy  # not needed to read crystals

    # It warns for each supercell whose lattice is less symmetric than its crystal; our results do not suffer.
    logging.getLogger("moyo").setLevel(logging.ERROR)
    return moyopy


def _content_hash(dataset: Any) -> str:
    cell = dataset.prim_std_cell
    reduced, transformation = _moyopy().niggli_reduce(cell.basis)
    basis = np.array(reduced)
    numbers = np.array(cell.numbers, dtype=np.int64)
    # rows: new basis = T^t old basis, hence new coordinates = old coordinates (T^t)^-1
    coords = np.linalg.solve(np.array(transformation, dtype=float), np.array(cell.positions).T).T
    counts = np.bincount(numbers)
    rarest = min(set(numbers.tolist()), key=lambda z: (counts[z], z))
    origins = coords[numbers == rarest]
    moved = coords[None, :, :] - origins[:, None, :]
    axes = _equivalent_axes(basis)
    turned = np.einsum("onk,akj->aonj", moved, np.linalg.inv(axes))
    steps = np.floor((turned - np.floor(turned)) / _FRAC_STEP + 0.5 + _OFF_EDGE).astype(np.int64) % 1000
    codes = np.sort(numbers * 10**9 + steps @ np.array([10**6, 10**3, 1]), axis=2)
    parameters = np.repeat(_rounded_parameters(axes @ basis), len(origins), axis=0)
    candidates = np.concatenate([parameters, codes.reshape(len(parameters), -1)], axis=1)
    text = json.dumps([dataset.number, *_least_row(candidates).tolist()])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _least_row(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """First row in lexicographic order."""
    left = np.arange(len(rows))
    for k in range(rows.shape[1]):
        values = rows[left, k]
        left = left[values == values.min()]
        if len(left) == 1:
            break
    return rows[left[0]]


def _equivalent_axes(basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integer matrices that map the basis on one of the same shape within 0.003 A, shape (k, 3, 3).

    A Niggli cell needs no entries beyond -1, 0, 1 for that.
    """
    vectors = _CORNERS @ basis
    lengths = np.linalg.norm(vectors, axis=1)
    own = np.linalg.norm(basis, axis=1)
    tolerance = 0.003
    first, second, third = (np.flatnonzero(np.abs(lengths - length) < tolerance) for length in own)
    i, j, k = (grid.ravel() for grid in np.meshgrid(first, second, third, indexing="ij"))
    dots = vectors @ vectors.T
    wanted = basis @ basis.T
    fits = (
        (np.abs(dots[i, j] - wanted[0, 1]) < tolerance * (own[0] + own[1]))
        & (np.abs(dots[j, k] - wanted[1, 2]) < tolerance * (own[1] + own[2]))
        & (np.abs(dots[i, k] - wanted[0, 2]) < tolerance * (own[0] + own[2]))
    )
    return np.stack([_CORNERS[i[fits]], _CORNERS[j[fits]], _CORNERS[k[fits]]], axis=1).astype(float)


def _rounded_parameters(bases: NDArray[np.float64]) -> NDArray[np.int64]:
    """Lengths and angles in steps of the hash, shape (k, 6)."""
    lengths = np.linalg.norm(bases, axis=2)
    units = bases / lengths[:, :, None]
    cosines = np.stack([(units[:, i] * units[:, j]).sum(axis=1) for i, j in ((1, 2), (0, 2), (0, 1))], axis=1)
    angles = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
    steps = np.concatenate([lengths / _LENGTH_STEP_A, angles / _ANGLE_STEP_DEG], axis=1)
    return np.floor(steps + 0.5 + _OFF_EDGE).astype(np.int64)
