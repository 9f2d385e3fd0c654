import json
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.crystals.good import good_batch, good_crystals, good_names
from tests.crystals.malformed import LOOP, cif, poscar, write_malformed

from onnes.crystals.readers import ID_PATTERN, read_crystals
from onnes.crystals.schema import COLUMNS
from onnes.crystals.table import crystal_table, to_structures
from onnes.errors import CrystalError

ALEXANDRIA = Path(os.environ.get("ONNES_DATA", "../shared/data")) / "epc_dft_alexandria.parquet"


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def _one(path: Path) -> dict:
    table = read_crystals([path])
    assert table.num_rows == 1
    return table.to_pylist()[0]


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# --- the folder of forty good and twenty bad files ---------------------------------------------------------------------


def test_forty_good_and_twenty_malformed_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    expected = write_malformed(tmp_path / "bad")
    crystals = good_crystals()
    for name, structure in crystals.items():
        structure.to(str(tmp_path / f"{name}.cif"), fmt="cif")
    table = read_crystals([tmp_path])
    assert len(expected) == 20
    assert len(crystals) == 40
    rows = table.to_pylist()
    bad = {Path(row["source"]).name: row for row in rows if row["error"] is not None}
    assert set(bad) == set(expected)
    for name, word in expected.items():
        error = bad[name]["error"]
        assert error.startswith(f"{name}: "), error
        assert word in error
        assert re.search(r"\. [A-Z]", error), f"no advice in {error!r}"
        assert bad[name]["lattice"] is None
    good = {row["id"]: row for row in rows if row["error"] is None}
    assert set(good) == set(crystals)
    for name, row in good.items():
        assert row["reduced_formula"] == crystals[name].composition.reduced_formula
        assert row["n_atoms"] == len(crystals[name])
    out, err = capfd.readouterr()
    assert out == err == ""


def test_nothing_there_is_an_error_but_one_missing_path_is_a_row(tmp_path: Path) -> None:
    with pytest.raises(CrystalError, match="no such file"):
        read_crystals([tmp_path / "a.cif", tmp_path / "*.vasp"])
    good = _write(tmp_path, "Nb.cif", cif())
    rows = read_crystals([good, tmp_path / "gone.cif"]).to_pylist()
    assert [row["error"] is None for row in rows] == [True, False]
    assert rows[1]["error"].startswith("gone.cif: no such file")


