"""What models that have not seen any of their chemical systems say of the candidates of a rediscovery."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import values
from onnes.crystals.table import crystal_table
from onnes.models.experimental import load_experimental_model
from onnes.models.prediction import predict_table
from onnes.models.weights import weights_sha256
from onnes.tools.crystals import hull
from onnes.training.benchmarks.unseen_systems import (
    UnseenModel,
    experimental_rows,
    nearest_compositions,
    unseen_experimental,
    unseen_metal,
    unseen_structure,
)
from onnes.training.experimental_data import load_experimental_data
from onnes.training.feature_cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from onnes.training.benchmarks.rediscovery import Candidates

NEAREST = ("nearest_share", "nearest_tc_K")
"""Columns of the baseline: share of superconductors and mean Tc among the nearest compositions of the training rows."""


@dataclass(frozen=True, eq=False)
class PoolPredictions:
    """Candidates and predictions.

    Attributes
    ----------
    candidates
        n crystals.
    table
        Crystal table of the n rows with the columns of `onnes.predict` (at the geometries as they are), the ``exp_`` columns
        of `onnes.experimental`, and `NEAREST`. It holds no measured Tc.
    models
        By name.
    """

    candidates: Candidates
    table: pa.Table
    models: Mapping[str, UnseenModel]


def predict_candidates(
    candidates: Candidates, *, device: str = "cpu", on_rows: Callable[[int], None] | None = None
) -> PoolPredictions:
    """Train models without the chemical systems of the candidates, and predict; kept on disk step by step.

    Parameters
    ----------
    candidates
        Superconductors and metals alike: the systems of both are left out of all training rows.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call.

    Raises
    ------
    ConfigError
        Without the training data.
    """
    systems = sorted(set(candidates.systems.tolist()))
    data = load_experimental_data()
    models = {
        "experimental": unseen_experimental(data, systems),
        "metal": unseen_metal(device=device, on_rows=on_rows),
        "structure": unseen_structure(systems, device=device, on_rows=on_rows),
    }
    table = _predicted(candidates, models, device, on_rows)
    formulas = values(table, "reduced_formula")
    said = load_experimental_model(str(models["experimental"].folder)).predict(formulas)
    ln_tc, share = nearest_compositions(data, experimental_rows(data, systems)[0], formulas)
    said |= dict(zip(NEAREST, (share, np.exp(ln_tc)), strict=True))
    for name, column in said.items():
        table = table.append_column(name, pa.array(column.tolist()))
    return PoolPredictions(candidates, table, models)


def _predicted(
    candidates: Candidates,
    models: Mapping[str, UnseenModel],
    device: str,
    on_rows: Callable[[int], None] | None,
) -> pa.Table:
    batch = CrystalBatch.from_table(candidates.table)
    structure, metal = (str(models[name].folder) for name in ("structure", "metal"))
    digest = hashlib.sha256(f"{weights_sha256(structure)} {weights_sha256(metal)}".encode())
    for array in (batch.lattices, batch.frac_coords, batch.atomic_numbers, batch.offsets):
        digest.update(np.ascontiguousarray(array).tobytes())
    path = cache_folder() / "unseen-systems" / f"candidates-{digest.hexdigest()[:24]}.parquet"
    if path.is_file():
        return pq.read_table(path)
    table = crystal_table(batch, ids=[str(i) for i in range(len(batch))], source="pool")
    table = predict_table(table, model=structure, metal_model=metal, device=device, on_rows=on_rows)
    table = hull(table, device=device).table
    building = path.with_suffix(".tmp")
    pq.write_table(table, building)
    building.replace(path)
    return table
