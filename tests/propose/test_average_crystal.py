"""Crystals with partly occupied sites, and the cells that stand for them."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from onnes.errors import CrystalError
from onnes.propose.average_crystal import VACANCY, AverageCrystal, replay_disorder, species_of_text, species_text


def _alloy(share: float = 0.75) -> AverageCrystal:
    species = {"Nb": share, "Zr": 1 - share}
    return AverageCrystal.from_structure(
        Structure.from_spacegroup("Im-3m", Lattice.cubic(3.36), [species], [[0, 0, 0]])
    )


def test_the_cell_is_the_primitive_one_of_the_average() -> None:
    crystal = _alloy()
    assert len(crystal.frac_coords) == 1
    assert crystal.contents == (((40, 0.25), (41, 0.75)),)
    assert crystal.n_operations == 48


@pytest.mark.parametrize(
    ("cells", "counts", "off"), [(4, [1, 3], 0.0), (8, [2, 6], 0.0), (3, [1, 2], 1 / 12), (2, [1, 1], 0.25)]
)
def test_counts_are_rounded_to_what_the_cell_allows(cells: int, counts: list[int], off: float) -> None:
    crystal = _alloy()
    assert crystal.counts(cells)[0].tolist() in (counts, counts[::-1])
    assert crystal.deviations(cells)[1] == pytest.approx(off)


def test_vacancies_fill_what_is_missing() -> None:
    species = [{"O": 0.5}, "Cu"]
    crystal = AverageCrystal.from_structure(Structure(Lattice.cubic(4.0), species, [[0, 0, 0], [0.5, 0.5, 0.5]]))
    assert ((VACANCY, 0.5), (8, 0.5)) in crystal.contents
    assert crystal.n_atoms(2) == 3
    lattice, frac, numbers = crystal.ordered(np.diag([1, 1, 2]), np.array([8, VACANCY]))
    assert sorted(numbers.tolist()) == [8, 29, 29]
    assert abs(np.linalg.det(lattice)) == pytest.approx(128)
    assert len(frac) == 3


def test_the_composition_counts_more_than_each_site() -> None:
    # As refined for Be2Hf2Nb: rounding each site by itself would give 7 or 9 hafnium in two cells.
    species = [{"Hf": 0.875, "Nb": 0.125}, {"Hf": 0.5625, "Nb": 0.4375}, "Be"]
    sites = [[0, 0, 0], [0.181, 0.681, 0.5], [0.389, 0.889, 0]]
    crystal = AverageCrystal.from_structure(
        Structure.from_spacegroup("P4/mbm", Lattice.tetragonal(6.49, 3.35), species, sites)
    )
    for cells in (1, 2):
        hafnium = sum(
            int(count)
            for kind, counts in crystal.counts(cells).items()
            for (z, _), count in zip(crystal.contents[kind], counts, strict=True)
            if z == 72
        )
        assert hafnium == 4 * cells
        assert crystal.deviations(cells)[0] == 0


def test_supercells_repeat_every_site_once() -> None:
    crystal = _alloy()
    cell = np.array([[1, 1, 2], [1, 2, 0], [-2, 0, 0]])
    lattice, frac, owners = crystal.supercell(cell)
    assert len(frac) == len(owners) == 8
    np.testing.assert_allclose(lattice, cell @ crystal.lattice)
    apart = frac[:, None] - frac[None]
    distances = np.linalg.norm((apart - np.round(apart)) @ lattice, axis=2) + 9 * np.eye(8)
    assert distances.min() == pytest.approx(3.36 * np.sqrt(3) / 2)


def test_species_are_written_and_read() -> None:
    species = np.array([41, VACANCY, 40, 8])
    assert species_of_text(species_text(species)).tolist() == species.tolist()


def test_another_parent_is_refused() -> None:
    parent = Structure.from_spacegroup("Im-3m", Lattice.cubic(3.36), [{"Nb": 0.5, "Zr": 0.5}], [[0, 0, 0]])
    with pytest.raises(CrystalError, match="3 species for 2 mixed sites"):
        replay_disorder(parent, '{"cell":[[1,0,0],[0,1,0],[0,0,2]],"op":"disorder","species":"Nb Zr Nb"}')
