"""Superconductivity of a crystal from its features: lambda, omega_log, Tc, with spread, interval and domain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from onnes.errors import ModelError
from onnes.models.domain import Domain
from onnes.models.heads import MixedEnsemble
from onnes.models.weights import load_weights
from onnes.physics.allen_dynes import MU_STAR, MU_STAR_HIGH, allen_dynes_tc_K

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from onnes.crystals.batch import CrystalBatch

    Floats = NDArray[np.float64]

DEFAULT_MODEL = "structure"
MAGNETIC_MUB = 0.5
"""Above this moment of an atom (Bohr magnetons) the electron-phonon picture is not to be trusted."""
TC_THRESHOLD_K = 5.0
"""The Tc that the column ``tc_above_5K_probability`` speaks of."""
TARGETS = ("ln_lambda", "ln_omega_log_K", "ln_omega2_ratio", "ln_dos_ef_per_atom", "ln_debye_K")
"""What the heads predict: natural logarithms of lambda, of omega_log in K, of omega2/omega_log, of N(E_F) in states
per eV and atom (both spins), of the Debye temperature in K."""
N_ELECTRONIC = 3
_MIN_RATIO = 1.005  # omega2 > omega_log for any spectrum that is not a single line


def electronic_features(dos_ef_states_per_eV: Floats, batch: CrystalBatch) -> NDArray[np.float32]:
    """What the density of states at the Fermi level tells a model: its logarithm per atom, per volume and per cell.

    Parameters
    ----------
    dos_ef_states_per_eV
        N(E_F) of the cell, both spins, shape (B,); NaN, zero or negative where it is unknown.
    batch
        The B crystals.

    Returns
    -------
    numpy.ndarray
        Shape (B, 3); NaN rows where N(E_F) is unknown.
    """
    dos = np.where(dos_ef_states_per_eV > 0, dos_ef_states_per_eV, np.nan)
    return np.log(np.stack([dos / batch.n_atoms, dos / batch.volumes, dos], axis=1)).astype(np.float32)


class Calibration(NamedTuple):
    """How the members' spread of ln lambda becomes an honest error.

    The scale of the error is ``sigma = sqrt((spread_scale * spread)**2 + floor**2)``, in ln lambda.

    Attributes
    ----------
    spread_scale, floor
        What the spread is multiplied by, and the error that the members share.
    lambda_factor, tc_factor
        Half-widths of the 90 % intervals of lambda and of Tc, in sigma of ln lambda.
    probability_scale
        What sigma is multiplied by in the probability that Tc exceeds a threshold.
    """

    spread_scale: float = 1.0
    floor: float = 0.0
    lambda_factor: float = 1.645
    tc_factor: float = 1.645
    probability_scale: float = 1.0

    def sigma(self, spread: Floats) -> Floats:
        """Scale of the error of ln lambda from the spread of the members, any shape."""
        return np.sqrt((self.spread_scale * spread) ** 2 + self.floor**2)


@dataclass(frozen=True, eq=False)
class SuperconductivityModel:
    """Heads, domain and calibration of one set of weights.

    Attributes
    ----------
    potentials
        Potentials whose pooled features the heads read, in this order.
    electronic
        Whether the heads also read N(E_F).
    fallback
        Model for the rows without N(E_F).
    moments
        Potential that is asked for magnetic moments, or None.
    """

    name: str
    sha256: str
    potentials: tuple[str, ...]
    heads: MixedEnsemble
    domain: Domain
    calibration: Calibration
    max_atoms: int
    elements: frozenset[int]
    electronic: bool = False
    fallback: str | None = None
    moments: str | None = None

    def predict(self, features: NDArray[np.floating]) -> dict[str, Floats]:
        """Predict the columns of the crystal table.

        Parameters
        ----------
        features
            Pooled features of ``potentials``, for an electronic model followed by `electronic_features`; shape
            (B, F). NaN rows give NaN.

        Returns
        -------
        dict
            ``lambda_``, ``omega_log_K``, ``omega2_K``, ``tc_K`` (Allen-Dynes with f1 and f2 of the ensemble's mean
            moments, mu* = 0.10), ``tc_mu016_K``, each ``*_std`` over the members, ``tc_lo_K`` and ``tc_hi_K`` (90 %),
            ``tc_above_5K_probability``, ``debye_K``, ``debye_K_std``, ``domain_distance``; all of shape (B,).
        """
        members = self.heads.predict(features)
        ln_lambda, ln_log = members["ln_lambda"], members["ln_omega_log_K"]
        ln_ratio = members["ln_omega2_ratio"].clip(np.log(_MIN_RATIO))
        lam, log_K, ratio = (np.exp(x.mean(0)) for x in (ln_lambda, ln_log, ln_ratio))
        member_lam, member_log, member_2 = np.exp(ln_lambda), np.exp(ln_log), np.exp(ln_log + ln_ratio)
        sigma = self.sigma(ln_lambda)
        half_width = self.calibration.tc_factor * sigma

        def tc(lambda_: Floats, mu_star: float = MU_STAR) -> Floats:
            return allen_dynes_tc_K(lambda_, log_K, log_K * ratio, mu_star=mu_star)

        distance = np.where(np.isnan(features).any(1), np.nan, self.domain.distance(self.heads.inputs(features)))
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
            "tc_above_5K_probability": self.probability_above(TC_THRESHOLD_K, lam, log_K, log_K * ratio, sigma),
            "debye_K": np.exp(members["ln_debye_K"].mean(0)),
            "debye_K_std": np.exp(members["ln_debye_K"]).std(0),
            "domain_distance": distance,
        }

    def sigma(self, ln_lambda: Floats) -> Floats:
        """Scale of the error of ln lambda from the members' values (M, B), shape (B,)."""
        return self.calibration.sigma(ln_lambda.std(0))

    def probability_above(
        self, tc_K: float, lambda_: Floats, omega_log_K: Floats, omega2_K: Floats, sigma: Floats
    ) -> Floats:
        """Probability that Tc exceeds a threshold.

        The error of ln lambda is taken as normal, and the frequencies as right: the probability is that of lambda
        lying above the value at which Allen-Dynes gives the threshold.

        Parameters
        ----------
        tc_K
            Threshold, positive.
        lambda_, omega_log_K, omega2_K, sigma
            Predicted moments and the standard deviation of ln lambda, shape (B,).
        """
        from scipy.stats import norm

        needed = lambda_of_tc(tc_K, omega_log_K, omega2_K)
        return norm.sf(np.log(needed / lambda_) / np.maximum(self.calibration.probability_scale * sigma, 1e-9))


