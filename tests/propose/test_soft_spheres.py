"""Soft spheres: apart, at the same volume, with the same symmetry."""

from __future__ import annotations

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.symmetry import describe
from onnes.propose.soft_spheres import TOLERANCE, overlaps, soften

CLOSE = (4.0 * np.eye(3), np.array([[0, 0, 0], [0.2, 0.1, 0.1]]), [13, 13])


def test_overlap_by_hand() -> None:
    """Two carbon atoms 0.9 angstrom apart, whose covalent radii are 0.76 angstrom."""
    batch = CrystalBatch.of([(9.0 * np.eye(3), np.array([[0, 0, 0], [0.1, 0, 0]]), [6, 6])])
    assert overlaps(batch, diameter=1.0)[0] == pytest.approx(1 - 0.9 / 1.52)
    assert overlaps(batch, diameter=0.5)[0] == 0


def test_atoms_move_apart_along_their_line() -> None:
    batch = CrystalBatch.of([(9.0 * np.eye(3), np.array([[0.4, 0.5, 0.5], [0.5, 0.5, 0.5]]), [6, 6])])
    moved = soften(batch, diameter=1.0, relax_cell=False)
    assert overlaps(moved, diameter=1.0)[0] <= TOLERANCE
    apart = (moved.frac_coords[1] - moved.frac_coords[0]) * 9
    assert apart == pytest.approx([1.52 * (1 - TOLERANCE), 0, 0], abs=0.02)
    assert moved.frac_coords.mean(axis=0) == pytest.approx([0.45, 0.5, 0.5])


def test_volume_stays_and_a_flat_cell_rounds() -> None:
    flat = (np.diag([5.0, 5.0, 1.2]), np.array([[0, 0, 0.0]]), [13])
    batch = CrystalBatch.of([flat, CLOSE])
    moved = soften(batch)
    np.testing.assert_allclose(moved.volumes, batch.volumes, rtol=1e-9)
    assert overlaps(moved).max() <= TOLERANCE + 1e-9
    assert moved.lattices[0, 2, 2] > 1.9
    rigid = soften(batch, relax_cell=False)
    np.testing.assert_array_equal(rigid.lattices, batch.lattices)
    assert overlaps(rigid)[0] > 0.4  # nothing but the cell can part an atom from its image


def test_space_group_stays() -> None:
    x = 0.13  # the free coordinate of oxygen in a rutile cell, far too short
    frac = np.array(
        [[0, 0, 0], [0.5, 0.5, 0.5], [x, x, 0], [-x, -x, 0], [0.5 + x, 0.5 - x, 0.5], [0.5 - x, 0.5 + x, 0.5]]
    )
    crystal = (np.diag([4.6, 4.6, 3.0]), frac, np.array([22, 22, 8, 8, 8, 8]))
    moved = soften(CrystalBatch.of([crystal]))
    before, after = overlaps(CrystalBatch.of([crystal]))[0], overlaps(moved)[0]
    assert after < before / 4
    assert describe(*moved.crystal(0)).prototype == describe(*crystal).prototype == "A2B_tP6_136_f_a:O-Ti"


def test_a_crystal_without_overlap_is_left_alone_and_neighbours_do_not_matter() -> None:
    far = (6.0 * np.eye(3), np.array([[0.1, 0.2, 0.3]]), [13])
    both = soften(CrystalBatch.of([far, CLOSE]))
    np.testing.assert_allclose(both.lattices[0], far[0])
    np.testing.assert_allclose(both.frac_coords[0], far[1][0])
    alone = soften(CrystalBatch.of([CLOSE]))
    np.testing.assert_allclose(both.frac_coords[1:], alone.frac_coords, atol=1e-9)
    assert len(soften(CrystalBatch.of([]))) == 0
