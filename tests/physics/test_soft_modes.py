"""Unstable modes of crystals held by springs, some of them pushing."""

import json

import numpy as np
import pytest
from ase.data import atomic_masses

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.neighbours import neighbour_edges
from onnes.errors import CrystalError
from onnes.physics.phonon_bands import frequencies_at
from onnes.physics.soft_modes import commensurate_qpoints, replayed, smallest_supercell, soft_modes
from tests.physics.test_phonons import SIMPLE, SPRING, phonons_of_springs, thz

CAESIUM_CHLORIDE = (3.2 * np.eye(3), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), [55, 17])


def spring_energy(crystal, rest, shells):
    """Harmonic energy of central springs at small displacements from ``rest``."""
    batch = CrystalBatch.of([rest])
    (source, target), vectors, _ = neighbour_edges(batch, shells[-1][0])
    lengths = np.linalg.norm(vectors, axis=1)
    springs = np.array([spring for _, spring in shells])[np.searchsorted([cut for cut, _ in shells], lengths)]
    moved = crystal[1] - rest[1]
    moved = (moved - moved.round()) @ rest[0]
    stretch = ((moved[target] - moved[source]) * vectors).sum(1) / lengths
    return 0.25 * (springs * stretch**2).sum()


@pytest.fixture(scope="module")
def buckled():
    """Simple cubic whose second neighbours push: shear modes fall."""
    return phonons_of_springs(SIMPLE, [(3.1, SPRING), (4.3, -0.05 * SPRING)], min_length_A=12.0)


def test_commensurate_qpoints() -> None:
    found = commensurate_qpoints((2, 2, 3))
    assert found[0].tolist() == [0, 0, 0]
    assert ((found > -0.5) & (found <= 0.5)).all()
    for q in found:
        np.testing.assert_allclose(q * [2, 2, 3], np.round(q * [2, 2, 3]), atol=1e-9)
    keys = {tuple(np.round(12 * sign * q).astype(int) % 12) for q in found for sign in (1, -1)}
    assert len(keys) == 12  # with the opposites, all of them
    assert len(found) == 8


@pytest.mark.parametrize(
    ("q", "size"),
    [
        ((0, 0, 0), 1),
        ((0.5, 0, 0), 2),
        ((0.5, 0.5, 0.5), 2),
        ((1 / 3, 1 / 3, 0), 3),
        ((0.25, 0.5, 0), 4),
        ((-0.25, 0, 0.5), 4),
    ],
)
def test_smallest_supercell(q, size) -> None:
    lattice = np.array([[0, 2.0, 2.0], [2.0, 0, 2.0], [2.0, 2.0, 0]])
    cells = smallest_supercell(np.array(q), lattice)
    assert round(np.linalg.det(cells)) == size
    np.testing.assert_allclose(cells @ q, np.round(cells @ q), atol=1e-9)
    shortest = np.linalg.norm(cells @ lattice, axis=1)
    assert shortest.max() < 2.1 * size * np.sqrt(2) * 2


def test_wave_vector_without_supercell() -> None:
    with pytest.raises(CrystalError, match="no small supercell"):
        smallest_supercell(np.array([0.123456, 0, 0]), np.eye(3))


def test_stable_crystal_has_no_soft_mode() -> None:
    stable = phonons_of_springs(SIMPLE, [(3.1, SPRING), (4.3, 0.05 * SPRING)])
    assert soft_modes(stable) == []


def test_soft_modes_come_from_the_most_unstable_wave_vector_on(buckled) -> None:
    modes = soft_modes(buckled, max_wave_vectors=2)
    assert modes[0].frequency_THz == pytest.approx(-thz(0.05 * 8 * SPRING, atomic_masses[84]), rel=1e-3)
    assert np.all(np.diff([mode.frequency_THz for mode in modes]) >= 0)
    wave_vectors = {tuple(np.sort(np.abs(mode.q)).round(4)) for mode in modes}
    assert len(wave_vectors) == 2  # those that symmetry makes equal are taken once
    for mode in modes:
        everywhere = frequencies_at(buckled, mode.q[None])[0]
        assert everywhere[0] == pytest.approx(mode.frequency_THz, abs=1e-6)
        assert (np.abs(everywhere - mode.frequency_THz) < 0.05).sum() == mode.degeneracy


