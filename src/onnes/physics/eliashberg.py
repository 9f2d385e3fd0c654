"""Isotropic Migdal-Eliashberg equations on the imaginary axis: Tc and gap from alpha2F, constant density of states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.optimize import brentq
from scipy.sparse.linalg import LinearOperator, eigsh

from onnes.errors import ConfigError, SpectrumError
from onnes.physics.allen_dynes import MU_STAR, allen_dynes_tc_K
from onnes.physics.spectra import K_PER_MEV, checked_spectra, spectral_moments

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

CUTOFF = 8.0
"""Default cut-off of the Matsubara frequencies, in highest phonon frequencies."""
MIN_TC_K = 0.01
"""Below this critical temperature a spectrum counts as not superconducting."""

_NOTICEABLE = 1e-3  # of the maximum of alpha2F: what still counts for the highest phonon frequency
_LEAST_COUNT = 8  # Matsubara frequencies kept at high temperature: Tc at lambda 400 is then 1e-4 low
_CHUNK = 1024  # Matsubara frequencies at a time, so that a long spectrum needs little memory
_STRONGEST = 0.1828  # Tc is below this times omega_2 sqrt(lambda) for every spectrum
_FLAT_BELOW = 0.05  # of Tc: at lower temperatures the gap no longer changes
_GAP_TOLERANCE, _GAP_STEPS, _GAP_MEMORY = 1e-8, 1000, 5


def eliashberg_tc_K(
    omega_meV: ArrayLike,
    alpha2f: ArrayLike,
    *,
    mu_star: float = MU_STAR,
    cutoff: float = CUTOFF,
    min_tc_K: float = MIN_TC_K,
) -> NDArray[np.float64]:
    """Critical temperature by the linearised Eliashberg equations.

    Parameters
    ----------
    omega_meV
        Frequencies (meV), shape (n,), increasing; only those above 0 count.
    alpha2f
        Spectra, shape (n,) or (..., n). Negative values count as 0. Of a spectrum on `ALPHA2F_GRID_MEV` leave out the
        first bin, as `binned_moments` does: 1/omega makes much of what the smoothing leaves there.
    mu_star
        Coulomb pseudopotential at the highest phonon frequency, as in the formula of Allen and Dynes.
    cutoff
        Cut-off of the Matsubara frequencies, in units of the highest phonon frequency: the highest one where alpha2F
        is above 0.001 of its maximum.
    min_tc_K
        Lowest temperature that is tried (K).

    Returns
    -------
    numpy.ndarray
        Tc (K) to a relative 1e-5, shape () or (...). Zero below ``min_tc_K``, NaN for a spectrum with NaN.

    Raises
    ------
    SpectrumError
        When the frequencies are not increasing or the shapes disagree.
    ConfigError
        When mu* cannot be carried to the cut-off, which is when mu* ln(cutoff) reaches 1.

    Notes
    -----
    Allen and Dynes, Phys. Rev. B 12, 905 (1975), and Allen and Mitrovic, Solid State Physics 37, 1 (1982). The
    matrix of the linearised equations is K = L - D, with L_nm = lambda(n-m) + lambda(n+m+1) - 2 mu* and the diagonal
    D_n = 2n + 1 + lambda(0) + 2 sum_{l=1..n} lambda(l). A crystal is superconducting when K is not negative definite,
    that is when the largest eigenvalue of D^(-1/2) L D^(-1/2) exceeds 1. Here it is found by the Lanczos method; L is
    applied by Fourier transforms, so that thousands of Matsubara frequencies take milliseconds.

    mu* is carried to the cut-off by 1/mu*(wc) = 1/mu* - ln(wc/omega_max), with wc = 2 pi T N of the N frequencies
    that are summed, at least 8. Tc still falls by 0.5 to 2 % when ``cutoff`` goes from 4 to 8, and by less beyond.

    Examples
    --------
    A narrow mode of 20 meV with lambda = 1, without repulsion; Tc is 0.1146 of the frequency:

    >>> eliashberg_tc_K([19.99, 20.0, 20.01], [0.0, 1000.0, 0.0], mu_star=0.0).round(1).tolist()
    26.6
    """
    _check_settings(mu_star, cutoff)
    omega, spectra = checked_spectra(omega_meV, alpha2f)
    rows = [_tc_K(_Phonons.of(omega, row, mu_star, cutoff), min_tc_K) for row in spectra.reshape(-1, spectra.shape[-1])]
    return np.array(rows, float).reshape(spectra.shape[:-1])


def eliashberg_gap_meV(
    omega_meV: ArrayLike,
    alpha2f: ArrayLike,
    temperature_K: ArrayLike,
    *,
    mu_star: float = MU_STAR,
    cutoff: float = CUTOFF,
) -> NDArray[np.float64]:
    """Superconducting gap by the full (not linearised) Eliashberg equations.

    Parameters
    ----------
    omega_meV
        Frequencies (meV), shape (n,), increasing; only those above 0 count.
    alpha2f
        One spectrum, shape (n,). Negative values count as 0.
    temperature_K
        Temperatures (K), scalar or any shape, 0 or more.
    mu_star, cutoff
        As in `eliashberg_tc_K`.

    Returns
    -------
    numpy.ndarray
        Delta at the lowest Matsubara frequency (meV), the shape of ``temperature_K``; 0 from Tc on. It stands for the
        gap edge, which lies on the real axis: the two agree at weak coupling and low temperature, and differ by some
        per cent at strong coupling. Below Tc/20, where the gap is flat, the value at Tc/20 is given.

    Raises
    ------
    SpectrumError
        When the spectrum cannot be used or the iteration does not converge.
    ConfigError
        When a temperature is negative or NaN, or mu* cannot be carried to the cut-off.

    Notes
    -----
    Z and Delta on the imaginary axis as in Allen and Mitrovic (1982), solved by fixed-point steps with Anderson mixing.
    The unknowns are ln Delta_0 and Delta_n/Delta_0, which keeps the iteration away from the solution without gap.

    Examples
    --------
    >>> mode = [19.99, 20.0, 20.01], [0.0, 1000.0, 0.0]
    >>> eliashberg_gap_meV(*mode, [0.0, 15.0, 30.0], mu_star=0.0).round(1).tolist()
    [4.7, 4.5, 0.0]
    """
    _check_settings(mu_star, cutoff)
    omega, spectrum = checked_spectra(omega_meV, alpha2f)
    if spectrum.ndim != 1:
        raise SpectrumError(f"the gap takes one spectrum, not an array of shape {spectrum.shape}: loop over them")
    temperature = np.asarray(temperature_K, float)
    if not (temperature >= 0).all():
        raise ConfigError("a temperature is negative or NaN: give 0 K or more")
    phonons = _Phonons.of(omega, spectrum, mu_star, cutoff)
    tc = _tc_K(phonons, MIN_TC_K)
    if np.isnan(tc):
        return np.full(temperature.shape, np.nan)
    gaps = [_gap_K(phonons, max(t, _FLAT_BELOW * tc), tc) if t < tc else 0.0 for t in temperature.ravel()]
    return np.array(gaps, float).reshape(temperature.shape) / K_PER_MEV


def _check_settings(mu_star: float, cutoff: float) -> None:
    if not (mu_star >= 0 and cutoff >= 1 and mu_star * np.log(cutoff) < 1):
        raise ConfigError(
            f"mu* = {mu_star} with a cut-off of {cutoff} phonon frequencies: mu* must not be negative, the cut-off at "
            "least 1, and mu* ln(cutoff) below 1"
        )


@dataclass(frozen=True, eq=False)
class _Phonons:
    """One spectrum in kelvin, ready for sums over Matsubara frequencies."""

    square_K2: NDArray[np.float64]  # omega^2
    weight_K2: NDArray[np.float64]  # 2 omega alpha2F d omega, by the trapezoidal rule
    guess_K: float  # Allen-Dynes Tc
    bound_K: float  # no Tc lies above
    wc_K: float
    omega_max_K: float
    mu_star: float

    @classmethod
    def of(
        cls, omega_meV: NDArray[np.float64], alpha2f: NDArray[np.float64], mu_star: float, cutoff: float
    ) -> _Phonons | None:
        """Prepare a spectrum; None when it has no coupling."""
        spectrum = np.where(omega_meV > 0, np.maximum(alpha2f, 0.0), 0.0)  # NaN stays
        moments = spectral_moments(omega_meV, spectrum)
        if moments.lambda_ == 0:
            return None
        positive = omega_meV > 0
        omega, spectrum = omega_meV[positive] * K_PER_MEV, spectrum[positive]
        half = np.diff(omega) / 2
        weight = 2 * omega * spectrum * (np.append(half, 0.0) + np.append(0.0, half))
        used = weight != 0
        noticeable = omega[spectrum > _NOTICEABLE * spectrum.max()]
        omega_max = noticeable[-1] if len(noticeable) else np.nan
        return cls(
            omega[used] ** 2,
            weight[used],
            float(allen_dynes_tc_K(*moments, mu_star=mu_star)),
            float(_STRONGEST * moments.omega2_K * np.sqrt(moments.lambda_)),
            cutoff * omega_max,
            omega_max,
            mu_star,
        )

    def matsubara(self, temperature_K: float) -> _Matsubara:
        """Interaction at one temperature."""
        count = max(_LEAST_COUNT, round(self.wc_K / (2 * np.pi * temperature_K)))
        nu2 = (2 * np.pi * temperature_K * np.arange(2 * count)) ** 2
        lam = [
            (self.weight_K2 / (self.square_K2 + part[:, None])).sum(1)
            for part in np.split(nu2, range(_CHUNK, 2 * count, _CHUNK))
        ]
        # the sum over N frequencies ends midway between two of them, at 2 pi T N
        log = np.log(2 * np.pi * temperature_K * count / self.omega_max_K)
        mu_star = self.mu_star / max(1 - self.mu_star * log, 1e-3)  # far above the phonons the repulsion only grows
        return _Matsubara.of(temperature_K, count, np.concatenate(lam), mu_star)


@dataclass(frozen=True, eq=False)
class _Matsubara:
    """The interaction between N positive Matsubara frequencies (2n + 1) pi T."""

    omega_K: NDArray[np.float64]  # (N,)
    diagonal: NDArray[np.float64]  # (N,) lambda(0) + 2 sum of lambda(1 ... n)
    kernel: NDArray[np.complex128]  # Fourier transform of lambda(-2N+1 ... 2N-1)
    length: int
    mu_star: float

    @classmethod
    def of(cls, temperature_K: float, count: int, lam: NDArray[np.float64], mu_star: float) -> _Matsubara:
        length = int(np.asarray(next_fast_len(4 * count, real=True)))
        padded = np.zeros(length)
        padded[: 2 * count] = lam
        padded[length - 2 * count + 1 :] = lam[:0:-1]
        return cls(
            (2 * np.arange(count, dtype=np.float64) + 1) * (np.pi * temperature_K),
            2.0 * np.cumsum(lam[:count]) - lam[0],
            np.asarray(rfft(padded)),
            length,
            mu_star,
        )

    def attraction(self, x: NDArray[np.float64], parity: int) -> NDArray[np.float64]:
        """Sum over all m of lambda(n-m) x_m, for x even (1) or odd (-1) in frequency."""
        count = len(x)
        both = np.concatenate([parity * x[::-1], x])
        return np.asarray(irfft(np.asarray(rfft(both, self.length)) * self.kernel, self.length))[count : 2 * count]

    def pairing(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Attraction less repulsion of an even x."""
        return self.attraction(x, 1) - 2 * self.mu_star * x.sum()

    def leading(self) -> tuple[float, NDArray[np.float64]]:
        """Largest eigenvalue of the linearised equations (above 1 when superconducting), and the gap's shape (N,)."""
        scale = 1 / np.sqrt(2 * np.arange(len(self.omega_K)) + 1 + self.diagonal)
        value, vector = eigsh(_Scaled(self, scale), 1, which="LA", v0=scale**2)
        shape = self.omega_K * scale * vector[:, 0]
        return float(value[0]), shape / shape[0]

    def gap_step(self, unknown: NDArray[np.float64]) -> NDArray[np.float64]:
        """One fixed-point step of (ln Delta_0, Delta_1/Delta_0, ...), Delta in kelvin."""
        delta = np.exp(unknown[0]) * np.concatenate([[1.0], unknown[1:]])
        root = np.hypot(self.omega_K, delta)
        pi_t = self.omega_K[0]
        # the frequencies beyond the cut-off, where Delta is 0, count in the diagonal
        z = 1 + pi_t / self.omega_K * (self.diagonal + self.attraction(self.omega_K / root - 1, -1))
        new = pi_t * self.pairing(delta / root) / z
        ln_gap = np.log(new[0]) if new[0] > 0 else unknown[0] - 1  # a change of sign must not look like a solution
        return np.concatenate([[ln_gap], new[1:] / new[0]])


