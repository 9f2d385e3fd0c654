"""alpha2F at several smearings of the Fermi level, and what they give together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import constants

from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.physics.eliashberg import eliashberg_tc_K
from onnes.physics.spectra import ALPHA2F_GRID_MEV, BIN_WIDTH_MEV, K_PER_MEV, Moments, bin_spectrum
from onnes.verify.plateau import Plateau, find_plateau, first_resolved
from onnes.verify.result import Coupling, PhononMode, SmearingPoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EV_PER_RY: float = constants.value("Rydberg constant times hc in eV")
MU_STARS = (0.10, 0.13, 0.16)
FEWEST_POINTS = 3
"""A grid with fewer wave vectors along any direction is coarse."""

_MIN_TC_K = 0.02  # below it Tc by the Eliashberg equations counts as 0: the cost of a Tc grows as 1/Tc
_LAST_BIN_MEV = float(ALPHA2F_GRID_MEV[-1]) + BIN_WIDTH_MEV / 2


@dataclass(frozen=True, eq=False)
class SmearedSpectra:
    """One alpha2F for each width of the smearing, by one method.

    Attributes
    ----------
    method
        ``q grid`` or ``interpolated``.
    q_grid
        Divisions of the grid of computed wave vectors.
    sigmas_Ry
        Widths, shape (s,), increasing.
    dos
        Density of states at the Fermi level, states per spin, Ry and cell; shape (s,).
    moments
        lambda, omega_log and omega_2 at each width, arrays of shape (s,).
    omega_meV, alpha2f
        Frequencies (n,) above 0, and spectra (s, n) without negative values.
    omega_max_K
        Highest phonon frequency.
    """

    method: str
    q_grid: tuple[int, int, int]
    sigmas_Ry: Floats
    dos: Floats
    moments: Moments
    omega_meV: Floats
    alpha2f: Floats
    omega_max_K: float

    @property
    def above_highest(self) -> NDArray[np.bool_]:
        """Widths where omega_log lies above the highest phonon, which no sum of positive couplings can give; (s,)."""
        with np.errstate(invalid="ignore"):
            return self.moments.omega_log_K > self.omega_max_K

    @cached_property
    def plateau(self) -> Plateau | None:
        """Plateau of lambda over the widths that can be used."""
        good = np.isfinite(self.moments.lambda_) & np.isfinite(self.moments.omega_log_K) & ~self.above_highest
        return find_plateau(self.sigmas_Ry, np.where(good, self.moments.lambda_, np.nan), self.dos)

    @property
    def window(self) -> slice:
        """Indices of the widths that stand for the result: the plateau, or the middle width where there is none.

        In the middle, because small widths catch too few states and large ones those far from the Fermi level.
        """
        middle = len(self.sigmas_Ry) // 2
        return self.plateau.window if self.plateau else slice(middle, middle + 1)

    def coupling(
        self, mu_stars: Sequence[float] = MU_STARS, modes: Sequence[PhononMode] = (), remarks: Sequence[str] = ()
    ) -> Coupling:
        """Put the result together: means over the plateau, Tc by both methods with its range.

        Parameters
        ----------
        mu_stars
            Coulomb pseudopotentials.
        modes, remarks
            To be kept with the result; remarks on the smearing are added.
        """
        common = {
            "method": self.method,
            "q_grid": self.q_grid,
            "curve": self._curve(),
            "mu_star": tuple(mu_stars),
            "modes": tuple(modes),
            "remarks": (*remarks, *self._remarks(bool(modes))),
        }
        if self.plateau is None:
            return Coupling.model_validate(common | no_result())
        window = self.plateau.window
        mean = self._mean_moments(window)
        spectra = np.vstack([self.alpha2f[window].mean(0), self.alpha2f[window]])  # the mean first
        rows = Moments(*(np.append(m, many[window]) for m, many in zip(mean, self.moments, strict=True)))
        allen_dynes = np.array([allen_dynes_tc_K(*rows, mu_star=mu) for mu in mu_stars])  # (mu*, 1 + widths)
        eliashberg = np.array(
            [eliashberg_tc_K(self.omega_meV, spectra, mu_star=mu, min_tc_K=_MIN_TC_K) for mu in mu_stars]
        )
        return Coupling.model_validate(
            common
            | {
                "plateau_Ry": self.plateau.sigma_Ry,
                "lambda_": float(mean.lambda_),
                "lambda_std": self.plateau.lambda_std,
                "omega_log_K": float(mean.omega_log_K),
                "omega2_K": float(mean.omega2_K),
                "tc_allen_dynes_K": tuple(allen_dynes[:, 0].tolist()),
                "tc_eliashberg_K": tuple(eliashberg[:, 0].tolist()),
                "tc_lo_K": float(min(allen_dynes.min(), eliashberg.min())),
                "tc_hi_K": float(max(allen_dynes.max(), eliashberg.max())),
                "alpha2f": tuple(bin_spectrum(self.omega_meV, spectra[0]).tolist()),
            }
        )

    def _mean_moments(self, window: slice) -> Moments:
        """Moments of the mean spectrum: the averages inside omega_log and omega_2 are weighted by lambda."""
        lam, omega_log, omega2 = (moment[window] for moment in self.moments)
        share = lam / lam.sum()
        log, square = (share * np.log(omega_log)).sum(), (share * omega2**2).sum()
        return Moments(np.asarray(lam.mean()), np.asarray(np.exp(log)), np.asarray(np.sqrt(square)))

    def _curve(self) -> tuple[SmearingPoint, ...]:
        out = []
        for i, rejected in enumerate(self.above_highest):
            lam, omega_log = float(self.moments.lambda_[i]), float(self.moments.omega_log_K[i])
            if np.isfinite(lam):
                out.append(
                    SmearingPoint(
                        sigma_Ry=float(self.sigmas_Ry[i]),
                        lambda_=lam,
                        omega_log_K=None if rejected or np.isnan(omega_log) else omega_log,
                        dos_ef_states_per_eV=2 * float(self.dos[i]) / EV_PER_RY,
                    )
                )
        return tuple(out)

    def _remarks(self, with_modes: bool) -> list[str]:
        out = []
        start = first_resolved(self.sigmas_Ry, self.moments.lambda_, self.dos)
        if start:
            out.append(
                f"smearing up to {self.sigmas_Ry[start - 1]:.3f} Ry is too small for the dense k grid: N(E_F) or lambda jumps "
                "from one width to the next. Left out; a denser k grid would make these widths usable"
            )
        overflow = ~np.isfinite(self.moments.lambda_)
        if overflow.any():
            out.append(f"lambda is no number at {_widths(self.sigmas_Ry[overflow])}: not used")
        if self.above_highest.any():
            out.append(
                f"omega_log lies above the highest phonon ({self.omega_max_K:.0f} K) at "
                f"{_widths(self.sigmas_Ry[self.above_highest])}: not used"
            )
        if self.omega_max_K > _LAST_BIN_MEV * K_PER_MEV:
            out.append(f"alpha2F is kept up to {_LAST_BIN_MEV:.0f} meV only; lambda, omega_log and Tc are of all of it")
        if with_modes and self.plateau is None:
            out.append(f"no plateau: lambda of the modes is that at {self.sigmas_Ry[self.window][0]:.3f} Ry")
        return out


def no_result() -> dict[str, Any]:
    """Fields of a `Coupling` that gives no lambda and no Tc."""
    missing = ("plateau_Ry", "lambda_", "lambda_std", "omega_log_K", "omega2_K", "tc_lo_K", "tc_hi_K", "alpha2f")
    return dict.fromkeys(missing) | {"tc_allen_dynes_K": (), "tc_eliashberg_K": ()}


def _widths(sigmas: Floats) -> str:
    return ", ".join(f"{sigma:.3f}" for sigma in sigmas) + " Ry"
