"""Unstable modes, and the crystals that come of moving along them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.errors import CrystalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from onnes.physics.phonons import Crystal, Phonons

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

OPERATION = "soft mode"

_DEGENERATE_THZ2 = 0.02  # modes whose squared frequencies differ by less span one space
_SAME_Q = 1e-6


@dataclass(frozen=True, eq=False)
class SoftMode:
    """One direction in which a crystal falls off its saddle.

    Attributes
    ----------
    q
        Wave vector in the reciprocal basis of the cell, shape (3,).
    frequency_THz
        Negative: imaginary.
    degeneracy
        Modes of that frequency at q; the direction is one of the combinations of them.
    direction
        Coefficients of the combination.
    cell
        The cell that the phonons belong to: lattice (3, 3), frac_coords (N, 3), atomic_numbers (N,).
    cells
        Integer matrix whose rows are the vectors of the smallest supercell that the mode fits into, in the basis of the
        cell, shape (3, 3).
    undistorted
        That supercell, with n atoms.
    pattern
        Displacements of its atoms in Cartesian coordinates, the largest of length 1, shape (n, 3).
    """

    q: Floats
    frequency_THz: float
    degeneracy: int
    direction: tuple[float, ...]
    cell: Crystal
    cells: Ints
    undistorted: Crystal
    pattern: Floats

    def displaced(self, amplitude_A: float) -> Crystal:
        """Return the supercell with the atom that moves most moved by this much (angstrom; either sign)."""
        return _moved(self.undistorted, amplitude_A, self.pattern)

    def operation(self, amplitude_A: float) -> dict[str, Any]:
        """Everything that `replayed` needs to make `displaced` again, and what the mode is."""
        lattice, frac, numbers = self.cell
        return {
            "op": OPERATION,
            "q": self.q.round(6).tolist(),
            "frequency_THz": round(self.frequency_THz, 3),
            "direction": [round(x, 4) for x in self.direction],
            "cells": self.cells.tolist(),
            "amplitude_A": amplitude_A,
            "pattern": self.pattern.round(4).tolist(),
            "lattice": lattice.round(6).tolist(),
            "frac_coords": frac.round(6).tolist(),
            "atomic_numbers": numbers.tolist(),
        }


def _moved(crystal: Crystal, amplitude_A: float, pattern: Floats) -> Crystal:
    lattice, frac, numbers = crystal
    return lattice, frac + amplitude_A * pattern @ np.linalg.inv(lattice), numbers


def replayed(operation: Mapping[str, Any]) -> Crystal:
    """Make the displaced supercell again that a relaxation started from.

    Parameters
    ----------
    operation
        From `SoftMode.operation`, or the column ``how`` read as JSON.

    Raises
    ------
    CrystalError
        When it is another operation.
    """
    if operation.get("op") != OPERATION:
        raise CrystalError(f"the operation is {operation.get('op')!r}, not {OPERATION!r}")
    crystal = (
        np.array(operation["lattice"], float),
        np.array(operation["frac_coords"], float),
        np.array(operation["atomic_numbers"], np.int64),
    )
    lattice, frac, numbers = _supercell(crystal, np.array(operation["cells"], np.int64))[:3]
    return _moved((lattice, frac, numbers), operation["amplitude_A"], np.array(operation["pattern"], float))


def commensurate_qpoints(repeats: Sequence[int]) -> Floats:
    """Wave vectors that fit into a supercell: there the frequencies are exact, elsewhere interpolated.

    Parameters
    ----------
    repeats
        Repetitions of the cell along a, b and c.

    Returns
    -------
    numpy.ndarray
        One of each pair q, -q, components in (-1/2, 1/2], q = 0 first, shape (n, 3).

    Examples
    --------
    >>> commensurate_qpoints((2, 1, 1)).tolist()
    [[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]]
    """
    everything = [np.array([i / n for i, n in zip(one, repeats, strict=True)]) for one in product(*map(range, repeats))]
    kept: list[Floats] = []
    seen: set[tuple[int, ...]] = set()
    for q in everything:
        key, opposite = (tuple(np.round(sign * q % 1 * 5040).astype(int) % 5040) for sign in (1, -1))
        if key not in seen:
            seen |= {key, opposite}
            kept.append(q - np.ceil(q - 0.5 - _SAME_Q))
    return np.array(kept)


def soft_modes(phonons: Phonons, *, tolerance_THz: float = 0.1, max_wave_vectors: int = 3) -> list[SoftMode]:
    """Unstable modes at wave vectors that fit into the supercell, the most unstable first.

    Of wave vectors that symmetry makes equal one is taken, with its lowest set of degenerate modes. Degenerate modes
    are turned towards the Cartesian axes, and each gives a few directions: along the first, along the first two together,
    along all three, and so on, because the crystal may fall most deeply along any of them.

    Parameters
    ----------
    phonons
        From `onnes.physics.phonons.phonon_dos`.
    tolerance_THz
        A mode is unstable when its frequency lies below minus this.
    max_wave_vectors
        Wave vectors to take, from the most unstable on.

    Returns
    -------
    list
        One entry a direction; empty for a stable crystal.
    """
    phonopy = phonons.displaced.phonopy
    qpoints = commensurate_qpoints(phonons.displaced.repeats)
    phonopy.run_qpoints(qpoints, with_eigenvectors=True)
    frequencies, vectors = phonopy.qpoints.frequencies, phonopy.qpoints.eigenvectors
    crystal, masses = phonons.displaced.cell, np.asarray(phonopy.primitive.masses, float)
    taken: list[Floats] = []
    modes: list[SoftMode] = []
    for i in np.argsort(frequencies[:, 0], kind="stable"):
        lowest = frequencies[i, 0]
        if lowest >= -tolerance_THz or len(taken) >= max_wave_vectors:
            break
        if any(_equal_by_symmetry(qpoints[i], q, phonopy) for q in taken):
            continue
        taken.append(qpoints[i])
        square = frequencies[i] * np.abs(frequencies[i])
        space = vectors[i][:, np.abs(square - square[0]) < _DEGENERATE_THZ2]
        modes += _directions(qpoints[i], float(lowest), space, crystal, masses)
    return modes


def _directions(q: Floats, frequency: float, space: Any, crystal: Crystal, masses: Floats) -> list[SoftMode]:
    """One soft mode for each direction in a space of degenerate eigenvectors, shape (3 N, k)."""
    cells = smallest_supercell(q, crystal[0])
    lattice, frac, numbers, owners, places = _supercell(crystal, cells)
    supercell = (lattice, frac, numbers)
    axes = np.tile([1.0, 2.0, 3.0], len(crystal[2]))
    turned = space @ np.linalg.eigh(space.conj().T @ (axes[:, None] * space))[1]
    # eigh leaves the phase of each mode open, on which combinations depend: the largest entry of each is made real.
    fixed = turned / np.exp(1j * np.angle(turned[np.abs(turned).argmax(0), np.arange(turned.shape[1])]))
    phases = np.exp(2j * np.pi * places @ q) / np.sqrt(masses[owners])
    found = []
    for direction in _combinations(turned.shape[1]):
        vector = (fixed @ np.array(direction)).reshape(-1, 3)[owners] * phases[:, None]
        pattern = (vector * np.exp(-1j * np.angle(vector.ravel()[np.abs(vector).argmax()]))).real
        length = np.linalg.norm(pattern, axis=1).max()
        found.append(SoftMode(q, frequency, turned.shape[1], direction, crystal, cells, supercell, pattern / length))
    return found


def _combinations(k: int) -> list[tuple[float, ...]]:
    """Directions of high symmetry in a space of k degenerate modes."""
    if k == 1:
        return [(1.0,)]
    single = [tuple(float(i == j) for i in range(k)) for j in range(k if k == 2 else 1)]
    return [*single, *(tuple(float(i < n) for i in range(k)) for n in range(2, min(k, 3) + 1))]


def smallest_supercell(q: Floats, lattice: Floats) -> Ints:
    """Integer matrix of the smallest supercell with exp(2 pi i q.R) = 1, its vectors as short as can be.

    Parameters
    ----------
    q
        Wave vector with rational components, in the reciprocal basis, shape (3,).
    lattice
        Row vectors of the cell, shape (3, 3), angstrom.

    Returns
    -------
    numpy.ndarray
        Rows are the vectors of the supercell in the basis of the cell, determinant positive, shape (3, 3).

    Raises
    ------
    CrystalError
        For a wave vector that fits into no supercell of up to 64 cells.

    Examples
    --------
    >>> smallest_supercell(np.array([0.5, 0.5, 0.5]), np.eye(3)).tolist()  # two cells
    [[0, 1, -1], [-1, 0, -1], [-1, 1, 0]]
    """
    from ase.geometry import minkowski_reduce

    size = next((n for n in range(1, 65) if np.allclose(n * q, np.round(n * q), atol=1e-4)), None)
    if size is None:
        raise CrystalError(f"wave vector {q.tolist()} fits into no small supercell")
    matrix = next(m for m in _hermite_forms(size) if np.allclose(m @ q, np.round(m @ q), atol=1e-4))
    change = minkowski_reduce(matrix @ lattice)[1]
    made = np.rint(change @ matrix).astype(np.int64)
    return made if np.linalg.det(made) > 0 else -made


def _hermite_forms(determinant: int) -> list[Ints]:
    """Hermite normal forms: one for each sublattice of that index."""
    found = []
    for a in range(1, determinant + 1):
        if determinant % a:
            continue
        for c in range(1, determinant // a + 1):
            if (determinant // a) % c:
                continue
            f = determinant // a // c
            found += [
                np.array([[a, 0, 0], [b, c, 0], [d, e, f]])
                for b, d, e in product(range(a), range(a), range(c))
            ]  # fmt: skip
    return found


def _supercell(crystal: Crystal, cells: Ints) -> tuple[Floats, Floats, Ints, Ints, Floats]:
    """Lattice, coordinates, numbers of a supercell; for each atom its atom and its place in units of the cell."""
    lattice, frac, numbers = crystal
    corners = np.array(list(product((0, 1), repeat=3))) @ cells
    box = [range(int(low), int(high) + 1) for low, high in zip(corners.min(0), corners.max(0), strict=True)]
    shifts = np.array(list(product(*box)))
    inside = shifts @ np.linalg.inv(cells)
    shifts = shifts[((inside > -1e-9) & (inside < 1 - 1e-9)).all(1)]
    if len(shifts) != round(abs(np.linalg.det(cells))):
        raise CrystalError(f"{cells.tolist()} is no supercell")
    owners = np.repeat(np.arange(len(numbers)), len(shifts))
    places: Floats = frac[owners] + np.tile(shifts, (len(numbers), 1))
    return cells @ lattice, places @ np.linalg.inv(cells), numbers[owners], owners, places


def _equal_by_symmetry(q: Floats, other: Floats, phonopy: Any) -> bool:
    for rotation in phonopy.primitive_symmetry.pointgroup_operations:
        turned = rotation.T @ other
        for sign in (1, -1):
            apart = q - sign * turned
            if np.abs(apart - np.round(apart)).max() < 1e-4:
                return True
    return False
