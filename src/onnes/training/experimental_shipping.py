"""Train a model of measured superconductivity by a recipe: score it on two splits, train it on all rows, write it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.training import experimental_data
from onnes.training.experimental import (
    calibrate_experimental,
    coverage,
    fit_experimental,
    predict_rows,
    score_experimental,
    trivial_baselines,
    used_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from onnes.models.experimental import ExperimentalModel
    from onnes.training.experimental_data import ExperimentalData, Split
    from onnes.training.recipe import ExperimentalRecipe

COMPOSITIONS, CRYSTALS = "compositions", "with a crystal"
_BASELINE_SCORES = ("ln_tc_mae", "auc", "auc_metals")


def train_experimental(
    recipe: ExperimentalRecipe,
    folder: Path,
    *,
    on_rows: Callable[[int], None] | None = None,
    on_epoch: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Train by a recipe and write the model's folder; returns the configuration.

    Three models are trained. One is scored on compositions it did not see, one on chemical systems it did not see. The
    second also gives the 90 % interval, calibrated on its scored compositions, each once and without its crystals. The
    third, which is written, has seen all labelled rows, so nothing is left to score it on.

    Parameters
    ----------
    recipe
        Variant and settings.
    folder
        Where weights, configuration and card go.
    on_rows, on_epoch
        Called with the number of crystals described since the last call, and after every epoch of every member.

    Returns
    -------
    dict
        ``validation`` has, for each split, `onnes.training.experimental.ExperimentalScore` of the compositions and, in
        the variant with structure, of their crystals; trivial baselines on the same compositions; and how often the
        interval holds. A score that is not defined is null.

    Raises
    ------
    ConfigError
        Without the training data.
    """
    structure = recipe.variant == "structure"
    data = experimental_data.load_experimental_data(structures=structure, on_rows=on_rows)

    def fit(rows: NDArray[np.bool_]) -> ExperimentalModel:
        return fit_experimental(
            data,
            rows,
            recipe.heads,
            classifier_settings=recipe.classifier,
            tree_settings=recipe.trees,
            variant=recipe.variant,
            on_epoch=on_epoch,
        )

    by_composition, by_system = experimental_data.composition_split(data), experimental_data.system_split(data)
    validation: dict[str, Any] = {
        by_composition.name: _scores(fit(by_composition.train), data, by_composition, structure=structure)
    }
    model = fit(by_system.train)
    validation[by_system.name] = _scores(model, data, by_system, structure=structure)
    scored = by_system.score & ~data.has_structure
    validation["coverage"] = _coverage(model, data, scored)
    interval = calibrate_experimental(model, data, scored)
    everything = np.ones(len(data.label), bool)
    shipped = replace(fit(everything), interval=interval)
    used = used_rows(data, everything, recipe.variant) & np.isfinite(data.label)
    config = {
        "kind": "experimental",
        "variant": shipped.variant,
        "interval": list(interval),
        "interval_from": f"{int((scored & np.isfinite(data.ln_tc_K)).sum())} scored superconductors of the chemical-system split",
        "training_rows": {
            "superconductors": int((used & ~data.has_structure & (data.label == 1)).sum()),
            "background": int((used & ~data.has_structure & (data.label == 0)).sum()),
            "crystals": int((used & data.has_structure).sum()),
        },
        "label_noise_ln_tc": _defined(data.label_noise),
        "training_data": "measured Tc: NIMS SuperCon and SuperBand; their crystals: 3DSC (Materials Project cells); presumed "
        "negatives: Materials Project. All CC BY 4.0",
        "split": {
            by_composition.name: "composition buckets int(md5(reduced_formula), 16) % 100: trained below 80, scored on 80-89",
            by_system.name: "the same of the set of elements: trained below 80, scored from 80; no set of elements on both sides",
        },
        "validation": validation,
        "recipe": recipe.model_dump(mode="json"),
        "licence": "MIT",
    }
    shipped.save(folder, config, experimental_card(recipe.name, config))
    return config


def _scores(model: ExperimentalModel, data: ExperimentalData, split: Split, *, structure: bool) -> dict[str, Any]:
    """Scores of the compositions and their crystals, and of trivial predictions of the former."""
    # measured zeros are never trained on, so on the first split all of them are scored, whatever their bucket
    unseen = (data.kind == "measured zero") & (split.name == "composition")
    plain = (split.score | unseen) & ~data.has_structure
    crystals = split.score & data.has_structure
    found: dict[str, Any] = {}
    for name, rows in {COMPOSITIONS: plain, CRYSTALS: crystals}.items():
        if rows.any() and (structure or name == COMPOSITIONS):
            said = predict_rows(model, data, rows)
            found[name] = _defined(asdict(score_experimental(said["ln_tc_K"], said["probability"], data, rows)))
    found["trivial baselines"] = {}
    for name, pair in trivial_baselines(data, split.train & ~data.has_structure, plain).items():
        scores = score_experimental(*pair, data, plain)
        found["trivial baselines"][name] = {s: _defined(getattr(scores, s)) for s in _BASELINE_SCORES}
    return found


