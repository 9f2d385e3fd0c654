"""Elastic tensors of many crystals by an interatomic potential: deformed cells evaluated in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import is_open, values, with_columns
from onnes.physics.elasticity import moduli
from onnes.physics.strain_response import (
    DISPLACEMENT_A,
    MAX_ATOMS,
    STRAIN,
    DeformedCells,
    ElasticResponse,
    deformed_cells,
    elastic_response,
)
from onnes.potentials.evaluation import evaluate_each

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from pymatgen.core import Structure

    from onnes.potentials.potential import Potential

_TOGETHER = {"cpu": 512, "cuda": 32768}  # atoms of the deformed cells made before they are evaluated
_CHUNK = {"cpu": 16, "cuda": 1024}
_SPREADS = {
    "bulk_modulus_GPa": "bulk_modulus_spread_GPa",
    "shear_modulus_GPa": "shear_modulus_spread_GPa",
    "debye_from_moduli_K": "debye_from_moduli_spread_K",
}
ELASTIC_COLUMNS = (
    "density_g_per_cm3", "bulk_modulus_GPa", "bulk_modulus_spread_GPa", "shear_modulus_GPa", "shear_modulus_spread_GPa",
    "youngs_modulus_GPa", "poisson_ratio", "pugh_ratio", "universal_anisotropy", "debye_from_moduli_K",
    "debye_from_moduli_spread_K", "mechanically_stable", "elastic_tensor_GPa", "elastic_potential",
)  # fmt: skip


def elastic_responses(
    batch: CrystalBatch,
    potential: Potential,
    *,
    strain: float = STRAIN,
    displacement_A: float = DISPLACEMENT_A,
    max_atoms: int = MAX_ATOMS,
    on_done: Callable[[int], None] | None = None,
) -> list[ElasticResponse | str]:
    """Elastic tensor of every crystal of a batch, at the geometry given.

    Parameters
    ----------
    batch
        B crystals, best relaxed with the same potential; what stress and force they have is subtracted.
    potential
        Any `Potential` with forces and stresses.
    strain, displacement_A, max_atoms
        See `onnes.physics.strain_response.deformed_cells`.
    on_done
        Called with the number of crystals that finished since the last call.

    Returns
    -------
    list
        One entry a crystal: its response, or a message saying why there is none.

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> from onnes.potentials.potential import load_potential
    >>> [response] = elastic_responses(CrystalBatch.from_structures([known_crystal("Al")]), load_potential())
    >>> 60 < response.tensor_GPa[:3, :3].mean() < 95  # bulk modulus; 79 GPa measured
    True
    """
    results: list[ElasticResponse | str] = ["not done"] * len(batch)
    waiting: list[tuple[int, DeformedCells]] = []
    atoms = 0
    limit = _TOGETHER[potential.device.partition(":")[0]]
    how = {"strain": strain, "displacement_A": displacement_A, "max_atoms": max_atoms}
    for i in range(len(batch)):
        try:
            cells = deformed_cells(*batch.crystal(i), **how)
        except Exception as error:  # noqa: BLE001 - the row boundary
            results[i] = _message(f"{type(error).__name__}: {error}")
        else:
            waiting.append((i, cells))
            atoms += len(cells.crystals) * len(cells.primitive[2])
        if atoms >= limit or i == len(batch) - 1:
            for j, found in _finished(waiting, potential):
                results[j] = found
            waiting, atoms = [], 0
        if on_done:
            on_done(1)
    return results


def _finished(
    waiting: list[tuple[int, DeformedCells]], potential: Potential
) -> list[tuple[int, ElasticResponse | str]]:
    """Evaluate the deformed cells of some crystals, and make their tensors."""
    everything = CrystalBatch.of(crystal for _, cells in waiting for crystal in cells.crystals)
    evaluation, errors = evaluate_each(everything, potential)
    results: list[tuple[int, ElasticResponse | str]] = []
    first = 0
    for i, cells in waiting:
        mine = slice(first, first + len(cells.crystals))
        atoms = slice(everything.offsets[mine.start], everything.offsets[mine.stop])
        first = mine.stop
        fault = next((error for error in errors[mine] if error is not None), None)
        if fault is not None:
            results.append((i, _message(fault)))
            continue
        forces, stresses = evaluation.forces_eV_per_A, evaluation.stresses_eV_per_A3
        if forces is None or stresses is None:
            raise TypeError(f"potential {potential.name} gives no forces or no stresses")
        by_cell = forces[atoms].reshape(len(cells.crystals), -1, 3)
        try:
            results.append((i, elastic_response(cells, stresses[mine], by_cell)))
        except Exception as error:  # noqa: BLE001 - the row boundary
            results.append((i, _message(f"{type(error).__name__}: {error}")))
    return results


def _message(fault: str) -> str:
    return f"elastic tensor failed: {fault}"


def elastic_table(
    table: pa.Table,
    potential: Potential,
    *,
    sibling: Potential | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """Fill the elastic columns of the open rows, at the geometry that each has now.

    Parameters
    ----------
    table
        Crystal table, best relaxed with ``potential``.
    potential
        Whose elastic tensor.
    sibling
        A second potential: ``bulk_modulus_spread_GPa`` and its like are the differences between the two, both at the same
        geometry.
    on_rows
        Called with the number of rows done since the last call.

    Returns
    -------
    pyarrow.Table
        The same rows in the same order; a row that fails gets ``error`` and its density alone. ``mechanically_stable`` says
        whether every homogeneous deformation raises the energy. Where the tensor is not positive definite, only the bulk
        modulus is given. Where the sibling fails, ``notes`` say so.
    """
    rows = np.flatnonzero(is_open(table))
    names = (*ELASTIC_COLUMNS, "geometry", "notes", "error")
    columns: dict[str, list[Any]] = {name: values(table, name) for name in names}
    chunk = _CHUNK[potential.device.partition(":")[0]]
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        batch = CrystalBatch.from_table(table.take(part))
        first = elastic_responses(batch, potential)
        second = elastic_responses(batch, sibling) if sibling else [None] * len(part)
        for row, structure, mine, theirs in zip(part, batch.to_structures(), first, second, strict=True):
            columns["geometry"][row] = columns["geometry"][row] or "input"
            columns["density_g_per_cm3"][row] = float(structure.density)
            if isinstance(mine, str):
                columns["error"][row] = mine
                continue
            if sibling and isinstance(theirs, str):
                said = f"no spread of the moduli, {sibling.name}: {theirs}"
                columns["notes"][row] = "; ".join(filter(None, (columns["notes"][row], said)))
            for name, value in _row(mine, theirs, structure).items():
                columns[name][row] = value
            columns["elastic_potential"][row] = potential.name
        if on_rows:
            on_rows(len(part))
    return with_columns(table, columns)


def _row(response: ElasticResponse, sibling: ElasticResponse | str | None, structure: Structure) -> dict[str, Any]:
    """Columns of one crystal, with spreads where a second potential succeeded."""
    found = _columns_of(response, structure)
    if not isinstance(sibling, ElasticResponse):
        return found
    theirs = _columns_of(sibling, structure)
    return found | {spread: abs(found[name] - theirs[name]) for name, spread in _SPREADS.items()}


def _columns_of(response: ElasticResponse, structure: Structure) -> dict[str, Any]:
    found = moduli(response.tensor_GPa, structure)
    return {
        "bulk_modulus_GPa": found.bulk_modulus_GPa,
        "shear_modulus_GPa": found.shear_modulus_GPa,
        "youngs_modulus_GPa": found.youngs_modulus_GPa,
        "poisson_ratio": found.poisson_ratio,
        "pugh_ratio": found.pugh_ratio,
        "universal_anisotropy": found.universal_anisotropy,
        "debye_from_moduli_K": found.debye_K,
        "mechanically_stable": response.stable,
        "elastic_tensor_GPa": response.tensor_GPa.ravel().tolist(),
    }
