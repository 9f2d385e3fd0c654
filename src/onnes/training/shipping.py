"""Train a model, score it on the validation buckets, train it again on all rows, and write weights and model card."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.models.weights import save_weights
from onnes.training import metals
from onnes.training import superconductivity as training
from onnes.training.cards import metal_card, superconductivity_card
from onnes.training.experimental_shipping import train_experimental
from onnes.training.formation import train_formation
from onnes.training.generator_shipping import train_generator_model
from onnes.training.recipe import (
    ExperimentalRecipe,
    FormationRecipe,
    GeneratorRecipe,
    MetalRecipe,
    Recipe,
    SpectrumRecipe,
    SuperconductivityRecipe,
    read_recipe,
)
from onnes.training.spectrum_shipping import train_spectrum

if TYPE_CHECKING:
    from collections.abc import Callable

    Report = Callable[[], None] | None

_SPLIT = "composition buckets int(md5(reduced_formula), 16) % 100: trained below 80, scored on "
TRUE_NEGATIVE_RATE = 0.99
"""Rate in every fold of the training buckets at which the classification is scored: one percent above the 0.98 that is
wanted on new compositions, where the rate turned out lower than in any fold."""
TRUE_NEGATIVE_RATES = (0.9, 0.95, 0.98, 0.99)
"""Rates for which the card names the threshold on the predicted Tc."""


def train_model(
    recipe: str | Path | Recipe,
    folder: Path,
    *,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
    on_epoch: Report = None,
) -> dict[str, Any]:
    """Train by a recipe and write the model's folder; returns the configuration with the validation metrics.

    Parameters
    ----------
    recipe
        Name of a recipe of the package, a TOML file, or a recipe.
    folder
        Where weights, configuration and card go.
    device
        Where features are computed that are not cached yet.
    on_rows, on_epoch
        Called with the number of crystals whose features are there, and after every epoch of every member.

    Raises
    ------
    ConfigError
        For a recipe that cannot be read, or without the training data.
    """
    if isinstance(recipe, str | Path):
        recipe = read_recipe(recipe)
    if isinstance(recipe, SpectrumRecipe):
        return train_spectrum(recipe, folder, device=device, on_epoch=on_epoch, checkpoint=folder / "members")
    if isinstance(recipe, ExperimentalRecipe):
        return train_experimental(recipe, folder, on_rows=on_rows, on_epoch=on_epoch)
    if isinstance(recipe, FormationRecipe):
        return train_formation(recipe, folder, on_epoch=on_epoch)
    if isinstance(recipe, GeneratorRecipe):
        return train_generator_model(recipe, folder, on_rows=on_rows, on_epoch=on_epoch)
    if isinstance(recipe, MetalRecipe):
        return _train_metal(recipe, folder, device, on_rows, on_epoch)
    return _train_superconductivity(recipe, folder, device, on_rows, on_epoch)


def _train_superconductivity(
    recipe: SuperconductivityRecipe,
    folder: Path,
    device: str,
    on_rows: Callable[[int], None] | None,
    on_epoch: Report,
) -> dict[str, Any]:
    data = training.load_data([recipe], device=device, on_rows=on_rows)
    cross = training.cross_predict(data, data.training, recipe, on_epoch=on_epoch)
    thresholds = {str(rate): training.threshold_in_folds(cross, data, rate) for rate in TRUE_NEGATIVE_RATES}
    split = training.fit_superconductivity(data, data.training, recipe, on_epoch=on_epoch)
    rows = data.validation & training.usable(data, recipe)
    score = training.score(
        training.predict_rows(split, data, rows), data, rows, threshold_K=thresholds[str(TRUE_NEGATIVE_RATE)]
    )
    halves = training.calibrate(split, data, data.scored_in(range(80, 85)), cross)
    coverage = training.coverage(halves, data, data.scored_in(range(85, 90)))
    calibrated = training.calibrate(split, data, data.validation, cross)
    everything = np.ones(len(data), bool)
    model = training.fit_superconductivity(data, everything, recipe, on_epoch=on_epoch)
    config = {
        "kind": "superconductivity",
        "potentials": list(model.potentials),
        "electronic": model.electronic,
        "fallback": model.fallback,
        "moments": model.moments,
        "targets": list(model.heads.targets),
        "columns": model.heads.columns,
        "calibration": calibrated.calibration._asdict(),
        "calibrated_on_folds": cross.has_spread,
        "thresholds_K": thresholds,
        "max_atoms": model.max_atoms,
        "elements": sorted(data.elements),
        "training_rows": int(training.usable(data, recipe).sum()),
        "training_data": "Alexandria electron-phonon set (Cerqueira, Sanna, Marques, Adv. Mater. 2024) and the stable crystals of "
        "JARVIS-DFT's (Choudhary, Garrity, npj Comput. Mater. 2022), both CC BY 4.0",
        "teacher": recipe.teacher,
        "unlabelled_rows": 0 if data.unlabelled_buckets is None else len(data.unlabelled_buckets),
        "split": f"{_SPLIT}Alexandria's 80-89",
        "validation": {**asdict(score), **coverage},
        "recipe": recipe.model_dump(mode="json"),
        "licence": "MIT",
    }
    tensors = {**model.heads.tensors(), **model.domain.tensors()}
    save_weights(folder, tensors, config, superconductivity_card(recipe.name, config))
    return config


def _train_metal(
    recipe: MetalRecipe, folder: Path, device: str, on_rows: Callable[[int], None] | None, on_epoch: Report
) -> dict[str, Any]:
    data = metals.load_metal_data(recipe.potentials, device=device, on_rows=on_rows)
    score = metals.score_metal(metals.fit_metal(data, data.training, recipe, on_epoch=on_epoch), data, data.validation)
    model = metals.fit_metal(data, np.ones(len(data.is_metal), bool), recipe, on_epoch=on_epoch)
    config = {
        "kind": "metal",
        "potentials": list(model.potentials),
        "targets": list(model.heads.targets),
        "metal_gap_eV": metals.METAL_GAP_EV,
        "training_rows": len(data.is_metal),
        "training_data": "Materials Project structures and PBE(+U) band gaps, CC BY 4.0",
        "split": f"{_SPLIT}80-89",
        "validation": score,
        "recipe": recipe.model_dump(mode="json"),
        "licence": "MIT",
    }
    save_weights(folder, model.heads.tensors(), config, metal_card(recipe.name, config))
    return config