def test_empty_folder_and_bad_kinds_of_path(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.cif").mkdir()
    (tmp_path / "dangling.cif").symlink_to(tmp_path / "nowhere")
    assert "no crystal files" in _one(tmp_path / "empty")["error"]
    assert "not a regular file" in _one(tmp_path / "dangling.cif")["error"]
    assert "no crystal files" in _one(tmp_path / "folder.cif")["error"]


def test_folders_are_sorted_hidden_files_skipped_and_repeats_read_once(tmp_path: Path) -> None:
    for name in ("b.cif", "a/c.cif", ".hidden.cif", ".git/d.cif", "a/POSCAR_x"):
        _write(tmp_path, name, poscar() if "POSCAR" in name else cif())
    table = read_crystals([tmp_path, tmp_path / "b.cif", str(tmp_path / "*.cif")])
    assert table["id"].to_pylist() == ["POSCAR_x", "c", "b"]


def test_glob_pattern(tmp_path: Path) -> None:
    for name in ("x1.cif", "x2.cif", "y.cif"):
        _write(tmp_path, name, cif())
    assert read_crystals(str(tmp_path / "x*.cif"))["id"].to_pylist() == ["x1", "x2"]


def test_ids_are_clean_and_unique(tmp_path: Path) -> None:
    for name in ("a/my file (1).cif", "b/my file (1).cif", "Ünü.cif"):
        _write(tmp_path, name, cif())
    ids = read_crystals(tmp_path)["id"].to_pylist()
    assert len(set(ids)) == 3
    assert all(ID_PATTERN.fullmatch(name) for name in ids)
    assert "my_file__1_" in ids
    assert "my_file__1_-2" in ids


# --- CIF ---------------------------------------------------------------------------------------------------------------


def test_partly_occupied_cif_keeps_its_occupancies_and_asks_for_ordered_cells(tmp_path: Path) -> None:
    row = _one(_write(tmp_path, "alloy.cif", cif("Nb1 Nb 0 0 0 0.6\nTi1 Ti 0 0 0 0.4\n")))
    assert "alloy.cif: partly occupied sites" in row["error"]
    assert "ordered cells" in row["error"]
    assert row["site_occupancies"] == [[{"Z": 22, "occupancy": 0.4}, {"Z": 41, "occupancy": 0.6}]]
    assert row["atomic_numbers"] == [41]
    (structure,) = to_structures(read_crystals(tmp_path / "alloy.cif"))
    assert structure is not None
    assert structure.composition.as_dict() == pytest.approx({"Nb": 0.6, "Ti": 0.4})


@pytest.mark.parametrize(
    ("sites", "cause"),
    [
        ("Nb1 Nb 0 0 0 1\nNb2 Nb 0 0 0 1\n", "two atoms on one site"),
        ("Nb1 Nb 0 0 0 0.7\nTi1 Ti 0 0 0 0.6\n", "two atoms on one site"),
        ("Nb1 Nb 0 0 0 0\n", "occupancy 0"),
        ("Nb1 Nb 0 0 0 1.5\n", "occupancy 1.5"),
        ("Nb1 Nb 0 0 0 abc\n", "occupancy abc"),
        ("Nb1 Nb 0 ? 0 1\n", "coordinate ?"),
        ("Nb1 Nb 0 nan 0 1\n", "coordinate nan"),
        ("X1 X 0 0 0 1\n", "unknown element 'X'"),
        ("Nb1 . 0 0 0 1\n", "unknown element '.'"),
    ],
)
def test_bad_sites(tmp_path: Path, sites: str, cause: str) -> None:
    assert cause in _one(_write(tmp_path, "x.cif", cif(sites)))["error"]


def test_label_that_pymatgen_would_guess_is_refused(tmp_path: Path) -> None:
    loop = LOOP.replace("_atom_site_type_symbol\n", "")
    assert "unknown element 'Hx1'" in _one(_write(tmp_path, "x.cif", cif("Hx1 0 0 0 1\n", loop=loop)))["error"]
    assert _one(_write(tmp_path, "y.cif", cif("Nb1 0 0 0 1\n", loop=loop)))["error"] is None


def test_site_listed_twice_through_symmetry_is_an_error(tmp_path: Path) -> None:
    symmetry = "loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'-x,-y,-z'\n"
    text = cif("Nb1 Nb 0.1 0.2 0.3 1\nNb2 Nb 0.9 0.8 0.7 1\n", loop=symmetry + LOOP)
    assert "two atoms on one site" in _one(_write(tmp_path, "x.cif", text))["error"]


def test_symmetry_that_makes_too_many_atoms_is_stopped_early(tmp_path: Path) -> None:
    text = cif("Nb1 Nb 0.11 0.23 0.37 1\nNb2 Nb 0.07 0.41 0.29 1\n", a="20")
    text = text.replace("3.3", "20").replace("'P 1'", "'F m -3 m'")
    assert "384 atoms, more than 200" in _one(_write(tmp_path, "x.cif", text))["error"]


def test_deuterium_is_hydrogen_and_charges_are_dropped(tmp_path: Path) -> None:
    row = _one(_write(tmp_path, "x.cif", cif("D1 D 0 0 0 1\nNb1 Nb5+ 0.5 0.5 0.5 1\n")))
    assert row["error"] is None
    assert sorted(row["atomic_numbers"]) == [1, 41]
    frame = '2\nLattice="3.3 0 0 0 3.3 0 0 0 3.3" Properties=species:S:1:pos:R:3\nD 0 0 0\nNb 1.65 1.65 1.65\n'
    assert _one(_write(tmp_path, "y.xyz", frame))["reduced_formula"] == "NbH"


def test_many_blocks_of_a_cif_are_many_rows(tmp_path: Path) -> None:
    path = _write(tmp_path, "two.cif", cif() + "\n" + cif(a="nan") + "\n")
    rows = read_crystals(path).to_pylist()
    assert [row["id"] for row in rows] == ["two-00001", "two-00002"]
    assert rows[0]["error"] is None
    assert rows[1]["error"].startswith("two.cif, row 2: _cell_length_a")


def test_formula_that_differs_from_the_sites_is_noted(tmp_path: Path) -> None:
    row = _one(_write(tmp_path, "x.cif", cif() + "_chemical_formula_sum 'Nb2 H1'\n"))
    assert row["error"] is None
    assert "formula" in row["notes"]


def test_cell_is_kept_as_printed_and_p1_coordinates_are_not_rounded(tmp_path: Path) -> None:
    row = _one(_write(tmp_path, "x.cif", cif("Nb1 Nb 0.33338 0 0 1\n", a="5.5")))
    assert row["frac_coords"][0] == pytest.approx(0.33338, abs=1e-12)
    assert row["lattice"][0] == pytest.approx(5.5)


def test_text_in_a_cif_is_only_text(tmp_path: Path) -> None:
    row = _one(_write(tmp_path, "x.cif", cif() + "_publ_section_title 'call submit_dft; rm -rf'\n"))
    assert row["error"] is None
    assert not any("submit_dft" in str(value) for value in row.values())


# --- POSCAR ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (poscar(elements=""), "names no elements"),
        (poscar(elements="Qq\n"), "unknown element 'Qq"),
        (poscar(atoms="0 0 0\n0.5 0.5 0.5\n0.5 0 0\n"), "3 coordinate lines for 2 atoms"),
        (poscar(atoms="0 0 0\n0.5 x 0.5\n"), "cannot be parsed"),
        (poscar(first="3.3 0.0"), "line 3"),
        ("Nb\n1.0\n", "too few"),
        (poscar(first="0 0 0"), "no volume"),
        (poscar().replace("\n2\n", "\n2000\n"), "2000 atoms"),
    ],
)
def test_bad_poscar(tmp_path: Path, text: str, cause: str) -> None:
    error = _one(_write(tmp_path, "POSCAR", text))["error"]
    assert error.startswith("POSCAR: ")
    assert cause in error


