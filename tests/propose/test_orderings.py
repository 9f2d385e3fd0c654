"""Ordered cells up to symmetry, with their degeneracy, and quasi-random ones."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.core.structure_matcher import StructureMatcher

from onnes.crystals.batch import CrystalBatch
from onnes.errors import CrystalError
from onnes.propose.average_crystal import VACANCY, AverageCrystal
from onnes.propose.orderings import enumerated, quasi_random

pytest.importorskip("icet")


def _alloy(share: float) -> AverageCrystal:
    species = {"Nb": share, "Zr": 1 - share}
    return AverageCrystal.from_structure(
        Structure.from_spacegroup("Im-3m", Lattice.cubic(3.36), [species], [[0, 0, 0]])
    )


def _rocksalt() -> AverageCrystal:
    species = [{"Nb": 0.5, "Ti": 0.5}, {"N": 0.5}]
    rocksalt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.4), species, [[0, 0, 0], [0.5, 0.5, 0.5]])
    return AverageCrystal.from_structure(rocksalt)


def _structures(crystal: AverageCrystal, found: list) -> list[Structure]:
    return CrystalBatch.of(crystal.ordered(one.cell, one.species) for one in found).to_structures()


@pytest.mark.parametrize(("cells", "total"), [(2, 7 * 2), (3, 13 * 3), (5, 31 * 10)])
def test_degeneracies_count_every_labelling(cells: int, total: int) -> None:
    # A lattice has sum of d * sigma(d) over the divisors d of n sublattices of index n; at prime n a mixed labelling of one
    # has no smaller period, so all of them are found. Hart and Forcade, Phys. Rev. B 77, 224115 (2008), table I.
    crystal = _alloy({2: 0.5, 3: 2 / 3, 5: 0.6}[cells])
    found = enumerated(crystal, cells)
    assert sum(one.degeneracy for one in found) == total
    assert all(one.degeneracy <= 48 * cells for one in found)


def test_two_sublattices_with_vacancies_are_all_different() -> None:
    crystal = _rocksalt()
    found = enumerated(crystal, 2)
    # One of two metal and one of two nitrogen sites, in seven supercells of two cells.
    assert sum(one.degeneracy for one in found) == 7 * 2 * 2
    structures = _structures(crystal, found)
    assert all(s.composition.reduced_formula == "NbTiN" or len(s) == 3 for s in structures)
    assert {s.composition.alphabetical_formula for s in structures} == {"N1 Nb1 Ti1"}
    matcher = StructureMatcher(ltol=0.01, stol=0.01, angle_tol=0.5, primitive_cell=False, scale=False)
    assert not any(matcher.fit(a, b) for a, b in combinations(structures, 2))


def test_every_cell_has_its_composition_and_its_atoms_on_the_lattice() -> None:
    crystal = _alloy(0.75)
    for structure in _structures(crystal, enumerated(crystal, 4)):
        assert structure.composition.alphabetical_formula == "Nb3 Zr1"
        assert structure.volume == pytest.approx(4 * 3.36**3 / 2)
        assert structure.get_neighbor_list(3.0)[3] == pytest.approx(3.36 * np.sqrt(3) / 2)


def test_vacancies_are_a_species() -> None:
    found = enumerated(_rocksalt(), 2)
    assert all((one.species == VACANCY).sum() == 1 for one in found)


def test_too_many_are_refused() -> None:
    with pytest.raises(CrystalError, match="sqs"):
        enumerated(_alloy(0.5), 16)


def test_quasi_random_cells_have_a_seed_and_the_composition() -> None:
    crystal = _alloy(0.75)
    first, again, other = (quasi_random(crystal, 8, n=1, seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first.species, again.species)
    assert np.array_equal(first.cell, again.cell)
    for one in (first, other):
        assert sorted(one.species.tolist()) == [40] * 2 + [41] * 6
        assert abs(round(np.linalg.det(one.cell))) == 8


def test_quasi_random_cells_are_more_random_than_the_average_ordered_one() -> None:
    crystal = _alloy(0.75)

    def like_pairs(one) -> float:
        # Share of Zr among the nearest neighbours of Zr: 0.25 in a random alloy.
        [structure] = _structures(crystal, [one])
        i, j, _, _ = structure.get_neighbor_list(3.0)
        numbers = np.array([site.specie.Z for site in structure])
        return float((numbers[j[numbers[i] == 40]] == 40).mean())

    ordered = np.array([abs(like_pairs(one) - 0.25) for one in enumerated(crystal, 8)])
    chosen = abs(like_pairs(quasi_random(crystal, 8, n=1, seed=0)[0]) - 0.25)
    assert chosen < ordered.mean()


def test_two_sublattices_are_made_random_together() -> None:
    [one] = quasi_random(_rocksalt(), 4, n=1, seed=3)
    assert sorted(one.species.tolist()) == [0, 0, 7, 7, 22, 22, 41, 41]
