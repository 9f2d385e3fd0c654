import numpy as np
import pytest
from ase.stress import voigt_6_to_full_3x3_stress

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal
from onnes.potentials.potential import load_potential
from tests.potentials.distorted import distorted

NAMES = ["Al", "MgB2", "NbN", "TiBe2"]


@pytest.fixture(scope="module")
def potential():
    return load_potential("sevennet-0")


@pytest.fixture(scope="module")
def batch():
    return distorted(NAMES)


@pytest.fixture(scope="module")
def result(potential, batch):
    return potential.evaluate(batch, features=True)


@pytest.fixture(scope="module")
def calculator():
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator("7net-0", device="cpu")


def _energy(potential, batch):
    return potential.evaluate(batch, forces=False).energies_eV


def test_shapes(result, batch) -> None:
    n = len(batch.atomic_numbers)
    assert result.energies_eV.shape == (4,)
    assert result.forces_eV_per_A.shape == (n, 3)
    assert result.stresses_eV_per_A3.shape == (4, 3, 3)
    assert result.features.shape == (n, 1024)
    assert result.features.dtype == np.float32
    assert result.magmoms_muB is None
    np.testing.assert_array_equal(result.stresses_eV_per_A3, result.stresses_eV_per_A3.transpose(0, 2, 1))


@pytest.mark.parametrize("index", range(4))
def test_equal_to_the_calculator_of_sevenn(result, batch, calculator, index) -> None:
    atoms = batch.select([index]).to_atoms()[0]
    atoms.calc = calculator
    owned = batch.owners == index
    forces = atoms.get_forces()
    assert result.energies_eV[index] == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
    np.testing.assert_allclose(result.forces_eV_per_A[owned], forces, atol=1e-4)
    stress = voigt_6_to_full_3x3_stress(atoms.get_stress())
    assert np.abs(stress).max() > 5e-3  # these crystals are strained: a wrong sign or order would show
    np.testing.assert_allclose(result.stresses_eV_per_A3[index], stress, atol=2e-5)


def test_batch_is_equal_to_one_by_one(potential, batch, result) -> None:
    for i in range(len(batch)):
        alone = potential.evaluate(batch.select([i]), features=True)
        owned = batch.owners == i
        assert alone.energies_eV[0] == pytest.approx(result.energies_eV[i], abs=1e-5 * batch.n_atoms[i])
        np.testing.assert_allclose(alone.forces_eV_per_A, result.forces_eV_per_A[owned], atol=1e-4)
        np.testing.assert_allclose(alone.features, result.features[owned], atol=1e-4)


def test_without_forces_the_energy_is_the_same(potential, batch, result) -> None:
    bare = potential.evaluate(batch, forces=False, features=True)
    assert bare.forces_eV_per_A is None
    assert bare.stresses_eV_per_A3 is None
    np.testing.assert_allclose(bare.energies_eV, result.energies_eV, atol=1e-5)
    np.testing.assert_allclose(bare.features, result.features, atol=1e-5)
    assert potential.evaluate(batch, forces=False).features is None


def test_forces_are_minus_the_slope_of_the_energy(potential, batch, result) -> None:
    step_A = 0.02
    moved = []
    for index, atom, axis in ((0, 0, 0), (1, 1, 2), (2, 0, 1), (2, 1, 0), (3, 2, 0)):
        lattice, frac, numbers = batch.crystal(index)
        for sign in (1, -1):
            positions = frac @ lattice
            positions[atom, axis] += sign * step_A
            moved.append((lattice, positions @ np.linalg.inv(lattice), numbers))
    energies = _energy(potential, CrystalBatch.of(moved)).reshape(-1, 2)
    slopes = -(energies[:, 0] - energies[:, 1]) / (2 * step_A)
    forces = [
        result.forces_eV_per_A[batch.offsets[index] + atom, axis]
        for index, atom, axis in ((0, 0, 0), (1, 1, 2), (2, 0, 1), (2, 1, 0), (3, 2, 0))
    ]
    assert np.abs(forces).max() > 0.3
    np.testing.assert_allclose(slopes, forces, atol=0.01)


def test_stress_is_the_slope_of_the_energy_with_strain(potential, batch, result) -> None:
    step = 4e-3
    strained, wanted = [], []
    for index, a, b in ((1, 0, 0), (1, 2, 2), (2, 1, 1), (2, 0, 1), (3, 1, 2), (3, 0, 2)):
        lattice, frac, numbers = batch.crystal(index)
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[a, b] = sign * step / 2
            strained.append((lattice @ (np.eye(3) + strain + strain.T), frac, numbers))
        wanted.append(result.stresses_eV_per_A3[index, a, b] * batch.volumes[index])
    energies = _energy(potential, CrystalBatch.of(strained)).reshape(-1, 2)
    slopes = (energies[:, 0] - energies[:, 1]) / (2 * step)
    assert np.abs(wanted).max() > 1
    np.testing.assert_allclose(slopes, wanted, rtol=0.02, atol=0.05)


