import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pymatgen.core import Composition, Lattice, Structure

import onnes
from onnes.errors import ConfigError, ModelError
from onnes.models.experimental import load_experimental_model, structural_features
from onnes.tools.experimental import SCHEMA, ExperimentalTable, experimental
from tests.models.test_experimental import made_up

DISORDERED = Structure(Lattice.cubic(3.3), [{"Nb": 0.75, "Ti": 0.25}] * 2, [[0, 0, 0], [0.5, 0.5, 0.5]])
NIOBIUM = Structure(Lattice.cubic(3.3), ["Nb", "Nb"], [[0, 0, 0], [0.5, 0.5, 0.5]])
NUMBERS = ["exp_superconductor_probability", "exp_tc_K", "exp_tc_lo_K", "exp_tc_hi_K"]


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experimental models")
    for structure in (True, False):
        made_up(structure=structure).save(folder / ("structure" if structure else "composition"), {}, "a card")
    return folder


@pytest.fixture
def model(models):
    return str(models / "structure")


@pytest.fixture
def files(tmp_path):
    DISORDERED.to(str(tmp_path / "alloy.cif"), fmt="cif")
    NIOBIUM.to(str(tmp_path / "POSCAR"), fmt="poscar")
    (tmp_path / "bad.cif").write_text("data_x\n")
    return tmp_path


# --- formulas ---


def test_one_formula(model) -> None:
    found = experimental("La1.85Sr0.15CuO4", model=model)
    assert isinstance(found, ExperimentalTable)
    assert found.table.schema == SCHEMA
    (row,) = found.to_dicts()
    assert set(row) == {field.name for field in SCHEMA} - {"error"}
    said = load_experimental_model(model).predict(["La1.85Sr0.15CuO4"])
    assert [row[name] for name in NUMBERS] == pytest.approx([said[name][0] for name in NUMBERS])
    assert (row["id"], row["formula"], row["exp_family"]) == ("La1.85Sr0.15CuO4", "La1.85Sr0.15CuO4", "cuprate")
    assert Composition(row["reduced_formula"]) == Composition("La1.85Sr0.15CuO4")
    assert row["has_structure"] is False
    assert found.model_sha256 == load_experimental_model(model).sha256


def test_bad_items_become_rows_that_name_them(model) -> None:
    found = experimental(["Nb3Sn", "nb3sn", "Xx2O", "", 3.5, {"Fe": -1}, "MgB2"], model=model)
    assert len(found) == 7
    assert found.n_failed == 5
    errors = found["error"]
    assert [error is None for error in errors] == [True, False, False, False, False, False, True]
    for error, words in zip(
        errors[1:6], ("'nb3sn'", "'Xx2O'", "''", "item 4 is of type float", "'Fe': -1"), strict=True
    ):
        assert words in error
        assert "Give a formula" in error
    assert all(found[name][2] is None for name in NUMBERS)
    alone = experimental("MgB2", model=model)
    assert found["exp_tc_K"][6] == pytest.approx(alone["exp_tc_K"][0])


def test_nothing_good_at_all(model) -> None:
    found = experimental(["?"], model=model)
    assert (len(found), found.n_failed) == (1, 1)
    assert len(experimental([], model=model)) == 0


def test_unknown_model() -> None:
    with pytest.raises(ModelError, match="unknown model 'guess'"):
        experimental("Nb", model="guess")


# --- crystals ---


def test_partly_occupied_file_is_read_with_its_structure(model, files) -> None:
    for given in (files / "alloy.cif", str(files / "alloy.cif")):
        (row,) = experimental(given, model=model).to_dicts()
        assert (row["id"], row["has_structure"]) == ("alloy", True)
        assert Composition(row["reduced_formula"]).almost_equals(Composition("Nb1.5Ti0.5"))
    sites = [{"Nb": 0.75, "Ti": 0.25}] * 2
    structural = structural_features([(3.3 * np.eye(3), DISORDERED.frac_coords, sites)])
    said = load_experimental_model(model).predict(["Nb0.75Ti0.25"], structural)
    assert row["exp_tc_K"] == pytest.approx(said["exp_tc_K"][0], rel=1e-6)
    assert row["exp_tc_K"] != pytest.approx(experimental("Nb0.75Ti0.25", model=model)["exp_tc_K"][0], rel=1e-4)


