"""Train a spectrum model by a recipe: score it on the validation buckets, train it again on all rows, write it."""

from __future__ import annotations

from dataclasses import asdict, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.errors import ConfigError
from onnes.training.data import TRAINING_BUCKETS
from onnes.training.spectrum import fit_spectrum, score_alpha2f, score_spectrum
from onnes.training.spectrum_data import read_spectra

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from onnes.models.spectrum import SpectrumModel
    from onnes.training.recipe import SpectrumRecipe
    from onnes.training.spectrum_data import SpectraData

    Mask = NDArray[np.bool_]

_LISTED = 10
_SCORES = (
    ("lambda", "lambda_mae", ".3f"), ("omega_log", "omega_log_mae_K", ".1f"), ("omega2", "omega2_mae_K", ".1f"),
    ("Tc", "tc_mae_K", ".2f"),
)  # fmt: skip


def train_spectrum(
    recipe: SpectrumRecipe,
    folder: Path,
    *,
    device: str = "cpu",
    on_epoch: Callable[[], None] | None = None,
    checkpoint: Path | None = None,
) -> dict[str, Any]:
    """Train by a recipe and write the model's folder; returns the configuration.

    The weights are those of a model trained on all rows that can be used. When there are rows in the validation buckets
    and at least two formulas in the training buckets, another model is trained on the latter alone and scored on the
    former, beside the mean spectrum of its training rows.

    Parameters
    ----------
    recipe
        Names the spectra.
    folder
        Where weights, configuration and card go.
    device
        ``cpu`` or ``cuda``.
    on_epoch
        Called after every epoch of every member.
    checkpoint
        Folder in which finished members are kept, so that an interrupted training goes on.

    Returns
    -------
    dict
        ``validation`` has the number of scored rows ``n``, 0 where there was nothing to score, and then nothing else;
        ``problems`` one message for each row of the file that was left out.

    Raises
    ------
    ConfigError
        Without the spectra, or with fewer than two formulas.
    """
    if not recipe.data.is_file():
        raise ConfigError(
            f"recipe {recipe.name}: no spectra at {recipe.data}. The package has none: set data to a .parquet table or to a "
            "database.json (docs/training.md)"
        )
    data = read_spectra(recipe.data, recipe.crystals)
    usable, problems = _usable(data, recipe)

    def report(*_: float) -> None:
        if on_epoch is not None:
            on_epoch()

    def fit(rows: Mask, part: str) -> SpectrumModel:
        place = None if checkpoint is None else checkpoint / part
        return fit_spectrum(data, rows, recipe.settings, on_epoch=report, checkpoint=place, device=device)

    validation: dict[str, Any] = {"n": 0}
    test = usable & np.isin(data.buckets, recipe.validation_buckets)
    train = usable & np.isin(data.buckets, TRAINING_BUCKETS) & ~test
    if test.any() and len(np.unique(data.groups[train])) > 1:
        validation = asdict(score_spectrum(fit(train, "split"), data, test, device=device))
        plain = asdict(score_alpha2f(data.alpha2f[train].mean(0), data.select(test)))
        validation["mean_spectrum"] = {name: value for name, value in plain.items() if name != "n"}
    model = fit(usable, "all")
    facts = {
        "training_data": {
            "file": recipe.data.name,
            "sha256": sha256(recipe.data.read_bytes()).hexdigest(),
            "label_kind": data.label_kind,
        },
        "split": "composition buckets int(md5(reduced_formula), 16) % 100: "
        f"trained on {int(train.sum())} rows below 80, scored on {_ranges(recipe.validation_buckets)}",
        "validation": validation,
        "problems": problems,
        # the paths are of the machine where the model was trained
        "recipe": recipe.model_dump(mode="json") | {"data": recipe.data.name, "crystals": None},
    }
    model = replace(model, config={**model.config, **facts})
    model.save(folder, card=spectrum_card(recipe.name, model.configuration))
    return model.configuration


def spectrum_card(name: str, config: dict[str, Any]) -> str:
    """Card of a spectrum model, from its configuration."""
    network, settings, problems = config["network"], config["settings"], config["problems"]
    informed = " and the phonon density of states of each atom" if network["phonon_informed"] else ""
    listed = "".join(f"\n  * {line}" for line in problems[:_LISTED])
    more = f"\n  * and {len(problems) - _LISTED} more, in the configuration" if len(problems) > _LISTED else ""
    return f"""# {name}: alpha2F from the crystal structure{informed}

* **What**: {config["members"]} equivariant networks (lmax {network["lmax"]}, multiplicity {network["mul"]}, loss {settings["loss"]});
  alpha2F in 51 bins of 2 meV up to {config["bins_meV"][1]} meV; lambda, omega_log, omega2 and Tc (Allen-Dynes, mu* = 0.10) of
  the mean spectrum.
* **Data**: {config["training_data"]["file"]}{_kind(config["training_data"])}; {config["training_rows"]} crystals of {config["formulas"]} formulas, up to
  {config["max_atoms"]} atoms, {len(config["elements"])} elements.
* **Split**: {config["split"]}; these weights are trained on all rows.
* **Validation**: {_validation(config["validation"])}
* **Intervals**: quantiles of the members, not calibrated.
* **Limits**: conventional (electron-phonon) superconductors at the pressure of the data; what a spectrum has above 101 meV
  is lost, so not for hydrides.
* **Rows left out**: {len(problems) or "none"}{listed}{more}
* **Licence**: follows from that of the spectra.
"""


def _kind(training_data: dict[str, Any]) -> str:
    kind = training_data.get("label_kind")
    return f", labels {kind}" if kind else ""


def _validation(scores: dict[str, Any]) -> str:
    if not scores["n"]:
        return "none: no rows to score, or too few formulas to train on beside them."
    parts = [
        f"{label} MAE {scores[key]:{form}} ({scores['mean_spectrum'][key]:{form}}){' K' if key.endswith('K') else ''}"
        for label, key, form in _SCORES
    ]
    return f"{scores['n']} rows: {', '.join(parts)}; in brackets, the mean spectrum of the training rows for every crystal."


def _usable(data: SpectraData, recipe: SpectrumRecipe) -> tuple[Mask, list[str]]:
    """Rows that a model of these settings can read, and what is wrong with the others."""
    problems = list(data.problems)
    if not recipe.settings.phonon_informed:
        return np.ones(len(data.ids), bool), problems
    usable = data.has_phonon_dos
    problems += [
        f"{recipe.data.name}, {one}: no phonons. Add them, or train without phonon_informed"
        for one, has in zip(data.ids, usable, strict=True)
        if not has
    ]
    return usable, problems


def _ranges(buckets: tuple[int, ...]) -> str:
    """Buckets as runs: (80, 81, 82, 90) is 80-82, 90."""
    runs: list[list[int]] = []
    for bucket in sorted(set(buckets)):
        if runs and bucket == runs[-1][1] + 1:
            runs[-1][1] = bucket
        else:
            runs.append([bucket, bucket])
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in runs) or "none"
