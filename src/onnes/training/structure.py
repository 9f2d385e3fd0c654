"""Training and scoring of the ``structure`` superconductivity model.

Labels are lambda and omega_log of two sets of DFT calculations, Alexandria and JARVIS; Tc is recomputed from them with one
formula and one mu*. Scores are those on Alexandria alone, so that they compare with published ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import floats
from onnes.models.domain import Domain
from onnes.models.features import FEATURE_POTENTIALS
from onnes.models.superconductivity import TARGETS, SuperconductivityModel
from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.training.data import TRAINING_BUCKETS, VALIDATION_BUCKETS, buckets, read_data
from onnes.training.feature_cache import cached_features
from onnes.training.trainer import TrainSettings, fit_heads

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DATA = "epc_dft_alexandria"
MORE_DATA = "epc_dft_jarvis3d"
TARGET_WEIGHTS = (1.0, 1.0, 0.2, 0.3, 0.3)
DEFAULTS = TrainSettings()
MAX_ATOMS = 24
HIGH_TC_K = 5.0


@dataclass(frozen=True, eq=False)
class StructureData:
    """Features and labels of P crystals.

    Attributes
    ----------
    features
        Shape (P, F).
    targets
        `TARGETS`, shape (P, 5); NaN where a label is missing.
    tc_K
        Labels, shape (P,); Allen-Dynes with f1 (and f2 where the source has it) at mu* = 0.10.
    buckets
        Composition buckets, shape (P,).
    groups
        Composition group, shape (P,).
    scored
        Rows of the set that scores are given for, shape (P,).
    elements
        Atomic numbers that occur.
    """

    features: NDArray[np.float32]
    targets: Floats
    tc_K: Floats
    buckets: NDArray[np.int64]
    groups: NDArray[np.int64]
    scored: NDArray[np.bool_]
    elements: frozenset[int]

    @property
    def lambda_(self) -> Floats:
        """Labels of lambda, shape (P,)."""
        return np.exp(self.targets[:, 0])

    @property
    def omega_log_K(self) -> Floats:
        """Labels of omega_log (K), shape (P,)."""
        return np.exp(self.targets[:, 1])

    @property
    def training(self) -> NDArray[np.bool_]:
        """Rows of the training buckets, of both sets."""
        return np.isin(self.buckets, TRAINING_BUCKETS)

    @property
    def validation(self) -> NDArray[np.bool_]:
        """Rows of the validation buckets that scores are given for."""
        return np.isin(self.buckets, VALIDATION_BUCKETS) & self.scored


def load_structure_data(*, device: str = "cpu", on_rows: Callable[[int], None] | None = None) -> StructureData:
    """Read the labels and compute (or find) the features; raises ConfigError without the data.

    JARVIS rows are those of its leaderboard benchmark: dynamically stable, with physical labels.
    """
    main, more = read_data(DATA), read_data(MORE_DATA)
    more = more.filter(pc.field("in_leaderboard_tc_benchmark") & pc.field("label_physical"))
    features, targets, formulas, elements = [], [], [], set()
    for table in (main, more):
        batch = CrystalBatch.from_table(table)
        features.append(cached_features(batch, FEATURE_POTENTIALS, device=device, on_rows=on_rows).values)
        targets.append(_targets(table, batch.n_atoms))
        formulas += table["reduced_formula"].to_pylist()
        elements |= set(batch.atomic_numbers.tolist())
    scored = np.arange(len(formulas)) < main.num_rows
    labels = np.concatenate(targets)
    tc = allen_dynes_tc_K(np.exp(labels[:, 0]), np.exp(labels[:, 1]))
    tc[scored] = floats(main, "tc_K")
    joined = np.concatenate(features)
    good = np.isfinite(joined).all(axis=1)  # a crystal without features is no training row
    return StructureData(
        joined[good],
        labels[good],
        tc[good],
        buckets(formulas)[good],
        np.unique(formulas, return_inverse=True)[1][good],
        scored[good],
        frozenset(elements),
    )


def _targets(table: pa.Table, n_atoms: NDArray[np.int64]) -> Floats:
    """`TARGETS` of a data file, shape (P, 5); what the file lacks, or what has no logarithm, is NaN."""
    names = ("lambda_", "omega_log_K", "omega2_inferred_K", "dos_ef_states_per_eV", "debye_K")
    lam, log_K, omega2, dos, debye = (floats(table, name) for name in names)
    with np.errstate(divide="ignore", invalid="ignore"):
        targets = np.log(np.stack([lam, log_K, omega2 / log_K, dos / n_atoms, debye], axis=1))
    targets[~np.isfinite(targets)] = np.nan
    return targets


def fit_structure(
    data: StructureData,
    rows: NDArray[np.bool_],
    settings: TrainSettings = DEFAULTS,
    *,
    interval: tuple[float, float] = (1.645, 0.0),
    on_epoch: Callable[[], None] | None = None,
) -> SuperconductivityModel:
    """Train heads and domain on the chosen rows."""
    heads = fit_heads(
        data.features[rows],
        data.targets[rows],
        TARGETS,
        TARGET_WEIGHTS,
        settings,
        groups=data.groups[rows],
        on_epoch=on_epoch,
    )
    domain = Domain.fit((data.features[rows] - heads.x_mean) / heads.x_scale)
    return SuperconductivityModel(
        "structure", "", FEATURE_POTENTIALS, heads, domain, interval, MAX_ATOMS, data.elements
    )


def calibrate(model: SuperconductivityModel, data: StructureData, rows: NDArray[np.bool_]) -> tuple[float, float]:
    """Half-width factor and floor of the 90 % interval of ln lambda.

    The floor is the median absolute residual (as a standard deviation); the factor is the 90 % quantile of the
    residuals in units of ``sqrt(spread**2 + floor**2)`` on rows that the model was not trained on (split conformal
    prediction; Lei et al., J. Am. Stat. Assoc. 113, 1094 (2018)).
    """
    members = model.heads.predict(data.features[rows])["ln_lambda"]
    residual = np.abs(members.mean(0) - np.log(data.lambda_[rows]))
    floor = float(np.median(residual) / 0.6745)
    scores = residual / np.sqrt(members.std(0) ** 2 + floor**2)
    level = min(1.0, np.ceil((len(scores) + 1) * 0.9) / len(scores))
    return float(np.quantile(scores, level)), floor


@dataclass(frozen=True)
class Score:
    """Errors on a set of rows, and the classification at 5 K."""

    lambda_mae: float
    omega_log_mae_K: float
    tc_mae_K: float
    tc_r2: float
    precision_5K: float
    tpr_5K: float
    tnr_5K: float
    n: int


def score(lambda_: Floats, omega_log_K: Floats, tc_K: Floats, data: StructureData, rows: NDArray[np.bool_]) -> Score:
    """Score predictions of the chosen rows, each of shape (n,)."""
    truth = data.tc_K[rows]
    hot, said = truth > HIGH_TC_K, tc_K > HIGH_TC_K
    return Score(
        float(np.abs(lambda_ - data.lambda_[rows]).mean()),
        float(np.abs(omega_log_K - data.omega_log_K[rows]).mean()),
        float(np.abs(tc_K - truth).mean()),
        float(1 - ((tc_K - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()),
        float((hot & said).sum() / max(said.sum(), 1)),
        float((hot & said).sum() / max(hot.sum(), 1)),
        float((~hot & ~said).sum() / max((~hot).sum(), 1)),
        int(rows.sum()),
    )


def tree_baseline(data: StructureData, rows: NDArray[np.bool_], *, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Gradient-boosted trees on ln lambda and ln omega_log, then Allen-Dynes with f1: lambda, omega_log, Tc of all rows."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    predicted = []
    for target in (data.targets[:, 0], data.targets[:, 1]):
        trees = HistGradientBoostingRegressor(
            max_iter=600, learning_rate=0.04, max_leaf_nodes=31, min_samples_leaf=10, l2_regularization=1.0,
            max_features=0.2, random_state=seed,
        )  # fmt: skip
        predicted.append(np.exp(trees.fit(data.features[rows], target[rows]).predict(data.features)))
    return predicted[0], predicted[1], allen_dynes_tc_K(predicted[0], predicted[1])
