"""Write a crystal table: Parquet, CIF, POSCAR, extended XYZ, OPTIMADE JSON."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onnes.crystals.optimade import API_VERSION, to_optimade
from onnes.crystals.parsed import Parsed
from onnes.crystals.schema import GEOMETRY_COLUMNS, values
from onnes.crystals.table import to_structures
from onnes.crystals.validation import occupancies_of
from onnes.errors import CrystalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymatgen.core import Structure

# Digits that keep a coordinate to 1e-10.
_DIGITS = 12
_NOT_PROPERTIES = ("id", "formula", "n_atoms", "lattice", "frac_coords", "atomic_numbers")


def write_crystals(table: pa.Table, path: str | Path) -> list[str]:
    """Write a table in the format of the name.

    ``.parquet`` holds every column of every row. ``.cif``, ``.vasp`` and names that start with POSCAR hold one
    crystal; ``.extxyz``, ``.json`` and ``.jsonl`` (OPTIMADE) hold many, with the single-valued columns beside them. A
    path without extension is a folder of CIF files, one a crystal, named after the id. A file is written under a
    temporary name first, so it is whole or absent.

    Returns
    -------
    list of str
        Ids of the rows that the format cannot hold (no geometry, or partly occupied sites in POSCAR and extxyz).

    Raises
    ------
    CrystalError
        If the extension is unknown, or a format for one crystal gets several.

    Examples
    --------
    >>> import tempfile
    >>> from onnes.crystals import CrystalBatch, crystal_table
    >>> batch = CrystalBatch.of([(4.05 * np.eye(3), np.zeros((1, 3)), [84])])
    >>> write_crystals(crystal_table(batch, ids=["Po"], source="docs"), Path(tempfile.mkdtemp()) / "Po.cif")
    []
    """
    path = Path(path)
    suffix = path.suffix.lower()
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".parquet":
        _replace(path, lambda name: pq.write_table(table, name, compression="zstd"))
        return []
    if path.name.upper().startswith(("POSCAR", "CONTCAR")) or suffix in (".vasp", ".poscar"):
        return _write_one(table, path, _poscar_text, partial=False)
    if suffix == ".cif":
        return _write_one(table, path, _cif_text, partial=True)
    if suffix in (".extxyz", ".xyz"):
        return _write_extxyz(table, path)
    if suffix in (".json", ".jsonl"):
        return _write_optimade(table, path, lines=suffix == ".jsonl")
    if suffix == "" or path.is_dir():
        return _write_folder(table, path)
    raise CrystalError(
        f"{path.name}: unknown kind of file. Use .parquet, .cif, .vasp, .extxyz, .json, .jsonl or a folder"
    )


def _replace(path: Path, write: Callable[[str], object]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(str(temporary))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_text(path: Path, text: str) -> None:
    _replace(path, lambda name: Path(name).write_text(text, encoding="utf-8"))


def _holdable(table: pa.Table, *, partial: bool) -> tuple[pa.Table, list[str]]:
    """Rows that a format can hold, and the ids of the others."""
    occupied = values(table, "site_occupancies")
    keep = [
        lattice is not None and (partial or sites is None)
        for lattice, sites in zip(values(table, "lattice"), occupied, strict=True)
    ]
    left_out = [name for name, kept in zip(values(table, "id"), keep, strict=True) if not kept]
    return table.filter(pa.array(keep, pa.bool_())), left_out


def _write_one(table: pa.Table, path: Path, text_of: Callable[[Structure], str], *, partial: bool) -> list[str]:
    kept, left_out = _holdable(table, partial=partial)
    if kept.num_rows != 1:
        raise CrystalError(f"{path.name}: holds one crystal, got {kept.num_rows}. Write .extxyz, .parquet or a folder")
    structure = to_structures(kept)[0]
    if structure is not None:
        _write_text(path, text_of(structure))
    return left_out


def _write_folder(table: pa.Table, folder: Path) -> list[str]:
    kept, left_out = _holdable(table, partial=True)
    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for name, structure in zip(values(kept, "id"), to_structures(kept), strict=True):
        if structure is None:
            continue
        base = re.sub(r"[^A-Za-z0-9._+-]", "_", name).lstrip(".")[:120] or "crystal"
        stem, k = base, 1
        while stem.lower() in taken:
            k += 1
            stem = f"{base}-{k}"
        taken.add(stem.lower())
        _write_text(folder / f"{stem}.cif", _cif_text(structure))
    return left_out


def _cif_text(structure: Structure) -> str:
    from pymatgen.io.cif import CifWriter  # slow to import

    return str(CifWriter(structure, significant_figures=_DIGITS))


def _poscar_text(structure: Structure) -> str:
    from pymatgen.io.vasp.inputs import Poscar  # slow to import

    return Poscar(structure).get_str(significant_figures=_DIGITS)


def _properties(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in row.items()
        if name not in _NOT_PROPERTIES and isinstance(value, str | int | float | bool)
    }


def _write_extxyz(table: pa.Table, path: Path) -> list[str]:
    from ase import Atoms  # slow to import
    from ase.io import write

    kept, left_out = _holdable(table, partial=False)
    frames = []
    for row in kept.to_pylist():
        parsed = _parsed(row)
        atoms = Atoms(
            numbers=parsed.atomic_numbers, cell=parsed.lattice, pbc=True,
            positions=parsed.frac_coords @ parsed.lattice,
        )  # fmt: skip
        atoms.info = {"id": row["id"], **_properties(row)}
        frames.append(atoms)
    _replace(path, lambda name: write(name, frames, format="extxyz", plain=False))
    return left_out


def _write_optimade(table: pa.Table, path: Path, *, lines: bool) -> list[str]:
    kept, left_out = _holdable(table, partial=True)
    entries = [to_optimade(row["id"], _parsed(row), _properties(row)) for row in kept.to_pylist()]
    if lines:
        header = {"x-optimade": {"meta": {"api_version": API_VERSION}}}
        text = "".join(json.dumps(entry) + "\n" for entry in [header, *entries])
    else:
        meta = {"api_version": API_VERSION, "data_returned": len(entries), "more_data_available": False}
        text = json.dumps({"data": entries, "meta": meta}, indent=1) + "\n"
    _write_text(path, text)
    return left_out


def _parsed(row: dict[str, Any]) -> Parsed:
    lattice, frac, numbers = (row[name] for name in GEOMETRY_COLUMNS)
    sites = row.get("site_occupancies")
    return Parsed(
        np.reshape(lattice, (3, 3)),
        np.reshape(frac, (-1, 3)),
        np.asarray(numbers, dtype=np.int64),
        None if sites is None else occupancies_of(sites),
    )
