"""Relax the rows of a crystal table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import GEOMETRY_DEPENDENT, concat, floats, is_open, values, with_columns
from onnes.crystals.table import identify
from onnes.potentials.relaxation import RelaxSettings, relax_batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnes.potentials.potential import Potential


def relax_table(
    table: pa.Table,
    potential: Potential,
    settings: RelaxSettings | None = None,
    *,
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """Relax every open row; space group, prototype and hash are found anew, numbers of the old geometry removed.

    Parameters
    ----------
    table
        Crystal table.
    potential
        Who relaxes; its name becomes the row's ``geometry``.
    settings
        Defaults to `RelaxSettings`; its pressure becomes the row's ``pressure_GPa``.
    on_rows
        Called with the number of rows done since the last call.

    Returns
    -------
    pyarrow.Table
        The same rows in the same order. A crystal that fails or does not converge gets ``error``; its numbers so far
        stay in the row.
    """
    settings = settings or RelaxSettings()
    rows = np.flatnonzero(is_open(table))
    batch = CrystalBatch.from_table(table.take(rows))
    relaxed = relax_batch(batch, potential, settings, on_done=on_rows)
    names = (
        "lattice",
        "frac_coords",
        "input_lattice",
        "input_frac_coords",
        "geometry",
        "potential",
        "energy_eV_per_atom",
    )
    more = ("forces_max_eV_per_A", "relax_steps", "relax_converged", "pressure_GPa", "error")
    stale = [name for name in GEOMETRY_DEPENDENT if name in table.column_names]
    columns = {name: values(table, name) for name in (*names, *more, *stale)}
    for i, row in enumerate(rows):
        if relaxed.errors[i] is not None:
            columns["error"][row] = relaxed.errors[i]
            continue
        lattice, frac, numbers = relaxed.batch.crystal(i)
        columns["input_lattice"][row] = columns["input_lattice"][row] or columns["lattice"][row]
        columns["input_frac_coords"][row] = columns["input_frac_coords"][row] or columns["frac_coords"][row]
        columns["lattice"][row] = lattice.ravel().tolist()
        columns["frac_coords"][row] = frac.ravel().tolist()
        columns["geometry"][row] = columns["potential"][row] = potential.name
        columns["energy_eV_per_atom"][row] = relaxed.energies_eV[i] / len(numbers)
        columns["forces_max_eV_per_A"][row] = relaxed.forces_max_eV_per_A[i]
        columns["relax_steps"][row] = int(relaxed.steps[i])
        columns["relax_converged"][row] = bool(relaxed.converged[i])
        columns["pressure_GPa"][row] = settings.pressure_GPa
        for name in stale:
            columns[name][row] = None
        if not relaxed.converged[i]:
            columns["error"][row] = (
                f"not relaxed after {int(relaxed.steps[i])} steps: largest force "
                f"{relaxed.forces_max_eV_per_A[i]:.3f} eV/A, wanted {settings.fmax_eV_per_A:g}"
            )
    return identify(with_columns(table, columns))


def relax_at_own_pressure(
    table: pa.Table,
    potential: Potential,
    settings: RelaxSettings | None = None,
    *,
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """Relax every open row at its own ``pressure_GPa``, 0 where there is none; else as `relax_table`.

    Parameters
    ----------
    table, potential, on_rows
        See `relax_table`.
    settings
        Defaults to `RelaxSettings`; its pressure is void.
    """
    settings = settings or RelaxSettings()
    pressures = np.nan_to_num(floats(table, "pressure_GPa"))
    groups = [np.flatnonzero(pressures == pressure) for pressure in np.unique(pressures)]
    parts = [
        relax_table(
            table.take(pa.array(rows)),
            potential,
            settings.model_copy(update={"pressure_GPa": float(pressures[rows[0]])}),
            on_rows=on_rows,
        )
        for rows in groups
    ]
    if not parts:
        return relax_table(table, potential, settings, on_rows=on_rows)
    return concat(parts).take(pa.array(np.argsort(np.concatenate(groups))))


def evaluate_table(table: pa.Table, potential: Potential, *, on_rows: Callable[[int], None] | None = None) -> pa.Table:
    """Energy and largest force at the geometry that each open row has now; rows that hold an energy keep it.

    Parameters
    ----------
    table
        Crystal table.
    potential
        Who evaluates.
    on_rows
        Called with the number of rows done since the last call.
    """
    with_energy = np.array([name is not None for name in values(table, "potential")], dtype=bool)
    rows = np.flatnonzero(is_open(table) & ~with_energy)
    names = ("potential", "energy_eV_per_atom", "forces_max_eV_per_A", "geometry", "error")
    columns = {name: values(table, name) for name in names}
    batch = CrystalBatch.from_table(table.take(rows))
    single = RelaxSettings(max_steps=0, keep_symmetry=False)
    result = relax_batch(batch, potential, single, on_done=on_rows)
    for i, row in enumerate(rows):
        columns["geometry"][row] = columns["geometry"][row] or "input"
        if result.errors[i] is not None:
            columns["error"][row] = result.errors[i]
            continue
        columns["potential"][row] = potential.name
        columns["energy_eV_per_atom"][row] = result.energies_eV[i] / batch.n_atoms[i]
        columns["forces_max_eV_per_A"][row] = result.forces_max_eV_per_A[i]
    return with_columns(table, columns)
