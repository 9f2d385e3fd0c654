"""Shards: how a table is cut, named and put on disk so that a killed run can go on."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onnes.crystals.schema import values

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHARD_ATOMS = 400
SHARD_ROWS = 2000


def cut(table: pa.Table, *, max_atoms: int = SHARD_ATOMS, max_rows: int = SHARD_ROWS) -> Iterator[pa.Table]:
    """Cut a table into shards of similar work, in order; the cut depends on the table alone, never on the machine."""
    sizes = np.array([n or 1 for n in values(table, "n_atoms")], dtype=int)
    start, atoms = 0, 0
    for row, size in enumerate(sizes):
        if row > start and (atoms + size > max_atoms or row - start >= max_rows):
            yield table.slice(start, row - start)
            start, atoms = row, 0
        atoms += int(size)
    if start < table.num_rows:
        yield table.slice(start)


def write_bytes(data: bytes, path: Path) -> None:
    """Write to a temporary name in the same folder, flush to disk, rename: readers never see half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_parquet(path: Path) -> pa.Table:
    """Read one shard."""
    return pq.ParquetFile(path).read()


def parquet_bytes(table: pa.Table) -> bytes:
    """Serialise a table; the same rows and columns give the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata().combine_chunks(), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def key_sha256(**parts: Any) -> str:
    """Hash of a set of named JSON values, independent of their order."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
