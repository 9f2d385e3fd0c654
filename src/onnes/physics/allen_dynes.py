"""Critical temperature from the moments of alpha2F: McMillan (1968), Allen and Dynes, Phys. Rev. B 12, 905 (1975)."""

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
    tc = w_log / 1.2 * _exponential(lam, mu_star)
    if strong_coupling:
        tc = tc * _f1(lam, mu_star)
        if omega2_K is not None:
            tc = tc * _f2(lam, np.asarray(omega2_K, float) / w_log, mu_star)
    return np.where(np.isnan(lam) | np.isnan(w_log), np.nan, tc)


def allen_dynes_factors(
    lambda_: ArrayLike, omega_log_K: ArrayLike, omega2_K: ArrayLike, *, mu_star: float = MU_STAR
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the two corrections of Allen and Dynes to the McMillan form.

    Parameters
    ----------
    lambda_
        Electron-phonon coupling, any shape.
    omega_log_K, omega2_K
        Logarithmic mean and root of the second moment (K), same shape. Only their ratio counts.
    mu_star
        Coulomb pseudopotential.

    Returns
    -------
    f1, f2 : numpy.ndarray
        Strong-coupling correction and shape correction, the shape of the input; f2 is 1 where the ratio is NaN.

    Notes
    -----
    Equations 35 to 38 of Allen and Dynes (1975).

    Examples
    --------
    >>> [round(float(f), 4) for f in allen_dynes_factors(1.0, 300.0, 360.0)]
    [1.0507, 1.0146]
    """
    lam, w_log, w_2 = np.broadcast_arrays(*(np.asarray(x, float) for x in (lambda_, omega_log_K, omega2_K)))
    return _f1(lam, mu_star), _f2(lam, w_2 / w_log, mu_star)


def mcmillan_tc_K(lambda_: ArrayLike, debye_K: ArrayLike, *, mu_star: float = MU_STAR) -> NDArray[np.float64]:
    """McMillan critical temperature from the Debye temperature.

    Parameters
    ----------
    lambda_
        Electron-phonon coupling, any shape.
    debye_K
        Debye temperature (K), same shape.
    mu_star
        Coulomb pseudopotential.

    Returns
    -------
    numpy.ndarray
        Tc (K), the shape of the input. Zero where lambda <= mu*/(1 - 0.62 mu*), where the formula has no solution.

    Notes
    -----
    W. L. McMillan, Phys. Rev. 167, 331 (1968), equation 18. Made for lambda below about 1.5; where omega_log is known
    `allen_dynes_tc_K` is the better choice.

    Examples
    --------
    >>> mcmillan_tc_K([0.1, 0.82], [400.0, 277.0], mu_star=0.13).round(2).tolist()
    [0.0, 9.2]
    """
    lam, debye = np.broadcast_arrays(np.asarray(lambda_, float), np.asarray(debye_K, float))
    tc = debye / 1.45 * _exponential(lam, mu_star)
    return np.where(np.isnan(lam) | np.isnan(debye), np.nan, tc)


def _exponential(lam: NDArray[np.float64], mu_star: float) -> NDArray[np.float64]:
    """McMillan's exponential; 0 where it has no solution."""
    denominator = lam - mu_star * (1 + 0.62 * lam)
    positive = denominator > 0
    with np.errstate(over="ignore"):  # just above the limit the exponent is -inf, and Tc rightly 0
        exponent = -1.04 * (1 + lam) / np.where(positive, denominator, 1.0)
    return np.where(positive, np.exp(exponent), 0.0)


def _f1(lam: NDArray[np.float64], mu_star: float) -> NDArray[np.float64]:
    """Strong-coupling correction."""
    scale = 2.46 * (1 + 3.8 * mu_star)
    return np.cbrt(1 + np.power(np.maximum(lam, 0) / scale, 1.5))


def _f2(lam: NDArray[np.float64], ratio: NDArray[np.float64], mu_star: float) -> NDArray[np.float64]:
    """Shape correction; 1 where the ratio omega2/omega_log is unknown."""
    scale = 1.82 * (1 + 6.3 * mu_star) * ratio
    return np.where(np.isnan(ratio), 1.0, 1 + (ratio - 1) * lam**2 / (lam**2 + scale**2))
