"""Supercells, one of each kind."""

from __future__ import annotations

import numpy as np
import pytest

from onnes.propose.supercells import distinct_supercells, repeated, translation_images

FCC = 2.0 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]], float)
HEXAGONAL = np.array([[3.0, 0, 0], [-1.5, 1.5 * 3**0.5, 0], [0, 0, 7.0]])


@pytest.mark.parametrize(
    ("lattice", "counts"),
    # Hart and Forcade, Phys. Rev. B 77, 224115 (2008), table III
    [(FCC, [1, 2, 3, 7, 5, 10]), (4 * np.eye(3), [1, 3, 3, 9, 5, 13])],
)
def test_numbers_of_superlattices_are_the_published_ones(lattice: np.ndarray, counts: list[int]) -> None:
    site = np.zeros((1, 3)), np.array([13])
    found = [distinct_supercells(lattice, *site, n) for n in range(1, len(counts) + 1)]
    assert [len(cells) for cells in found] == counts
    for n, cells in enumerate(found, start=1):
        for cell in cells:
            assert abs(round(np.linalg.det(cell))) == n


def test_elements_and_shape_lower_the_symmetry() -> None:
    layered = np.array([[0, 0, 0], [1 / 3, 2 / 3, 0.4]]), np.array([13, 5])
    assert len(distinct_supercells(HEXAGONAL, *layered, 2)) < 7
    triclinic = np.array([[3.0, 0, 0], [0.9, 4.4, 0], [0.4, -1.3, 6.1]])
    assert len(distinct_supercells(triclinic, *layered, 2)) == 7  # all superlattices of index 2


def test_a_repeated_crystal_is_the_same_crystal() -> None:
    frac = np.array([[0.0, 0.0, 0.0], [0.25, 0.25, 0.25], [0.1, 0.7, 0.3]])
    cell = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 2]])
    lattice, coords, sites = repeated(FCC, frac, cell)
    assert len(coords) == 3 * abs(round(np.linalg.det(cell)))
    back = coords @ lattice @ np.linalg.inv(FCC) - frac[sites]
    np.testing.assert_allclose(back, np.round(back), atol=1e-12)
    apart = coords[:, None] - coords[None]
    apart -= np.round(apart)
    assert (np.linalg.norm(apart, axis=2) + np.eye(len(coords)) > 0.01).all()


def test_translations_carry_sites_to_their_own_repetitions() -> None:
    frac = np.array([[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]])
    lattice, coords, sites = repeated(FCC, frac, np.array([[1, 1, 0], [0, 2, 0], [0, 1, 1]]))
    images = translation_images(coords, sites)
    assert images.shape == (2, 4)
    assert images[0].tolist() == [0, 1, 2, 3]
    assert (sites[images] == sites).all()
    shift = coords[images[1]] - coords
    shift -= shift[0]
    np.testing.assert_allclose(shift, np.round(shift), atol=1e-12)
    assert lattice.shape == (3, 3)
