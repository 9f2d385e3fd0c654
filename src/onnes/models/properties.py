"""Learned properties other than superconductivity: metal or not, Debye temperature, magnetism, each with its spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import is_open, values, with_columns
from onnes.models import metal, superconductivity
from onnes.models.features import crystal_features
from onnes.models.metal import load_metal_model
from onnes.models.superconductivity import MAGNETIC_MUB, load_superconductivity_model

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

MOMENTS = "chgnet"
PROPERTY_COLUMNS = (
    "is_metal_probability", "is_metal_probability_std", "magmom_max_muB", "is_magnetic", "debye_K", "debye_K_std",
)  # fmt: skip


def property_table(
    table: pa.Table,
    *,
    model: str = superconductivity.DEFAULT_MODEL,
    metal_model: str = metal.DEFAULT_MODEL,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """Fill the columns of `PROPERTY_COLUMNS` in the open rows, at the geometry that each has now.

    Parameters
    ----------
    table
        Crystal table.
    model, metal_model
        Superconductivity model, whose heads know the Debye temperature, and metal model: shipped names or folders.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of rows done since the last call.

    Returns
    -------
    pyarrow.Table
        The same rows in the same order; a row that fails gets ``error``. ``*_std`` is the standard deviation over the
        members of an ensemble. ``is_magnetic`` says whether CHGNet gives an atom more than 0.5 Bohr magnetons; it is
        no probability, and has no spread.
    """
    metals, electron_phonon = load_metal_model(metal_model), load_superconductivity_model(model)
    rows = np.flatnonzero(is_open(table))
    batch = CrystalBatch.from_table(table.take(rows))
    potentials = tuple(dict.fromkeys([*electron_phonon.potentials, *metals.potentials, MOMENTS]))
    features = crystal_features(batch, potentials, device=device, on_rows=on_rows)
    probability = metals.predict_members(features.of(metals.potentials))
    debye = electron_phonon.predict(features.of(electron_phonon.potentials))
    found = {
        "is_metal_probability": probability.mean(0),
        "is_metal_probability_std": probability.std(0),
        "magmom_max_muB": features.magmom_max_muB,
        "debye_K": debye["debye_K"],
        "debye_K_std": debye["debye_K_std"],
    }
    columns: dict[str, list[Any]] = {name: values(table, name) for name in (*PROPERTY_COLUMNS, "geometry", "error")}
    for i, row in enumerate(rows):
        columns["geometry"][row] = columns["geometry"][row] or "input"
        columns["error"][row] = features.errors[i]
        if features.errors[i] is not None:
            continue
        for name, numbers in found.items():
            columns[name][row] = float(numbers[i])
        columns["is_magnetic"][row] = bool(features.magmom_max_muB[i] > MAGNETIC_MUB)
    return with_columns(table, columns)
