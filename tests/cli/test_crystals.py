import json

import pyarrow.parquet as pq
import pytest

from onnes.cli.options import split
from onnes.crystals.schema import with_columns
from onnes.crystals.table import crystal_table
from onnes.crystals.writers import write_crystals
from onnes.models.weights import shipped_folder
from onnes.potentials import potential as registry
from onnes.tools.inputs import as_table
from onnes.tools.registry import tool
from tests.cli.faces import one_line_error, onnes
from tests.crystals.good import good_crystals
from tests.crystals.malformed import write_malformed
from tests.potentials.fakes import fcc_batch

needs_models = pytest.mark.skipif(
    not all((shipped_folder() / name / "config.json").is_file() for name in ("structure", "metal")),
    reason="the weights are not installed",
)


@pytest.fixture
def call(monkeypatch, capfd):
    return lambda *words: onnes(monkeypatch, capfd, *words)


@pytest.fixture
def niobium(tmp_path):
    path = tmp_path / "Nb.cif"
    good_crystals()["bcc-Nb"].to(str(path), fmt="cif")
    return path


def test_relax_keeps_the_pressure_of_a_row_unless_told(call, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_ADAPTERS", {"fake": ("tests.potentials.fakes", "FakePotential")})
    monkeypatch.setattr(registry, "_LOADED", {})
    table = crystal_table(fcc_batch((13, 29)), ids=["pressed", "free"], source="tests")
    write_crystals(with_columns(table, {"pressure_GPa": [20.0, 0.0]}), tmp_path / "two.parquet")
    how = ("relax", tmp_path / "two.parquet", "--potential", "fake", "--json")
    for more, wanted in (((), [20.0, 0.0]), (("--pressure", 5), [5.0, 5.0])):
        assert [row["pressure_GPa"] for row in json.loads(call(*how, *more).out)] == wanted


def test_propose_prints_json(call):
    outcome = call("propose", "--elements", "Nb, N", "--prototypes", "B1", "--json")
    assert outcome.code == 0
    rows = json.loads(outcome.out)
    assert [row["reduced_formula"] for row in rows] == ["NbN"]
    assert rows[0]["source"]


def test_propose_substitutes_in_a_parent_and_keeps_what_is_fixed(call, tmp_path):
    path = tmp_path / "MgB2.cif"
    good_crystals()["MgB2"].to(str(path), fmt="cif")
    rows = json.loads(call("propose", "--parent", path, "--fixed", "B", "--json").out)
    assert len(rows) > 3
    assert all("B" in row["reduced_formula"] for row in rows)
    assert all(row["parent_id"] == "MgB2" for row in rows)
    fewer = json.loads(call("propose", "--parent", path, "--fixed", "B", "--limit", 2, "--json").out)
    assert len(fewer) == 2
    assert {row["id"] for row in fewer} <= {row["id"] for row in rows}


def test_propose_writes_a_file(call, tmp_path):
    out = tmp_path / "candidates.parquet"
    outcome = call("propose", "--elements", "Nb,Zr,N", "--prototypes", "B1", "--out", out)
    assert outcome.code == 0
    assert outcome.out == ""
    table = pq.read_table(out)
    assert set(table["reduced_formula"].to_pylist()) == {"NbN", "ZrN", "ZrNb"} | set(
        table["reduced_formula"].to_pylist()
    )
    assert f"{table.num_rows} rows written to {out}, 0 of them with an error" in outcome.err


def test_propose_prints_a_table(call):
    outcome = call("propose", "--elements", "Nb,N", "--prototypes", "B1")
    assert "formula" in outcome.out
    assert "NbN" in outcome.out


def test_the_command_and_the_tool_propose_the_same(call):
    rows = json.loads(call("propose", "--elements", "Nb,N,C", "--prototypes", "B1,A15", "--json").out)
    table = tool("propose").function()(elements=["Nb", "N", "C"], prototypes=["B1", "A15"])
    assert rows == json.loads(table.to_json())


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["propose"], "give either parents"),
        (["propose", "--elements", "Nb", "--parent", "x.cif"], "give either parents"),
        (["propose", "--parent", "nowhere.cif"], "nowhere.cif"),
        (["propose", "--elements", "Nb,Xx"], "Xx"),
        (["propose", "--elements", "Nb,N", "--prototypes", "B99"], "B99"),
        (["propose", "--elements", "Nb", "--out", "candidates.docx"], "docx"),
        (["predict", "nowhere.cif"], "nowhere.cif"),
        (["relax", "nowhere.cif"], "nowhere.cif"),
        (["hull", "nowhere.cif"], "nowhere.cif"),
    ],
)
def test_faults_are_one_line(call, words, fault, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one_line_error(call(*words), fault)


def test_lists_are_split_at_commas():
    assert split("Nb, N ,,C") == ["Nb", "N", "C"]
    assert split(None) == split("") == []


@needs_models
def test_an_unknown_potential_is_one_line(call, niobium):
    one_line_error(call("relax", niobium, "--potential", "magic", "--quiet"), "magic")


@needs_models
def test_predict_gives_numbers_and_names_bad_files(call, niobium, tmp_path):
    expected = write_malformed(tmp_path / "bad")
    bad = tmp_path / "bad" / "truncated_loop.cif"
    outcome = call("predict", niobium, bad, "--no-hull", "--json")
    assert outcome.code == 3
    assert "Traceback" not in outcome.err
    good, broken = json.loads(outcome.out)
    assert (good["id"], good["geometry"]) == ("Nb", "input")
    assert good["tc_K"] > 1
    assert good["is_metal_probability"] > 0.5
    assert "truncated_loop.cif" in broken["error"]
    assert expected["truncated_loop.cif"] in broken["error"]
    assert "tc_K" not in broken


def test_a_file_of_candidates_is_read_again(call, tmp_path):
    out = tmp_path / "candidates.parquet"
    call("propose", "--elements", "Nb,N", "--prototypes", "B1", "--out", out)
    assert as_table(out)["id"].to_pylist() == pq.read_table(out)["id"].to_pylist()