def lambda_of_tc(tc_K: float, omega_log_K: Floats, omega2_K: Floats, *, mu_star: float = MU_STAR) -> Floats:
    """Lambda at which the Allen-Dynes formula gives a critical temperature, by bisection of ln lambda.

    Examples
    --------
    >>> import numpy as np
    >>> lambda_of_tc(22.272, np.array([300.0]), np.array([360.0])).round(3).tolist()
    [1.0]
    """
    low, high = np.full(omega_log_K.shape, np.log(0.05)), np.full(omega_log_K.shape, np.log(200.0))
    for _ in range(40):
        middle = (low + high) / 2
        above = allen_dynes_tc_K(np.exp(middle), omega_log_K, omega2_K, mu_star=mu_star) > tc_K
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.exp((low + high) / 2)


@lru_cache(maxsize=8)
def load_superconductivity_model(name: str = DEFAULT_MODEL) -> SuperconductivityModel:
    """Load a model by its shipped name or its folder; raises ModelError when the file was changed or is of another kind."""
    weights = load_weights(name)
    config = weights.config
    if config.get("kind") != "superconductivity":
        raise ModelError(f"model {name!r} is of kind {config.get('kind')!r}; give one of kind 'superconductivity'")
    if "calibration" not in config:
        raise ModelError(f"model {name!r} was made by an older onnes; train it again with `onnes train`")
    return SuperconductivityModel(
        name,
        weights.sha256,
        tuple(config["potentials"]),
        MixedEnsemble.from_tensors(weights.tensors, tuple(config["targets"]), _ranges(config["columns"])),
        Domain.from_tensors(weights.tensors),
        Calibration(**config["calibration"]),
        config["max_atoms"],
        frozenset(config["elements"]),
        config["electronic"],
        config["fallback"],
        config["moments"],
    )


def _ranges(columns: list[list[list[int]]]) -> tuple[tuple[tuple[int, int], ...], ...]:
    return tuple(tuple((start, stop) for start, stop in ranges) for ranges in columns)
