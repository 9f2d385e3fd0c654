"""Moments of the Eliashberg function alpha2F, and its 2 meV bins."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import constants
from scipy.integrate import cumulative_trapezoid, trapezoid

from onnes.errors import SpectrumError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

K_PER_MEV: float = 1e-3 * constants.e / constants.k
"""Kelvin in one meV, 11.6045."""
BIN_WIDTH_MEV = 2.0
"""Width of the bins of a learned spectrum."""
ALPHA2F_GRID_MEV: NDArray[np.float64] = 0.25 + BIN_WIDTH_MEV * np.arange(101, dtype=np.float64)
"""The 101 bins 0.25, 2.25, ... 200.25 meV; the first 51 are those of BETE-NET and BEE-NET."""
ALPHA2F_GRID_MEV.setflags(write=False)

_FINE_PER_BIN = 20  # the smoothing works on a grid of 0.1 meV
_FINE_BEYOND = 8  # points of it from the last bin on: theirs ends at 100.95 meV
_WINDOW, _ORDER = 101, 3


class Moments(NamedTuple):
    """Moments of one spectrum or of a batch; each array has the shape of the batch.

    Attributes
    ----------
    lambda_
        Electron-phonon coupling; 0 where the spectrum gives none.
    omega_log_K
        Logarithmic mean frequency (K); NaN where lambda is 0.
    omega2_K
        Root of the second moment (K), never below ``omega_log_K`` for a spectrum without negative values; NaN where
        lambda is 0.
    """

    lambda_: NDArray[np.float64]
    omega_log_K: NDArray[np.float64]
    omega2_K: NDArray[np.float64]


def spectral_moments(omega_meV: ArrayLike, alpha2f: ArrayLike, *, omega_min_meV: float | None = None) -> Moments:
    """Integrate the moments of alpha2F by the trapezoidal rule.

    Parameters
    ----------
    omega_meV
        Frequencies (meV), shape (n,), increasing, any spacing. In another unit lambda stays the same and the
        frequencies, hence Tc, come out wrong.
    alpha2f
        Spectra, shape (..., n), without unit.
    omega_min_meV
        Only frequencies above it count (meV). By default those above 0: imaginary modes, which are often written as
        negative frequencies, never count. A small positive value removes noise near 0, which 1/omega blows up.

    Returns
    -------
    Moments
        Arrays of shape (...).

    Raises
    ------
    SpectrumError
        When the frequencies are not increasing or the shapes disagree.

    Notes
    -----
    Allen and Dynes, Phys. Rev. B 12, 905 (1975): lambda = 2 int alpha2F/omega,
    omega_log = exp[(2/lambda) int ln(omega) alpha2F/omega], omega_2 = sqrt[(2/lambda) int omega alpha2F].

    Examples
    --------
    A narrow mode at 20 meV:

    >>> moments = spectral_moments([19.9, 20.0, 20.1], [0.0, 100.0, 0.0])
    >>> round(float(moments.lambda_), 3), round(float(moments.omega_log_K), 1)
    (1.0, 232.1)
    """
    omega, spectra = checked_spectra(omega_meV, alpha2f)
    kept = omega > max(0.0, omega_min_meV or 0.0)
    omega = omega[kept]
    density = 2 * spectra[..., kept] / omega
    lam, log_sum, square_sum = (trapezoid(density * x, omega) for x in (1.0, np.log(omega), omega**2))
    return _moments(np.asarray(lam), np.asarray(log_sum), np.asarray(square_sum))


def binned_moments(alpha2f: ArrayLike) -> Moments:
    """Moments of binned spectra by the sum that BETE-NET and BEE-NET use.

    Parameters
    ----------
    alpha2f
        Values on the first n bins of `ALPHA2F_GRID_MEV`, shape (..., n): all 101, or 51 for theirs.

    Returns
    -------
    Moments
        Arrays of shape (...).

    Raises
    ------
    SpectrumError
        When the last axis has fewer than 2 or more than 101 bins.

    Notes
    -----
    A right Riemann sum: each bin but the first counts with its own frequency and 2 meV. On a narrow spectrum it differs
    by some per cent from the trapezoidal rule of `spectral_moments`; moments by the two rules should not be mixed.

    Examples
    --------
    >>> spectrum = np.where((ALPHA2F_GRID_MEV > 10) & (ALPHA2F_GRID_MEV < 31), 0.5, 0.0)
    >>> [round(float(moment), 4) for moment in binned_moments(spectrum)]
    [1.2156, 197.7904, 222.1516]
    """
    spectra = np.asarray(alpha2f, float)
    n = spectra.shape[-1] if spectra.ndim else 0
    if not 2 <= n <= len(ALPHA2F_GRID_MEV):
        raise SpectrumError(f"{n} bins do not fit the grid: give 2 to {len(ALPHA2F_GRID_MEV)} bins on the last axis")
    omega = ALPHA2F_GRID_MEV[1:n]
    density = 2 * spectra[..., 1:] / omega * BIN_WIDTH_MEV
    return _moments(density.sum(-1), (density * np.log(omega)).sum(-1), (density * omega**2).sum(-1))


def accumulated_lambda(omega_meV: ArrayLike, alpha2f: ArrayLike) -> NDArray[np.float64]:
    """Return lambda as accumulated from 0 up to each frequency.

    Parameters
    ----------
    omega_meV
        Frequencies (meV), shape (n,), increasing.
    alpha2f
        Spectra, shape (..., n).

    Returns
    -------
    numpy.ndarray
        Shape (..., n), 0 up to the first positive frequency; the last value is the lambda of `spectral_moments`.

    Raises
    ------
    SpectrumError
        When the frequencies are not increasing or the shapes disagree.

    Examples
    --------
    >>> accumulated_lambda([0.0, 10.0, 20.0, 40.0], [0.0, 0.2, 0.4, 0.0]).round(2).tolist()
    [0.0, 0.0, 0.4, 0.8]
    """
    omega, spectra = checked_spectra(omega_meV, alpha2f)
    positive = omega > 0
    out = np.zeros(spectra.shape)
    if positive.any():
        density = 2 * spectra[..., positive] / omega[positive]
        out[..., positive] = cumulative_trapezoid(density, omega[positive], initial=0)
    return out


def bin_spectrum(
    omega_meV: ArrayLike, alpha2f: ArrayLike, *, smooth: bool = True, n_bins: int = 101
) -> NDArray[np.float64]:
    """Put spectra on the 2 meV bins, by the preprocessing of BETE-NET and BEE-NET.

    Parameters
    ----------
    omega_meV
        Frequencies (meV), shape (n,), increasing.
    alpha2f
        Spectra, shape (..., n). They should end at 0; what lies above the last bin is lost.
    smooth
        Smooth over 10 meV. False only samples the spectrum at the bins.
    n_bins
        Bins wanted, 6 to 101; 51 gives theirs, which end at 100.25 meV.

    Returns
    -------
    numpy.ndarray
        Shape (..., n_bins), without negative values, not normalised: the area carries lambda.

    Raises
    ------
    SpectrumError
        When the frequencies are not increasing, the shapes disagree, or ``n_bins`` is out of range.

    Notes
    -----
    Linear interpolation to 0.1 meV from 0.25 meV, Savitzky-Golay filter of 101 points and order 3 (edges by the
    polynomial of the last window), every 20th point, negative values to 0. The grid of 0.1 meV goes 0.7 meV beyond the
    last bin, as theirs. Above the last given frequency the spectrum is taken as 0, below the first one as constant.

    Examples
    --------
    >>> bins = bin_spectrum([0.0, 10.0, 20.0, 30.0], [0.0, 0.3, 0.3, 0.0], smooth=False, n_bins=51)
    >>> bins.shape, float(bins[8].round(3))
    ((51,), 0.3)
    """
    from scipy.signal import savgol_filter

    omega, spectra = checked_spectra(omega_meV, alpha2f)
    least = 1 + _WINDOW // _FINE_PER_BIN
    if not least <= n_bins <= len(ALPHA2F_GRID_MEV):
        raise SpectrumError(f"n_bins is {n_bins}: choose {least} to {len(ALPHA2F_GRID_MEV)}")
    step = BIN_WIDTH_MEV / _FINE_PER_BIN
    fine = ALPHA2F_GRID_MEV[0] + step * np.arange(_FINE_PER_BIN * (n_bins - 1) + _FINE_BEYOND)
    rows = [np.interp(fine, omega, row, right=0.0) for row in spectra.reshape(-1, len(omega))]
    out = np.array(rows).reshape(*spectra.shape[:-1], len(fine))
    if smooth:
        out = np.asarray(savgol_filter(out, _WINDOW, _ORDER, mode="interp", axis=-1), float)
    return np.maximum(out[..., ::_FINE_PER_BIN], 0.0)


def checked_spectra(omega_meV: ArrayLike, alpha2f: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return grid (n,) and spectra (..., n) as float arrays; SpectrumError when they do not fit each other."""
    omega, spectra = np.asarray(omega_meV, float), np.asarray(alpha2f, float)
    if omega.ndim != 1 or len(omega) < 2:
        raise SpectrumError(f"the frequencies have shape {omega.shape}: give one axis of at least 2 values")
    if spectra.shape[-1:] != omega.shape:
        raise SpectrumError(f"the spectra have shape {spectra.shape}, but there are {len(omega)} frequencies")
    wrong = np.flatnonzero(~(np.diff(omega) > 0) | ~np.isfinite(omega[1:]))
    if len(wrong) or not np.isfinite(omega[0]):
        i = int(wrong[0]) + 1 if len(wrong) else 0
        raise SpectrumError(f"the frequencies do not increase at index {i} ({omega[i]} meV): sort them, drop doubles")
    return omega, spectra


def _moments(lam: NDArray[np.float64], log_sum: NDArray[np.float64], square_sum: NDArray[np.float64]) -> Moments:
    """Turn the three integrals (frequencies in meV) into moments."""
    weak = lam <= 0
    with np.errstate(over="ignore", invalid="ignore"):  # negative values may leave a second moment below 0: NaN
        safe = np.where(weak, np.nan, lam)
        omega_log = np.exp(log_sum / safe) * K_PER_MEV
        omega2 = np.sqrt(square_sum / safe) * K_PER_MEV
    return Moments(np.where(weak, 0.0, lam), np.asarray(omega_log), np.asarray(omega2))