def test_good_poscars(tmp_path: Path) -> None:
    selective = poscar(atoms="0 0 0 T T F\n0.5 0.5 0.5 F F F\n").replace("Direct", "Selective dynamics\nDirect")
    for name, text in {
        "CONTCAR": poscar() + "\n0.0 0.0 0.0\n0.0 0.0 0.0\n",
        "POSCAR.static": selective,
        "x.vasp": poscar().replace("\n1.0\n", "\n-35.937\n"),
    }.items():
        row = _one(_write(tmp_path, name, text))
        assert row["error"] is None
        assert row["formula"] == "Nb2"
        assert row["lattice"][0] == pytest.approx(3.3)


# --- extended XYZ ------------------------------------------------------------------------------------------------------

FRAME = '1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3\nPo 0 0 0\n'


def test_bad_frame_spoils_only_itself(tmp_path: Path) -> None:
    bad = FRAME.replace("Po", "Qq")
    rows = read_crystals(_write(tmp_path, "x.extxyz", FRAME + bad + FRAME)).to_pylist()
    assert [row["error"] is None for row in rows] == [True, False, True]
    assert rows[1]["error"].startswith("x.extxyz, row 2: unknown element 'Qq'")
    assert [row["id"] for row in rows] == ["x-00001", "x-00002", "x-00003"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (FRAME.replace("3 0 0 0 3", "nan 0 0 0 3"), "not finite"),
        (FRAME.replace("3 0 0 0 3 0 0 0 3", "3 0 0 3 0 0 0 0 3"), "no volume"),
        (FRAME.replace('3"', '3" pbc="T T F"'), "three directions"),
        (FRAME.replace("Po 0 0 0", "Po 0 a 0"), "cannot be parsed"),
        ("many\n" + FRAME, "instead of a number of atoms"),
        ("5\n" + FRAME[2:], "1 atom lines for 5 atoms"),
        ("10000\n" + FRAME[2:] + "Po 0 0 0\n" * 9999, "10000 atoms"),
    ],
)
def test_bad_extxyz(tmp_path: Path, text: str, cause: str) -> None:
    assert cause in _one(_write(tmp_path, "x.extxyz", text))["error"]


# --- JSON --------------------------------------------------------------------------------------------------------------


def test_pymatgen_json_alone_and_in_a_list(tmp_path: Path) -> None:
    structure = good_crystals()["MgB2"]
    structure.to(str(tmp_path / "MgB2.json"))
    assert _one(tmp_path / "MgB2.json")["reduced_formula"] == "MgB2"
    path = _write(tmp_path, "two.json", json.dumps([structure.as_dict(), {"lattice": 1, "sites": 2}]))
    rows = read_crystals(path).to_pylist()
    assert [row["error"] is None for row in rows] == [True, False]
    assert rows[1]["error"].startswith("two.json, row 2: ")


def test_json_never_imports_what_it_names(tmp_path: Path) -> None:
    item = good_crystals()["bcc-Nb"].as_dict()
    item["sites"][0]["properties"] = {"x": {"@module": "antigravity", "@class": "anything"}}
    assert _one(_write(tmp_path, "x.json", json.dumps(item)))["error"] is None
    import sys

    assert "antigravity" not in sys.modules


