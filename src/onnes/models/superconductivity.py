"""Superconductivity of a crystal from its features: lambda, omega_log, Tc, with spread, interval and domain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from onnes.models.domain import Domain
from onnes.models.heads import HeadEnsemble
from onnes.models.weights import load_weights
from onnes.physics.allen_dynes import MU_STAR, MU_STAR_HIGH, allen_dynes_tc_K

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_MODEL = "structure"
MAGNETIC_MUB = 0.5
"""Above this moment of an atom (Bohr magnetons) the electron-phonon picture is not to be trusted."""
TARGETS = ("ln_lambda", "ln_omega_log_K", "ln_omega2_ratio", "ln_dos_ef_per_atom", "ln_debye_K")
"""What the heads predict: natural logarithms of lambda, of omega_log in K, of omega2/omega_log, of N(E_F) in states
per eV and atom (both spins), of the Debye temperature in K. The last two only help the training."""


@dataclass(frozen=True, eq=False)
class SuperconductivityModel:
    """Heads, domain and calibration of one set of weights.

    Attributes
    ----------
    interval
        A 90 % interval of ln lambda is the mean plus or minus ``interval[0] * sqrt(spread**2 + interval[1]**2)``,
        calibrated on held-out compositions.
    """

    name: str
    sha256: str
    potentials: tuple[str, ...]
    heads: HeadEnsemble
    domain: Domain
    interval: tuple[float, float]
    max_atoms: int
    elements: frozenset[int]

    def predict(self, features: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
        """Predict the columns of the crystal table.

        Parameters
        ----------
        features
            Pooled features of ``potentials``, shape (B, F). NaN rows give NaN.

        Returns
        -------
        dict
            ``lambda_``, ``omega_log_K``, ``omega2_K``, ``tc_K`` (Allen-Dynes with f1 and f2 of the ensemble's mean
            moments, mu* = 0.10), ``tc_mu016_K``, each ``*_std`` over the members, ``tc_lo_K`` and ``tc_hi_K`` (90 %),
            ``domain_distance``; all of shape (B,).
        """
        members = self.heads.predict(features)
        ln_lambda, ln_log = members["ln_lambda"], members["ln_omega_log_K"]
        ln_ratio = members["ln_omega2_ratio"].clip(0)  # omega2 >= omega_log always
        lam, log_K, ratio = (np.exp(x.mean(0)) for x in (ln_lambda, ln_log, ln_ratio))
        member_lam, member_log, member_2 = np.exp(ln_lambda), np.exp(ln_log), np.exp(ln_log + ln_ratio)
        half_width = self.interval[0] * np.sqrt(ln_lambda.std(0) ** 2 + self.interval[1] ** 2)

        def tc(lambda_: NDArray[np.float64], mu_star: float = MU_STAR) -> NDArray[np.float64]:
            return allen_dynes_tc_K(lambda_, log_K, log_K * ratio, mu_star=mu_star)

        standard = (features - self.heads.x_mean) / self.heads.x_scale
        distance = np.where(np.isnan(features).any(1), np.nan, self.domain.distance(standard))
        return {
            "lambda_": lam,
            "lambda_std": member_lam.std(0),
            "omega_log_K": log_K,
            "omega_log_K_std": member_log.std(0),
            "omega2_K": log_K * ratio,
            "omega2_K_std": member_2.std(0),
            "mu_star": np.full(len(lam), MU_STAR),
            "tc_K": tc(lam),
            "tc_K_std": allen_dynes_tc_K(member_lam, member_log, member_2).std(0),
            "tc_lo_K": tc(lam * np.exp(-half_width)),
            "tc_hi_K": tc(lam * np.exp(half_width)),
            "tc_mu016_K": tc(lam, MU_STAR_HIGH),
            "domain_distance": distance,
        }


@lru_cache(maxsize=4)
def load_superconductivity_model(name: str = DEFAULT_MODEL) -> SuperconductivityModel:
    """Load a model by its shipped name or its folder; raises ModelError when the file was changed."""
    weights = load_weights(name)
    config = weights.config
    return SuperconductivityModel(
        name,
        weights.sha256,
        tuple(config["potentials"]),
        HeadEnsemble.from_tensors(weights.tensors, tuple(config["targets"])),
        Domain.from_tensors(weights.tensors),
        (config["interval"][0], config["interval"][1]),
        config["max_atoms"],
        frozenset(config["elements"]),
    )
