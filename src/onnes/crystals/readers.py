"""Read crystals from files, folders and patterns into one table; a bad file or row becomes a row with `error`."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from onnes.crystals.parquet import PARTLY_OCCUPIED, read_parquet
from onnes.crystals.parsers import parse_cif, parse_extxyz, parse_json, parse_jsonl, parse_poscar
from onnes.crystals.schema import COLUMNS, concat, values, with_columns
from onnes.crystals.table import BASE_COLUMNS, complete, with_compositions
from onnes.crystals.table import identify as table_identify
from onnes.crystals.validation import MAX_ATOMS, Occupancies, validate_crystal
from onnes.errors import CrystalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnes.crystals.parsed import Parsed
    from onnes.crystals.parsers import Outcome, Parser

MAX_BYTES = 20_000_000
MAX_BYTES_MANY = 2_000_000_000
ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:@-]{0,119}")

_ID_LENGTH = 120
_FORMATS = ".cif, .vasp, POSCAR, .extxyz, .xyz, .parquet, .json, .jsonl"


@dataclass(frozen=True)
class _Format:
    parse: Parser
    many: bool


_BY_SUFFIX: dict[str, _Format] = {
    ".cif": _Format(parse_cif, many=False),
    ".vasp": _Format(parse_poscar, many=False),
    ".poscar": _Format(parse_poscar, many=False),
    ".extxyz": _Format(parse_extxyz, many=True),
    ".xyz": _Format(parse_extxyz, many=True),
    ".json": _Format(parse_json, many=True),
    ".jsonl": _Format(parse_jsonl, many=True),
}


def read_crystals(
    paths: Sequence[str | Path] | str | Path, *, max_atoms: int = MAX_ATOMS, identify: bool = False
) -> pa.Table:
    """Read files, folders (recursively, in sorted order) and glob patterns.

    The parser is chosen by the name: ``.cif``, ``.vasp`` / ``.poscar`` / ``POSCAR*`` / ``CONTCAR*``, ``.extxyz`` /
    ``.xyz`` (many frames), ``.parquet`` (columns lattice, frac_coords, atomic_numbers; all others are kept),
    ``.json`` / ``.jsonl`` (pymatgen structures or OPTIMADE). Hidden files in folders are skipped, and a file that
    was named twice is read once.

    Parameters
    ----------
    paths
        What to read.
    max_atoms
        Cells with more atoms become rows with `error`.
    identify
        Whether to fill space_group, prototype and crystal_hash too (about 1.5 ms a crystal).

    Returns
    -------
    pa.Table
        One row a crystal with unique `id`, and one row for each file that could not be read: its `error` is
        ``<file name>: <cause>. <what to do>``, its geometry null. Formula and number of atoms are always filled.

    Raises
    ------
    CrystalError
        If none of the paths exists.

    Examples
    --------
    >>> read_crystals(["no_such_file.cif"])
    Traceback (most recent call last):
    onnes.errors.CrystalError: no such file or folder: no_such_file.cif. Check the path
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    found = [(str(path), _expand(str(path))) for path in given]
    if not any(files is not None for _, files in found):
        names = ", ".join(name for name, _ in found) or "nothing given"
        raise CrystalError(f"no such file or folder: {names}. Check the path")
    tables: list[pa.Table] = []
    seen: set[str] = set()
    for name, files in found:
        if not files:
            cause = (
                "no such file or folder. Check the path" if files is None else f"no crystal files in it ({_FORMATS})"
            )
            tables.append(_error_row(Path(name), cause))
        for file in files or []:
            if (place := str(file.absolute())) not in seen:
                seen.add(place)
                tables.append(_read_file(file, max_atoms))
    table = _stack(tables)
    table = with_columns(table, {"id": _unique_ids(values(table, "id"))})
    return table_identify(table) if identify else table


def clean_id(text: str) -> str:
    """Make a valid id from any text.

    Examples
    --------
    >>> clean_id("my crystal (1)"), clean_id("../x")
    ('my_crystal__1_', 'x')
    """
    cleaned = re.sub(r"[^A-Za-z0-9._+:@-]", "_", text).lstrip("._+:@-")[:_ID_LENGTH]
    return cleaned or "crystal"


def _expand(path: str) -> list[Path] | None:
    """Files that a path means; None when there is nothing there."""
    if os.path.isdir(path):  # noqa: PTH112 - patterns are no paths
        return _walk(Path(path))
    if os.path.lexists(path):
        return [Path(path)]
    if not glob.has_magic(path):
        return None
    files: list[Path] = []
    for match in sorted(glob.glob(path, recursive=True)):  # noqa: PTH207
        files += _walk(Path(match)) if Path(match).is_dir() else [Path(match)]
    return files or None


def _walk(folder: Path) -> list[Path]:
    files: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [Path(root) / name for name in names if not name.startswith(".")]
    return sorted(files)


def _read_file(path: Path, max_atoms: int) -> pa.Table:
    try:
        if path.suffix.lower() == ".parquet":
            return _parquet_rows(path, max_atoms)
        form = _format_of(path)
        outcomes = list(form.parse(_text_of(path, form), max_atoms))
        return _table_of(path, outcomes or [CrystalError("no crystal in it. Check how it was made")], max_atoms)
    except CrystalError as error:
        return _error_row(path, str(error))
    except Exception as error:  # noqa: BLE001 - the row boundary
        text = " ".join(str(error).split())[:200]
        return _error_row(path, f"cannot be read ({type(error).__name__}: {text}). Export the file again")


