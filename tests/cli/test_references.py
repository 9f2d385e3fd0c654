import json

import pytest

from onnes.crystals.known import known_table
from onnes.crystals.writers import write_crystals
from onnes.physics.reference import Reference
from onnes.potentials import potential as potentials
from tests.cli.faces import one_line_error, onnes
from tests.physics.references import PHASES, reference
from tests.potentials.fakes import FakePotential


@pytest.fixture
def call(monkeypatch, capfd):
    return lambda *words: onnes(monkeypatch, capfd, *words)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reference(name="one").save("a.parquet")
    reference([*PHASES[:-1], ("SnO2", -5.5, "new"), ("NbSn", -7.25, "deep")], name="two").save("b.parquet")
    reference(potential="chgnet").save("c.parquet")
    write_crystals(known_table(["Al", "Nb", "NbN"]), tmp_path / "crystals.parquet")
    monkeypatch.setattr(potentials, "load_potential", lambda *_, **__: FakePotential())
    return tmp_path


def test_info_of_a_reference(call, files) -> None:
    outcome = call("reference", "info", "--reference", "a.parquet")
    assert outcome.code == 0
    assert "one: 18 phases, potential sevennet-0" in outcome.out
    assert "phases: 18, 17 with an energy, 0 hypothetical" in outcome.out
    assert "systems of 2 elements with a compound: 3 of 6" in outcome.out
    data = json.loads(call("reference", "info", "--reference", "a.parquet", "--json").out)
    assert data["elements"] == ["Al", "Nb", "O", "Sn"]
    assert data["sha256"] == Reference.load("a.parquet").sha256


def test_info_of_a_system(call, files) -> None:
    out = call("reference", "info", "Nb-Sn-Al", "--reference", "a.parquet").out
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert "stable" in lines["Nb3Sn"]
    assert "Nb3Sn-A15" in lines["Nb3Sn"]
    assert "0.035 eV/atom above the hull" in lines["Nb3Al"]
    assert "no energy" in lines["Nb4AlSn"]
    assert "Nb-Sn: 4 compounds with an energy" in out
    assert "no compound with an energy: Al-Sn, Al-Nb-Sn" in out
    data = json.loads(call("reference", "info", "Nb-Hf", "--reference", "a.parquet", "--json").out)
    assert (data["name"], data["system"], data["missing_elements"]) == ("one", "Hf-Nb", ["Hf"])


def test_merge_and_diff(call, files) -> None:
    outcome = call("reference", "merge", "a.parquet", "b.parquet", "--out", "m.parquet", "--name", "both")
    assert outcome.code == 0
    assert "written to m.parquet" in outcome.out
    merged = Reference.load("m.parquet")
    assert merged.name == "both"
    assert merged.lowest["NbSn"] == (-7.25, "deep")
    assert "HfNb" in merged.lowest
    out = call("reference", "diff", "a.parquet", "m.parquet", "--quiet").out
    assert "only in the first: 0" in out
    assert "only in the second: 1: SnO2" in out
    assert "another energy (eV/atom): 1: NbSn -0.4500" in out
    assert "newly stable: 2: NbSn, SnO2" in out
    data = json.loads(call("reference", "diff", "m.parquet", "a.parquet", "--json").out)
    assert data["only_in_first"] == ["SnO2"]
    assert data["energy_change_eV_per_atom"]["NbSn"] == pytest.approx(0.45)


@pytest.mark.parametrize("files_first", [["crystals.parquet"], ["--from", "crystals.parquet"]])
def test_build_from_files(call, files, files_first) -> None:
    outcome = call("reference", "build", *files_first, "--out", "r.parquet", "--elements", "Nb,N", "--quiet")
    assert outcome.code == 0, outcome.err
    assert "2 phases written to r.parquet; 0 without energy, 0 rows unusable" in outcome.out
    built = Reference.load("r.parquet")
    assert (built.name, built.potential) == ("r", "fake")
    assert set(built.lowest) == {"Nb", "NbN"}


def test_build_of_structure_types(call, files) -> None:
    outcome = call(
        "reference", "build", "--prototypes", "Nb,Al", "--max-atoms", 2, "--out", "r.parquet", "--quiet"
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    built = Reference.load("r.parquet")
    assert set(built.table["source"].to_pylist()) == {"prototype"}
    assert set(built.lowest) == {"NbAl"}
    assert list((files / "r.pieces").iterdir())


def test_rows_that_cannot_be_used_are_named(call, files) -> None:
    (files / "bad.cif").write_text("no crystal")
    outcome = call("reference", "build", "crystals.parquet", "bad.cif", "--out", "r.parquet", "--quiet")
    assert "3 phases written to r.parquet; 0 without energy, 1 rows unusable" in outcome.out
    assert "bad.cif" in outcome.err


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["build", "--out", "r.parquet"], "--prototypes"),
        (["build", "--from", "optimade", "--out", "r.parquet"], "source optimade"),
        (["build", "--from", "mp", "--elements", "Nb,Sn", "--out", "r.parquet"], "MP_API_KEY"),
        (["build", "--from", "nowhere.cif", "--out", "r.parquet"], "nowhere.cif"),
        (["build", "--prototypes", "Nb,Xx", "--out", "r.parquet"], "Xx"),
        (["build", "crystals.parquet", "--elements", "Xx", "--out", "r.parquet"], "Xx"),
        (["info", "Nb-Xx", "--reference", "a.parquet"], "Xx"),
        (["merge", "a.parquet", "c.parquet", "--out", "r.parquet"], "'chgnet'"),
        (["merge", "a.parquet", "nowhere.parquet", "--out", "r.parquet"], "nowhere.parquet"),
        (["diff", "a.parquet", "c.parquet", "--quiet"], "'chgnet'"),
    ],
)
def test_faults_are_one_line(call, files, monkeypatch, words, fault) -> None:
    monkeypatch.delenv("MP_API_KEY", raising=False)
    one_line_error(call("reference", *words, *(["--quiet"] if words[0] == "build" else [])), fault)
    assert not (files / "r.parquet").exists()