def test_everything_at_once_keeps_its_order(model, files) -> None:
    mixed = [
        files / "POSCAR",
        "Nb",
        NIOBIUM,
        NIOBIUM.composition,
        {"Nb": 2},
        str(files / "gone.cif"),
        files / "bad.cif",
    ]
    found = experimental(mixed, model=model)
    assert found["reduced_formula"] == ["Nb"] * 5 + [None, None]
    assert found["has_structure"] == [True, False, True, False, False, None, None]
    assert found["id"][:5] == ["POSCAR", "Nb", "crystal-00002", "composition-00003", "composition-00004"]
    tc = found["exp_tc_K"]
    assert tc[0] == pytest.approx(tc[2], rel=1e-6)
    assert tc[1] == pytest.approx(tc[3]) == pytest.approx(tc[4])
    assert tc[0] != pytest.approx(tc[1], rel=2e-4)
    assert "gone.cif" in found["error"][5]
    assert "bad.cif" in found["error"][6]


def test_a_single_structure_or_composition_is_no_list(model) -> None:
    assert experimental(DISORDERED, model=model)["has_structure"] == [True]
    assert experimental(Composition("NbTi"), model=model)["has_structure"] == [False]
    assert len(experimental((f for f in ("Nb", "V")), model=model)) == 2


def test_charges_and_isotopes_do_not_matter(model) -> None:
    charged = Structure(Lattice.cubic(4.3), [{"Fe2+": 0.5, "Fe3+": 0.5}, "Se2-"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    plain = Structure(Lattice.cubic(4.3), ["Fe", "Se"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    found = experimental([charged, plain, "D3S", "H3S"], model=model)
    assert found.n_failed == 0
    assert found["exp_tc_K"][0] == pytest.approx(found["exp_tc_K"][1], rel=1e-5)
    assert found["exp_tc_K"][2] == pytest.approx(found["exp_tc_K"][3])


def test_what_is_a_file(model, files, monkeypatch) -> None:
    monkeypatch.chdir(files)
    Path("NbTi").mkdir()  # a folder of that name does not hide the formula
    NIOBIUM.to("Nb.vasp", fmt="poscar")
    found = experimental(["Nb.vasp", "NbTi", "YBa2Cu3O6.9", "V3Si.cif", "x/V3Si", "CONTCAR_1", "V" * 5000], model=model)
    errors = found["error"]
    assert errors[:3] == [None] * 3
    assert found["has_structure"][:3] == [True, False, False]
    assert all("no such file" in error for error in errors[3:6])
    assert found["reduced_formula"][6] == "V"


def test_model_of_compositions_leaves_structures_out(models) -> None:
    found = experimental([NIOBIUM, "Nb"], model=str(models / "composition"))
    assert found["has_structure"] == [False, False]
    assert found["exp_tc_K"][0] == pytest.approx(found["exp_tc_K"][1])


def test_crystal_that_cannot_be_described_is_predicted_from_its_composition(model) -> None:
    lonely = Structure(Lattice.cubic(40), ["Nb"], [[0, 0, 0]])
    found = experimental([lonely, "Nb"], model=model)
    assert found["has_structure"] == [False, False]
    assert found["exp_tc_K"][0] == pytest.approx(found["exp_tc_K"][1])


# --- the table ---


@pytest.fixture
def found(model):
    return experimental(["Nb3Sn", "[b]Q"], model=model)


def test_it_prints_numbers_units_and_faults(found) -> None:
    text = repr(found)
    assert "measured Tc / K" in text
    assert "P(superconductor)" in text
    assert f"{found['exp_tc_K'][0]:.1f}" in text
    assert "'[b]Q'" in text  # brackets are text, not markup
    assert "–" in text
    assert "remarks" not in repr(ExperimentalTable(found.table.slice(0, 1), "m", ""))
    long = ExperimentalTable(found.table.take([0] * 70), "m", "")
    assert "10 more rows" in repr(long)
    assert "<table" in found._repr_html_()


def test_json_and_pandas(found) -> None:
    rows = json.loads(found.to_json())
    assert rows[0]["exp_tc_K"] == found["exp_tc_K"][0]
    assert "exp_tc_K" not in rows[1]
    frame = found.to_pandas()
    assert list(frame.columns) == SCHEMA.names
    assert frame["has_structure"].tolist() == [False, None]


def test_written_files_hold_the_same(found, tmp_path) -> None:
    for suffix in (".csv", ".parquet", ".json"):
        found.write(tmp_path / f"out{suffix}")
    assert pq.read_table(tmp_path / "out.parquet").equals(found.table)
    assert json.loads((tmp_path / "out.json").read_text()) == found.to_dicts()
    read = pd.read_csv(tmp_path / "out.csv")
    assert read["exp_tc_K"][0] == pytest.approx(found["exp_tc_K"][0])
    assert list(read.columns) == SCHEMA.names
    with pytest.raises(ConfigError, match=r"out\.xlsx: give a file that ends in \.csv, \.parquet, \.json"):
        found.write(tmp_path / "out.xlsx")


def test_it_is_a_function_of_the_package() -> None:
    assert onnes.experimental is experimental
