"""Training and scoring of the metal model on Materials Project band gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from onnes.crystals.batch import CrystalBatch
from onnes.models.metal import MetalModel
from onnes.training.data import TRAINING_BUCKETS, VALIDATION_BUCKETS, buckets, read_data
from onnes.training.feature_cache import cached_features
from onnes.training.trainer import fit_heads

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from onnes.training.recipe import MetalRecipe

DATA = "mp_structures"
METAL_GAP_EV = 0.05


@dataclass(frozen=True, eq=False)
class MetalData:
    """Potentials, their features (P, F), labels (P,), composition buckets (P,) and groups (P,)."""

    potentials: tuple[str, ...]
    features: NDArray[np.float32]
    is_metal: NDArray[np.bool_]
    buckets: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def training(self) -> NDArray[np.bool_]:
        """Rows of the training buckets."""
        return np.isin(self.buckets, TRAINING_BUCKETS)

    @property
    def validation(self) -> NDArray[np.bool_]:
        """Rows of the validation buckets."""
        return np.isin(self.buckets, VALIDATION_BUCKETS)


def load_metal_data(
    potentials: tuple[str, ...], *, device: str = "cpu", on_rows: Callable[[int], None] | None = None
) -> MetalData:
    """Read the gaps and compute (or find) the features; raises ConfigError without the data."""
    table = read_data(DATA)
    table = table.filter(pc.field("band_gap_eV").is_valid() & ~pc.field("duplicate_id"))
    features = cached_features(CrystalBatch.from_table(table), potentials, device=device, on_rows=on_rows)
    good = np.array([not error for error in features.errors])
    formulas = np.array(table["reduced_formula"].to_pylist())[good]
    gaps = np.array(table["band_gap_eV"].to_pylist(), dtype=float)[good]
    return MetalData(
        potentials,
        features.of(potentials)[good],
        gaps < METAL_GAP_EV,
        buckets(formulas),
        np.unique(formulas, return_inverse=True)[1],
    )


def fit_metal(
    data: MetalData,
    rows: NDArray[np.bool_],
    recipe: MetalRecipe,
    *,
    on_epoch: Callable[[], None] | None = None,
) -> MetalModel:
    """Train the classifiers on the chosen rows."""
    labels = data.is_metal[rows].astype(float)[:, None]
    heads = fit_heads(
        data.features[rows], labels, ("metal_logit",), (1.0,), recipe.heads, groups=data.groups[rows], on_epoch=on_epoch
    )
    return MetalModel(recipe.name, "", data.potentials, heads)


def score_metal(
    model: MetalModel, data: MetalData, rows: NDArray[np.bool_], *, threshold: float = 0.5
) -> dict[str, float]:
    """ROC-AUC, precision and recall of metals at a threshold, and the share of metals."""
    from sklearn.metrics import precision_score, recall_score, roc_auc_score

    probability, truth = model.predict(data.features[rows]), data.is_metal[rows]
    return {
        "auc": float(roc_auc_score(truth, probability)),
        "precision": float(precision_score(truth, probability > threshold)),
        "recall": float(recall_score(truth, probability > threshold)),
        "share_of_metals": float(truth.mean()),
        "n": float(len(truth)),
    }
