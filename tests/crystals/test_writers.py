import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.crystals.good import good_batch, good_crystals

from onnes.crystals.readers import read_crystals
from onnes.crystals.schema import with_columns
from onnes.crystals.table import crystal_table, to_structures
from onnes.crystals.writers import write_crystals
from onnes.errors import CrystalError

CRYSTALS = good_crystals()


@pytest.fixture(scope="module")
def table() -> pa.Table:
    batch = good_batch()
    return crystal_table(batch, ids=list(CRYSTALS), source="tests", identified=False)


@pytest.fixture
def partial(tmp_path: Path) -> pa.Table:
    from tests.crystals.malformed import cif

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "alloy.cif").write_text(cif("Nb1 Nb 0 0 0 0.6\nTi1 Ti 0 0 0 0.4\n"))
    (tmp_path / "in" / "broken.cif").write_text("nothing")
    (tmp_path / "in" / "whole.cif").write_text(cif())
    return read_crystals(tmp_path / "in")


def _same_crystals(found: pa.Table, table: pa.Table) -> None:
    assert sorted(found["id"].to_pylist()) == sorted(table["id"].to_pylist())
    assert found["error"].null_count == found.num_rows
    back = dict(zip(found["id"].to_pylist(), to_structures(found), strict=True))
    for name, structure in zip(table["id"].to_pylist(), to_structures(table), strict=True):
        other = back[name]
        assert structure is not None
        assert other is not None
        np.testing.assert_allclose(other.lattice.parameters, structure.lattice.parameters, atol=1e-6)
        assert len(other) == len(structure)
        left = list(other)
        for site in structure:
            match = [
                k
                for k, candidate in enumerate(left)
                if candidate.species == site.species
                and np.abs((d := candidate.frac_coords - site.frac_coords) - np.round(d)).max() < 1e-6
            ]
            assert len(match) == 1, (name, site)
            left.pop(match[0])


@pytest.mark.parametrize("name", ["t.parquet", "t.extxyz", "t.json", "t.jsonl", "folder"])
def test_round_trip_of_many(table: pa.Table, tmp_path: Path, name: str) -> None:
    assert write_crystals(table, tmp_path / name) == []
    _same_crystals(read_crystals(tmp_path / name), table)
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part"]


@pytest.mark.parametrize("name", ["x.cif", "x.vasp", "POSCAR", "x.extxyz"])
@pytest.mark.parametrize("crystal", ["Be2Nb3", "quartz-SiO2", "a15-Nb3Sn"])
def test_round_trip_of_one(table: pa.Table, tmp_path: Path, name: str, crystal: str) -> None:
    one = table.filter([row == crystal for row in CRYSTALS])
    assert write_crystals(one, tmp_path / name) == []
    found = read_crystals(tmp_path / name)
    _same_crystals(with_columns(found, {"id": [crystal]}), one)


def test_parquet_keeps_every_column_and_row(table: pa.Table, tmp_path: Path) -> None:
    scored = with_columns(table, {"tc_K": np.arange(40.0)}).append_column("mine", pa.array(range(40)))
    write_crystals(scored, tmp_path / "t.parquet")
    assert read_crystals(tmp_path / "t.parquet").equals(scored)


def test_rows_that_a_format_cannot_hold_are_named(partial: pa.Table, tmp_path: Path) -> None:
    assert write_crystals(partial, tmp_path / "t.extxyz") == ["alloy", "broken"]
    assert write_crystals(partial, tmp_path / "t.json") == ["broken"]
    assert write_crystals(partial, tmp_path / "out") == ["broken"]
    for name in ("t.json", "out"):
        row = next(row for row in read_crystals(tmp_path / name).to_pylist() if row["id"] == "alloy")
        assert "partly occupied" in row["error"]
        shares = {entry["Z"]: entry["occupancy"] for entry in row["site_occupancies"][0]}
        assert shares == pytest.approx({41: 0.6, 22: 0.4})


def test_optimade_fields(table: pa.Table, tmp_path: Path) -> None:
    one = with_columns(table.filter([row == "a15-Nb3Sn" for row in CRYSTALS]), {"tc_K": [18.0]})
    write_crystals(one, tmp_path / "t.json")
    (entry,) = json.loads((tmp_path / "t.json").read_text())["data"]
    attributes = entry["attributes"]
    assert attributes["chemical_formula_reduced"] == "Nb3Sn"
    assert attributes["chemical_formula_anonymous"] == "A3B"
    assert attributes["elements"] == ["Nb", "Sn"]
    assert attributes["elements_ratios"] == [0.75, 0.25]
    assert attributes["nsites"] == len(attributes["species_at_sites"]) == 8
    assert attributes["_onnes_tc_k"] == 18.0


def test_folder_names_never_leave_the_folder(table: pa.Table, tmp_path: Path) -> None:
    odd = with_columns(table.slice(0, 3), {"id": ["../../etc/x", "a:b", "a_b"]})
    write_crystals(odd, tmp_path / "deep" / "out")
    files = sorted(path.name for path in (tmp_path / "deep" / "out").iterdir())
    assert files == ["_.._etc_x.cif", "a_b-2.cif", "a_b.cif"]


def test_wrong_number_or_kind(table: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(CrystalError, match="holds one crystal, got 40"):
        write_crystals(table, tmp_path / "x.cif")
    with pytest.raises(CrystalError, match="unknown kind of file"):
        write_crystals(table, tmp_path / "x.pdf")
