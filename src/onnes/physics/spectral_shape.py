"""alpha2F that has given moments and otherwise follows a phonon density of states.

A model that predicts only lambda, omega_log and omega2 says nothing of the curve between them. Here the curve is the
phonon density of states F, stretched, times a smooth coupling alpha^2 with two parameters that bring the moments in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnes.physics.spectra import ALPHA2F_GRID_MEV, BIN_WIDTH_MEV, K_PER_MEV, Moments, binned_moments

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from onnes.crystals.batch import CrystalBatch

    Floats = NDArray[np.float64]

STRETCH_LIMITS = (0.8, 1.6)
"""How far a density of states is stretched to meet omega2; potentials are soft, so the upper limit is farther off."""

# Bin 0 and the last bin stay empty: then the trapezoid and the right Riemann sum are the same sum.
_BINS = ALPHA2F_GRID_MEV[1:-1]
_LOG_BINS = np.log(_BINS)
_FLOOR = 0.01  # share of a Debye spectrum that is mixed in, so that gaps and noise of F forbid no frequency
_SMALLEST_LAST = 2  # two conditions need at least three bins
_ROOM = 0.9  # share of the range of <omega^2> that is used before the highest phonon is raised
_TOP_MARGIN = 0.98
_BOTTOM_MARGIN = 1.002
_EDGE = 1.02
_MAX_ITERATIONS = 200
_TOLERANCE = 1e-11
_SAME = 1e-6

# The shape without phonons, in units in which a band of atoms of the mean mass lies at 1. Cut and width were
# chosen by the overlap with 534 computed, stable phonon densities of states (JARVIS, md5 buckets outside 80-89); with an
# acoustic share of 0 the overlap is 0.01 larger, but then nothing couples at low frequency.
_ACOUSTIC_SHARE = 0.15
_ACOUSTIC_CUT = 0.8
_BAND_WIDTH = 0.24
_BAND_END = 2.0
_POINTS = 401


@dataclass(frozen=True, eq=False)
class PhononDos:
    """Phonon density of states of one crystal.

    Attributes
    ----------
    omega_meV
        Increasing frequencies from 0 to the highest phonon, shape (n,).
    dos
        Density at these frequencies, not negative, shape (n,). Its integral does not matter here.
    """

    omega_meV: Floats
    dos: Floats

    @property
    def highest_meV(self) -> float:
        """The highest phonon (meV); NaN for an empty density."""
        return float(self.omega_meV[-1]) if len(self.omega_meV) else float("nan")


@dataclass(frozen=True, eq=False)
class DosBatch:
    """Phonon densities of states of B crystals.

    Attributes
    ----------
    highest_meV
        Highest phonon of each crystal, shape (B,); NaN where there is no density.
    dos
        Row i holds the density at n equally spaced frequencies from 0 to ``highest_meV[i]``, shape (B, n).
    """

    highest_meV: Floats
    dos: Floats

    @classmethod
    def of(cls, densities: Sequence[PhononDos], *, n_points: int = _POINTS) -> DosBatch:
        """Put the densities of several crystals on a relative grid of ``n_points`` frequencies each."""
        highest = np.array([one.highest_meV for one in densities])
        rows = np.zeros((len(highest), n_points))
        for i in np.flatnonzero(highest > 0).tolist():
            one = densities[i]
            rows[i] = np.interp(np.linspace(0, highest[i], n_points), one.omega_meV, one.dos)
        return cls(highest, rows)

    def __len__(self) -> int:
        return len(self.highest_meV)

    def replaced(self, indices: Sequence[int] | NDArray[np.integer], densities: Sequence[PhononDos]) -> DosBatch:
        """Return a copy in which the rows ``indices`` hold ``densities``."""
        new = DosBatch.of(densities, n_points=self.dos.shape[1])
        highest, dos = self.highest_meV.copy(), self.dos.copy()
        highest[np.asarray(indices, int)], dos[np.asarray(indices, int)] = new.highest_meV, new.dos
        return DosBatch(highest, dos)


@dataclass(frozen=True, eq=False)
class ShapeFit:
    """alpha2F of B crystals and what was done to get it.

    Attributes
    ----------
    alpha2f
        Shape (B, 101), on `onnes.physics.spectra.ALPHA2F_GRID_MEV`; never negative, 0 in the first and last bin and
        above ``omega_max_meV``. NaN where an input was NaN.
    moments
        Moments that ``alpha2f`` has, by the rule for binned spectra.
    stretch
        Factor by which the frequencies of the density of states were multiplied, shape (B,).
    omega_max_meV
        Highest phonon after stretching, shape (B,).
    adjusted
        True where the moments that were asked for are not those of ``alpha2f``, shape (B,).
    """

    alpha2f: Floats
    moments: Moments
    stretch: Floats
    omega_max_meV: Floats
    adjusted: NDArray[np.bool_]


def alpha2f_of_moments(
    shape: DosBatch | PhononDos | Sequence[PhononDos],
    lambda_: ArrayLike,
    omega_log_K: ArrayLike,
    omega2_K: ArrayLike,
    *,
    stretch: ArrayLike | None = None,
) -> ShapeFit:
    """Eliashberg functions with given moments, shaped by phonon densities of states.

    Parameters
    ----------
    shape
        Densities of states of B crystals; `PhononDos` for one.
    lambda_
        Coupling, shape (B,). Where it is 0 (or below) the spectrum is 0.
    omega_log_K, omega2_K
        Logarithmic mean and second moment (K), shape (B,).
    stretch
        Fixed factors, shape (B,) or one number; found from omega2 by default.

    Returns
    -------
    ShapeFit
        Spectra and the moments that they really have.

    Notes
    -----
    alpha2F(omega) = A omega^b exp(c omega^2) F(omega/s). The weight g = (2/lambda) alpha2F/omega is a probability
    density, and with this form it is the one of least relative entropy to F(omega/s)/omega among all that have
    E[ln omega] = ln omega_log and E[omega^2] = omega2^2 (Jaynes, Phys. Rev. 106, 620 (1957)). b and c minimise a strictly
    convex function; they are found on the 2 meV bins themselves, so the binned moments are exact. F is averaged over each
    bin, and 1 % of a Debye spectrum is mixed in.

    The stretch s makes the second moment of F(omega/s)/omega equal to omega2, within `STRETCH_LIMITS`; it is made larger
    where the stretched phonons could not hold the moments. Moments that no spectrum on this grid has (omega2 too close to
    omega_log, frequencies below 2 or above 198 meV) are replaced by the nearest that one has: first omega_log is put
    inside the bins, then omega2 is moved.

    Examples
    --------
    >>> import numpy as np
    >>> debye = PhononDos(np.linspace(0, 30, 301), np.linspace(0, 30, 301) ** 2)
    >>> fit = alpha2f_of_moments(debye, [0.8], [180.0], [215.0])
    >>> fit.alpha2f.shape, fit.moments.omega2_K.round(3).tolist(), fit.adjusted.tolist()
    ((1, 101), [215.0], [False])
    """
    batch = _as_batch(shape)
    given = (lambda_, omega_log_K, omega2_K, 1.0 if stretch is None else stretch)
    lam, log_K, two_K, fixed = (np.broadcast_to(np.asarray(value, float), (len(batch),)) for value in given)
    known = np.isfinite(lam + log_K + two_K + fixed) & (batch.highest_meV > 0)
    rows = np.flatnonzero(known)
    spectra = np.full((len(batch), len(_BINS) + 2), np.nan)
    factor, omega_max = np.full(len(batch), np.nan), np.full(len(batch), np.nan)
    if len(rows):
        some = DosBatch(batch.highest_meV[rows], batch.dos[rows])
        mean_log, mean_square = _feasible_mean(log_K[rows], two_K[rows])
        natural = _stretch(some, np.sqrt(mean_square)) if stretch is None else fixed[rows]
        top = np.maximum(natural * some.highest_meV, _needed_top(mean_log, mean_square))
        factor[rows], omega_max[rows] = top / some.highest_meV, top
        weights = _most_likely(_log_prior(some, top), mean_log, _inside(mean_log, mean_square, top))
        spectra[rows] = 0.0
        spectra[rows, 1:-1] = np.maximum(lam[rows], 0)[:, None] / 2 * weights * _BINS / BIN_WIDTH_MEV
    moments = binned_moments(spectra)
    adjusted = known & ~(
        _same(moments.lambda_, lam)
        & ((lam <= 0) | (_same(moments.omega_log_K, log_K) & _same(moments.omega2_K, two_K)))
    )
    return ShapeFit(spectra, moments, factor, omega_max, adjusted)


def empirical_dos(batch: CrystalBatch, debye_K: ArrayLike) -> DosBatch:
    """Guess a phonon density of states from masses and a Debye temperature, without any phonon calculation.

    This is empirical: a Debye part (15 % of the modes) up to a cut, and for each atom a Gaussian band at a frequency
    proportional to 1/sqrt(mass), cut off sharply two widths above the highest band. All 3N modes together have the mean
    square frequency of the Debye spectrum, 3/5 of the squared Debye frequency. It does not depend on the cell chosen.
    Measured against 67 computed, stable densities of states (JARVIS, md5 buckets 80-89, scaled to the same mean square)
    it overlaps by 0.64 on average, a pure Debye spectrum by 0.50.

    Parameters
    ----------
    batch
        B crystals; only ``atomic_numbers`` and ``offsets`` are read.
    debye_K
        Debye temperature (K), shape (B,). NaN or not positive gives no density.

    Returns
    -------
    DosBatch
        Normalised to 3N modes (modes per meV and cell).

    Examples
    --------
    >>> import numpy as np
    >>> from onnes.crystals.batch import CrystalBatch
    >>> niobium = CrystalBatch.of([(np.eye(3) * 3.3, np.zeros((1, 3)), [41])])
    >>> empirical_dos(niobium, [275.0]).highest_meV.round(1).tolist()
    [28.2]
    """
    from ase.data import atomic_masses

    counts = np.diff(batch.offsets).astype(float)
    n = len(counts)
    owners = np.repeat(np.arange(n), counts.astype(int))
    kinds, kind_counts = np.unique(owners * 128 + batch.atomic_numbers, return_counts=True)
    owner, masses = kinds // 128, atomic_masses[kinds % 128]
    share = kind_counts / counts[owner]
    mean_mass = np.bincount(owner, share * masses, n)
    centre = np.sqrt(mean_mass[owner] / masses)
    top = np.full(n, _ACOUSTIC_CUT)
    np.maximum.at(top, owner, centre * (1 + _BAND_END * _BAND_WIDTH))
    relative = np.linspace(0, 1, _POINTS)
    x = relative * top[:, None]
    density = _ACOUSTIC_SHARE * 3 * x**2 / _ACOUSTIC_CUT**3 * (x <= _ACOUSTIC_CUT)
    width = (_BAND_WIDTH * centre)[:, None]
    bands = np.exp(-0.5 * ((x[owner] - centre[:, None]) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    np.add.at(density, owner, (1 - _ACOUSTIC_SHARE) * share[:, None] * bands)
    square = np.trapezoid(density * x**2, relative, axis=1) / np.trapezoid(density, relative, axis=1)
    debye = np.broadcast_to(np.asarray(debye_K, float), (n,)) / K_PER_MEV
    highest = np.where(debye > 0, top * np.sqrt(0.6 / square) * debye, np.nan)
    density *= (3 * counts / (np.trapezoid(density, relative, axis=1) * highest))[:, None]
    return DosBatch(highest, density)


def overlap(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Overlap of two spectra on the same uniform grid: 1 - half the L1 distance of the curves normalised to area 1.

    Parameters
    ----------
    a, b
        Shape (..., n), not negative.

    Returns
    -------
    numpy.ndarray
        Shape (...): 1 for the same shape, 0 for curves that do not meet, NaN where one has no area.

    Examples
    --------
    >>> float(overlap([0.0, 1.0, 1.0], [0.0, 4.0, 0.0]))
    0.5
    """
    first, second = np.asarray(a, float), np.asarray(b, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = first / first.sum(-1, keepdims=True) - second / second.sum(-1, keepdims=True)
    return 1 - 0.5 * np.abs(difference).sum(-1)


def _as_batch(shape: DosBatch | PhononDos | Sequence[PhononDos]) -> DosBatch:
    if isinstance(shape, DosBatch):
        return shape
    return DosBatch.of([shape] if isinstance(shape, PhononDos) else shape)


def _same(have: Floats, wanted: Floats) -> NDArray[np.bool_]:
    return np.abs(have - wanted) <= _SAME * np.abs(wanted)


def _stretch(batch: DosBatch, omega2_meV: Floats) -> Floats:
    """Factor that gives the prior F(omega/s)/omega the second moment omega2, within the limits."""
    relative = np.linspace(0, 1, batch.dos.shape[1])[1:]
    density = batch.dos[:, 1:]
    inverse = (density / relative).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        natural = batch.highest_meV * np.sqrt((density * relative).sum(1) / inverse)
        factor = omega2_meV / natural
    return np.where(inverse > 0, factor, 1.0).clip(*STRETCH_LIMITS)


def _least_square(mean_log: Floats) -> Floats:
    """Smallest <omega^2> that spectra on the bins can have with this <ln omega>: all in two neighbouring bins."""
    return np.interp(mean_log, _LOG_BINS, _BINS**2)


def _largest_square(mean_log: Floats, last: NDArray[np.intp]) -> Floats:
    """Largest <omega^2> with this <ln omega>: all in the first and the last bin."""
    part = (mean_log - _LOG_BINS[0]) / (_LOG_BINS[last] - _LOG_BINS[0])
    return _BINS[0] ** 2 + part * (_BINS[last] ** 2 - _BINS[0] ** 2)


def _feasible_mean(log_K: Floats, two_K: Floats) -> tuple[Floats, Floats]:
    """<ln omega> and <omega^2> in meV, moved to where the bins, all of them, can follow."""
    low, high = _BINS[0] * _EDGE, _BINS[-1] / _EDGE
    mean_log = np.log((np.maximum(log_K, 0) / K_PER_MEV).clip(low, high))
    return mean_log, np.maximum((np.maximum(two_K, 0) / K_PER_MEV) ** 2, _BOTTOM_MARGIN * _least_square(mean_log))


def _needed_top(mean_log: Floats, mean_square: Floats) -> Floats:
    """Lowest bin that the highest phonon must reach for the moments to be possible with room to spare."""
    least = _least_square(mean_log)[:, None]
    lasts = np.arange(_SMALLEST_LAST, len(_BINS))
    limit = least + _ROOM * (_largest_square(mean_log[:, None], lasts) - least)
    enough = (limit >= mean_square[:, None]) & (_LOG_BINS[lasts] > mean_log[:, None])
    enough[:, -1] = True
    return _BINS[lasts[enough.argmax(1)]]


def _inside(mean_log: Floats, mean_square: Floats, omega_max: Floats) -> Floats:
    """Keep <omega^2> below what bins up to the highest phonon allow."""
    last = np.searchsorted(_BINS, omega_max, side="right") - 1
    least = _least_square(mean_log)
    largest = _largest_square(mean_log, last)
    return np.minimum(mean_square, least + _TOP_MARGIN * (largest - least))


def _log_prior(batch: DosBatch, omega_max: Floats) -> Floats:
    """Logarithm of F(omega/s)/omega in the bins, shape (B, 99); -inf above the highest phonon."""
    n = batch.dos.shape[1]
    halves = 0.5 * (batch.dos[:, 1:] + batch.dos[:, :-1])
    below = np.concatenate([np.zeros((len(batch), 1)), np.cumsum(halves, axis=1)], axis=1)
    total = below[:, -1:]
    below = below / np.where(total > 0, total, 1.0)
    edges = np.append(_BINS - BIN_WIDTH_MEV / 2, _BINS[-1] + BIN_WIDTH_MEV / 2)
    place = (edges / omega_max[:, None]).clip(0, 1) * (n - 1)
    left = np.minimum(place.astype(int), n - 2)
    part = place - left
    modes = (1 - part) * np.take_along_axis(below, left, 1) + part * np.take_along_axis(below, left + 1, 1)
    floor = 3 * BIN_WIDTH_MEV * _BINS**2 / omega_max[:, None] ** 3
    density = (1 - _FLOOR) * np.diff(modes, axis=1) + _FLOOR * floor
    return np.where(omega_max[:, None] >= _BINS, np.log(density / _BINS), -np.inf)


def _most_likely(log_prior: Floats, mean_log: Floats, mean_square: Floats) -> Floats:
    """Distributions prior * exp(b ln omega + c omega^2) with the given means, shape (B, 99): damped Newton on the dual.

    The dual ln Z(b, c) - b <ln omega> - c <omega^2> is convex; its gradient is the error of the two means and its Hessian
    their covariance. A step that does not lower it is halved.
    """
    weights = np.zeros_like(log_prior)
    rows = np.arange(len(log_prior))
    first = _LOG_BINS - mean_log[:, None]
    second = _BINS**2 / mean_square[:, None] - 1
    start, step, length = np.zeros((len(rows), 2)), np.zeros((len(rows), 2)), np.ones(len(rows))
    value, slope = np.full(len(rows), np.inf), np.zeros(len(rows))
    for _ in range(_MAX_ITERATIONS):
        trial = start + length[:, None] * step
        new_value, gradient, newton, now = _dual(log_prior[rows], first[rows], second[rows], trial)
        better = new_value <= value + 1e-4 * length * slope + 1e-13
        weights[rows[better]] = now[better]
        start[better], value[better], step[better] = trial[better], new_value[better], newton[better]
        slope[better] = (gradient * newton).sum(1)[better]
        length = np.where(better, 1.0, length / 2)
        going = ~(better & (np.abs(gradient).max(1) < _TOLERANCE)) & (length > 1e-12)
        rows, start, step = rows[going], start[going], step[going]
        value, slope, length = value[going], slope[going], length[going]
        if not len(rows):
            break
    return weights


def _dual(log_prior: Floats, first: Floats, second: Floats, at: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Value, gradient, Newton step and normalised weights of the dual at the parameters ``at``, shape (B, 2)."""
    exponent = log_prior + at[:, :1] * first + at[:, 1:] * second
    highest = exponent.max(1, keepdims=True)
    weights = np.exp(exponent - highest)
    total = weights.sum(1, keepdims=True)
    weights /= total
    one, two = (weights * first).sum(1), (weights * second).sum(1)
    away_1, away_2 = first - one[:, None], second - two[:, None]
    h11, h12, h22 = ((weights * product).sum(1) for product in (away_1**2, away_1 * away_2, away_2**2))
    # Far from the solution all weight can sit in one bin; the small term keeps the step finite.
    h11, h22 = h11 * (1 + 1e-12) + 1e-14, h22 * (1 + 1e-12) + 1e-14
    determinant = h11 * h22 - h12**2
    step = -np.stack([h22 * one - h12 * two, h11 * two - h12 * one], axis=1) / determinant[:, None]
    return (highest + np.log(total))[:, 0], np.stack([one, two], axis=1), step, weights
