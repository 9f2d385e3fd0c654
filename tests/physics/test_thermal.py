"""Thermal properties against closed forms."""

import json

import numpy as np
import pytest
from ase.data import atomic_masses
from scipy import constants

from onnes.physics.thermal import heat_capacity_J_per_mol_cell_K, thermal_properties
from tests.physics.test_phonons import CUBIC_FCC, FCC, SIMPLE, SPRING, phonons_of_springs, thz

R = constants.R


@pytest.fixture(scope="module")
def aluminium():
    return phonons_of_springs(FCC, [(3.0, SPRING)], mesh_length=40)


def test_limits(aluminium) -> None:
    found = thermal_properties(aluminium, [0.0, 5.0, 10.0, 300.0, 3000.0])
    capacity = found.heat_capacity_J_per_mol_cell_K
    assert capacity[0] == 0
    assert capacity[-1] == pytest.approx(3 * R, rel=2e-3)  # Dulong and Petit
    assert (np.diff(capacity) > 0).all()
    assert (np.diff(found.free_energy_kJ_per_mol_cell) < 0).all()
    assert found.n_atoms == 1
    assert found.left_out_share == 0


def test_zero_point_energy_is_half_a_quantum_a_mode(aluminium) -> None:
    mesh = aluminium.displaced.phonopy.mesh
    mean = float(mesh.weights @ mesh.frequencies.sum(1) / mesh.weights.sum())  # THz
    wanted = 0.5 * constants.h * mean * 1e12 * constants.N_A / 1000
    assert thermal_properties(aluminium, [0.0]).free_energy_kJ_per_mol_cell[0] == pytest.approx(wanted, rel=1e-3)


def test_high_temperature_expansion(aluminium) -> None:
    """C = 3R (1 - <(h nu / kT)^2> / 12 + ...), and <nu^2> follows from the trace of the dynamical matrix."""
    temperature = 1500.0
    square = thz(4 * SPRING, atomic_masses[13]) ** 2 * 1e24  # mean nu^2
    wanted = 3 * R * (1 - (constants.h / (constants.k * temperature)) ** 2 * square / 12)
    assert heat_capacity_J_per_mol_cell_K(aluminium, temperature) == pytest.approx(wanted, rel=1e-3)


def test_thermodynamic_identities(aluminium) -> None:
    temperatures = np.linspace(290, 310, 21)
    found = thermal_properties(aluminium, temperatures)
    entropy = -np.gradient(1000 * found.free_energy_kJ_per_mol_cell, temperatures)
    np.testing.assert_allclose(entropy[1:-1], found.entropy_J_per_mol_cell_K[1:-1], rtol=1e-4)
    capacity = temperatures * np.gradient(found.entropy_J_per_mol_cell_K, temperatures)
    np.testing.assert_allclose(capacity[1:-1], found.heat_capacity_J_per_mol_cell_K[1:-1], rtol=1e-3)


def test_cells_count(aluminium) -> None:
    cubic = phonons_of_springs(CUBIC_FCC, [(3.0, SPRING)], mesh_length=40)
    assert thermal_properties(cubic, [300.0]).n_atoms == 4
    assert heat_capacity_J_per_mol_cell_K(cubic) == pytest.approx(
        4 * heat_capacity_J_per_mol_cell_K(aluminium), rel=2e-3
    )


def test_imaginary_modes_are_left_out_and_counted() -> None:
    phonons = phonons_of_springs(SIMPLE, [(3.1, SPRING), (4.3, -0.05 * SPRING)], mesh_length=30)
    found = thermal_properties(phonons, [3000.0])
    assert 0.05 < found.left_out_share < 0.8
    assert found.heat_capacity_J_per_mol_cell_K[0] == pytest.approx(3 * R * (1 - found.left_out_share), rel=0.01)


def test_plain_form(aluminium) -> None:
    said = json.loads(json.dumps(thermal_properties(aluminium, [100, 200]).to_dict()))
    assert said["temperatures_K"] == [100, 200]
    assert len(said["entropy_J_per_mol_cell_K"]) == 2
