"""Soft spheres push overlapping atoms apart, at constant volume, before a potential sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.neighbours import neighbour_edges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DIAMETER = 0.9
"""In units of the sum of two covalent radii; the shortest distance in known crystals is 0.93 in the median."""
STEPS = 60
TOLERANCE = 0.02
_MOBILITY = 0.12  # of an atom against one contact; above about 0.2 twelve contacts would make it swing
_CELL_MOBILITY = 0.3
_LONGEST_STEP_A = 0.15
_LARGEST_STRAIN = 0.03


def soften(
    batch: CrystalBatch, *, diameter: float = DIAMETER, steps: int = STEPS, relax_cell: bool = True
) -> CrystalBatch:
    """Move atoms, and deform cells at constant volume, until soft spheres hardly overlap.

    Two atoms at a distance d below the sum D of their spheres' radii repel each other with a force D - d. Atoms follow
    the force and the cell follows the traceless part of the stress, downhill with short steps. A force field of pairs has
    the symmetry of the crystal, so the space group stays.

    Parameters
    ----------
    batch
        B crystals.
    diameter
        Distance at which two atoms touch, in units of the sum of their covalent radii.
    steps
        Most steps; a crystal in which no pair is deeper than 2 % below its distance rests earlier.
    relax_cell
        Deform the cells as well.

    Returns
    -------
    CrystalBatch
        The same crystals moved, volumes as before. At a small volume some overlap remains.

    Examples
    --------
    >>> close = CrystalBatch.of([(4.0 * np.eye(3), np.array([[0, 0, 0], [0.2, 0.1, 0.1]]), [13, 13])])
    >>> overlaps(close).round(2).tolist(), overlaps(soften(close)).round(2).tolist()
    ([0.55], [0.01])
    """
    lattices, frac = batch.lattices.copy(), batch.frac_coords.copy()
    active = np.arange(len(batch))
    for _ in range(steps):
        if not len(active):
            break
        now = CrystalBatch(lattices, frac, batch.atomic_numbers, batch.offsets).select(active)
        forces, stresses, deepest = _pushes(now, diameter)
        moving = deepest > TOLERANCE
        step = _capped(_MOBILITY * forces, now)
        strain = _CELL_MOBILITY * stresses if relax_cell else np.zeros_like(stresses)
        strain *= np.minimum(1, _LARGEST_STRAIN / np.maximum(np.abs(strain).max(axis=(1, 2)), 1e-12))[:, None, None]
        grown = now.lattices @ (np.eye(3) + strain)
        grown *= np.cbrt(now.volumes / np.abs(np.linalg.det(grown)))[:, None, None]
        moved = now.frac_coords + np.einsum("ni,nij->nj", step, np.linalg.inv(now.lattices)[now.owners])
        for j in np.flatnonzero(moving):
            i = active[j]
            lattices[i] = grown[j]
            frac[batch.offsets[i] : batch.offsets[i + 1]] = moved[now.offsets[j] : now.offsets[j + 1]]
        active = active[moving]
    return CrystalBatch(lattices, frac % 1.0, batch.atomic_numbers, batch.offsets)


def overlaps(batch: CrystalBatch, *, diameter: float = DIAMETER) -> Floats:
    """Deepest overlap of each crystal: 1 - d / D for the closest pair, 0 when none touch, shape (B,)."""
    return _pushes(batch, diameter)[2]


def _pushes(batch: CrystalBatch, diameter: float) -> tuple[Floats, Floats, Floats]:
    """Forces (N, 3), traceless stresses for each atom's share (B, 3, 3), and deepest overlaps (B,)."""
    from ase.data import covalent_radii

    radii = diameter * covalent_radii[batch.atomic_numbers]
    (first, second), vectors, owners = neighbour_edges(batch, float(2 * radii.max(initial=0.1)))
    lengths = np.linalg.norm(vectors, axis=1)
    touching = radii[first] + radii[second]
    close = (lengths < touching) & (lengths > 0)
    first, owners = first[close], owners[close]
    vectors, lengths, touching = vectors[close], lengths[close], touching[close]
    depth = touching - lengths
    pushes = -vectors * (depth / lengths)[:, None]  # on the first atom, away from the second
    forces = np.zeros((len(batch.atomic_numbers), 3))
    np.add.at(forces, first, pushes)
    stresses = np.zeros((len(batch), 3, 3))
    np.add.at(
        stresses, owners, vectors[:, :, None] * vectors[:, None, :] * (depth / lengths / touching**2)[:, None, None]
    )
    stresses /= batch.n_atoms[:, None, None]
    stresses -= np.trace(stresses, axis1=1, axis2=2)[:, None, None] * np.eye(3) / 3
    deepest = np.zeros(len(batch))
    np.maximum.at(deepest, owners, depth / touching)
    return forces, stresses, deepest


def _capped(step: Floats, batch: CrystalBatch) -> Floats:
    """Shorten the steps of a crystal together when one of its atoms goes too far."""
    longest = np.zeros(len(batch))
    np.maximum.at(longest, batch.owners, np.linalg.norm(step, axis=1))
    return step * np.minimum(1, _LONGEST_STEP_A / np.maximum(longest, 1e-12))[batch.owners, None]
