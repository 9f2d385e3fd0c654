"""Density of states at the Fermi level from the bands on a dense grid of k points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import erfc

from onnes.errors import VerificationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from onnes.verify.pw_output import PwResult

    Floats = NDArray[np.float64]

SIGMA_EV = 0.30
"""Width of the Gaussian that each band state is given."""
TRAINING_SCALE = 1.05
"""Mean ratio (of logarithms) of the N(E_F) that the ``electronic`` model learned from to ours: `onnes benchmark dos`."""
MIN_DOS_PER_ATOM = 0.02
"""Below this N(E_F) (states/eV and atom, both spins) a crystal is not called a metal."""
MIN_GAP_EV = 0.05
_SPINS = 2


@dataclass(frozen=True)
class FermiLevel:
    """The Fermi level of a crystal and the states there.

    Attributes
    ----------
    fermi_eV
        Where the broadened bands hold the electrons of the cell.
    dos_states_per_eV
        N(E_F) of the cell, both spins.
    gap_eV
        Between the highest occupied and the lowest empty band on the grid; 0 where they overlap.
    sigma_eV
        Width of the broadening.
    """

    fermi_eV: float
    dos_states_per_eV: float
    gap_eV: float
    sigma_eV: float


def fermi_level(result: PwResult, sigma_eV: float = SIGMA_EV) -> FermiLevel:
    """Find the Fermi level and N(E_F) of a crystal whose two spins are alike.

    Every state becomes a normalised Gaussian ``exp(-((E - e) / sigma)**2) / (sigma sqrt(pi))`` of two electrons.

    Parameters
    ----------
    result
        Bands on a dense grid.
    sigma_eV
        Width of the Gaussians.

    Raises
    ------
    VerificationError
        When there are too few bands to reach the Fermi level.
    """
    energies, weights = result.eigenvalues_eV, result.weights
    if energies.shape[1] * _SPINS <= result.n_electrons:
        raise VerificationError(
            f"{energies.shape[1]} bands cannot hold {result.n_electrons:.0f} electrons and leave room"
        )

    def surplus(level: float) -> float:
        return float(_SPINS * (weights @ (0.5 * erfc((energies - level) / sigma_eV)).sum(axis=1)) - result.n_electrons)

    level = float(brentq(surplus, energies.min() - 10 * sigma_eV, energies.max() + 10 * sigma_eV))  # pyright: ignore[reportArgumentType]
    return FermiLevel(level, float(dos_at(result, np.array([level]), sigma_eV)[0]), gap_eV(result), sigma_eV)


def dos_at(result: PwResult, energies_eV: Floats, sigma_eV: float = SIGMA_EV) -> Floats:
    """Density of states (states/eV, both spins, of the cell) at some energies, shape (n,)."""
    x = (energies_eV[:, None, None] - result.eigenvalues_eV[None]) / sigma_eV
    peaks = np.exp(-(x**2)) / (sigma_eV * np.sqrt(np.pi))
    return _SPINS * np.einsum("nkb,k->n", peaks, result.weights)


def gap_eV(result: PwResult) -> float:
    """Gap between the band that the last electrons fill and the next, 0 for a metal or an odd number of electrons."""
    filled = result.n_electrons / _SPINS
    n = round(filled)
    if abs(filled - n) > 1e-6 or n == 0 or n >= result.eigenvalues_eV.shape[1]:
        return 0.0
    return max(0.0, float(result.eigenvalues_eV[:, n].min() - result.eigenvalues_eV[:, n - 1].max()))
