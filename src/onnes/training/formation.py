"""Training of the formation-energy model of compositions, on the lowest crystal of each formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.models.composition import composition_features, element_fractions
from onnes.models.formation import TARGETS, FormationModel
from onnes.models.weights import save_weights
from onnes.training.cards import formation_card
from onnes.training.data import TRAINING_BUCKETS, VALIDATION_BUCKETS, buckets, read_data
from onnes.training.trainer import fit_heads

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from onnes.training.recipe import FormationRecipe

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

DATA = "mp_formation_energy_by_composition"


@dataclass(frozen=True, eq=False)
class FormationData:
    """Reduced formulas and the lowest formation energy (eV/atom) of each, with composition buckets; all of shape (P,)."""

    formulas: list[str]
    energies: Floats
    buckets: NDArray[np.int64]

    @property
    def training(self) -> Mask:
        """Rows of the training buckets."""
        return np.isin(self.buckets, TRAINING_BUCKETS)

    @property
    def validation(self) -> Mask:
        """Rows of the validation buckets."""
        return np.isin(self.buckets, VALIDATION_BUCKETS)


def load_formation_data() -> FormationData:
    """Read the energies; raises ConfigError without the data."""
    table = read_data(DATA).group_by("reduced_formula").aggregate([("formation_energy_eV_per_atom", "min")])
    table = table.sort_by("reduced_formula")
    formulas = table["reduced_formula"].to_pylist()
    return FormationData(formulas, table["formation_energy_eV_per_atom_min"].to_numpy(), buckets(formulas))


def fit_formation(
    data: FormationData, rows: Mask, recipe: FormationRecipe, *, on_epoch: Callable[[], None] | None = None
) -> FormationModel:
    """Train the networks on the chosen rows."""
    features = composition_features([data.formulas[i] for i in np.flatnonzero(rows)])
    heads = fit_heads(features, data.energies[rows, None], TARGETS, (1.0,), recipe.heads, on_epoch=on_epoch)
    return FormationModel(recipe.name, "", heads)


def score_formation(model: FormationModel, data: FormationData, train: Mask, test: Mask) -> dict[str, float]:
    """Errors on the rows ``test``, beside a linear model of the fractions fitted on the rows ``train`` (eV/atom)."""
    from scipy.stats import rankdata

    formulas = [data.formulas[i] for i in np.flatnonzero(test)]
    truth = data.energies[test]
    found, spread = model.predict(formulas)
    error = np.abs(found - truth)
    fractions = element_fractions([data.formulas[i] for i in np.flatnonzero(train)])
    weights = np.linalg.lstsq(fractions, data.energies[train], rcond=None)[0]
    return {
        "n": float(len(truth)),
        "mae_eV_per_atom": float(error.mean()),
        "median_error_eV_per_atom": float(np.median(error)),
        "rmse_eV_per_atom": float(np.sqrt((error**2).mean())),
        "spread_rank_correlation": float(np.corrcoef(rankdata(spread), rankdata(error))[0, 1]),
        "linear_mae_eV_per_atom": float(np.abs(element_fractions(formulas) @ weights - truth).mean()),
        "mean_mae_eV_per_atom": float(np.abs(data.energies[train].mean() - truth).mean()),
    }


def train_formation(
    recipe: FormationRecipe, folder: Path, *, on_epoch: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Train below bucket 80, score on 80-89, train again on all rows, write the folder; returns the configuration.

    Parameters
    ----------
    recipe
        Settings.
    folder
        Where weights, configuration and card go.
    on_epoch
        Called after every epoch of every member.

    Raises
    ------
    ConfigError
        Without the training data.
    """
    data = load_formation_data()
    split = fit_formation(data, data.training, recipe, on_epoch=on_epoch)
    score = score_formation(split, data, data.training, data.validation)
    model = fit_formation(data, np.ones(len(data.formulas), bool), recipe, on_epoch=on_epoch)
    config = {
        "kind": "formation",
        "targets": list(TARGETS),
        "training_rows": len(data.formulas),
        "training_data": "formation energies of the Materials Project (2019, matbench), CC BY 4.0; the lowest of each formula",
        "split": "composition buckets int(md5(reduced_formula), 16) % 100: trained below 80, scored on 80-89",
        "validation": score,
        "recipe": recipe.model_dump(mode="json"),
        "licence": "MIT",
    }
    save_weights(folder, model.heads.tensors(), config, formation_card(recipe.name, config))
    return config