def _format_of(path: Path) -> _Format:
    suffix = path.suffix.lower()
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    if path.name.upper().startswith(("POSCAR", "CONTCAR")):
        return _BY_SUFFIX[".vasp"]
    raise CrystalError(f"unknown kind of file ({suffix or 'no extension'}). Use one of {_FORMATS}")


def _text_of(path: Path, form: _Format) -> str:
    limit = MAX_BYTES_MANY if form.many else MAX_BYTES
    try:
        if not path.is_file():
            raise CrystalError("not a regular file. Check the path")
        size = path.stat().st_size
        if size > limit:
            raise CrystalError(f"{size / 1e6:.0f} MB, more than {limit / 1e6:.0f} MB. Give one crystal a file")
        data = path.read_bytes()
    except OSError as error:
        raise CrystalError(f"cannot be opened ({error.strerror}). Check the permissions") from error
    if not data.strip():
        raise CrystalError("the file is empty. Copy or export it again")
    if b"\x00" in data:
        raise CrystalError("binary data instead of text. Check the extension, or export the file again")
    return data.decode("utf-8-sig", errors="replace")


def _table_of(path: Path, outcomes: list[Outcome], max_atoms: int) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for number, outcome in enumerate(outcomes, start=1):
        many = len(outcomes) > 1
        where = f"{path.name}, row {number}" if many else path.name
        row = _row(outcome, where, max_atoms)
        own = outcome.name if not isinstance(outcome, CrystalError) else None
        row["id"] = own or (f"{path.stem}-{number:05d}" if many else path.stem)
        rows.append(row | {"source": str(path), "geometry": "input", "pressure_GPa": 0.0})
    columns = [*BASE_COLUMNS, "notes"] if any("notes" in row for row in rows) else list(BASE_COLUMNS)
    schema = pa.schema([(name, COLUMNS[name]) for name in columns])
    return with_compositions(pa.Table.from_pylist(rows, schema=schema))


def _row(outcome: Outcome, where: str, max_atoms: int) -> dict[str, Any]:
    if isinstance(outcome, CrystalError):
        return {"error": f"{where}: {outcome}"}
    try:
        validate_crystal(
            outcome.lattice,
            outcome.frac_coords,
            outcome.atomic_numbers,
            site_occupancies=outcome.site_occupancies,
            max_atoms=max_atoms,
        )
    except CrystalError as error:
        return {"error": f"{where}: {error}"}
    row = _geometry_values(outcome)
    if outcome.site_occupancies is not None:
        row |= {"site_occupancies": _entries(outcome.site_occupancies), "error": f"{where}: {PARTLY_OCCUPIED}"}
    return row | ({"notes": outcome.note} if outcome.note else {})


def _geometry_values(parsed: Parsed) -> dict[str, Any]:
    return {
        "lattice": parsed.lattice.ravel().tolist(),
        "frac_coords": parsed.frac_coords.ravel().tolist(),
        "atomic_numbers": parsed.atomic_numbers.tolist(),
    }


def _entries(sites: Occupancies) -> list[list[dict[str, Any]]]:
    return [[{"Z": z, "occupancy": share} for z, share in site] for site in sites]


def _parquet_rows(path: Path, max_atoms: int) -> pa.Table:
    if not path.is_file():
        raise CrystalError("not a regular file. Check the path")
    table, problems = read_parquet(path, max_atoms=max_atoms)
    n = table.num_rows
    errors = [
        old if old is not None or problem is None else f"{path.name}, row {number}: {problem}"
        for number, (old, problem) in enumerate(zip(values(table, "error"), problems, strict=True), start=1)
    ]
    return with_columns(
        table,
        {
            "id": [name or f"{path.stem}-{k:05d}" for k, name in enumerate(values(table, "id"), start=1)],
            "source": [source or str(path) for source in values(table, "source")],
            "geometry": [geometry or "input" for geometry in values(table, "geometry")],
            "pressure_GPa": [p if p is not None else 0.0 for p in values(table, "pressure_GPa")] if n else [],
            "error": errors,
        },
    )


def _error_row(path: Path, cause: str) -> pa.Table:
    row = {"id": [path.stem], "source": [str(path)], "error": [f"{path.name}: {cause}"]}
    return complete(with_columns(pa.table({"id": pa.array([path.stem])}), row))


def _stack(tables: list[pa.Table]) -> pa.Table:
    try:
        return concat(tables)
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        pass
    # Two files disagree about a column that the schema does not know: that column becomes text in both.
    kinds: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            kinds.setdefault(field.name, set()).add(field.type)
    clashing = {name for name, types in kinds.items() if len(types - {pa.null()}) > 1}
    return concat([_as_text(table, clashing) for table in tables])


def _as_text(table: pa.Table, names: set[str]) -> pa.Table:
    for index, name in enumerate(table.column_names):
        if name in names:
            text = [None if value is None else str(value) for value in table[name].to_pylist()]
            table = table.set_column(index, name, pa.array(text, pa.string()))
    return table


def _unique_ids(names: list[str]) -> list[str]:
    taken: set[str] = set()
    unique: list[str] = []
    for name in names:
        base = name if ID_PATTERN.fullmatch(name) else clean_id(name)
        candidate, k = base, 1
        while candidate in taken:
            k += 1
            candidate = f"{base[: _ID_LENGTH - 1 - len(str(k))]}-{k}"
        taken.add(candidate)
        unique.append(candidate)
    return unique
