"""Where lambda does not depend on the smearing: the plateau of lambda(sigma)."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import VerificationError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

MIN_POINTS, MIN_SHARE = 4, 0.4
"""A plateau has at least 4 widths, and at least 4 of every 10 that were computed."""
MAX_SPREAD = 0.10
"""Range of lambda over a plateau, in units of its mean."""
MAX_DRIFT = 0.08
"""Change of the fitted straight line over a plateau, in units of the mean."""
DOS_JUMP, LAMBDA_JUMP = 0.10, 0.25
"""A width is too small for the k grid when the next one changes N(E_F) or lambda by more than this share."""


@dataclass(frozen=True)
class Plateau:
    """A window of smearings over which lambda is flat.

    Attributes
    ----------
    first, last
        Indices of the first and the last smearing in it.
    sigma_Ry
        Their widths.
    lambda_, lambda_std
        Mean of lambda over the window, and half its range.
    spread, drift
        Range, and change of the fitted straight line over the window, in units of the mean.
    """

    first: int
    last: int
    sigma_Ry: tuple[float, float]
    lambda_: float
    lambda_std: float
    spread: float
    drift: float

    @property
    def window(self) -> slice:
        """Indices of the smearings in it."""
        return slice(self.first, self.last + 1)


def find_plateau(sigmas_Ry: ArrayLike, lambdas: ArrayLike, dos: ArrayLike | None = None) -> Plateau | None:
    """Choose the flattest window of lambda(sigma).

    Parameters
    ----------
    sigmas_Ry
        Widths, shape (n,), increasing.
    lambdas
        Coupling at each width, shape (n,); NaN for a width that must not be used.
    dos
        Density of states at the Fermi level at each width, shape (n,), any unit; helps `first_resolved`.

    Returns
    -------
    Plateau or None
        None where no window is flat.

    Raises
    ------
    VerificationError
        When the widths do not increase or the shapes disagree.

    Notes
    -----
    Widths below the spacing of the k points are left out first (`first_resolved`). Of the windows of neighbouring widths
    that remain, the one with the least sum of spread and drift is the plateau, if its spread is at most 10 % and its
    drift at most 8 %.

    Both numbers lie between what flat and what sloping curves have. For aluminium on grids of 2x2x2 and 4x4x4 wave
    vectors the best window spreads by 1 and 3 % and drifts by 1 % at most. A curve that falls as a power of sigma
    from 1.12 to 0.71 between 0.015 and 0.050 Ry (niobium on 2x2x2), or from 1.80 to 0.98 (MgB2 on 2x2x2), changes by 13 and
    17 % over its last, flattest four widths: there, no value of lambda is better than another. A plateau that just passes
    leaves an uncertainty of 5 % in lambda, thus of 20 % in Tc at lambda = 0.4 and 8 % at lambda = 1.

    Examples
    --------
    >>> sigmas = [0.01, 0.02, 0.03, 0.04, 0.05]
    >>> find_plateau(sigmas, [0.20, 0.40, 0.41, 0.40, 0.41]).sigma_Ry
    (0.02, 0.05)
    >>> find_plateau(sigmas, [1.8, 1.5, 1.3, 1.1, 1.0]) is None
    True
    """
    sigmas, curve = _checked(sigmas_Ry, lambdas)
    least = max(MIN_POINTS, ceil(MIN_SHARE * len(sigmas)))
    start = first_resolved(sigmas, curve, dos)
    windows = [
        _window(sigmas, curve, first, last)
        for first in range(start, len(sigmas))
        for last in range(first + least - 1, len(sigmas))
        if (curve[first : last + 1] > 0).all()  # neither NaN
    ]
    flat = [window for window in windows if window.spread <= MAX_SPREAD and window.drift <= MAX_DRIFT]
    return min(flat, key=lambda window: window.spread + window.drift, default=None)


def first_resolved(sigmas_Ry: ArrayLike, lambdas: ArrayLike, dos: ArrayLike | None = None) -> int:
    """Return the index of the first width that is not too small for the k grid.

    Parameters
    ----------
    sigmas_Ry, lambdas, dos
        As in `find_plateau`.

    Returns
    -------
    int
        All widths below it are to be left out; 0 when all are good.

    Notes
    -----
    Gaussians narrower than the spacing of the energies on the k grid catch few or no states, so that N(E_F) and lambda jump
    from width to width. A width is too small when the step to the next changes N(E_F) by over 10 % or lambda by over
    25 %, and so are all below it. Only the lower half of the widths is looked at: a jump further up has other reasons, and
    ends the search for a plateau by itself.
    """
    sigmas, curve = _checked(sigmas_Ry, lambdas)
    jump = _steps(curve) > LAMBDA_JUMP
    if dos is not None:
        jump |= _steps(_checked(sigmas, dos)[1]) > DOS_JUMP
    found = np.flatnonzero(jump[: len(sigmas) // 2])
    return int(found[-1]) + 1 if len(found) else 0


def _steps(values: Floats) -> Floats:
    """Change from each value to the next, as a share of the larger; NaN next to NaN."""
    larger = np.maximum(np.abs(values[1:]), np.abs(values[:-1]))
    return np.abs(np.diff(values)) / np.where(larger == 0, 1.0, larger)


def _window(sigmas: Floats, curve: Floats, first: int, last: int) -> Plateau:
    x, y = sigmas[first : last + 1], curve[first : last + 1]
    mean, span = float(y.mean()), float(np.ptp(y))
    slope = float(np.polynomial.Polynomial.fit(x, y, 1).convert().coef[-1])
    edges = (float(x[0]), float(x[-1]))
    return Plateau(first, last, edges, mean, span / 2, span / mean, abs(slope) * float(np.ptp(x)) / mean)


def _checked(sigmas_Ry: ArrayLike, values: ArrayLike) -> tuple[Floats, Floats]:
    sigmas, curve = np.asarray(sigmas_Ry, float), np.asarray(values, float)
    if sigmas.ndim != 1 or sigmas.shape != curve.shape:
        raise VerificationError(f"{curve.shape} values do not belong to {sigmas.shape} widths of the smearing")
    if not (np.diff(sigmas) > 0).all():
        raise VerificationError(f"the widths of the smearing do not increase: {sigmas.tolist()}")
    return sigmas, curve
