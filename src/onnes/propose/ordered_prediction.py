"""Tc of a crystal with partly occupied sites: mean, spread and range over its ordered cells."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from onnes.crystals.schema import floats, is_open, values
from onnes.errors import ConfigError
from onnes.propose.disorder import disorder_candidates
from onnes.propose.mixing import BOLTZMANN_EV_PER_K

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from onnes.potentials.potential import Potential
    from onnes.potentials.relaxation import RelaxSettings

    Floats = NDArray[np.float64]

SUMMARY = {
    "parent_id": pa.string(),
    "formula": pa.string(),
    "n_cells": pa.int32(),
    "n_failed": pa.int32(),
    "tc_K": pa.float64(),
    "tc_spread_K": pa.float64(),
    "tc_min_K": pa.float64(),
    "tc_max_K": pa.float64(),
    "tc_model_std_K": pa.float64(),
    "energy_range_eV_per_atom": pa.float64(),
    "occupancy_deviation": pa.float64(),
    "temperature_K": pa.float64(),
    "error": pa.string(),
}
"""Columns of the summary: weighted mean over the ordered cells, standard deviation over them with the same weights, range,
mean of the model's own standard deviations, range of the cells' energies, largest change of an occupancy that the size of
the cells made necessary, and the temperature of the weights."""


@dataclass(frozen=True, eq=False)
class OrderedPrediction:
    """What the ordered cells of disordered crystals say.

    Attributes
    ----------
    summary
        One row a parent, columns of `SUMMARY`.
    cells
        Crystal table of the ordered cells with their predictions, and a column ``weight`` that sums to 1 over the open
        cells of each parent.
    """

    summary: pa.Table
    cells: pa.Table


def ordered_prediction(
    parents: pa.Table,
    *,
    temperature_K: float | None = None,
    relax: RelaxSettings | None = None,
    potential: Potential | None = None,
    model: str = "structure",
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
    **order: Any,
) -> OrderedPrediction:
    """Predict Tc for every ordered cell of crystals with partly occupied sites.

    Parameters
    ----------
    parents
        Crystal table with ``site_occupancies``.
    temperature_K
        Weigh the cells by degeneracy times exp(-E/kT), best at the temperature at which the disorder froze; by the
        degeneracy alone, as in a random alloy, without it. E is that of the largest of the cells with the same
        composition, so that cells of different size are compared at one size.
    relax, potential
        Relax the cells first, by that potential; at the average lattice otherwise. A rank by energy needs it too.
    model, device
        As for `onnes.models.prediction.predict_table`.
    on_rows
        Called with the number of cells relaxed, where asked, and then of those predicted.
    **order
        Settings of `onnes.propose.disorder.disorder_candidates`.

    Raises
    ------
    ConfigError
        To relax without a potential, or for a temperature that is not positive.

    Notes
    -----
    The spread over the cells tells what order does, not how wrong the model is: that is ``tc_model_std_K``. The models
    know cells up to 12 atoms; the columns ``in_domain`` and ``warnings`` of the cells say when they are beyond.
    """
    from onnes.models.prediction import predict_table
    from onnes.potentials.tables import relax_table

    if relax is not None and potential is None:
        raise ConfigError("name the potential that relaxes the cells")
    if temperature_K is not None and not temperature_K > 0:
        raise ConfigError("give a temperature above 0 K, or none for equal chances")
    ranks = order.get("rank") == "energy"
    cells = disorder_candidates(parents, potential=potential if ranks else None, **order)
    if relax is not None and potential is not None:
        cells = relax_table(cells, potential, relax, on_rows=on_rows)
    cells = predict_table(cells, model=model, device=device, on_rows=on_rows)
    cells = cells.append_column("weight", pa.array(_weights(cells, temperature_K), from_pandas=True))
    rows = [_summary(cells, parent, index, temperature_K) for parent, index in _groups(cells).items()]
    return OrderedPrediction(pa.Table.from_pylist(rows, schema=pa.schema(SUMMARY.items())), cells)


def _groups(cells: pa.Table) -> dict[str, list[int]]:
    """Rows of each parent; a parent that gave no cells has its own row."""
    groups: dict[str, list[int]] = {}
    columns = (values(cells, name) for name in ("parent_id", "id", "how"))
    for row, (parent, own, how) in enumerate(zip(*columns, strict=True)):
        groups.setdefault(parent if _is_cell(how) else own, []).append(row)
    return groups


def _is_cell(how: str | None) -> bool:
    return '"op":"disorder"' in (how or "")


def _weights(cells: pa.Table, temperature_K: float | None) -> Floats:
    """Normalised over the open cells of each parent; NaN for the others, shape (n,)."""
    usable = is_open(cells) & np.isfinite(floats(cells, "tc_K"))
    energies, sizes = floats(cells, "energy_eV_per_atom"), floats(cells, "n_atoms")
    formulas, hows = values(cells, "reduced_formula"), values(cells, "how")
    weights = np.full(cells.num_rows, np.nan)
    for rows in _groups(cells).values():
        group = np.array([row for row in rows if usable[row]], np.int64)
        if not len(group):
            continue
        logs = np.log([json.loads(hows[row])["degeneracy"] for row in group])
        if temperature_K is not None:
            for formula in {formulas[row] for row in group}:
                same = np.array([formulas[row] == formula for row in group])
                above = energies[group[same]] - energies[group[same]].min()
                logs[same] -= above * sizes[group[same]].max() / (BOLTZMANN_EV_PER_K * temperature_K)
        shares = np.exp(logs - logs.max())
        weights[group] = shares / shares.sum()
    return weights


def _summary(cells: pa.Table, parent: str, rows: list[int], temperature_K: float | None) -> dict[str, Any]:
    part = cells.take(rows)
    weights = floats(part, "weight")
    used = np.isfinite(weights)
    found: dict[str, Any] = {
        "parent_id": parent,
        "formula": values(part, "reduced_formula")[0],
        "n_cells": int(used.sum()),
        "n_failed": sum(map(_is_cell, np.array(values(part, "how"), object)[~used])),
        "temperature_K": temperature_K,
    }
    if not used.any():
        return {**found, "error": next((e for e in values(part, "error") if e), "no cell has a Tc")}
    tc, share = floats(part, "tc_K")[used], weights[used]
    mean = float((share * tc).sum())
    energies = floats(part, "energy_eV_per_atom")[used]
    return {
        **found,
        "tc_K": mean,
        "tc_spread_K": float(np.sqrt((share * (tc - mean) ** 2).sum())),
        "tc_min_K": float(tc.min()),
        "tc_max_K": float(tc.max()),
        "tc_model_std_K": float((share * floats(part, "tc_K_std")[used]).sum()),
        "energy_range_eV_per_atom": float(energies.max() - energies.min()) if np.isfinite(energies).all() else None,
        "occupancy_deviation": max(json.loads(how)["deviation"] for how in np.array(values(part, "how"))[used]),
    }