class _Scaled(LinearOperator):
    """The pairing between two diagonal matrices: symmetric, as the Lanczos method wants it."""

    def __init__(self, sums: _Matsubara, scale: NDArray[np.float64]) -> None:
        super().__init__(np.dtype(float), (len(scale), len(scale)))
        self.sums, self.scale = sums, scale

    def _matvec(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.scale * self.sums.pairing(self.scale * x.ravel())


def _tc_K(phonons: _Phonons | None, min_tc_K: float) -> float:
    """Root of the pairing strength in ln T, from a bracket around the Allen-Dynes Tc."""
    if phonons is None:
        return 0.0
    if np.isnan(phonons.bound_K):
        return np.nan
    if phonons.bound_K <= min_tc_K:
        return 0.0

    def excess(ln_t: float) -> float:
        return phonons.matsubara(np.exp(ln_t)).leading()[0] - 1

    floor, step = np.log(min_tc_K), 0.2
    low = high = np.log(min(max(phonons.guess_K, min_tc_K), phonons.bound_K))
    if excess(low) >= 0:
        while excess(high := high + step) >= 0:
            low, step = high, 2 * step
    else:
        while low > floor:
            low, high, step = max(low - step, floor), low, 2 * step
            if excess(low) >= 0:
                break
        else:
            return 0.0
    return float(np.exp(np.asarray(brentq(excess, low, high, xtol=1e-5), float)))


def _gap_K(phonons: _Phonons | None, temperature_K: float, tc_K: float) -> float:
    """Delta at the lowest Matsubara frequency (K); below Tc there are phonons."""
    if phonons is None:
        return 0.0
    sums = phonons.matsubara(temperature_K)
    start = sums.leading()[1]
    start[0] = np.log(1.76 * tc_K * np.tanh(1.74 * np.sqrt(tc_K / temperature_K - 1)))
    lowest = np.log(1e-4 * tc_K)  # so near Tc that rounding the number of frequencies decides
    solution = _anderson(sums.gap_step, start, stop=lambda unknown: unknown[0] < lowest)
    return float(np.exp(solution[0])) if solution[0] >= lowest else 0.0


def _anderson(
    step: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    start: NDArray[np.float64],
    *,
    stop: Callable[[NDArray[np.float64]], bool],
) -> NDArray[np.float64]:
    """Fixed point of a map by Anderson mixing, or the first point where ``stop`` holds."""
    x, points, images = start, [], []
    for _ in range(_GAP_STEPS):
        image = step(x)
        if np.abs(image - x).max() < _GAP_TOLERANCE or stop(x):
            return x
        points, images = [*points[-_GAP_MEMORY:], x], [*images[-_GAP_MEMORY:], image]
        residuals = np.array(images) - np.array(points)
        x = image
        if len(points) > 1:
            mixing = np.linalg.lstsq(np.diff(residuals, axis=0).T, residuals[-1], rcond=1e-12)[0]
            x = image - mixing @ np.diff(images, axis=0)
    raise SpectrumError(f"the gap equation did not converge in {_GAP_STEPS} steps: check the spectrum and its unit")