def _coverage(model: ExperimentalModel, data: ExperimentalData, scored: NDArray[np.bool_]) -> float | None:
    """Share of one half of the scored chemical systems inside an interval that is calibrated on the other half."""
    half = scored & (data.systems % 2 == 0)
    rest = scored & ~half
    if not all(np.isfinite(data.ln_tc_K[rows]).any() for rows in (half, rest)):
        return None
    return coverage(replace(model, interval=calibrate_experimental(model, data, half)), data, rest)


def _defined(value: Any) -> Any:
    """Null in the place of NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _defined(one) for name, one in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


# --- card ------------------------------------------------------------------------------------------------------------


def experimental_card(name: str, config: dict[str, Any]) -> str:
    """Card of a model of measured superconductivity, from its configuration."""
    recipe, rows, validation = config["recipe"], config["training_rows"], config["validation"]
    crystal = ", and the crystal structure where there is one" if config["variant"] == "structure" else ""
    crystals = f"; with {rows['crystals']} crystals of them" if rows["crystals"] else ""
    scores = "\n".join(line for split in config["split"] for line in _card_lines(split, validation[split]))
    splits = "\n".join(f"  * {split}: {text}." for split, text in config["split"].items())
    noise = ""
    if (deviation := config["label_noise_ln_tc"]) is not None:
        noise = f"\n  * One report differs from the median of its composition by {deviation:.3f} in ln Tc in the mean, where reports differ."
    return f"""# {name}: measured superconductivity from the composition{crystal}

* **What**: what experiments report in the literature, not what is computed. {recipe["heads"]["members"]} networks and {recipe["trees"]["members"]} trees, in equal
  parts, give ln Tc if the material superconducts, {recipe["classifier"]["members"]} other networks the probability that it does.
* **Data**: {rows["superconductors"]} superconductors (label: the median of the reports) and {rows["background"]} presumed negatives{crystals}.
  * Measured Tc: NIMS SuperCon (National Institute for Materials Science, Japan), CC BY 4.0, with the table of Stanev et
    al., npj Comput. Mater. 4, 29 (2018); SuperBand, CC BY 4.0.
  * Crystals of superconductors: 3DSC (Sommer et al., Sci. Data 2023), CC BY 4.0, in Materials Project cells.
  * Negatives and their crystals: Materials Project, CC BY 4.0.
* **Negatives are presumed**: formulas of the Materials Project that the tables of superconductors do not list. Some may
  superconduct. A Tc of zero in those tables mostly means that none was reported: not used.
* **Splits**; the shipped weights are trained on all rows:
{splits}
* **Validation** (Tc in K; trivial: the best of three predictions without learning):
{scores}{noise}
  * Command: `onnes benchmark experimental`. Settings of the networks were chosen on the scored rows of
    both splits, those of the trees inside the training rows.
* **Interval** (90 %): calibrated on {config["interval_from"]}, by the model that did not see them. Calibrated on
  half of these systems it covers {_number(validation["coverage"], ".1%")} of the other half.
* **Probability**: superconductors and negatives weigh the same in training. It ranks; it is not the share of
  candidates that superconduct.
* **Limits**: pressure is not recorded, so hydrides and other high-pressure reports stand beside ambient ones. Reports are
  biased towards what was made and measured. On chemical systems without any known superconductor the errors are those of
  the chemical-system split or larger.
* **Licence**: {config["licence"]}; trained data under CC BY 4.0.
"""


def _card_lines(split: str, scores: dict[str, Any]) -> list[str]:
    trivial = scores["trivial baselines"].values()
    best = {
        name: pick(found) if (found := [t[name] for t in trivial if t[name] is not None]) else None
        for name, pick in (("ln_tc_mae", min), ("auc", max), ("auc_metals", max))
    }
    lines = []
    for rows in (COMPOSITIONS, CRYSTALS):
        if (s := scores.get(rows)) is None:
            continue
        against = [f" (trivial {_number(best[n])})" if rows == COMPOSITIONS else "" for n in _BASELINE_SCORES]
        lines.append(
            f"  * {split} split, {rows}: ln Tc MAE {_number(s['ln_tc_mae'])}{against[0]}, {s['n_tc']} superconductors; ROC-AUC "
            f"{_number(s['auc'])}{against[1]}, {s['n']} rows; among stoichiometric metals {_number(s['auc_metals'])}{against[2]}, "
            f"{s['n_metals']} rows"
        )
        if s["n_measured"]:
            lines[-1] += f"; against {s['n_measured']} measured not to superconduct {_number(s['auc_measured'], '.2f')}"
    return lines


def _number(value: float | None, form: str = ".3f") -> str:
    return "not defined" if value is None else format(value, form)
