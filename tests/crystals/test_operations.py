import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal, known_names
from onnes.crystals.operations import operations, primitive_cell
from onnes.errors import CrystalError


def crystal(name, primitive=False):
    return CrystalBatch.from_structures([known_crystal(name, primitive=primitive)]).crystal(0)


@pytest.mark.parametrize("name", known_names()[:12])
def test_each_operation_maps_the_crystal_onto_itself(name) -> None:
    lattice, frac, numbers = crystal(name)
    found = operations(lattice, frac, numbers)
    positions = frac @ lattice
    np.testing.assert_allclose(
        found.rotations @ found.rotations.transpose(0, 2, 1), np.eye(3)[None].repeat(len(found), 0), atol=1e-9
    )
    for rotation, permutation in zip(found.rotations, found.permutations, strict=True):
        assert (numbers == numbers[permutation]).all()
        moved = positions @ rotation.T
        apart = np.linalg.solve(lattice.T, (moved - positions[permutation]).T).T
        apart -= apart[0]  # one translation for all atoms
        np.testing.assert_allclose(apart - np.round(apart), 0, atol=1e-3)


@pytest.mark.parametrize("name", ["Nb3Sn", "MgB2", "NaCl", "Si"])
def test_as_many_as_pymatgen_finds(name) -> None:
    structure = known_crystal(name)
    wanted = len(SpacegroupAnalyzer(structure).get_symmetry_operations())
    assert len(operations(*crystal(name))) == wanted


def test_primitive_cell_keeps_the_orientation() -> None:
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    lattice, frac, numbers = crystal("NaCl")
    turned = lattice @ turn.T
    small, where, kinds = primitive_cell(turned, frac, numbers)
    assert len(kinds) == 2
    assert abs(np.linalg.det(small)) == pytest.approx(abs(np.linalg.det(lattice)) / 4)
    steps = small @ np.linalg.inv(turned)  # lattice vectors of the same lattice, hence halves
    np.testing.assert_allclose(2 * steps, np.round(2 * steps), atol=1e-6)
    same = StructureMatcher().fit(Structure(Lattice(turned), numbers, frac), Structure(Lattice(small), kinds, where))
    assert same


def test_a_primitive_cell_is_given_back() -> None:
    given = crystal("Nb3Sn", primitive=True)
    for mine, found in zip(given, primitive_cell(*given), strict=True):
        assert (mine == found).all()


def test_atoms_on_one_site() -> None:
    with pytest.raises(CrystalError):
        operations(3.0 * np.eye(3), [[0, 0, 0], [0, 0, 1e-4]], [11, 11])
