"""Near symmetries, and the colourings that they join."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.core.structure_matcher import StructureMatcher

from onnes.propose.colouring import site_maps
from onnes.propose.pseudosymmetry import distinct_colourings, pseudosymmetry

CUBIC = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
NUMBERS = np.array([56, 22, 8, 8, 8])


def test_a_distorted_perovskite_is_nearly_cubic() -> None:
    moved = CUBIC + np.array([[0, 0, 0], [0, 0, 0.03], [0, 0, -0.03], [0, 0, -0.02], [0, 0, -0.02]])
    found = pseudosymmetry(np.diag([3.99, 3.99, 4.04]), moved, NUMBERS)
    assert len(found.rotations) == 48
    assert {tuple(row) for row in found.maps[:, :2].tolist()} == {(0, 1)}
    stretched = pseudosymmetry(np.diag([3.99, 3.99, 5.5]), moved, NUMBERS)
    assert len(stretched.rotations) == 16


def test_the_bare_sites_of_caesium_chloride_are_alike() -> None:
    frac = np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
    assert len(pseudosymmetry(4.1 * np.eye(3), frac, np.array([55, 17])).maps) == 48
    assert len(pseudosymmetry(4.1 * np.eye(3), frac).maps) == 96


def test_operations_hold_in_any_cell() -> None:
    skew = np.array([[1, 0, 0], [1, 1, 0], [2, 1, 1]])
    lattice = skew @ np.diag([4.0, 4.0, 4.0])
    found = pseudosymmetry(lattice, CUBIC @ np.linalg.inv(skew), NUMBERS)
    assert len(found.rotations) == 48
    for rotation in found.rotations:
        turned = rotation @ lattice
        np.testing.assert_allclose(turned @ turned.T, lattice @ lattice.T, atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_kept_colourings_are_those_that_a_structure_matcher_tells_apart(seed: int) -> None:
    random = np.random.default_rng(seed)
    lattice = np.diag([3.9, 4.0, 8.1]) + random.normal(0, 0.05, (3, 3))
    double = np.vstack([CUBIC * [1, 1, 0.5], CUBIC * [1, 1, 0.5] + [0, 0, 0.5]])
    frac = double + random.normal(0, 0.01, double.shape)
    sites = np.tile(NUMBERS, 2)
    oxygen = np.flatnonzero(sites == 8)
    rows = []
    for pair in [(a, b) for a in oxygen for b in oxygen if a < b]:
        colours = sites.copy()
        colours[list(pair)] = 7
        rows.append(colours)
    colours = np.array(rows)
    maps = site_maps(lattice, frac, np.arange(len(frac)))
    kept = distinct_colourings(colours, maps, pseudosymmetry(lattice, frac).maps)
    structures = [Structure(Lattice(lattice), row, frac) for row in colours]
    groups = StructureMatcher(primitive_cell=False).group_structures(structures)
    assert len(kept) == len(groups) < len(distinct_colourings(colours, maps, maps))
