import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.free_parameters import (
    HEXAGONAL_SHEAR,
    STRAIN_BASIS,
    FreeParameters,
    free_lattice,
    free_parameters,
    lattice_from_parameters,
    lattice_parameters,
)
from onnes.crystals.known import known_crystal, known_names
from onnes.crystals.symmetry import describe
from onnes.errors import CrystalError


def written(name):
    return free_parameters(*CrystalBatch.from_structures([known_crystal(name, primitive=True)]).crystal(0))


def structure(crystal):
    lattice, frac, numbers = crystal
    return Structure(lattice, numbers, frac)


@pytest.mark.parametrize("name", known_names())
def test_every_known_crystal_comes_back(name):
    original = known_crystal(name, primitive=True)
    made = structure(written(name).crystal())
    assert made.volume / len(made) == pytest.approx(original.volume / len(original), rel=1e-3)
    distance = StructureMatcher(primitive_cell=True, scale=False).get_rms_dist(original, made)
    assert distance is not None
    assert distance[0] < 5e-3


@pytest.mark.parametrize("name", ["Nb3Sn", "MgB2", "YBa2Cu3O7", "FeSe", "Nb", "Be2Nb3"])
def test_other_values_of_free_parameters_keep_the_space_group(name):
    found = written(name)
    rng = np.random.default_rng(0)
    for _ in range(5):
        lattice = found.lattice_parameters + 0.05 * rng.standard_normal(6)
        moved = found.coordinates + 0.03 * rng.standard_normal(found.coordinates.shape)
        made = FreeParameters(found.template, found.elements, lattice, moved).crystal()
        assert describe(*made, symprec=1e-4).space_group == found.template.space_group


def test_a_period_of_a_free_coordinate_changes_nothing():
    found = written("FeSe")
    moved = found.coordinates + np.array([[1.0, 0, 0], [-1.0, 0, 0]][: len(found.coordinates)])
    shifted = found.template.frac_coords(np.where(np.arange(3) < found.template.n_free[:, None], moved, 0.0))
    apart = shifted - found.template.frac_coords(found.coordinates)
    assert np.abs(apart - np.round(apart)).max() < 1e-9


def test_shifts_do_not_tell_the_value_of_a_free_coordinate():
    found = written("FeSe")
    other = FreeParameters(found.template, found.elements, found.lattice_parameters, found.coordinates + 0.04)
    again = free_parameters(*other.crystal())
    assert np.allclose(again.template.shifts, found.template.shifts, atol=1e-6)


def test_lattice_parameters_forget_the_orientation_and_remember_the_shape():
    lattice = np.array([[3.0, 0, 0], [-1.5, 1.5 * np.sqrt(3), 0], [0, 0, 5.0]])
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    parameters = lattice_parameters(lattice)
    assert np.allclose(parameters, lattice_parameters(lattice @ turn))
    assert parameters[0] == pytest.approx(HEXAGONAL_SHEAR)
    again = lattice_from_parameters(parameters)
    assert np.allclose(again @ again.T, lattice @ lattice.T)


def test_the_basis_of_the_lattice_is_orthonormal():
    assert np.allclose(np.einsum("iab,jab->ij", STRAIN_BASIS, STRAIN_BASIS), np.eye(6))


@pytest.mark.parametrize(
    ("group", "count"),
    [(1, 6), (2, 6), (3, 4), (15, 4), (16, 3), (74, 3), (75, 2), (167, 2), (194, 2), (195, 1), (230, 1)],
)
def test_free_lattice_parameters_of_each_crystal_system(group, count):
    assert free_lattice(group).sum() == count


def test_a_flat_cell_is_an_error():
    with pytest.raises(CrystalError, match="volume"):
        lattice_parameters(np.array([[1.0, 0, 0], [2.0, 0, 0], [0, 0, 1.0]]))


def test_two_atoms_in_one_place_are_an_error():
    with pytest.raises(CrystalError, match="symmetry"):
        free_parameters(3 * np.eye(3), np.zeros((2, 3)), np.array([11, 17]))


@pytest.mark.parametrize("name", ["Nb3Sn", "YBa2Cu3O7", "FeSe", "NbSe2", "Be2Nb3", "NbBe3"])
def test_the_order_of_the_atoms_changes_nothing(name):
    original = known_crystal(name, primitive=True)
    rng = np.random.default_rng(1)
    first = written(name)
    for _ in range(4):
        order = rng.permutation(len(original))
        numbers = np.array([site.specie.Z for site in original])
        again = free_parameters(original.lattice.matrix, original.frac_coords[order], numbers[order])
        assert again.template.key == first.template.key
        assert again.elements.tolist() == first.elements.tolist()
        apart = again.coordinates - first.coordinates
        assert np.abs(apart - np.round(apart)).max() < 1e-3


def test_as_filed_the_first_atom_stands_for_its_orbit():
    original = known_crystal("YBa2Cu3O7", primitive=True)
    numbers = np.array([site.specie.Z for site in original])
    cell = original.lattice.matrix, original.frac_coords[::-1], numbers[::-1]
    filed, sorted_ = (free_parameters(*cell, in_order=in_order) for in_order in (False, True))
    assert filed.elements.tolist() != sorted_.elements.tolist()
    assert sorted(filed.template.positions) == sorted(sorted_.template.positions)
    assert (
        StructureMatcher(scale=False).get_rms_dist(structure(filed.crystal()), structure(sorted_.crystal()))[0] < 1e-6
    )
