"""Fill the prediction columns of a crystal table: one pass of the feature potentials serves every model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import floats, is_open, values, with_columns
from onnes.models import metal, superconductivity
from onnes.models.features import crystal_features
from onnes.models.metal import load_metal_model
from onnes.models.superconductivity import MAGNETIC_MUB, load_superconductivity_model

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from numpy.typing import NDArray

    from onnes.models.superconductivity import SuperconductivityModel

COLUMNS = (
    "lambda_", "lambda_std", "omega_log_K", "omega_log_K_std", "omega2_K", "omega2_K_std", "mu_star", "tc_K",
    "tc_K_std", "tc_lo_K", "tc_hi_K", "tc_mu016_K", "is_metal_probability", "magmom_max_muB", "in_domain",
    "domain_distance", "warnings",
)  # fmt: skip


def predict_table(
    table: pa.Table,
    *,
    model: str = superconductivity.DEFAULT_MODEL,
    metal_model: str = metal.DEFAULT_MODEL,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """Add superconductivity, metal and domain columns at the geometry that each row has now.

    Rows that are not open (an error, or rejected) are left as they are. Where the table holds no energy yet, the
    energy of the first feature potential at this geometry is kept as well.

    Parameters
    ----------
    table
        Crystal table.
    model, metal_model
        Names of shipped weights, or folders.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of rows done since the last call.

    Returns
    -------
    pyarrow.Table
        The same rows in the same order; a row that failed gets ``error``.
    """
    sc, metals = load_superconductivity_model(model), load_metal_model(metal_model)
    rows = np.flatnonzero(is_open(table))
    batch = CrystalBatch.from_table(table.take(rows))
    features = crystal_features(batch, sc.potentials, device=device, on_rows=on_rows)
    predicted: dict[str, NDArray[np.float64]] = sc.predict(features.values)
    predicted["is_metal_probability"] = metals.predict(features.values)
    predicted["magmom_max_muB"] = features.magmom_max_muB
    warnings = _warnings(batch, floats(table, "pressure_GPa")[rows], predicted, sc)
    columns: dict[str, list[object]] = {name: values(table, name) for name in (*COLUMNS, "error", "geometry")}
    energy = {name: values(table, name) for name in ("potential", "energy_eV_per_atom")}
    for i, row in enumerate(rows):
        error = features.errors[i]
        columns["error"][row] = error
        columns["geometry"][row] = columns["geometry"][row] or "input"
        if error is not None:
            continue
        for name, column in predicted.items():
            columns[name][row] = float(column[i])
        columns["in_domain"][row] = not warnings[i]
        columns["warnings"][row] = "; ".join(warnings[i]) or None
        if energy["potential"][row] is None:
            energy["potential"][row] = sc.potentials[0]
            energy["energy_eV_per_atom"][row] = float(features.energies_eV_per_atom[i])
    return with_columns(table, {**columns, **energy})


def _warnings(
    batch: CrystalBatch,
    pressures: NDArray[np.float64],
    predicted: dict[str, NDArray[np.float64]],
    model: SuperconductivityModel,
) -> list[list[str]]:
    """Why a row lies outside what the model was trained for; an empty list when it does not."""
    from ase.data import chemical_symbols

    result: list[list[str]] = []
    for i, (_, _, numbers) in enumerate(batch):
        found: list[str] = []
        if predicted["domain_distance"][i] > 1:
            found.append(f"unlike the training crystals (distance {predicted['domain_distance'][i]:.2f}, edge 1)")
        foreign = sorted(set(numbers.tolist()) - model.elements)
        if foreign:
            found.append("elements not in the training data: " + ", ".join(chemical_symbols[z] for z in foreign))
        if len(numbers) > model.max_atoms:
            found.append(f"{len(numbers)} atoms, trained up to {model.max_atoms}")
        if predicted["magmom_max_muB"][i] > MAGNETIC_MUB:
            found.append(f"magnetic (CHGNet moment {predicted['magmom_max_muB'][i]:.1f} muB)")
        if np.isfinite(pressures[i]) and abs(pressures[i]) > 1.0:
            found.append(f"at {pressures[i]:g} GPa, trained at ambient pressure")
        result.append(found)
    return result
