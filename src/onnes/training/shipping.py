"""Train a model, score it on the validation buckets, train it again on all rows, and write weights and model card."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.errors import ConfigError
from onnes.models.weights import save_weights
from onnes.training import metals, structure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from onnes.training.trainer import TrainSettings

MODELS = ("structure", "metal")
_CALIBRATION_BUCKETS = range(80, 85)


def train_model(
    name: str,
    folder: Path,
    settings: TrainSettings | None = None,
    *,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
    on_epoch: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Train one of `MODELS` and write its folder; returns the configuration with the validation metrics.

    Raises
    ------
    ConfigError
        For an unknown name, or without the training data.
    """
    if name == "structure":
        return _train_structure(folder, settings or structure.DEFAULTS, device, on_rows, on_epoch)
    if name == "metal":
        return _train_metal(folder, settings or metals.DEFAULTS, device, on_rows, on_epoch)
    raise ConfigError(f"unknown model {name!r}; one of {', '.join(MODELS)}")


def _train_structure(
    folder: Path,
    settings: TrainSettings,
    device: str,
    on_rows: Callable[[int], None] | None,
    on_epoch: Callable[[], None] | None,
) -> dict[str, Any]:
    data = structure.load_structure_data(device=device, on_rows=on_rows)
    split = structure.fit_structure(data, data.training, settings, on_epoch=on_epoch)
    calibration = np.isin(data.buckets, _CALIBRATION_BUCKETS) & data.scored
    interval = structure.calibrate(split, data, calibration)
    found = split.predict(data.features[data.validation])
    score = structure.score(found["lambda_"], found["omega_log_K"], found["tc_K"], data, data.validation)
    everything = np.ones(len(data.lambda_), bool)
    model = structure.fit_structure(data, everything, settings, on_epoch=on_epoch)
    config = {
        "kind": "superconductivity",
        "potentials": list(model.potentials),
        "targets": list(model.heads.targets),
        "interval": list(interval),
        "max_atoms": model.max_atoms,
        "elements": sorted(data.elements),
        "training_rows": len(data.lambda_),
        "training_data": "Alexandria electron-phonon set (Cerqueira, Sanna, Marques, Adv. Mater. 2024) and the stable crystals of "
        "JARVIS-DFT's (Choudhary, Garrity, npj Comput. Mater. 2022), both CC BY 4.0",
        "split": "composition buckets int(md5(reduced_formula), 16) % 100: trained below 80, scored on Alexandria's 80-89",
        "validation": asdict(score),
        "settings": settings.model_dump(),
        "licence": "MIT",
    }
    save_weights(folder, {**model.heads.tensors(), **model.domain.tensors()}, config, _structure_card(config))
    return config


def _train_metal(
    folder: Path,
    settings: TrainSettings,
    device: str,
    on_rows: Callable[[int], None] | None,
    on_epoch: Callable[[], None] | None,
) -> dict[str, Any]:
    data = metals.load_metal_data(device=device, on_rows=on_rows)
    score = metals.score_metal(
        metals.fit_metal(data, data.training, settings, on_epoch=on_epoch), data, data.validation
    )
    everything = np.ones(len(data.is_metal), bool)
    model = metals.fit_metal(data, everything, settings, on_epoch=on_epoch)
    config = {
        "kind": "metal",
        "potentials": list(model.potentials),
        "targets": list(model.heads.targets),
        "metal_gap_eV": metals.METAL_GAP_EV,
        "training_rows": len(data.is_metal),
        "training_data": "Materials Project structures and PBE(+U) band gaps, CC BY 4.0",
        "split": "composition buckets int(md5(reduced_formula), 16) % 100: trained below 80, scored on 80-89",
        "validation": score,
        "settings": settings.model_dump(),
        "licence": "MIT",
    }
    save_weights(folder, model.heads.tensors(), config, _metal_card(config))
    return config


def _structure_card(config: dict[str, Any]) -> str:
    v = config["validation"]
    return f"""# structure: lambda, omega_log, omega2 and Tc from the crystal structure

* **What**: {config["settings"]["members"]} networks on the pooled atom features of {" and ".join(config["potentials"])};
  logarithms of lambda, omega_log and omega2/omega_log, then Allen-Dynes with f1 and f2 of the mean moments.
* **Data**: {config["training_data"]}; {config["training_rows"]} crystals of up to 18 atoms (a warning above {config["max_atoms"]}), mu* = 0.10.
* **Split**: {config["split"]}; the shipped weights are trained on all rows.
* **Validation** ({v["n"]} rows): lambda MAE {v["lambda_mae"]:.3f}, omega_log MAE {v["omega_log_mae_K"]:.1f} K, Tc MAE
  {v["tc_mae_K"]:.2f} K, R2 {v["tc_r2"]:.2f}; at 5 K precision {v["precision_5K"]:.2f}, true-positive rate
  {v["tpr_5K"]:.2f}, true-negative rate {v["tnr_5K"]:.3f}. Command: `onnes benchmark tc`.
* **Limits**: conventional (electron-phonon) superconductors at ambient pressure; not for magnets, cuprates, iron-based or
  heavy-fermion compounds, hydrides under pressure. No spectra were used, only their moments.
* **Licence**: {config["licence"]}; trained data under CC BY 4.0.
"""


def _metal_card(config: dict[str, Any]) -> str:
    v = config["validation"]
    return f"""# metal: probability that a crystal is a metal

* **What**: {config["settings"]["members"]} networks on the pooled atom features of {" and ".join(config["potentials"])}.
* **Label**: a metal has a PBE(+U) gap below {config["metal_gap_eV"]} eV.
* **Data**: {config["training_data"]}; {config["training_rows"]} crystals.
* **Split**: {config["split"]}; the shipped weights are trained on all rows.
* **Validation** ({v["n"]:.0f} rows, {v["share_of_metals"]:.0%} metals): ROC-AUC {v["auc"]:.3f}; at probability 0.5 precision
  {v["precision"]:.3f}, recall {v["recall"]:.3f}. Command: `onnes benchmark metal`.
* **Limits**: PBE underestimates gaps; Mott insulators may be called metals.
* **Licence**: {config["licence"]}; trained data under CC BY 4.0.
"""
