"""Labelled sets for the gates of a funnel: metals, superconductors, stable crystals."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from onnes.training import metals
from onnes.training import superconductivity as training
from onnes.training.benchmarks.operating import LabelledSet
from onnes.training.benchmarks.same_entries import above_competitors, above_hull, hull_of_entries
from onnes.training.benchmarks.stability_data import mp_formation, unseen_formation
from onnes.training.data import TRAINING_BUCKETS, VALIDATION_BUCKETS
from onnes.training.recipe import MetalRecipe, read_recipe, superconductivity_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from onnes.training.metals import MetalData

    Floats = NDArray[np.float64]
    OnRows = Callable[[int], None] | None

FOLDS = 5
STABLE_eV = 0.05
MAX_ATOMS = 26
CHOSEN = 2000
"""Crystals of the training buckets on which thresholds of the hull gate are chosen."""


def metal_set(recipe: str = "metal", *, device: str = "cpu", on_rows: OnRows = None) -> LabelledSet:
    """Metals of the Materials Project: the probability by classifiers that never saw the formula."""
    settings = cast("MetalRecipe", read_recipe(recipe))
    data = metals.load_metal_data(settings.potentials, device=device, on_rows=on_rows)
    model = metals.fit_metal(data, data.training, settings)
    rows = data.validation
    chosen, fold = np.flatnonzero(data.training), data.buckets[data.training] % FOLDS
    label = f"Materials Project, gap below {metals.METAL_GAP_EV} eV, {int(rows.sum())} crystals"
    return LabelledSet(
        label, data.is_metal[rows], model.predict(data.features[rows]), data.is_metal[chosen],
        _out_of_fold(data, settings)[chosen], fold,
    )  # fmt: skip


def _out_of_fold(data: MetalData, recipe: MetalRecipe) -> Floats:
    """Probability of each training row by a model that never saw its formula, shape (P,); NaN elsewhere."""
    found = np.full(len(data.buckets), np.nan)
    for fold in range(FOLDS):
        left_out = data.training & (data.buckets % FOLDS == fold)
        if left_out.any():
            model = metals.fit_metal(data, data.training & ~left_out, recipe)
            found[left_out] = model.predict(data.features[left_out])
    return found


def tc_set(recipe: str, *, device: str = "cpu", on_rows: OnRows = None) -> LabelledSet:
    """Computed superconductors of Alexandria: Tc by models that never saw the formula."""
    settings = superconductivity_recipe(recipe)
    data = training.load_data([settings], device=device, on_rows=on_rows)
    cross = training.cross_predict(data, data.training, settings, folds=FOLDS)
    model = training.fit_superconductivity(data, data.training, settings)
    rows = data.validation & training.usable(data, settings)
    hot = data.tc_K > training.TC_THRESHOLD_K
    label = f"Alexandria, computed Tc above {training.TC_THRESHOLD_K:g} K, {int(rows.sum())} crystals"
    return LabelledSet(
        label, hot[rows], training.predict_rows(model, data, rows)["tc_K"], hot[cross.rows], cross.tc_K, cross.fold
    )


def hull_sets(
    potential: str, *, max_atoms: int = MAX_ATOMS, device: str = "cpu", on_rows: OnRows = None
) -> list[LabelledSet]:
    """Stable crystals of the Materials Project and of WBM, by energies of the potential as they are in a funnel.

    Energies of both sources meet the same competitors. The potential's are not corrected: in a funnel its hull is made of
    its own energies.
    """
    known = mp_formation(potential, max_atoms, device=device, on_rows=on_rows)
    new = unseen_formation(potential, device=device, on_rows=on_rows)
    scored = np.flatnonzero(known.inside(VALIDATION_BUCKETS))
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(known.inside(TRAINING_BUCKETS)))[:CHOSEN]
    rows = np.concatenate([scored, chosen])
    formulas = [known.formulas[i] for i in rows]
    heights, new_heights = [], []
    dft = np.where(np.isfinite(known.potential), known.dft, np.nan)
    for energies, of_new in ((dft, new.dft), (known.potential, new.potential)):
        hull = hull_of_entries(known.formulas, energies)
        heights.append(above_competitors(hull, formulas, energies[rows], on_rows=on_rows))
        new_heights.append(above_hull(hull, new.formulas, of_new))
    stable, score, n = heights[0] <= STABLE_eV, -heights[1], len(scored)
    choice = (stable[n:], score[n:], known.buckets[chosen] % FOLDS)
    good = np.isfinite(new_heights).all(0)
    condition = f"DFT at most {STABLE_eV} eV/atom above the hull"
    return [
        LabelledSet(f"Materials Project, {condition}, {n} crystals", stable[:n], score[:n], *choice),
        LabelledSet(
            f"WBM, {condition}, {int(good.sum())} crystals", new_heights[0][good] <= STABLE_eV, -new_heights[1][good], *choice
        ),
    ]  # fmt: skip
