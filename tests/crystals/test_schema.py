import numpy as np
import pyarrow as pa

from onnes.crystals import schema


def test_column_turns_nan_and_none_into_null() -> None:
    assert schema.column("tc_K", [1.0, None, float("nan")]).to_pylist() == [1.0, None, None]


def test_with_columns_replaces_and_orders() -> None:
    table = pa.table({"my_label": [1, 2], "tc_K": [1.0, 2.0]})
    table = schema.with_columns(table, {"id": ["a", "b"], "tc_K": [3.0, None]})
    assert table.column_names == ["id", "tc_K", "my_label"]
    assert table["tc_K"].to_pylist() == [3.0, None]


def test_missing_columns_read_as_null() -> None:
    table = pa.table({"id": ["a"]})
    assert schema.values(table, "tc_K") == [None]
    assert np.isnan(schema.floats(table, "tc_K")).all()


def test_open_rows_have_neither_error_nor_rejection() -> None:
    table = pa.table({"id": ["a", "b", "c"], "error": [None, "x", None], "rejected_by": [None, None, "hull"]})
    assert schema.is_open(table).tolist() == [True, False, False]


def test_concat_fills_lacking_columns() -> None:
    first, second = pa.table({"id": ["a"], "tc_K": [1.0]}), pa.table({"id": ["b"]})
    assert schema.concat([first, second])["tc_K"].to_pylist() == [1.0, None]
