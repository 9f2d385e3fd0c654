"""Models that have never seen some chemical systems, kept on disk: the shipped weights have seen all rows.

They follow the shipped recipes. Training rows are those of the training buckets outside the systems in question.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow.compute as pc

from onnes.crystals.schema import values
from onnes.crystals.symbols import symbols
from onnes.errors import ConfigError
from onnes.models.composition import FEATURE_NAMES, LAST_FRACTION, composition_features, experimental_families
from onnes.models.weights import CONFIG, save_weights
from onnes.training import experimental, metals
from onnes.training import superconductivity as training
from onnes.training.benchmarks.rediscovery import chemical_system, formula_systems
from onnes.training.data import TRAINING_BUCKETS, buckets, data_folder, read_data
from onnes.training.electron_phonon import DATA, MORE_DATA
from onnes.training.feature_cache import cache_folder
from onnes.training.recipe import (
    ExperimentalRecipe,
    MetalRecipe,
    SuperconductivityRecipe,
    experimental_recipe,
    read_recipe,
    superconductivity_recipe,
)
from onnes.training.superconductivity import CrossPrediction

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from onnes.models.superconductivity import SuperconductivityModel
    from onnes.training.electron_phonon import ElectronPhononData
    from onnes.training.experimental_data import ExperimentalData

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Names = NDArray[np.str_]

_VERSION = "1"  # changes when the same data and recipe give other weights
_CARD = "# {name}, without some chemical systems\n\nFor a benchmark: trained on {rows} rows of buckets 0-79, {left} left out.\n"


@dataclass(frozen=True)
class UnseenModel:
    """Folder with the weights, and how many labelled rows of the training buckets were used and left out."""

    folder: Path
    n_rows: int
    n_left_out: int


def unseen_structure(
    systems: Collection[str],
    *,
    recipe: SuperconductivityRecipe | None = None,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> UnseenModel:
    """Train a model of computed superconductivity without some systems, or find it on disk.

    The spread is calibrated on out-of-fold predictions of its own training rows, so that no label of another bucket has
    a part in it.

    Parameters
    ----------
    systems
        Chemical systems that are left out.
    recipe
        Default: that of the shipped ``structure``.
    device
        Where features are computed that are not cached yet.
    on_rows
        Called with the number of crystals whose features are there.
    """
    chosen = recipe or superconductivity_recipe("structure")
    folder = _folder("structure", chosen, systems, (DATA, MORE_DATA))
    if (found := _finished(folder)) is not None:
        return found
    data = training.load_data([chosen], device=device, on_rows=on_rows)
    left_out = np.isin(electron_phonon_systems(data), list(systems))
    rows = data.training & ~left_out
    cross = _folds(folder.with_suffix(".npz"), data, rows, chosen)
    model = training.fit_superconductivity(data, rows, chosen)
    if cross.has_spread:
        model = training.calibrate(model, data, np.zeros(len(data), bool), cross)
    config = {
        **_superconductivity_config(model),
        "rows": int(rows.sum()),
        "left_out": int((data.training & left_out).sum()),
    }
    return _write(folder, {**model.heads.tensors(), **model.domain.tensors()}, config)


def _folds(path: Path, data: ElectronPhononData, rows: Bools, recipe: SuperconductivityRecipe) -> CrossPrediction:
    """Out-of-fold predictions, kept on disk: they take as long as the model itself."""
    if path.is_file():
        with np.load(path) as kept:
            return CrossPrediction(**kept)
    cross = training.cross_predict(data, rows, recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_suffix(f".{os.getpid()}.tmp")
    with building.open("wb") as file:
        np.savez(file, **{field.name: getattr(cross, field.name) for field in fields(cross)})
    building.replace(path)
    return cross


def electron_phonon_systems(data: ElectronPhononData) -> Names:
    """Chemical system of each row of `onnes.training.electron_phonon.load_electron_phonon`, shape (P,).

    Raises
    ------
    ConfigError
        When the rows cannot be told from the data files.
    """
    more = read_data(MORE_DATA).filter(pc.field("in_leaderboard_tc_benchmark") & pc.field("label_physical"))
    formulas = np.unique([f for table in (read_data(DATA), more) for f in values(table, "reduced_formula")])
    if data.groups.max() >= len(formulas) or (buckets(formulas[data.groups]) != data.buckets).any():
        raise ConfigError(
            f"the rows of {DATA} and {MORE_DATA} are not those the features were made of; load them again"
        )
    return formula_systems(formulas)[data.groups]


def _superconductivity_config(model: SuperconductivityModel) -> dict[str, Any]:
    return {
        "kind": "superconductivity",
        "potentials": list(model.potentials),
        "electronic": model.electronic,
        "fallback": model.fallback,
        "moments": model.moments,
        "targets": list(model.heads.targets),
        "columns": model.heads.columns,
        "calibration": model.calibration._asdict(),
        "max_atoms": model.max_atoms,
        "elements": sorted(model.elements),
    }


def unseen_metal(
    *, recipe: MetalRecipe | None = None, device: str = "cpu", on_rows: Callable[[int], None] | None = None
) -> UnseenModel:
    """Train a metal model on the training buckets, or find it on disk; its labels are band gaps, so no system is left out."""
    chosen = recipe or cast("MetalRecipe", read_recipe("metal"))
    folder = _folder("metal", chosen, (), (metals.DATA,))
    if (found := _finished(folder)) is not None:
        return found
    data = metals.load_metal_data(chosen.potentials, device=device, on_rows=on_rows)
    model = metals.fit_metal(data, data.training, chosen)
    config = {"kind": "metal", "potentials": list(model.potentials), "targets": list(model.heads.targets)}
    return _write(folder, model.heads.tensors(), {**config, "rows": int(data.training.sum()), "left_out": 0})


# --- measured superconductivity --------------------------------------------------------------------------------------


def experimental_rows(data: ExperimentalData, systems: Collection[str]) -> tuple[Bools, Bools]:
    """Compositions with a label in the training buckets: those outside the systems, and those inside; shape (P,)."""
    labelled = np.isin(data.buckets, TRAINING_BUCKETS) & np.isfinite(data.label) & ~data.has_structure
    left_out = np.isin(experimental_systems(data), list(systems))
    return labelled & ~left_out, labelled & left_out


def experimental_systems(data: ExperimentalData) -> Names:
    """Chemical system of each row, from the fractions among its features, shape (P,)."""
    names = symbols()
    first = FEATURE_NAMES.index(f"fraction_{names[1]}")
    fractions = data.features[:, first : first + LAST_FRACTION]
    return np.array([chemical_system(names[z + 1] for z in np.flatnonzero(row)) for row in fractions], dtype=np.str_)


def unseen_experimental(
    data: ExperimentalData, systems: Collection[str], *, recipe: ExperimentalRecipe | None = None
) -> UnseenModel:
    """Train a model of measured superconductivity on compositions without some systems, or find it on disk.

    Parameters
    ----------
    data
        Of `onnes.training.experimental_data.load_experimental_data`; rows with a crystal are not used.
    systems
        Chemical systems that are left out.
    recipe
        Default: that of the shipped ``experimental``, without the crystals.
    """
    chosen = (recipe or experimental_recipe("experimental")).model_copy(update={"variant": "composition"})
    files = ("tc_exp_by_composition", "tc_exp_supercon_tables", "mp_structures")
    folder = _folder("experimental", chosen, systems, files)
    if (found := _finished(folder)) is not None:
        return found
    rows, left_out = experimental_rows(data, systems)
    model = experimental.fit_experimental(
        data, rows, chosen.heads, classifier_settings=chosen.classifier, tree_settings=chosen.trees
    )
    config = {"rows": int(rows.sum()), "left_out": int(left_out.sum())}
    building = _building(folder)
    model.save(building, config, _CARD.format(name=folder.name, rows=config["rows"], left=config["left_out"]))
    return _finish(building, folder)


def nearest_compositions(data: ExperimentalData, rows: Bools, formulas: Sequence[str]) -> tuple[Floats, Floats]:
    """Give ln Tc and the share of superconductors among the nearest compositions of the chosen rows, each of shape (n,).

    The last of `onnes.training.experimental.trivial_baselines`.
    """
    n = len(formulas)
    unknown = np.full(n, np.nan)
    joined = replace(
        data,
        features=np.concatenate([data.features[rows], composition_features(formulas)]),
        ln_tc_K=np.concatenate([data.ln_tc_K[rows], unknown]),
        label=np.concatenate([data.label[rows], unknown]),
        family=np.concatenate([data.family[rows], experimental_families(formulas)]),
    )
    asked = np.arange(len(joined.label)) >= rows.sum()
    return experimental.trivial_baselines(joined, ~asked, asked)[f"{experimental.NEIGHBOURS} nearest compositions"]


# --- on disk ---------------------------------------------------------------------------------------------------------


def _folder(
    name: str,
    recipe: SuperconductivityRecipe | MetalRecipe | ExperimentalRecipe,
    systems: Collection[str],
    files: Sequence[str],
) -> Path:
    """Folder named by the content of everything that the weights follow from."""
    digest = hashlib.sha256(f"{_VERSION} {recipe.model_dump_json()} {json.dumps(sorted(systems))}".encode())
    for file in files:
        digest.update(hashlib.sha256((data_folder() / f"{file}.parquet").read_bytes()).digest())
    return cache_folder() / "unseen-systems" / f"{name}-{digest.hexdigest()[:24]}"


def _finished(folder: Path) -> UnseenModel | None:
    if not (folder / CONFIG).is_file():
        return None
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return UnseenModel(folder, config["rows"], config["left_out"])


def _building(folder: Path) -> Path:
    building = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    building.mkdir(parents=True, exist_ok=True)
    return building


def _finish(building: Path, folder: Path) -> UnseenModel:
    """Give the weights their final name only when they are whole."""
    shutil.rmtree(folder, ignore_errors=True)
    building.rename(folder)
    found = _finished(folder)
    if found is None:
        raise ConfigError(f"the weights in {folder} could not be written; is the disk full?")
    return found


def _write(folder: Path, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> UnseenModel:
    building = _building(folder)
    card = _CARD.format(name=folder.name, rows=config["rows"], left=config["left_out"])
    save_weights(building, tensors, config, card)
    return _finish(building, folder)
