"""Critical temperature from the moments of alpha2F: McMillan, Allen and Dynes, Phys. Rev. B 12, 905 (1975)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MU_STAR = 0.10
"""Default Coulomb pseudopotential."""
MU_STAR_HIGH = 0.16
"""The second value that every Tc is also reported at."""


def allen_dynes_tc_K(
    lambda_: ArrayLike,
    omega_log_K: ArrayLike,
    omega2_K: ArrayLike | None = None,
    *,
    mu_star: float = MU_STAR,
    strong_coupling: bool = True,
) -> NDArray[np.float64]:
    """Allen-Dynes critical temperature.

    Parameters
    ----------
    lambda_
        Electron-phonon coupling, any shape.
    omega_log_K
        Logarithmic mean phonon frequency (K), same shape.
    omega2_K
        Second moment (K); with it the shape correction f2 is applied where it is not NaN. Without it f2 = 1.
    mu_star
        Coulomb pseudopotential.
    strong_coupling
        Apply f1 (and f2 where possible). False gives the McMillan-Allen-Dynes form.

    Returns
    -------
    numpy.ndarray
        Tc (K), the shape of the input. Zero where lambda <= mu*/(1 - 0.62 mu*), where the formula has no solution.

    Notes
    -----
    Equations 34 to 38 of Allen and Dynes (1975); the ratio omega2/omega_log belongs into Lambda_2.

    Examples
    --------
    >>> allen_dynes_tc_K([0.1, 1.0], [300.0, 300.0], [360.0, 360.0]).round(3).tolist()
    [0.0, 22.272]
    """
    lam, w_log = np.broadcast_arrays(np.asarray(lambda_, float), np.asarray(omega_log_K, float))
    denominator = lam - mu_star * (1 + 0.62 * lam)
    positive = denominator > 0
    with np.errstate(over="ignore"):  # just above the limit the exponent is -inf, and Tc rightly 0
        exponent = -1.04 * (1 + lam) / np.where(positive, denominator, 1.0)
    tc = np.where(positive, w_log / 1.2 * np.exp(exponent), 0.0)
    if strong_coupling:
        tc = tc * _f1(lam, mu_star)
        if omega2_K is not None:
            tc = tc * _f2(lam, np.asarray(omega2_K, float) / w_log, mu_star)
    return np.where(np.isnan(lam) | np.isnan(w_log), np.nan, tc)


def _f1(lam: NDArray[np.float64], mu_star: float) -> NDArray[np.float64]:
    """Strong-coupling correction."""
    scale = 2.46 * (1 + 3.8 * mu_star)
    return np.cbrt(1 + np.power(np.maximum(lam, 0) / scale, 1.5))


def _f2(lam: NDArray[np.float64], ratio: NDArray[np.float64], mu_star: float) -> NDArray[np.float64]:
    """Shape correction; 1 where the ratio omega2/omega_log is unknown."""
    scale = 1.82 * (1 + 6.3 * mu_star) * ratio
    return np.where(np.isnan(ratio), 1.0, 1 + (ratio - 1) * lam**2 / (lam**2 + scale**2))