def test_energy_falls_along_a_soft_mode_as_its_frequency_says(buckled) -> None:
    """E = 1/2 omega^2 sum m u^2 for a pattern u, in the supercell that it belongs to."""
    shells = [(3.1, SPRING), (4.3, -0.05 * SPRING)]
    for mode in soft_modes(buckled):
        energy = spring_energy(mode.displaced(0.01), mode.undistorted, shells)
        square = -((mode.frequency_THz / thz(1.0, 1.0)) ** 2)  # omega^2 in eV/(A^2 u)
        masses = atomic_masses[mode.undistorted[2]]
        wanted = 0.5 * square * (masses[:, None] * (0.01 * mode.pattern) ** 2).sum()
        assert energy == pytest.approx(wanted, rel=1e-3)
        assert energy < 0
        assert np.linalg.norm(mode.pattern, axis=1).max() == pytest.approx(1)


def test_degenerate_modes_are_turned_towards_the_axes() -> None:
    """An optical mode at q = 0 is threefold: along one axis, two, three."""
    phonons = phonons_of_springs(CAESIUM_CHLORIDE, [(2.8, -0.3 * SPRING), (3.3, SPRING), (4.6, SPRING)], min_length_A=9)
    at_gamma = [mode for mode in soft_modes(phonons, max_wave_vectors=20) if not mode.q.any()]
    assert [mode.direction for mode in at_gamma] == [(1, 0, 0), (1, 1, 0), (1, 1, 1)]
    for mode, axes in zip(at_gamma, (1, 2, 3), strict=True):
        assert mode.degeneracy == 3
        assert len(mode.undistorted[2]) == 2
        assert (np.abs(mode.pattern[0]) > 1e-3).sum() == axes
        masses = atomic_masses[mode.undistorted[2]]
        np.testing.assert_allclose(masses @ mode.pattern, 0, atol=1e-6)  # the centre of mass rests


def test_operation_can_be_replayed(buckled) -> None:
    for mode in soft_modes(buckled):
        operation = json.loads(json.dumps(mode.operation(-0.2)))
        assert operation["op"] == "soft mode"
        lattice, frac, numbers = replayed(operation)
        wanted = mode.displaced(-0.2)
        np.testing.assert_allclose(lattice, wanted[0], atol=1e-5)
        apart = frac - wanted[1]
        np.testing.assert_allclose((apart - apart.round()) @ lattice, 0, atol=2e-4)
        np.testing.assert_array_equal(numbers, wanted[2])
    with pytest.raises(CrystalError, match="not 'soft mode'"):
        replayed({"op": "neighbour"})


def test_patterns_of_complex_modes_are_those_of_phonopy() -> None:
    """At a wave vector that is not its own opposite, a mode without partners."""
    shells = [(3.1, SPRING), (4.3, -0.05 * SPRING)]
    orthorhombic = (np.diag([3.0, 3.05, 3.09]), np.zeros((1, 3)), [84])
    phonons = phonons_of_springs(orthorhombic, shells, min_length_A=9.0)
    mode = next(one for one in soft_modes(phonons, max_wave_vectors=9) if np.abs(one.q % 0.5).max() > 1e-3)
    made = phonons.displaced.phonopy.run_modulations(mode.cells, [[mode.q, 0, 1.0, 0.0]]).modulations[0].real
    made /= np.linalg.norm(made, axis=1).max()

    def rows(pattern):
        return pattern[np.lexsort(pattern.round(6).T)]  # the origin may lie in another cell

    assert len(made) == 3
    assert min(np.abs(rows(mode.pattern) - rows(sign * made)).max() for sign in (1, -1)) < 1e-6
