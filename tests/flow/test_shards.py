import os

import pyarrow as pa
import pytest

from onnes.crystals.schema import values, with_columns
from onnes.flow.shards import SHARD_ATOMS, cut, key_sha256, parquet_bytes, read_parquet, write_bytes
from tests.flow.toy_stages import toy_table


def sizes(n_atoms, **limits):
    table = with_columns(pa.table({"id": [str(i) for i in range(len(n_atoms))]}), {"n_atoms": n_atoms})
    shards = list(cut(table, **limits))
    assert [name for shard in shards for name in values(shard, "id")] == values(table, "id")
    return [shard.num_rows for shard in shards]


def test_a_cut_respects_atoms_and_rows():
    assert sizes([10] * 10, max_atoms=35, max_rows=100) == [3, 3, 3, 1]
    assert sizes([1] * 10, max_atoms=1000, max_rows=4) == [4, 4, 2]
    assert sizes([5, 30, 5, 40, 1], max_atoms=35, max_rows=9) == [2, 1, 1, 1]


def test_a_crystal_larger_than_a_shard_stands_alone():
    assert sizes([500, 1, 500, 500, 1, 1], max_atoms=100) == [1, 1, 1, 1, 2]
    assert sizes([None, None], max_atoms=1) == [1, 1]


def test_default_cut_and_nothing_to_cut():
    assert sizes([20] * 45) == [SHARD_ATOMS // 20] * 2 + [5]
    assert list(cut(toy_table(1).slice(0, 0))) == []


def test_bytes_depend_on_the_rows_alone():
    table = toy_table(30)
    rebuilt = pa.concat_tables([table.slice(0, 7), table.slice(7)]).replace_schema_metadata({"made": "elsewhere"})
    assert rebuilt["id"].num_chunks == 2
    assert parquet_bytes(rebuilt) == parquet_bytes(table)
    assert parquet_bytes(table.slice(3, 4)) == parquet_bytes(table.take(pa.array([3, 4, 5, 6])))
    assert parquet_bytes(table) != parquet_bytes(table.slice(1))


def test_a_table_survives_the_disk(tmp_path):
    path = tmp_path / "with=sign" / "a.parquet"  # Arrow must not take the folder for a column
    write_bytes(parquet_bytes(toy_table(5)), path)
    assert read_parquet(path).equals(toy_table(5))


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    write_bytes(b"old", path)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_bytes(b"new and longer", path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.glob("*.parquet")] == ["a.parquet"]


def test_a_key_depends_on_every_part_and_not_on_order():
    key = key_sha256(stage="x", settings={"a": 1, "b": [1.5, None]}, seed=0)
    assert len(key) == 64
    assert key == key_sha256(seed=0, settings={"b": [1.5, None], "a": 1}, stage="x")
    others = [
        key_sha256(stage="y", settings={"a": 1, "b": [1.5, None]}, seed=0),
        key_sha256(stage="x", settings={"a": 2, "b": [1.5, None]}, seed=0),
        key_sha256(stage="x", settings={"a": 1, "b": [1.5, None]}, seed=1),
    ]
    assert len({key, *others}) == 4
