"""The study: a folder with crystal sets, jobs, measurements and the evidence record."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomlkit
from pydantic import BaseModel, ConfigDict

from onnes.campaign.report_text import COLUMN_TEXT
from onnes.campaign.value import WHOLE_SET, Value, value_of, value_of_whole
from onnes.crystals.schema import is_open, values
from onnes.errors import ConfigError, EvidenceError
from onnes.flow.shards import key_sha256, parquet_bytes, read_parquet, write_bytes
from onnes.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

SETTINGS, GOAL = "study.toml", "goal.json"
SET_ID = re.compile(r"[0-9a-f]{12}")


class SetInfo(BaseModel):
    """How a set was made, and how many rows it has."""

    model_config = ConfigDict(frozen=True)

    set_id: str
    tool: str
    arguments: dict[str, Any]
    inputs: tuple[str, ...]
    """Sets that it was made from."""
    n_rows: int
    n_open: int
    n_rejected: int
    n_failed: int
    shown: tuple[str, ...]
    """Columns worth showing."""
    remarks: tuple[str, ...]
    fingerprints: dict[str, str]
    """sha256 of models, references and campaigns behind the numbers."""
    code_version: str
    sha256: str
    """Of the Parquet file."""


@dataclass(frozen=True)
class Study:
    """A study folder.

    ``study.toml`` holds title and seed, ``goal.json`` what was asked for, ``sets/`` a Parquet file and its origin a set,
    ``campaigns/`` the campaigns behind screened sets, ``jobs/`` the long work, ``record.jsonl`` the evidence record.

    Examples
    --------
    >>> import tempfile
    >>> study = Study.create(tempfile.mkdtemp(), title="niobium", seed=1)
    >>> study.sets(), study.seed
    ([], 1)
    """

    folder: Path

    @classmethod
    def create(cls, folder: str | Path, *, title: str = "Study", seed: int = 0) -> Study:
        """Make a study, or open the one that is there.

        Raises
        ------
        ConfigError
            When the folder holds other files.
        """
        study = cls(Path(folder))
        if (study.folder / SETTINGS).is_file():
            return study
        if study.folder.exists() and any(study.folder.iterdir()):
            raise ConfigError(f"{study.folder} is not empty and holds no study; give another folder")
        write_bytes(tomlkit.dumps({"title": title, "seed": seed}).encode(), study.folder / SETTINGS)
        return study

    @classmethod
    def open(cls, folder: str | Path) -> Study:
        """Open an existing study; raises ConfigError when the folder holds none."""
        if not (Path(folder) / SETTINGS).is_file():
            raise ConfigError(f"{folder} is no study: it has no {SETTINGS}; `onnes agent` or `onnes call` makes one")
        return cls(Path(folder))

    @property
    def settings(self) -> dict[str, Any]:
        """Title and seed."""
        return tomlkit.parse((self.folder / SETTINGS).read_text(encoding="utf-8")).unwrap()

    @property
    def seed(self) -> int:
        """Seed of all random choices of the study."""
        return int(self.settings["seed"])

    @property
    def device(self) -> str:
        """Where models run: ``device`` of ``study.toml``, else the CPU."""
        return str(self.settings.get("device", "cpu"))

    def name_of(self, tool: str, arguments: Mapping[str, Any], inputs: Sequence[str] = ()) -> str:
        """Name that a set has before it is made: the same call on the same sets has the same name."""
        hashes = {one: self.info(one).sha256 for one in inputs}
        return key_sha256(tool=tool, arguments=dict(arguments), inputs=hashes, version=__version__, seed=self.seed)[:12]

    def has(self, set_id: str) -> bool:
        """Whether the set is there."""
        return bool(SET_ID.fullmatch(set_id)) and (self.folder / "sets" / f"{set_id}.json").is_file()

    def add(
        self,
        set_id: str,
        table: pa.Table,
        *,
        tool: str,
        arguments: Mapping[str, Any],
        inputs: Sequence[str] = (),
        shown: Sequence[str] = (),
        remarks: Sequence[str] = (),
        fingerprints: Mapping[str, str] | None = None,
    ) -> SetInfo:
        """Keep a table as a set; ``set_id`` comes from `name_of`. Its ids must differ."""
        _checked(set_id)
        ids = values(table, "id")
        if len(set(ids)) != len(ids) or any(not one for one in ids):
            raise ConfigError(f"rows of a set need different ids; {tool} made some twice")
        data = parquet_bytes(table)
        errors, rejected = values(table, "error"), values(table, "rejected_by")
        n_failed = sum(error is not None for error in errors)
        n_open = int(is_open(table).sum())
        info = SetInfo(
            set_id=set_id, tool=tool, arguments=dict(arguments), inputs=tuple(inputs), n_rows=table.num_rows,
            n_open=n_open, n_failed=n_failed, n_rejected=sum(
                by is not None and error is None for by, error in zip(rejected, errors, strict=True)
            ),
            shown=tuple(shown), remarks=tuple(remarks), fingerprints=dict(fingerprints or {}),
            code_version=__version__, sha256=hashlib.sha256(data).hexdigest(),
        )  # fmt: skip
        write_bytes(data, self.folder / "sets" / f"{set_id}.parquet")
        write_bytes(
            json.dumps(info.model_dump(mode="json"), indent=1).encode() + b"\n", self.folder / "sets" / f"{set_id}.json"
        )
        return info

    def info(self, set_id: str) -> SetInfo:
        """How a set was made; raises EvidenceError when there is none of that name, or its origin cannot be read."""
        if not self.has(set_id):
            known = ", ".join(one.set_id for one in self.sets()) or "none yet"
            raise EvidenceError(f"no set {set_id[:40]!r} in this study; known: {known}")
        return _read_info(self.folder / "sets" / f"{set_id}.json")

    def info_sha256(self, set_id: str) -> str:
        """sha256 of the file that says how a set was made; raises EvidenceError when there is none of that name."""
        self.info(set_id)
        return hashlib.sha256((self.folder / "sets" / f"{set_id}.json").read_bytes()).hexdigest()

    def table(self, set_id: str) -> pa.Table:
        """Rows of a set; raises EvidenceError when its file is not the one that was written."""
        info = self.info(set_id)
        path = self.folder / "sets" / f"{set_id}.parquet"
        if path.is_file():
            now = path.stat()
            table = _unchanged(path, info.sha256, (now.st_mtime_ns, now.st_size))
            if table is not None:
                return table
        raise EvidenceError(f"the file of set {set_id} was changed or removed since it was made ({path.name})")

    def columns(self, set_id: str) -> list[str]:
        """Columns of a set that hold single values."""
        return _scalars(self.table(set_id))

    def sets(self) -> list[SetInfo]:
        """All sets, by name."""
        return [_read_info(path) for path in sorted((self.folder / "sets").glob("*.json"))]

    def rows(self, ids: Sequence[str]) -> tuple[pa.Table, tuple[str, ...]]:
        """Rows of sets and of single crystals ``set_id/row id``, in the order asked for, and the sets they come from.

        A row that stands in several of them is taken once, from the first.

        Raises
        ------
        EvidenceError
            For an unknown set or row, or when two different crystals have the same id.
        """
        import pyarrow as pa

        tables: dict[str, pa.Table] = {}
        places: dict[str, dict[str, int]] = {}
        seen: dict[str, tuple[str, str | None]] = {}
        taken: list[tuple[str, list[int]]] = []
        for one in ids:
            set_id, _, row = one.partition("/")
            if set_id not in tables:
                tables[set_id] = self.table(set_id)
                places[set_id] = {name: i for i, name in enumerate(values(tables[set_id], "id"))}
            if row and row not in places[set_id]:
                self._index(tables[set_id], set_id, row)  # says which rows there are
            if not taken or taken[-1][0] != set_id:
                taken.append((set_id, []))
            hashes = tables[set_id]["crystal_hash"] if "crystal_hash" in tables[set_id].column_names else None
            for name in [row] if row else places[set_id]:
                place = places[set_id][name]
                crystal = hashes[place].as_py() if hashes is not None else None
                if name not in seen:
                    taken[-1][1].append(place)
                origin, before = seen.setdefault(name, (set_id, crystal))
                if before != crystal:
                    raise EvidenceError(
                        f"row {name[:80]!r} is one crystal in set {origin} and another in set {set_id}, relaxed "
                        "perhaps; name only one of the two"
                    )
        parts = [tables[set_id].take(pa.array(rows, pa.int64())) for set_id, rows in taken]
        return pa.concat_tables(parts, promote_options="permissive"), tuple(tables)

    def value(self, result_id: str) -> Value:
        """Look a result id up: ``set_id/row id/column``, ``set_id/*/n_open`` for counts, ``goal/*/min_tc_K`` for the goal.

        Raises
        ------
        EvidenceError
            When there is no such set, row or column, or the table holds no value there.
        """
        set_id, _, rest = result_id.partition("/")
        row, _, column = rest.rpartition("/")
        if not row or not column:
            raise EvidenceError(f"{result_id[:80]!r} is no result id; write set_id/row id/column")
        if set_id == "goal":
            return self._goal_value(result_id, column)
        info = self.info(set_id)
        if row == WHOLE_SET:
            return value_of_whole(info, result_id, column)
        table = self.table(set_id)
        index = self._index(table, set_id, row)
        if column not in table.column_names:
            raise EvidenceError(f"set {set_id} has no column {column!r}; it has {', '.join(_scalars(table))}")
        found = value_of(info, table.slice(index, 1), column)
        if found is None:
            raise EvidenceError(f"set {set_id} holds no single value in column {column!r} of row {row!r}")
        return found

    def row_values(self, set_id: str, row: str) -> list[Value]:
        """Every single value of a row, in the order of the columns; raises EvidenceError for an unknown set or row."""
        info, table = self.info(set_id), self.table(set_id)
        one = table.slice(self._index(table, set_id, row), 1)
        found = (value_of(info, one, column) for column in _scalars(table))
        return [value for value in found if value is not None]

    def _goal_value(self, result_id: str, column: str) -> Value:
        path = self.folder / GOAL
        goal = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        value = goal.get(column)
        if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
            value = ", ".join(value)
        if not isinstance(value, int | float | str):
            raise EvidenceError(f"the goal of this study says nothing of {column!r}")
        about = COLUMN_TEXT.get(column.removeprefix("min_").removeprefix("max_"))
        unit = about.unit if about else ""
        return Value(result_id=result_id, value=value, text=f"{value:g} {unit}".strip() if isinstance(value, float)
                     else str(value), label=f"{column}, asked for", unit=unit, row=WHOLE_SET, name="goal",
                     method="what was asked for")  # fmt: skip

    @staticmethod
    def _index(table: pa.Table, set_id: str, row: str) -> int:
        ids = values(table, "id")
        if row not in ids:
            raise EvidenceError(f"set {set_id} has no row {row[:80]!r}; its first rows: {', '.join(ids[:5])}")
        return ids.index(row)


@lru_cache(maxsize=64)
def _unchanged(path: Path, sha256: str, stamp: tuple[int, int]) -> pa.Table | None:
    """Rows of a file with that hash, else None; kept while the file is not written again, as citations read the same sets often."""
    del stamp
    return read_parquet(path) if hashlib.sha256(path.read_bytes()).hexdigest() == sha256 else None


def _read_info(path: Path) -> SetInfo:
    try:
        info = SetInfo.model_validate_json(path.read_bytes())
    except ValueError:
        raise EvidenceError(f"the origin of set {path.stem} was changed since it was made ({path.name})") from None
    if info.set_id != path.stem:
        raise EvidenceError(f"{path.name} is the origin of another set, {info.set_id[:40]!r}")
    return info


def _scalars(table: pa.Table) -> list[str]:
    import pyarrow as pa

    return [field.name for field in table.schema if not pa.types.is_nested(field.type)]


def _checked(set_id: str) -> None:
    if not SET_ID.fullmatch(set_id):
        raise ConfigError(f"{set_id[:40]!r} is no name of a set: twelve hexadecimal digits")
