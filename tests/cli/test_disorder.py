import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from onnes.crystals.schema import is_open, with_columns
from onnes.potentials import potential as registry
from tests.cli.faces import one_line_error, onnes
from tests.crystals.good import good_crystals


@pytest.fixture
def call(monkeypatch, capfd):
    return lambda *words: onnes(monkeypatch, capfd, *words)


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setitem(registry._ADAPTERS, "fake", ("tests.potentials.fakes", "FakePotential"))


@pytest.fixture
def by_size(monkeypatch):
    """A model by which Tc is ten times the number of atoms of the cell."""

    def predict(table, *, on_rows=None, **_):
        sizes = np.array([len(numbers or ()) for numbers in table["atomic_numbers"].to_pylist()], float)
        known = {"tc_K": 10 * sizes, "tc_K_std": sizes * 0 + 1.5, "energy_eV_per_atom": sizes * 0}
        on_rows(table.num_rows)
        return with_columns(table, {name: np.where(is_open(table), column, np.nan) for name, column in known.items()})

    monkeypatch.setattr("onnes.models.prediction.predict_table", predict)


@pytest.fixture
def alloy(pytestconfig):
    return pytestconfig.rootpath / "examples" / "disordered" / "Nb0.75Zr0.25.cif"


@pytest.mark.usefixtures("by_size")
def test_order_prints_one_row_a_parent(call, alloy, tmp_path) -> None:
    pytest.importorskip("icet")
    cells = tmp_path / "cells.parquet"
    outcome = call("order", alloy, "--max-cell-atoms", 4, "--cells-out", cells, "--quiet")
    assert outcome.code == 0
    for words in ("Nb0.75Zr0.25", "mean Tc / K", "spread", "± model", "40.0", "7"):
        assert words in outcome.out
    table = pq.read_table(cells)
    assert table.num_rows == 7
    assert sum(table["weight"].to_pylist()) == pytest.approx(1)


@pytest.mark.usefixtures("by_size")
def test_order_says_what_cannot_be_ordered(call, alloy, tmp_path) -> None:
    pytest.importorskip("icet")
    whole = tmp_path / "Nb.cif"
    good_crystals()["bcc-Nb"].to(str(whole), fmt="cif")
    outcome = call("order", whole, alloy, "--max-cell-atoms", 8, "-n", 2, "--ordering", "sqs", "--json")
    assert outcome.code == 3
    ordered, mixed = json.loads(outcome.out)
    assert "nothing to order" in ordered["error"]
    assert ordered["n_cells"] == 0
    assert {json.loads(cell["how"])["method"] for cell in mixed["cells"]} == {"sqs"}
    assert sum(cell["weight"] for cell in mixed["cells"]) == pytest.approx(1)
    assert (mixed["tc_K"], mixed["tc_spread_K"], mixed["tc_model_std_K"]) == pytest.approx((80, 0, 1.5))


@pytest.mark.usefixtures("by_size")
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_order_writes_the_rows(call, alloy, tmp_path, suffix) -> None:
    pytest.importorskip("icet")
    out = tmp_path / f"rows{suffix}"
    outcome = call("order", alloy, "--max-cell-atoms", 4, "--temperature", 900, "--relax", "--potential", "fake",
                   "-n", 2, "--out", out, "--quiet")  # fmt: skip
    assert outcome.code == 0
    assert f"1 rows written to {out}, 0 of them with an error" in outcome.err
    assert out.stat().st_size > 100


def test_mixing_of_atoms_that_are_all_alike(call, tmp_path) -> None:
    """The fake potential tells no element from another, so that an exchange costs nothing."""
    good_crystals()["a15-Nb3Sn"].to(str(tmp_path / "Nb3Sn.cif"), fmt="cif")
    (tmp_path / "broken.cif").write_text("no crystal\n", encoding="utf-8")
    outcome = call("mixing", tmp_path, "--potential", "fake", "--temperature", 1000, "--json")
    assert outcome.code == 3
    rows = {row["id"]: row for row in json.loads(outcome.out)}
    assert "broken.cif" in rows["broken"]["error"]
    row = rows["Nb3Sn"]
    assert (row["verdict"], row["temperature_K"]) == ("mixed", 1000)
    assert row["swap_energy_eV"] == pytest.approx(0, abs=1e-8)
    assert row["disorder"] == pytest.approx(1)
    assert sorted((row["foreign_on_a"], row["foreign_on_b"])) == pytest.approx([0.25, 0.75])


def test_mixing_prints_and_writes(call, tmp_path) -> None:
    path, out = tmp_path / "Nb3Sn.cif", tmp_path / "rows.csv"
    good_crystals()["a15-Nb3Sn"].to(str(path), fmt="cif")
    how = ("mixing", path, "--potential", "fake", "--quiet")
    printed = call(*how)
    assert printed.code == 0
    for words in ("swap / eV", "75.0%", "mixed"):
        assert words in printed.out
    assert "no pair" in call(*how, "--max-radius-ratio", 1.001).out
    assert call(*how, "--out", out).code == 0
    assert "swap_energy_eV" in out.read_text(encoding="utf-8")


def test_faults_are_one_line(call, alloy, tmp_path) -> None:
    for command in ("order", "mixing"):
        one_line_error(call(command, "nowhere.cif", "--quiet"), "nowhere.cif")
        one_line_error(call(command, alloy, "--out", tmp_path / "rows.docx"), "rows.docx", ".csv")
        one_line_error(call(command, alloy, "--temperature", 0, "--quiet"), "above 0 K")
    one_line_error(call("order", alloy, "--rank", "beauty", "--quiet"), "beauty", "ewald")
    one_line_error(call("order", alloy, "--ordering", "alphabet", "--quiet"), "alphabet", "sqs")
    one_line_error(call("order", alloy, "--potential", "fake", "--quiet"), "fake", "rank by energy")
    one_line_error(call("order", alloy, "-n", 0, "--quiet"), "limit")
    one_line_error(call("mixing", alloy, "--max-radius-ratio", 0.5, "--quiet"), "radius ratio")
