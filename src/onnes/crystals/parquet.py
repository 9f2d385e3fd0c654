"""Parquet tables of crystals: foreign column types brought to the schema, each row validated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onnes.crystals.parsed import FULL
from onnes.crystals.schema import COLUMNS, GEOMETRY_COLUMNS, column, values, with_columns
from onnes.crystals.table import complete, unpack, with_compositions
from onnes.crystals.validation import CELL_NUMBERS, MAX_ATOMS, faults, occupancies_of, occupancy_fault
from onnes.errors import CrystalError

if TYPE_CHECKING:
    from pathlib import Path

PARTLY_OCCUPIED = (
    "partly occupied sites, and the models need ordered cells. "
    "Make ordered cells first (onnes propose --method disorder)"
)
# Recomputed from the geometry, so a foreign type of them is no loss.
_DERIVED = ("n_atoms", "space_group", "prototype", "crystal_hash")


def read_parquet(path: Path, *, max_atoms: int = MAX_ATOMS) -> tuple[pa.Table, list[str | None]]:
    """Read a Parquet table of crystals.

    Parameters
    ----------
    path
        A file with at least the columns lattice, frac_coords, atomic_numbers.
    max_atoms
        Largest allowed cell.

    Returns
    -------
    table
        All its columns, those that the schema knows cast to its types. The geometry of a bad row is null.
    problems
        What is wrong with each row, None for a sound one.

    Raises
    ------
    CrystalError
        If it is not Parquet, lacks a geometry column, or a column cannot be cast.
    """
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise CrystalError(f"not a Parquet file that can be read ({str(error)[:120]}). Write it again") from error
    if missing := [name for name in GEOMETRY_COLUMNS if name not in table.column_names]:
        have = ", ".join(table.column_names[:8]) or "none"
        raise CrystalError(
            f"no column {missing[0]} (columns: {have}). Crystals need lattice, frac_coords, atomic_numbers"
        )
    if len(set(table.column_names)) < len(table.column_names):
        raise CrystalError("two columns share one name. Rename one of them")
    if table.num_rows == 0:
        raise CrystalError("a table without rows. Check how it was made")
    table = _with_schema_types(_with_occupancies(table))
    problems, table = _checked(table, max_atoms)
    return with_compositions(complete(table)), problems


def _with_schema_types(table: pa.Table) -> pa.Table:
    for index, name in enumerate(table.column_names):
        kind = COLUMNS.get(name)
        if kind is None:
            if pa.types.is_large_string(table[name].type):
                table = table.set_column(index, name, table[name].cast(pa.string()))
            continue
        # one impossible atomic number must spoil its row only, hence the wide type until it is checked
        wide = pa.list_(pa.int64()) if name == "atomic_numbers" else kind
        try:
            data = table[name].cast(wide)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            if name not in _DERIVED:
                raise CrystalError(
                    f"column {name} has type {table[name].type} instead of {kind}. Rename or convert it"
                ) from error
            data = pa.nulls(table.num_rows, kind)
        if pa.types.is_floating(kind):
            data = column(name, data.to_numpy())
        table = table.set_column(index, name, data)
    return table


def _with_occupancies(table: pa.Table) -> pa.Table:
    """Bring ``site_occupancies`` to the schema; numbers alone go with a column ``site_atomic_numbers``."""
    if "site_occupancies" not in table.column_names:
        return table
    kind = table["site_occupancies"].type
    if not (
        pa.types.is_list(kind)
        and pa.types.is_list(kind.value_type)
        and pa.types.is_floating(kind.value_type.value_type)
    ):
        return table
    if "site_atomic_numbers" not in table.column_names:
        raise CrystalError("site_occupancies without site_atomic_numbers. Give the species of each site")
    merged: list[Any] = []
    for species, shares in zip(values(table, "site_atomic_numbers"), values(table, "site_occupancies"), strict=True):
        if species is None or shares is None or _is_full(shares):
            merged.append(None)
            continue
        pairs = (zip(zs, os, strict=False) for zs, os in zip(species, shares, strict=False))
        merged.append([[{"Z": z, "occupancy": o} for z, o in site] for site in pairs])
    return with_columns(table.drop_columns(["site_occupancies"]), {"site_occupancies": merged})


def _is_full(shares: list[list[float]]) -> bool:
    return all(len(site) == 1 and abs(site[0] - 1.0) <= FULL for site in shares)


def _checked(table: pa.Table, max_atoms: int) -> tuple[list[str | None], pa.Table]:
    """Validate all rows; null the geometry of bad ones."""
    problems = _shape_faults(table)
    good = np.array([i for i, problem in enumerate(problems) if problem is None], dtype=np.int64)
    batch = unpack(table.select(list(GEOMETRY_COLUMNS)).take(good))
    for i, reason in zip(good.tolist(), faults(batch, max_atoms=max_atoms), strict=True):
        problems[i] = reason
    kept = pa.array([i if problem is None else None for i, problem in enumerate(problems)], pa.int64())
    for name in GEOMETRY_COLUMNS:
        data = table[name].combine_chunks()
        table = table.set_column(table.column_names.index(name), name, data.take(kept).cast(COLUMNS[name]))
    for i, rows in enumerate(values(table, "site_occupancies")):
        if rows is not None and problems[i] is None:
            n_atoms = len(table["atomic_numbers"][i])
            problems[i] = occupancy_fault(occupancies_of(rows), n_atoms) or PARTLY_OCCUPIED
    return problems, table


def _shape_faults(table: pa.Table) -> list[str | None]:
    lengths = {}
    for name in GEOMETRY_COLUMNS:
        array = table[name].combine_chunks()
        lengths[name] = array.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)
    cells, coords, atoms = (lengths[name] for name in GEOMETRY_COLUMNS)
    problems: list[str | None] = [None] * table.num_rows
    for i in np.flatnonzero((cells != CELL_NUMBERS) | (coords != 3 * atoms) | (atoms < 1)):
        if min(cells[i], coords[i], atoms[i]) < 0:
            problems[i] = "no geometry. Fill lattice, frac_coords and atomic_numbers"
        elif cells[i] != CELL_NUMBERS:
            problems[i] = f"the cell has {cells[i]} numbers instead of 9. Give three vectors of three numbers"
        else:
            problems[i] = f"{coords[i]} coordinate numbers for {atoms[i]} atoms. Give three coordinates for each atom"
    return problems