def _optimade(**changes: object) -> dict:
    attributes = {
        "lattice_vectors": [[3.3, 0, 0], [0, 3.3, 0], [0, 0, 3.3]],
        "cartesian_site_positions": [[0, 0, 0], [1.65, 1.65, 1.65]],
        "species_at_sites": ["a", "b"],
        "species": [
            {"name": "a", "chemical_symbols": ["Nb"], "concentration": [1.0]},
            {"name": "b", "chemical_symbols": ["Ti"], "concentration": [1.0]},
        ],
    }
    return {"id": "odbx/1", "type": "structures", "attributes": attributes | changes}


def test_optimade_response_and_lines(tmp_path: Path) -> None:
    response = {"data": [_optimade(), _optimade()], "meta": {}}
    rows = read_crystals(_write(tmp_path, "r.json", json.dumps(response))).to_pylist()
    assert [row["id"] for row in rows] == ["odbx_1", "odbx_1-2"]
    assert rows[0]["frac_coords"][3:] == pytest.approx([0.5] * 3)
    lines = [{"x-optimade": {}}, _optimade(), {"type": "references", "id": "1"}, _optimade(lattice_vectors=None)]
    text = "\n".join(json.dumps(line) for line in lines) + "\n{broken\n"
    rows = read_crystals(_write(tmp_path, "r.jsonl", text)).to_pylist()
    assert [row["error"] is None for row in rows] == [True, False, False]


def test_optimade_vacancy_is_a_partly_occupied_site(tmp_path: Path) -> None:
    species = [
        {"name": "a", "chemical_symbols": ["Nb"], "concentration": [1.0]},
        {"name": "b", "chemical_symbols": ["Ti", "vacancy"], "concentration": [0.9, 0.1]},
    ]
    row = _one(_write(tmp_path, "v.json", json.dumps(_optimade(species=species))))
    assert "partly occupied" in row["error"]
    assert row["site_occupancies"][1] == [{"Z": 22, "occupancy": 0.9}]


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "[1]", "{", "[" * 100_000, "{}"])
def test_json_that_is_no_crystal(tmp_path: Path, text: str) -> None:
    assert _one(_write(tmp_path, "x.json", text))["error"].startswith("x.json: no ")


# --- Parquet -----------------------------------------------------------------------------------------------------------


def _table() -> pa.Table:
    return pa.table(
        {
            "id": pa.array(["a", "a", "c d"], pa.large_string()),
            "lattice": [(3.3 * np.eye(3)).ravel().tolist()] * 3,
            "frac_coords": [[0.0, 0, 0, 0.5, 0.5, 0.5]] * 3,
            "atomic_numbers": pa.array([[41, 41]] * 3, pa.list_(pa.int64())),
            "n_atoms": pa.array([2.0, 2.0, 2.0]),
            "tc_K": pa.array([9.2, float("nan"), None], pa.float32()),
            "space_group": ["Im-3m"] * 3,
            "label": [1, 2, 3],
        }
    )


def test_parquet_columns_are_kept_and_cast(tmp_path: Path) -> None:
    pq.write_table(_table(), tmp_path / "t.parquet")
    table = read_crystals(tmp_path / "t.parquet")
    assert table["id"].to_pylist() == ["a", "a-2", "c_d"]
    assert table["label"].to_pylist() == [1, 2, 3]
    assert table["tc_K"].to_pylist() == [pytest.approx(9.2), None, None]
    for field in table.schema:
        assert field.type == COLUMNS.get(field.name, pa.int64())
    assert table["error"].null_count == 3
    assert table["reduced_formula"].to_pylist() == ["Nb"] * 3
    assert table["space_group"].to_pylist() == [None] * 3  # a symbol is no number; identify() fills it


@pytest.mark.parametrize(
    ("column", "value", "cause"),
    [
        ("lattice", [3.3] * 8, "8 numbers instead of 9"),
        ("lattice", [float("nan")] * 9, "not finite"),
        ("lattice", None, "no geometry"),
        ("frac_coords", [0.0] * 3, "3 coordinate numbers for 2 atoms"),
        ("frac_coords", [0.0] * 6, "0.000 A apart"),
        ("frac_coords", [0.0, None, 0, 0.5, 0.5, 0.5], "not finite"),
        ("atomic_numbers", [41, 70000], "atomic number 70000"),
        ("atomic_numbers", [41, None], "no element"),
        ("atomic_numbers", [], "for 0 atoms"),
    ],
)
def test_bad_row_spoils_only_itself(tmp_path: Path, column: str, value: object, cause: str) -> None:
    table = _table()
    data = table[column].to_pylist()
    data[1] = value
    index = table.column_names.index(column)
    pq.write_table(table.set_column(index, column, pa.array(data, table[column].type)), tmp_path / "t.parquet")
    rows = read_crystals(tmp_path / "t.parquet").to_pylist()
    assert [row["error"] is None for row in rows] == [True, False, True]
    assert rows[1]["error"].startswith("t.parquet, row 2: ")
    assert cause in rows[1]["error"]
    assert rows[1]["label"] == 2
    assert rows[1]["lattice"] is None


