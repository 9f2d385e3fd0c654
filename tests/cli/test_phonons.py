import json

import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.table import crystal_table
from onnes.crystals.writers import write_crystals
from onnes.potentials import potential as registry
from tests.cli.faces import one_line_error, onnes
from tests.potentials.fakes import FakePotential, fcc


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_ADAPTERS", {"fake": ("tests.potentials.fakes", "FakePotential")})
    monkeypatch.setattr(registry, "_LOADED", {("fake", "cpu"): FakePotential(raises_for=[47])})
    batch = CrystalBatch.of([fcc(29), fcc(47)])
    path = tmp_path / "two.parquet"
    write_crystals(crystal_table(batch, ids=["copper", "silver"], source="tests"), path)
    return path


HOW = ("--potential", "fake", "--no-refine", "--min-length", "7.5", "--quiet")


def test_table(file, tmp_path, monkeypatch, capfd) -> None:
    outcome = onnes(monkeypatch, capfd, "phonons", file, *HOW, "--plots", tmp_path / "figures")
    assert outcome.code == 3  # silver fails
    for words in ("copper", "stable", "4x4x4", "lowest / THz", "relaxation failed"):
        assert words in outcome.out
    assert (tmp_path / "figures" / "phonons-1.svg").is_file()


def test_json(file, monkeypatch, capfd) -> None:
    outcome = onnes(monkeypatch, capfd, "phonons", file, *HOW, "--no-relax", "--displacement", "0.02", "--json")
    copper, silver = json.loads(outcome.out)
    assert copper["phonons"]["displacement_A"] == 0.02
    assert copper["geometry"] == "input"
    assert copper["phonons"]["bands"]["segments"]
    assert "error" in silver


def test_out(file, tmp_path, monkeypatch, capfd) -> None:
    target = tmp_path / "graded.parquet"
    outcome = onnes(monkeypatch, capfd, "phonons", file, *HOW, "--follow", "--out", target)
    assert "2 rows written" in outcome.err
    assert target.is_file()


def test_unknown_potential(file, monkeypatch, capfd) -> None:
    one_line_error(onnes(monkeypatch, capfd, "phonons", file, "--potential", "nobody", "--quiet"), "nobody")
