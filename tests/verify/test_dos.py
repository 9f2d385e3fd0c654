"""N(E_F) of a gas of free electrons, computed on a grid as that of a crystal."""

import numpy as np
import pytest
from scipy.integrate import trapezoid

from onnes.errors import VerificationError
from onnes.verify.dos import SIGMA_EV, dos_at, fermi_level, gap_eV
from onnes.verify.pw_output import PwResult

HBAR2_2M = 3.809982  # eV Å^2
A = 4.0


def bands(energies, weights=None, n_electrons=1.0):
    energies = np.atleast_2d(np.asarray(energies, float))
    weights = np.ones(len(energies)) if weights is None else np.asarray(weights, float)
    return PwResult(
        A * np.eye(3), np.zeros((1, 3)), np.array([1]), 0.0, None, n_electrons, None, energies, weights / weights.sum()
    )


@pytest.fixture(scope="module")
def free_electrons():
    """Free electrons in a cube of 4 Å on 24 x 24 x 24 k points, folded into the zone."""
    n = 24
    axis = (np.arange(n) + 0.5) / n - 0.5
    k = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 1, 3)
    shifts = np.arange(-2, 3)
    g = np.stack(np.meshgrid(shifts, shifts, shifts, indexing="ij"), -1).reshape(1, -1, 3)
    energies = HBAR2_2M * (2 * np.pi / A) ** 2 * ((k + g) ** 2).sum(-1)
    return lambda n_electrons: bands(np.sort(energies, axis=1)[:, :20], n_electrons=n_electrons)


@pytest.mark.parametrize("n_electrons", [1, 2, 3, 5])
def test_free_electrons(free_electrons, n_electrons) -> None:
    fermi_eV = HBAR2_2M * (3 * np.pi**2 * n_electrons / A**3) ** (2 / 3)
    found = fermi_level(free_electrons(n_electrons))
    assert found.fermi_eV == pytest.approx(fermi_eV, rel=0.01)
    assert found.dos_states_per_eV == pytest.approx(
        1.5 * n_electrons / fermi_eV, rel=0.04
    )  # N(E_F) = 3 n / 2 E_F, both spins
    assert found.gap_eV == 0
    assert found.sigma_eV == SIGMA_EV


def test_the_density_of_states_holds_all_states(free_electrons) -> None:
    result = free_electrons(1)
    energies = np.linspace(-3, 60, 200)
    below = result.eigenvalues_eV.max(axis=1).min()  # beyond it some bands are missing
    part = energies <= below
    total = trapezoid(dos_at(result, energies[part]), energies[part])
    states = 2 * (result.weights @ (result.eigenvalues_eV < below).sum(1))
    assert total == pytest.approx(states, rel=0.01)


def test_weights_count() -> None:
    # one band of two k points, one with three times the weight of the other, half filled: the Fermi level lies in the heavier
    found = fermi_level(bands([[0.0, 30.0], [5.0, 30.0]], [3, 1], n_electrons=0.75))
    assert found.fermi_eV == pytest.approx(0.0, abs=1e-6)
    assert found.dos_states_per_eV == pytest.approx(2 * 0.75 / (SIGMA_EV * np.sqrt(np.pi)))


def test_gaps() -> None:
    assert gap_eV(bands([[0.0, 4.0], [1.0, 3.0]], n_electrons=2.0)) == 2.0
    assert gap_eV(bands([[0.0, 2.0], [3.0, 5.0]], n_electrons=2.0)) == 0.0  # they overlap
    assert gap_eV(bands([[0.0, 4.0], [1.0, 3.0]], n_electrons=1.0)) == 0.0  # half filled
    assert gap_eV(bands([[0.0], [1.0]], n_electrons=2.0)) == 0.0  # the next band is not known
    insulator = fermi_level(bands([[0.0, 10.0], [1.0, 12.0]], n_electrons=2.0))
    assert insulator.gap_eV == 9.0
    assert 1 < insulator.fermi_eV < 10
    assert insulator.dos_states_per_eV < 1e-6


def test_too_few_bands() -> None:
    with pytest.raises(VerificationError, match="2 bands cannot hold 4 electrons"):
        fermi_level(bands([[0.0, 1.0]], n_electrons=4.0))
