import numpy as np
import pytest
from ase.stress import voigt_6_to_full_3x3_stress

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal
from onnes.potentials.potential import load_potential
from tests.potentials.distorted import distorted

NAMES = ["MgB2", "NbN", "Fe", "NaCl"]


@pytest.fixture(scope="module")
def potential():
    return load_potential("chgnet")


@pytest.fixture(scope="module")
def batch():
    return distorted(NAMES)


@pytest.fixture(scope="module")
def result(potential, batch):
    return potential.evaluate(batch, features=True)


def test_equal_to_the_calculator_of_chgnet(result, batch) -> None:
    from chgnet.model.dynamics import CHGNetCalculator

    calculator = CHGNetCalculator(use_device="cpu", on_isolated_atoms="ignore")
    for i, atoms in enumerate(batch.to_atoms()):
        atoms.calc = calculator
        owned = batch.owners == i
        assert result.energies_eV[i] == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
        np.testing.assert_allclose(result.forces_eV_per_A[owned], atoms.get_forces(), atol=1e-4)
        stress = voigt_6_to_full_3x3_stress(atoms.get_stress())
        np.testing.assert_allclose(result.stresses_eV_per_A3[i], stress, atol=2e-5)
        np.testing.assert_allclose(result.magmoms_muB[owned], calculator.results["magmoms"], atol=1e-4)


def test_shapes(result, batch, potential) -> None:
    n = len(batch.atomic_numbers)
    assert result.features.shape == (n, potential.n_features) == (n, 64)
    assert result.forces_eV_per_A.shape == (n, 3)
    assert result.stresses_eV_per_A3.shape == (4, 3, 3)
    assert result.magmoms_muB.shape == (n,)


def test_batch_is_equal_to_one_by_one(potential, batch, result) -> None:
    for i in range(len(batch)):
        alone = potential.evaluate(batch.select([i]), features=True)
        owned = batch.owners == i
        assert alone.energies_eV[0] == pytest.approx(result.energies_eV[i], abs=1e-5 * batch.n_atoms[i])
        np.testing.assert_allclose(alone.forces_eV_per_A, result.forces_eV_per_A[owned], atol=1e-4)
        np.testing.assert_allclose(alone.features, result.features[owned], atol=1e-4)


def test_without_forces(potential, batch, result) -> None:
    bare = potential.evaluate(batch, forces=False, features=True)
    assert bare.forces_eV_per_A is None
    assert bare.stresses_eV_per_A3 is None
    np.testing.assert_allclose(bare.energies_eV, result.energies_eV, atol=1e-5)
    np.testing.assert_allclose(bare.features, result.features, atol=1e-5)
    np.testing.assert_allclose(bare.magmoms_muB, result.magmoms_muB, atol=1e-5)


def test_iron_is_magnetic_and_aluminium_is_not(potential) -> None:
    batch = CrystalBatch.from_structures(known_crystal(n, primitive=True) for n in ("Fe", "Al", "Nb3Sn", "Co"))
    moments = potential.evaluate(batch, forces=False).magmoms_muB
    largest = [moments[batch.owners == i].max() for i in range(4)]
    assert 1.5 < largest[0] < 3.0
    assert largest[1] < 0.1
    assert largest[2] < 0.2
    assert largest[3] > 1.0


def test_supercell_has_the_same_energy_per_atom(potential, batch, result) -> None:
    supercells = CrystalBatch.from_structures(s * (1, 2, 1) for s in batch.to_structures())
    energies = potential.evaluate(supercells, forces=False).energies_eV / supercells.n_atoms
    np.testing.assert_allclose(energies, result.energies_eV / batch.n_atoms, atol=1e-5)
