import json

import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from tests.cli.faces import one_line_error, onnes
from tests.models.test_experimental import made_up


@pytest.fixture
def call(monkeypatch, capfd):
    return lambda *words: onnes(monkeypatch, capfd, "experimental", *words)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "mine"
    made_up(structure=True).save(folder, {}, "a card")
    return folder


@pytest.fixture
def alloy(tmp_path):
    path = tmp_path / "alloy.cif"
    Structure(Lattice.cubic(3.3), [{"Nb": 0.75, "Ti": 0.25}] * 2, [[0, 0, 0], [0.5, 0.5, 0.5]]).to(str(path), fmt="cif")
    return path


def test_formulas_and_a_partly_occupied_file_as_json(call, model, alloy) -> None:
    outcome = call("La1.85Sr0.15CuO4", alloy, "--model", model, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    rows = json.loads(outcome.out)
    assert [row["id"] for row in rows] == ["La1.85Sr0.15CuO4", "alloy"]
    assert [row["has_structure"] for row in rows] == [False, True]
    assert all(row["exp_tc_lo_K"] < row["exp_tc_K"] < row["exp_tc_hi_K"] for row in rows)


def test_table(call, model) -> None:
    outcome = call("Nb3Sn", "--model", model)
    assert outcome.code == 0
    assert "measured Tc / K" in outcome.out
    assert "Nb3Sn" in outcome.out


def test_failed_rows_are_told_and_the_rest_goes_on(call, model) -> None:
    outcome = call("Nb3Sn", "Qq7", "gone.cif", "--model", model, "--json")
    assert outcome.code == 3
    rows = json.loads(outcome.out)
    assert "error" not in rows[0]
    assert "Qq7" in rows[1]["error"]
    assert "gone.cif" in rows[2]["error"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_out(suffix, call, model, tmp_path) -> None:
    path = tmp_path / f"rows{suffix}"
    outcome = call("Nb3Sn", "Qq7", "--model", model, "--out", path)
    assert outcome.code == 3
    assert outcome.out == ""
    assert f"2 rows written to {path}, 1 of them with an error" in outcome.err
    frame = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}[suffix](path)
    assert frame["exp_tc_K"].notna().tolist() == [True, False]


def test_wrong_use_is_one_line(call, model, tmp_path) -> None:
    one_line_error(call("Nb", "--model", "guess"), "guess")
    one_line_error(call("Nb", "--model", model, "--out", tmp_path / "rows.xlsx"), "rows.xlsx", ".csv")


def test_help_says_what_the_numbers_are(call) -> None:
    text = " ".join(call("--help").out.replace("│", " ").split())
    for words in ("measured", "literature", "not from computed coupling", "ranks", "(K)", "Exit code 3"):
        assert words in text
