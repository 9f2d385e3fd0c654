"""Elastic tensor of a crystal by finite strains: the cells to evaluate, and the tensor from their stresses and forces.

Strains and displacements of the atoms are treated alike: each is a direction in the space of homogeneous deformations
of a crystal with n atoms, six strains and 3n displacements that repeat in every cell. The derivative of stress and
forces along a few of them, turned by the symmetry operations, gives the whole matrix of second derivatives H, and
eliminating the displacements gives the elastic tensor with relaxed atoms (Wu, Vanderbilt, Hamann, Phys. Rev. B 72,
035105 (2005), eq. 27).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.units import GPa

from onnes.crystals.operations import SYMPREC_A, Operations, operations, primitive_cell
from onnes.errors import CrystalError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Crystal = tuple[Floats, Floats, NDArray[np.int64]]

STRAIN = 0.005
DISPLACEMENT_A = 0.01
MAX_ATOMS = 100
SOFT_EV_PER_A2 = 0.01
"""Displacements with a smaller curvature are noise: they are neither relaxed nor counted as unstable."""
GPA_PER_EV_PER_A3: float = 1 / GPa

_SAME = 1e-4
_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def _strain_basis() -> Floats:
    """Six symmetric matrices, orthonormal under the sum over the product of elements, in Voigt's order (6, 3, 3).

    In this basis (Mandel's) rotations of strain and of stress are the same orthogonal matrix.
    """
    basis = np.zeros((6, 3, 3))
    for k, (i, j) in enumerate(_VOIGT):
        basis[k, i, j] = basis[k, j, i] = 1.0 if i == j else np.sqrt(0.5)
    return basis


_BASIS = _strain_basis()
_TO_VOIGT = np.array([1, 1, 1, *[np.sqrt(0.5)] * 3])  # of strain (with shear halved) and stress alike


@dataclass(frozen=True, eq=False)
class DeformedCells:
    """The cells whose stresses and forces give the elastic tensor of one crystal.

    Attributes
    ----------
    primitive
        Lattice, fractional coordinates and atomic numbers of the primitive cell, in the orientation given.
    operations
        Its symmetry.
    directions
        Unit vectors (strain in the basis of `_BASIS`, displacement of each atom), shape (P, 6 + 3 n).
    crystals
        For each direction the cell deformed along it, then the one deformed against it unless symmetry makes that the
        same.
    both
        Whether a direction has two cells, shape (P,).
    steps
        Amplitude of each direction (1 or angstrom), shape (P,).
    """

    primitive: Crystal
    operations: Operations
    directions: Floats
    crystals: list[Crystal]
    both: NDArray[np.bool_]
    steps: Floats


@dataclass(frozen=True, eq=False)
class ElasticResponse:
    """Second derivatives of the energy of one crystal.

    Attributes
    ----------
    tensor_GPa
        Elastic tensor in Voigt notation with relaxed atoms, shape (6, 6).
    clamped_GPa
        The same with the atoms held at their fractional coordinates.
    lowest_curvature_eV_per_A2
        Lowest curvature of the energy against displacements that repeat in every cell, translations left out; NaN for
        one atom.
    """

    tensor_GPa: Floats
    clamped_GPa: Floats
    lowest_curvature_eV_per_A2: float

    @property
    def stable(self) -> bool:
        """Whether every homogeneous deformation, displacements within the cell included, raises the energy.

        The elastic tensor must be positive definite (Mouhat, Coudert, Phys. Rev. B 90, 224104 (2014)), and so must the
        curvatures of the displacements.
        """
        lowest = np.linalg.eigvalsh(self.tensor_GPa / np.outer(_TO_VOIGT, _TO_VOIGT))[0]
        return bool(lowest > 0) and not self.lowest_curvature_eV_per_A2 < -SOFT_EV_PER_A2


def deformed_cells(
    lattice: ArrayLike,
    frac_coords: ArrayLike,
    numbers: ArrayLike,
    *,
    strain: float = STRAIN,
    displacement_A: float = DISPLACEMENT_A,
    symprec: float = SYMPREC_A,
    max_atoms: int = MAX_ATOMS,
) -> DeformedCells:
    """Make the deformed cells of a crystal, as few as its symmetry allows.

    Parameters
    ----------
    lattice
        Row vectors, shape (3, 3), angstrom. The primitive cell is found and used.
    frac_coords, numbers
        Fractional coordinates, shape (n, 3), and atomic numbers, shape (n,).
    strain
        Amplitude of the strains, without unit.
    displacement_A
        How far one atom is moved.
    symprec
        Tolerance of the symmetry search (angstrom).
    max_atoms
        Largest primitive cell allowed.

    Raises
    ------
    CrystalError
        When the primitive cell is too large, or no symmetry is found.

    Examples
    --------
    >>> len(deformed_cells(3.0 * np.eye(3), [[0, 0, 0]], [84]).crystals)
    3
    """
    primitive = primitive_cell(lattice, frac_coords, numbers, symprec=symprec)
    n = len(primitive[2])
    if n > max_atoms:
        raise CrystalError(f"the primitive cell has {n} atoms, more than {max_atoms}; raise max_atoms")
    symmetry = operations(*primitive, symprec=symprec)
    candidates = np.eye(6 + 3 * n)
    spanned = _orthonormal(_translations(n))
    directions, both, steps, crystals = [], [], [], []
    for k, direction in enumerate(candidates):
        left = direction - spanned.T @ (spanned @ direction)
        if np.linalg.norm(left) < 0.1:
            continue
        images = _turned(direction[None], symmetry)[:, 0]
        spanned = _orthonormal(np.concatenate([spanned, images]))
        step = strain if k < 6 else displacement_A
        opposite = bool((np.abs(images + direction).max(axis=1) < _SAME).any())
        crystals += [_deformed(primitive, sign * step * direction) for sign in ((1,) if opposite else (1, -1))]
        directions.append(direction)
        both.append(not opposite)
        steps.append(step)
    return DeformedCells(primitive, symmetry, np.array(directions), crystals, np.array(both), np.array(steps))


def elastic_response(
    cells: DeformedCells, stresses_eV_per_A3: ArrayLike, forces_eV_per_A: ArrayLike
) -> ElasticResponse:
    """Elastic tensor from the stresses and forces of the deformed cells.

    Stress and forces that the crystal has without deformation need not be subtracted: they cancel between a direction
    and its opposite, which is among the cells or is a turned image of it.

    Parameters
    ----------
    cells
        From `deformed_cells`.
    stresses_eV_per_A3
        Tension positive, in the order of ``cells.crystals``, shape (K, 3, 3).
    forces_eV_per_A
        Shape (K, n, 3).

    Raises
    ------
    CrystalError
        When they are not finite.
    """
    stresses, forces = np.asarray(stresses_eV_per_A3, float), np.asarray(forces_eV_per_A, float)
    if not (np.isfinite(stresses).all() and np.isfinite(forces).all()):
        raise CrystalError(
            "stresses or forces of the deformed cells are not finite; the potential fails on this crystal"
        )
    volume = float(abs(np.linalg.det(cells.primitive[0])))
    strained = volume * np.einsum("kij,cij->ck", _BASIS, stresses)
    gradients = np.concatenate([strained, -forces.reshape(len(forces), -1)], axis=1)
    slopes = []
    first = 0
    for two, step in zip(cells.both, cells.steps, strict=True):
        # Without the opposite cell the gradient of the start stays in, and cancels between the turned images.
        slopes.append((gradients[first] - gradients[first + 1]) / (2 * step) if two else gradients[first] / step)
        first += 2 if two else 1
    hessian = _hessian(cells.directions, np.array(slopes), cells.operations)
    return _relaxed(hessian, volume)


def _deformed(crystal: Crystal, deformation: Floats) -> Crystal:
    lattice, frac, numbers = crystal
    strain = np.einsum("k,kij->ij", deformation[:6], _BASIS)
    moved = np.linalg.solve(lattice.T, deformation[6:].reshape(-1, 3).T).T
    return lattice @ (np.eye(3) + strain), frac + moved, numbers


def _translations(n: int) -> Floats:
    """The three displacements of all atoms alike, unit vectors, shape (3, 6 + 3 n)."""
    return np.concatenate([np.zeros((3, 6)), np.tile(np.eye(3), n) / np.sqrt(n)], axis=1)


def _orthonormal(vectors: Floats) -> Floats:
    """Orthonormal basis of what the rows span."""
    _, values, right = np.linalg.svd(vectors, full_matrices=False)
    return right[values > 1e-3]


def _turned(vectors: Floats, symmetry: Operations) -> Floats:
    """Deformations or gradients (P, 6 + 3 n) as each operation turns them, shape (G, P, 6 + 3 n)."""
    r = symmetry.rotations
    of_strain = np.einsum("aij,gik,bkl,gjl->gab", _BASIS, r, _BASIS, r, optimize=True)
    strains = np.einsum("gab,pb->gpa", of_strain, vectors[:, :6])
    moved = np.einsum("gij,pnj->gpni", r, vectors[:, 6:].reshape(len(vectors), -1, 3))
    displacements = np.empty_like(moved)
    for g, permutation in enumerate(symmetry.permutations):
        displacements[g][:, permutation] = moved[g]
    return np.concatenate([strains, displacements.reshape(*moved.shape[:2], -1)], axis=2)


def _hessian(directions: Floats, slopes: Floats, symmetry: Operations) -> Floats:
    """Matrix H with H direction = slope for every turned pair, and for translations, which have no slope."""
    size = directions.shape[1]
    rigid = _translations((size - 6) // 3)
    left = np.concatenate([_turned(directions, symmetry).reshape(-1, size), rigid])
    right = np.concatenate([_turned(slopes, symmetry).reshape(-1, size), np.zeros((3, size))])
    hessian = np.linalg.lstsq(left, right, rcond=None)[0]
    return (hessian + hessian.T) / 2


def _relaxed(hessian: Floats, volume: float) -> ElasticResponse:
    """Eliminate the displacements."""
    clamped, coupling, curvature = hessian[:6, :6], hessian[:6, 6:], hessian[6:, 6:]
    values, vectors = np.linalg.eigh(curvature)
    rigid = _translations(len(values) // 3)[:, 6:]
    internal = (rigid @ vectors) ** 2
    real = internal.sum(axis=0) < 0.5
    used = real & (np.abs(values) > SOFT_EV_PER_A2)
    along = coupling @ vectors[:, used]
    relaxed = clamped - (along / values[used]) @ along.T
    scale = GPA_PER_EV_PER_A3 / volume * np.outer(_TO_VOIGT, _TO_VOIGT)
    lowest = float(values[real].min()) if real.any() else float("nan")
    return ElasticResponse(relaxed * scale, clamped * scale, lowest)
