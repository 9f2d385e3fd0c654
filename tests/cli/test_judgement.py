import json

import pyarrow.parquet as pq
import pytest

from onnes.crystals.known import known_table
from onnes.crystals.schema import with_columns
from tests.cli.faces import one_line_error, onnes


@pytest.fixture
def call(monkeypatch, capfd):
    return lambda *words: onnes(monkeypatch, capfd, *words)


@pytest.fixture
def file(tmp_path):
    table = with_columns(
        known_table(["Pb", "Nb3Sn", "MgB2"]),
        {"tc_K": [7.0, 15.0, 25.0], "tc_lo_K": [5.0, 10.0, 12.0], "e_above_hull_eV_per_atom": [0.0, 0.005, 0.0]},
    )
    pq.write_table(table, tmp_path / "crystals.parquet")
    return tmp_path / "crystals.parquet"


def test_ranking_and_reasons_are_printed(call, file):
    outcome = call("rank", file)
    assert outcome.code == 0
    ranking, reasons = outcome.out.split("criterion", 1)
    lines = [line.split() for line in ranking.splitlines()[1:4]]
    assert [(line[0], line[1]) for line in lines] == [("1", "Nb3Sn"), ("2", "MgB2"), ("3", "Pb")]
    for word in ("score", "front", "risk", "E_hull / eV/atom"):
        assert word in ranking
    assert "Mg boils at 1363 K" in reasons
    assert "unknown of every crystal: hull" not in reasons  # it is known
    assert "phonons" in reasons


def test_only_the_best_are_shown_and_all_are_written(call, file, tmp_path):
    outcome = call("rank", file, "-n", 1, "--json")
    assert [row["id"] for row in json.loads(outcome.out)] == ["Nb3Sn"]
    out = tmp_path / "judged.csv"
    outcome = call("rank", file, "-n", 1, "--out", out)
    assert "3 rows written" in outcome.err
    assert out.read_text(encoding="utf-8").count("\n") == 4


def test_weights_by_file_and_by_word(call, file, tmp_path):
    weights = tmp_path / "mine.toml"
    weights.write_text("tc = 100\ntoxicity = 0\n", encoding="utf-8")
    by_file = json.loads(call("rank", file, "--weights", weights, "--json").out)
    assert by_file[0]["id"] == "MgB2"
    both = json.loads(
        call("rank", file, "--weights", weights, "--weight", "tc=0.1", "--weight", "price=50", "--json").out
    )
    assert both[0]["id"] == "Pb"


def test_a_figure_is_drawn(call, file, tmp_path):
    outcome = call("rank", file, "--plot", tmp_path / "front.svg", "--json")
    assert outcome.code == 0
    assert "Nb3Sn" in (tmp_path / "front.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--weight", "tcc=3"], ("no criterion is called 'tcc'", "known: tc, literature, hull")),
        (["--weight", "tc:3"], ("'tc:3'", "name=number")),
        (["--weight", "tc=-3"], ("tc", "greater than or equal to 0")),
        (["--weights", "none.toml"], ("cannot read none.toml",)),
        (["--plot", "front.pdf"], ("front.pdf", ".svg")),
    ],
)
def test_bad_words_are_one_line(call, file, words, said):
    one_line_error(call("rank", file, *words), *said)


def test_a_file_that_cannot_be_read_is_a_row_and_an_exit_code(call, file, tmp_path):
    bad = tmp_path / "bad.cif"
    bad.write_text("data_nothing\n", encoding="utf-8")
    outcome = call("rank", file, bad, "-n", 2)
    assert outcome.code == 3
    assert "Nb3Sn" in outcome.out
