"""Whatever a user has in hand becomes a crystal table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.readers import read_crystals
from onnes.crystals.table import crystal_table
from onnes.errors import CrystalError

if TYPE_CHECKING:
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
        When it is none of these. A bad file becomes a row with ``error`` instead.

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> as_table(known_crystal("Nb3Sn"))["reduced_formula"].to_pylist()
    ['Nb3Sn']
    """
    from onnes.tools.result import CrystalTable  # noqa: PLC0415 - it imports this module's neighbours

    if isinstance(crystals, CrystalTable):
        return crystals.table
    if isinstance(crystals, pa.Table):
        return crystals
    if isinstance(crystals, CrystalBatch):
        return _named(crystals)
    if isinstance(crystals, str | Path):
        return read_crystals([crystals])
    if hasattr(crystals, "columns") and hasattr(crystals, "to_dict"):
        return pa.Table.from_pandas(crystals, preserve_index=False)
    items = list(crystals) if isinstance(crystals, Iterable) and not _is_crystal(crystals) else [crystals]
    if items and all(isinstance(item, str | Path) for item in items):
        return read_crystals(items)
    if items and all(hasattr(item, "lattice") and hasattr(item, "frac_coords") for item in items):
        return _named(CrystalBatch.from_structures(items))
    if items and all(hasattr(item, "cell") and hasattr(item, "get_chemical_formula") for item in items):
        return _named(CrystalBatch.from_atoms(items))
    raise CrystalError(
        f"cannot read crystals from {type(crystals).__name__}: give file names, pymatgen structures, ASE atoms, "
        "or a table with lattice, frac_coords and atomic_numbers"
    )


def _is_crystal(item: object) -> bool:
    return hasattr(item, "lattice") or hasattr(item, "get_chemical_formula")


def _named(batch: CrystalBatch) -> pa.Table:
    """Number the crystals of a batch."""
    return crystal_table(batch, ids=[f"crystal-{i:05d}" for i in range(len(batch))], source="python", identified=False)


def wrap(table: pa.Table) -> CrystalTable:
    """Give a table the face that users see."""
    from onnes.tools.result import CrystalTable  # noqa: PLC0415

    return CrystalTable(table)
