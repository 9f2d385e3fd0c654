import json

import pyarrow as pa
import pytest

from onnes.crystals.schema import with_columns
from onnes.tools.result import CrystalTable


@pytest.fixture
def result():
    table = pa.table({"id": ["a", "b", "c", "d"], "extra": [1, 2, 3, 4]})
    return CrystalTable(
        with_columns(
            table,
            {
                "reduced_formula": ["Nb", "MgB2", None, "Si"],
                "tc_K": [9.26, 38.51, None, 0.0],
                "in_domain": [True, False, None, True],
                "error": [None, None, "c.cif: no cell [/tmp/c.cif] [b]", None],
                "rejected_by": [None, None, None, "hot"],
                "reason": [None, None, None, "tc_K = 0 < 5"],
                "band_gap_eV": [None] * 4,
            },
        )
    )


def test_length_columns_and_counts(result):
    assert len(result) == 4
    assert result["tc_K"] == [9.26, 38.51, None, 0.0]
    assert result["lambda_"] == [None] * 4
    assert (result.n_failed, result.n_open) == (1, 2)


def test_it_prints_what_it_holds_with_units_and_faults(result):
    text = repr(result)
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "Tc / K" in lines["id"]
    assert "9.3" in lines["a"]
    assert "yes" in lines["a"]
    assert "38.5" in lines["b"]
    assert "no" in lines["b"].split()
    assert "c.cif: no cell [/tmp/c.cif] [b]" in lines["c"]  # brackets are text, not markup
    assert "–" in lines["c"]
    assert "tc_K = 0 < 5" in lines["d"]
    assert "0.0" in lines["d"]


def test_empty_columns_are_not_shown(result):
    assert result.shown() == ["id", "reduced_formula", "tc_K", "in_domain"]
    assert "λ" not in repr(result)


def test_remarks_appear_only_where_there_are_any():
    assert "remarks" not in repr(CrystalTable(with_columns(pa.table({"id": ["a"]}), {"tc_K": [1.0]})))


def test_long_tables_are_cut_with_a_word():
    table = CrystalTable(with_columns(pa.table({"id": [f"row{i}" for i in range(70)]}), {"tc_K": [1.0] * 70}))
    assert "row59" in repr(table)
    assert "row60" not in repr(table)
    assert "... and 10 more rows" in " ".join(repr(table).split())


def test_json_has_one_object_a_row_without_nulls(result):
    rows = json.loads(result.to_json())
    assert rows == result.to_dicts()
    assert rows[0] == {"id": "a", "reduced_formula": "Nb", "tc_K": 9.26, "in_domain": True, "extra": 1}
    assert "tc_K" not in rows[2]
    assert json.loads(result.to_json(["id", "tc_K"]))[1:3] == [{"id": "b", "tc_K": 38.51}, {"id": "c"}]


def test_pandas_and_html(result):
    frame = result.to_pandas()
    assert list(frame["id"]) == ["a", "b", "c", "d"]
    assert frame["tc_K"].isna().tolist() == [False, False, True, False]
    assert set(frame.columns) == set(result.table.column_names)
    html = result._repr_html_()
    assert html.count("<tr") == 5
    assert "tc_K" in html


def test_an_empty_table_prints():
    empty = CrystalTable(with_columns(pa.table({"id": pa.array([], pa.string())}), {"tc_K": []}))
    assert len(empty) == 0
    assert isinstance(repr(empty), str)
    assert json.loads(empty.to_json()) == []