def test_forces_add_up_to_nothing(batch, result) -> None:
    for i in range(len(batch)):
        np.testing.assert_allclose(result.forces_eV_per_A[batch.owners == i].sum(0), 0, atol=1e-4)


def test_rotation_turns_forces_and_leaves_energy_and_features(potential, batch, result) -> None:
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_euler("zyx", [31, 77, 12], degrees=True).as_matrix()
    turned = CrystalBatch(batch.lattices @ turn, batch.frac_coords, batch.atomic_numbers, batch.offsets)
    other = potential.evaluate(turned, features=True)
    np.testing.assert_allclose(other.energies_eV, result.energies_eV, atol=2e-4)
    np.testing.assert_allclose(other.features, result.features, atol=2e-3)
    np.testing.assert_allclose(other.forces_eV_per_A, result.forces_eV_per_A @ turn, atol=5e-4)
    np.testing.assert_allclose(other.stresses_eV_per_A3, turn.T @ result.stresses_eV_per_A3 @ turn, atol=2e-4)


def test_mirror_changes_features_by_little(potential, batch, result) -> None:
    """SevenNet knows no parity: left- and right-handed crystals differ a little, also in energy."""
    mirror = np.diag([1.0, 1.0, -1.0])
    image = CrystalBatch(batch.lattices @ mirror, batch.frac_coords, batch.atomic_numbers, batch.offsets)
    other = potential.evaluate(image, forces=False, features=True)
    np.testing.assert_allclose(other.energies_eV / batch.n_atoms, result.energies_eV / batch.n_atoms, atol=2e-3)
    change = np.sqrt(((other.features - result.features) ** 2).mean())
    assert change < 0.01 * np.sqrt((result.features**2).mean())


def test_features_are_the_invariants_of_every_layer(potential, batch, result) -> None:
    """Four gates let through 128 scalars, 64 vectors and 32 tensors of rank 2, the last one 128 scalars."""
    x, layer = result.features, 128 + 64 + 32
    assert potential.n_features == 4 * layer + 128
    lengths = np.concatenate([x[:, layer * i + 128 : layer * (i + 1)] for i in range(4)], axis=1)
    assert (lengths >= 0).all()
    assert (x[:, :128] < 0).any()
    assert (x.std(0) > 0).mean() > 0.95  # hardly one that says nothing
    perfect = CrystalBatch.from_structures([known_crystal("Al", primitive=True)])
    at_centre = potential.evaluate(perfect, forces=False, features=True).features
    for i in range(4):  # a site of cubic symmetry has no vector and no tensor of rank 2, but it has scalars
        scalars, tensors = at_centre[:, layer * i : layer * i + 128], at_centre[:, layer * i + 128 : layer * (i + 1)]
        assert np.abs(tensors).max() < 1e-3
        assert np.abs(scalars).max() > 0.1


def test_supercell_has_the_same_energy_per_atom(potential, batch, result) -> None:
    supercells = CrystalBatch.from_structures(s * (2, 1, 1) for s in batch.to_structures())
    energies = _energy(potential, supercells) / supercells.n_atoms
    np.testing.assert_allclose(energies, result.energies_eV / batch.n_atoms, atol=1e-5)


def test_energies_are_physical(potential) -> None:
    """Bound by roughly the PBE energies of the Materials Project, and a compound below its elements."""
    batch = CrystalBatch.from_structures(known_crystal(n, primitive=True) for n in ("Al", "Nb", "Sn", "Nb3Sn"))
    al, nb, sn, nb3sn = _energy(potential, batch) / batch.n_atoms
    assert al == pytest.approx(-3.74, abs=0.05)
    assert nb == pytest.approx(-10.1, abs=0.1)
    assert nb3sn < 0.75 * nb + 0.25 * sn - 0.05


def test_crystal_without_neighbours(potential) -> None:
    lonely = (20 * np.eye(3), np.zeros((1, 3)), [13])
    batch = CrystalBatch.of([lonely, (4.05 * np.eye(3), np.zeros((1, 3)), [13])])
    result = potential.evaluate(batch)
    assert np.isfinite(result.energies_eV).all()
    np.testing.assert_allclose(result.forces_eV_per_A, 0, atol=1e-4)


@pytest.mark.slow
def test_sibling_equals_the_calculator_of_sevenn() -> None:
    from sevenn.calculator import SevenNetCalculator

    batch = distorted(["MgB2", "NbN"])
    result = load_potential("sevennet-l3i5").evaluate(batch, features=True)
    calculator = SevenNetCalculator("7net-l3i5", device="cpu")
    assert result.features.shape == (len(batch.atomic_numbers), 1152)
    for i, atoms in enumerate(batch.to_atoms()):
        atoms.calc = calculator
        assert result.energies_eV[i] == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
        np.testing.assert_allclose(result.forces_eV_per_A[batch.owners == i], atoms.get_forces(), atol=1e-4)
