"""Crystals held by harmonic springs, whose phonons are known in closed form."""

import numpy as np
import pytest
from ase.data import atomic_masses
from scipy import constants

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.neighbours import neighbour_edges
from onnes.errors import CrystalError
from onnes.physics.phonons import (
    ACOUSTIC_NOISE_THZ,
    MEV_PER_THZ,
    displaced_supercells,
    phonon_dos,
    standard_primitive,
    supercell_repeats,
)
from onnes.physics.spectral_shape import DosBatch, alpha2f_of_moments

A = 4.05
FCC = (A / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]), np.zeros((1, 3)), [13])
CUBIC_FCC = (A * np.eye(3), np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]), [13] * 4)
SIMPLE = (3.0 * np.eye(3), np.zeros((1, 3)), [84])
SPRING = 2.0  # eV/A^2


def thz(spring_eV_per_A2, mass):
    """sqrt(k / m) / 2 pi."""
    si = spring_eV_per_A2 * constants.e * 1e20 / (mass * constants.atomic_mass)
    return np.sqrt(si) / (2 * np.pi) * 1e-12


def spring_forces(displaced, shells):
    """Forces of central springs; ``shells`` holds (longest bond, spring) from the nearest outwards."""
    perfect = displaced.phonopy.supercell
    batch = CrystalBatch.of([(perfect.cell, perfect.scaled_positions, perfect.numbers)])
    (source, target), vectors, _ = neighbour_edges(batch, shells[-1][0])
    lengths = np.linalg.norm(vectors, axis=1)
    springs = np.array([spring for _, spring in shells])[np.searchsorted([cut for cut, _ in shells], lengths)]
    unit = vectors / lengths[:, None]
    out = []
    for lattice, frac, _ in displaced.supercells:
        moved = frac - perfect.scaled_positions
        moved = (moved - moved.round()) @ lattice
        pull = springs * ((moved[target] - moved[source]) * unit).sum(1)
        forces = np.zeros_like(moved)
        np.add.at(forces, source, pull[:, None] * unit)
        out.append(forces)
    return out


def phonons_of_springs(crystal, shells, *, min_length_A=8.0, **how):
    displaced = displaced_supercells(*crystal, min_length_A=min_length_A)
    return phonon_dos(displaced, spring_forces(displaced, shells), **how)


@pytest.fixture(scope="module")
def aluminium():
    return phonons_of_springs(FCC, [(3.0, SPRING)])


def test_highest_phonon_of_fcc_with_springs(aluminium) -> None:
    """Longitudinal at X: omega^2 = 8 k / m."""
    wanted = thz(8 * SPRING, atomic_masses[13])
    assert aluminium.highest_meV / MEV_PER_THZ == pytest.approx(wanted, rel=1e-3)
    assert MEV_PER_THZ == pytest.approx(4.13567, abs=1e-5)
    assert aluminium.min_phonon_THz == pytest.approx(0, abs=1e-3)  # q = 0 is on the mesh
    assert aluminium.imaginary_share == 0
    assert aluminium.mesh == (26, 26, 26)


def test_density_of_states(aluminium) -> None:
    omega, dos = aluminium.dos.omega_meV, aluminium.dos.dos
    assert omega[0] == 0
    assert omega[-1] == aluminium.highest_meV
    assert (dos >= 0).all()
    assert np.trapezoid(dos, omega) == pytest.approx(3, rel=5e-3)
    # Trace of the dynamical matrix: every atom has 12 springs, so the mean omega^2 is 4 k / m.
    square = np.trapezoid(dos * omega**2, omega) / np.trapezoid(dos, omega)
    assert np.sqrt(square) / MEV_PER_THZ == pytest.approx(thz(4 * SPRING, atomic_masses[13]), rel=5e-3)
    low = (omega > 0.15 * omega[-1]) & (omega < 0.3 * omega[-1])
    slope = np.polyfit(np.log(omega[low]), np.log(dos[low]), 1)[0]
    assert slope == pytest.approx(2, abs=0.3)  # Debye


def test_cell_does_not_matter(aluminium) -> None:
    cubic = phonons_of_springs(CUBIC_FCC, [(3.0, SPRING)], mesh_length=40)
    assert cubic.displaced.repeats == (2, 2, 2)
    assert cubic.highest_meV == pytest.approx(aluminium.highest_meV, rel=1e-3)
    assert np.trapezoid(cubic.dos.dos, cubic.dos.omega_meV) == pytest.approx(12, rel=0.01)


