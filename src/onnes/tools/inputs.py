"""Whatever a user has in hand becomes a crystal table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.parquet import PARTLY_OCCUPIED
from onnes.crystals.parsed import Parsed
from onnes.crystals.readers import read_crystals
from onnes.crystals.schema import GEOMETRY_COLUMNS, is_open, values, with_columns
from onnes.crystals.table import BASE_COLUMNS, complete, crystal_table, with_compositions
from onnes.crystals.validation import faults, occupancy_fault
from onnes.errors import CrystalError

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from onnes.tools.result import CrystalTable

Crystals = Any
"""File names, pymatgen structures, ASE atoms, a `CrystalBatch`, an Arrow or result table, a pandas frame; one or many."""


def as_table(crystals: Crystals) -> pa.Table:
    """Make a crystal table of anything that holds crystals.

    Parameters
    ----------
    crystals
        File names or folders, pymatgen structures, ASE atoms, a `CrystalBatch`, an Arrow table, a result of onnes, or a
        pandas frame with the geometry columns; one, or a list of one kind.

    Raises
    ------
    CrystalError
        When it is none of these. A bad file or a partly occupied structure becomes a row with ``error`` instead.

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> as_table(known_crystal("Nb3Sn"))["reduced_formula"].to_pylist()
    ['Nb3Sn']
    """
    from onnes.tools.result import CrystalTable

    if isinstance(crystals, CrystalTable):
        return _whole(crystals.table)
    if isinstance(crystals, pa.Table):
        return _whole(crystals)
    if isinstance(crystals, CrystalBatch):
        return _named(crystals)
    if isinstance(crystals, str | Path):
        return read_crystals([crystals])
    if hasattr(crystals, "columns") and hasattr(crystals, "to_dict"):
        return _whole(pa.Table.from_pandas(crystals, preserve_index=False))
    items: list[Any] = list(crystals) if isinstance(crystals, Iterable) and not _is_crystal(crystals) else [crystals]
    if items and all(isinstance(item, str | Path) for item in items):
        return read_crystals(items)
    if items and all(hasattr(item, "lattice") and hasattr(item, "frac_coords") for item in items):
        return _structures(items)
    if items and all(hasattr(item, "cell") and hasattr(item, "get_chemical_formula") for item in items):
        return _named(CrystalBatch.from_atoms(items))
    raise CrystalError(
        f"cannot read crystals from {type(crystals).__name__}: give file names, pymatgen structures, ASE atoms, "
        "or a table with lattice, frac_coords and atomic_numbers"
    )


def _is_crystal(item: object) -> bool:
    return hasattr(item, "lattice") or hasattr(item, "get_chemical_formula")


def _whole(table: pa.Table) -> pa.Table:
    """Add what a table made elsewhere lacks; one made by onnes passes as it is."""
    if missing := [name for name in GEOMETRY_COLUMNS if name not in table.column_names]:
        raise CrystalError(f"a table without column {missing[0]}: crystals need lattice, frac_coords, atomic_numbers")
    if "id" not in table.column_names:
        table = with_columns(table, {"id": _numbered(table.num_rows)})
    if not set(BASE_COLUMNS) <= set(table.column_names):
        table = with_compositions(complete(table))
    present = [table[name].combine_chunks().is_valid().to_numpy(zero_copy_only=False) for name in GEOMETRY_COLUMNS]
    whole = np.logical_and.reduce(present)
    errors = values(table, "error")
    rows = np.flatnonzero(is_open(table))
    for row in rows[~whole[rows]]:
        errors[row] = "no geometry: fill lattice, frac_coords, atomic_numbers"
    kept = rows[whole[rows]]
    for row, fault in zip(kept, faults(CrystalBatch.from_table(table.take(pa.array(kept)))), strict=True):
        errors[row] = fault
    return table if errors == values(table, "error") else with_columns(table, {"error": errors})


def _structures(structures: list[Structure]) -> pa.Table:
    """Number the crystals; a partly occupied one keeps its occupancies and asks for ordered cells, as from a file."""
    if all(structure.is_ordered for structure in structures):
        return _named(CrystalBatch.from_structures(structures))
    sites = [
        [
            [(element.Z, float(share)) for element, share in site.species.element_composition.items()]
            for site in structure
        ]
        for structure in structures
    ]
    parsed = [
        Parsed.of_sites(structure.lattice.matrix, structure.frac_coords, own)
        for structure, own in zip(structures, sites, strict=True)
    ]
    table = _named(CrystalBatch.of((one.lattice, one.frac_coords, one.atomic_numbers) for one in parsed))
    errors = values(table, "error")
    occupancies: list[Any] = [None] * len(parsed)
    for row, one in enumerate(parsed):
        if one.site_occupancies is not None:
            fault = occupancy_fault(one.site_occupancies, len(one.atomic_numbers)) or PARTLY_OCCUPIED
            errors[row] = errors[row] or fault
            occupancies[row] = [[{"Z": z, "occupancy": share} for z, share in site] for site in one.site_occupancies]
    unknown = dict.fromkeys(("formula", "reduced_formula"), [None] * len(parsed))
    return with_compositions(with_columns(table, {**unknown, "site_occupancies": occupancies, "error": errors}))


def _numbered(n: int) -> list[str]:
    return [f"crystal-{i:05d}" for i in range(n)]


def _named(batch: CrystalBatch) -> pa.Table:
    """Number the crystals of a batch, and mark those that are none."""
    table = crystal_table(batch, ids=_numbered(len(batch)), source="python", identified=False)
    return with_columns(table, {"error": faults(batch)})


def wrap(table: pa.Table) -> CrystalTable:
    """Give a table the face that users see."""
    from onnes.tools.result import CrystalTable

    return CrystalTable(table)