def test_own_table_comes_back_unchanged(tmp_path: Path) -> None:
    table = crystal_table(good_batch(), ids=good_names(), source="tests")
    pq.write_table(table, tmp_path / "t.parquet")
    assert read_crystals(tmp_path / "t.parquet").equals(table)


def test_earlier_error_is_kept(tmp_path: Path) -> None:
    table = _table().append_column("error", pa.array([None, "relax: did not converge", None]))
    pq.write_table(table, tmp_path / "t.parquet")
    assert read_crystals(tmp_path / "t.parquet")["error"].to_pylist() == [None, "relax: did not converge", None]


def test_occupancies_beside_site_numbers(tmp_path: Path) -> None:
    table = _table().append_column("site_atomic_numbers", pa.array([[[41], [41, 40]], [[41], [41]], [[41], [41]]]))
    table = table.append_column("site_occupancies", pa.array([[[1.0], [0.7, 0.3]], [[1.0], [1.0]], None]))
    pq.write_table(table, tmp_path / "t.parquet")
    rows = read_crystals(tmp_path / "t.parquet").to_pylist()
    assert [row["error"] is None for row in rows] == [False, True, True]
    assert rows[0]["site_occupancies"][1] == [{"Z": 41, "occupancy": 0.7}, {"Z": 40, "occupancy": 0.3}]


def test_column_of_a_wrong_type_is_named(tmp_path: Path) -> None:
    pq.write_table(_table().append_column("lambda_", pa.array(["a", "b", "c"])), tmp_path / "t.parquet")
    assert "column lambda_ has type string" in _one(tmp_path / "t.parquet")["error"]


def test_files_that_disagree_about_a_foreign_column(tmp_path: Path) -> None:
    table = _table()
    pq.write_table(table, tmp_path / "a.parquet")
    index = table.column_names.index("label")
    pq.write_table(table.set_column(index, "label", pa.array(["x", "y", "z"])), tmp_path / "b.parquet")
    assert read_crystals(tmp_path)["label"].to_pylist() == ["1", "2", "3", "x", "y", "z"]


def test_identify_on_request(tmp_path: Path) -> None:
    good_crystals()["fcc-Al"].to(str(tmp_path / "Al.cif"))
    assert read_crystals(tmp_path)["space_group"].to_pylist() == [None]
    assert read_crystals(tmp_path, identify=True)["prototype"].to_pylist() == ["A_cF4_225_a:Al"]


@pytest.mark.skipif(not ALEXANDRIA.exists(), reason="the training data are not here")
def test_public_table_of_seven_thousand_rows() -> None:
    raw = pq.read_table(ALEXANDRIA)
    table = read_crystals(ALEXANDRIA)
    assert table["error"].null_count == raw.num_rows
    assert table["id"].to_pylist() == raw["id"].to_pylist()
    assert table["reduced_formula"].to_pylist() == raw["reduced_formula"].to_pylist()
    assert set(raw.column_names) <= set(table.column_names)


# --- mutations ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.cif", "POSCAR", "x.extxyz", "x.json"])
def test_mutated_files_never_raise_nor_warn(tmp_path: Path, name: str) -> None:
    texts = {"x.cif": cif(), "POSCAR": poscar(), "x.extxyz": FRAME, "x.json": json.dumps(_optimade())}
    rng = np.random.default_rng(7)
    failed = 0
    for _ in range(60):
        letters = list(texts[name])
        for _ in range(int(rng.integers(1, 5))):
            k = int(rng.integers(len(letters)))
            odd = ["nan", "1e309", "-", "\n", "loop_", "_", '"', ";\n", "?", "0", "", chr(int(rng.integers(1, 500)))]
            letters[k] = str(rng.choice(odd))
        rows = read_crystals(_write(tmp_path, name, "".join(letters))).to_pylist()
        assert rows
        assert all(row["error"] is None or row["error"].startswith(name) for row in rows)
        failed += any(row["error"] is not None for row in rows)
    assert failed > 20