def test_negative_springs_are_imaginary_modes() -> None:
    """Simple cubic: second neighbours alone resist shear; at X transverse omega^2 = 8 k2 / m."""
    shells = [(3.1, SPRING), (4.3, -0.05 * SPRING)]
    phonons = phonons_of_springs(SIMPLE, shells)
    wanted = thz(0.05 * 8 * SPRING, atomic_masses[84])
    assert phonons.min_phonon_THz <= -0.99 * wanted
    assert phonons.min_phonon_THz < -5 * ACOUSTIC_NOISE_THZ
    assert 0.1 < phonons.imaginary_share < 0.8
    modes = np.trapezoid(phonons.dos.dos, phonons.dos.omega_meV)
    assert modes == pytest.approx(3 * (1 - phonons.imaginary_share), rel=0.06)
    assert (phonons.dos.omega_meV >= 0).all()
    stable = phonons_of_springs(SIMPLE, [(3.1, SPRING), (4.3, 0.05 * SPRING)])
    assert stable.imaginary_share == 0
    assert stable.min_phonon_THz > -1e-3


def test_crystal_without_any_real_mode() -> None:
    with pytest.raises(CrystalError, match="no real phonon"):
        phonons_of_springs(FCC, [(3.0, -SPRING)])


def test_forces_of_a_crystal_at_rest_cancel() -> None:
    """A polar crystal that is not relaxed: its symmetry allows forces along c."""
    polar = (np.diag([3.0, 3.0, 4.2]), np.array([[0, 0, 0], [0.5, 0.5, 0.45], [0, 0, 0.55]]), [29, 13, 47])
    shells = [(3.05, SPRING), (4.3, 0.2 * SPRING)]
    constants_eV_per_A2, densities = [], []
    for push in (0.0, 1.0):
        displaced = displaced_supercells(*polar, min_length_A=8.0)
        per_atom = push * np.choose(displaced.supercells[0][2] // 20, [0.3, -0.1, -0.2])
        forces = [one + per_atom[:, None] * np.array([0, 0, 1.0]) for one in spring_forces(displaced, shells)]
        densities.append(phonon_dos(displaced, forces).dos.dos)
        displaced.phonopy.produce_force_constants(show_drift=False)  # as they are before the sum rule
        constants_eV_per_A2.append(displaced.phonopy.force_constants)
    np.testing.assert_allclose(*constants_eV_per_A2, atol=1e-9)
    np.testing.assert_allclose(*densities, rtol=1e-6, atol=1e-9)


def test_sum_rule_is_imposed() -> None:
    displaced = displaced_supercells(*FCC, min_length_A=8.0)
    noise = np.random.default_rng(0).normal(0, 1e-3, (displaced.n_atoms, 3))
    phonon_dos(displaced, [one + noise for one in spring_forces(displaced, [(3.0, SPRING)])])
    displaced.phonopy.run_qpoints([[0, 0, 0]])
    np.testing.assert_allclose(displaced.phonopy.qpoints.frequencies, 0, atol=1e-3)


def test_elements_without_a_stable_isotope() -> None:
    """Technetium and polonium have masses too."""
    [heavy, light] = [
        phonons_of_springs((*FCC[:2], [z]), [(3.0, SPRING)], min_length_A=5, mesh_length=20) for z in (84, 43)
    ]
    assert light.highest_meV / heavy.highest_meV == pytest.approx(np.sqrt(atomic_masses[84] / atomic_masses[43]))


def test_smearing_broadens(aluminium) -> None:
    smeared = phonons_of_springs(FCC, [(3.0, SPRING)], smearing_THz=0.4)
    assert smeared.highest_meV == pytest.approx(aluminium.highest_meV)
    assert smeared.dos.dos.max() < 0.8 * aluminium.dos.dos.max()
    assert 2.5 < np.trapezoid(smeared.dos.dos, smeared.dos.omega_meV) < 3


def test_supercells() -> None:
    displaced = displaced_supercells(np.diag([3.0, 5.0, 12.0]), [[0, 0, 0]], [13])
    assert displaced.repeats == (4, 2, 1)
    assert displaced.n_atoms == 8
    for lattice, frac, numbers in displaced.supercells:
        np.testing.assert_allclose(lattice, np.diag([12.0, 10.0, 12.0]))
        assert numbers.tolist() == [13] * 8
        moved = (frac - displaced.phonopy.supercell.scaled_positions) @ lattice
        distances = np.linalg.norm(moved, axis=1)
        assert np.count_nonzero(distances > 1e-9) == 1
        assert distances.max() == pytest.approx(0.01)
    exact = displaced_supercells(2.5 * np.eye(3), [[0, 0, 0]], [13], displacement_A=0.03)
    assert exact.repeats == (4, 4, 4)  # 10 A are enough
    assert len(exact.supercells) == 1
    assert exact.displacement_A == 0.03


def rhombohedral(edge, degrees):
    """Primitive cell with three edges of one length, each pair at one angle."""
    c = np.cos(np.radians(degrees))
    return edge * np.linalg.cholesky(np.full((3, 3), c) + (1 - c) * np.eye(3))


@pytest.mark.parametrize("degrees", [30.0, 60.0, 90.0, 109.0])
def test_supercells_of_skewed_cells_are_thick_enough(degrees) -> None:
    """Between the atoms and their images, not along the edges."""
    lattice = rhombohedral(7.0, degrees)
    repeats = supercell_repeats(lattice, 1, 10.0)
    assert len(set(repeats)) == 1  # the threefold axis stays
    indices = np.stack(np.meshgrid(*[range(-3, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    images = indices[indices.any(1)] * repeats @ lattice
    assert 10.0 - 1e-6 <= np.linalg.norm(images, axis=1).min()
    assert repeats == ((3, 3, 3) if degrees == 30 else (2, 2, 2))


@pytest.mark.parametrize(
    ("edges", "even", "repeats"),
    [
        ((3, 5, 12), False, (4, 2, 1)),
        ((3, 5, 12), True, (4, 2, 1)),
        ((3.9, 3.9, 3.9), True, (4, 4, 4)),
        ((9, 11, 4), True, (2, 1, 4)),
    ],
)
def test_even_repetitions(edges, even, repeats) -> None:
    assert supercell_repeats(np.diag(np.array(edges, float)), 1, even=even) == repeats


def test_shorter_supercells_where_atoms_are_many() -> None:
    lattice = np.diag([4.0, 4.0, 9.0])
    assert supercell_repeats(lattice, 10, max_atoms=400) == (3, 3, 2)
    assert supercell_repeats(lattice, 10, max_atoms=100, shorten=True) == (3, 3, 1)
    assert supercell_repeats(lattice, 10, max_atoms=10, shorten=True) == (1, 1, 1)
    with pytest.raises(CrystalError, match="10-atom cell"):
        supercell_repeats(lattice, 10, max_atoms=9, shorten=True)
    made = displaced_supercells(lattice, [[0, 0, 0]], [13], max_atoms=9, shorten=True)
    assert made.label == "3x3x1"
    assert made.length_A == pytest.approx(9.0)


def test_standard_primitive_cell() -> None:
    rough = CUBIC_FCC[1] + 1e-3 * np.random.default_rng(0).normal(size=(4, 3))
    lattice, frac, numbers = standard_primitive(CUBIC_FCC[0], rough, [13] * 4)
    assert numbers.tolist() == [13]
    assert abs(np.linalg.det(lattice)) == pytest.approx(A**3 / 4)
    assert len(displaced_supercells(lattice, frac, numbers, min_length_A=5.0, symprec=1e-5).supercells) == 1
    coinciding = (3.0 * np.eye(3), np.zeros((2, 3)), [13, 13])
    assert len(standard_primitive(*coinciding)[2]) == 2  # no symmetry is found: as it was given


def test_less_symmetry_needs_more_displacements() -> None:
    bent = CUBIC_FCC[1] + np.random.default_rng(0).normal(0, 0.02, (4, 3))
    assert len(displaced_supercells(CUBIC_FCC[0], bent, [13] * 4, min_length_A=4).supercells) == 24


def test_too_large_supercells_are_refused() -> None:
    with pytest.raises(CrystalError, match="4x4x4 supercell of this 1-atom cell has 64 atoms, more than 50"):
        displaced_supercells(*FCC, max_atoms=50)


def test_coinciding_atoms_are_refused() -> None:
    with pytest.raises(CrystalError, match="phonopy cannot"):
        displaced_supercells(3.0 * np.eye(3), np.zeros((2, 3)), [13, 13])


def test_forces_that_do_not_fit() -> None:
    displaced = displaced_supercells(*FCC, min_length_A=5)
    with pytest.raises(CrystalError, match="do not fit"):
        phonon_dos(displaced, [])
    with pytest.raises(CrystalError, match="do not fit"):
        phonon_dos(displaced, [np.zeros((3, 3))])
    with pytest.raises(CrystalError, match="not finite"):
        phonon_dos(displaced, [np.full((displaced.n_atoms, 3), np.nan)])


def test_phonons_shape_an_alpha2f(aluminium) -> None:
    fit = alpha2f_of_moments(DosBatch.of([aluminium.dos]), 0.44, 300.0, 330.0, stretch=1.0)
    assert not fit.adjusted[0]
    assert fit.omega_max_meV[0] == pytest.approx(aluminium.highest_meV)
