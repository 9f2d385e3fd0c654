from onnes.crystals.known import known_entry, known_table
from onnes.crystals.schema import values
from onnes.tools.known_neighbours import _library
from tests.tools.conftest import LIBRARY, TC_K


def test_without_training_data_the_known_crystals_serve(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ONNES_DATA", str(tmp_path / "nowhere"))
    rows, batch = _library()
    assert len(rows) == len(batch) > 50
    by_name = {row["id"]: row for row in rows}
    assert by_name["MgB2"] == {
        "id": "MgB2", "formula": "MgB2", "tc_K": known_entry("MgB2").tc_K, "tc_kind": "measured",
        "source": "known crystals",
    }  # fmt: skip
    assert any(row["tc_K"] is None and row["tc_kind"] is None for row in rows)


def test_the_library_is_read_as_it_stands(small_library) -> None:
    rows, batch = _library()
    assert [row["id"] for row in rows] == LIBRARY == values(known_table(LIBRARY), "id")
    assert [row["tc_K"] for row in rows] == TC_K
    assert batch.n_atoms.tolist() == [8, 2, 3, 1, 1, 1]
