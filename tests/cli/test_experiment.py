import json

import pytest

from onnes.crystals.known import known_table
from onnes.crystals.writers import write_crystals
from tests.campaign.test_measurements import book as campaign  # noqa: F401 - a fixture
from tests.cli.faces import one_line_error, onnes
from tests.physics.references import reference


@pytest.fixture
def call(monkeypatch, capfd):
    return lambda *words: onnes(monkeypatch, capfd, *words)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    reference().save(folder / "reference.parquet")
    write_crystals(known_table(["Nb3Sn"]), folder / "Nb3Sn.cif")
    return folder


@pytest.fixture
def plan(call, files):
    return lambda *words: call("plan", files / "Nb3Sn.cif", "--reference", files / "reference.parquet", *words)


def test_page(plan) -> None:
    outcome = plan("--mass-g", "0.5")
    assert (outcome.code, outcome.err) == (0, "")
    for words in ("Plan: Nb3Sn", "arc melting", "For 0.5 g", "0.3507", "Nb6Sn5", "Sources", "--predict"):
        assert words in outcome.out


def test_json(plan) -> None:
    outcome = plan("--json", "--radiation", "MoKa", "--precursor", "Nb", "--precursor", "NbSn2", "--mu-star", "0.13")
    found = json.loads(outcome.out)
    assert found["pattern"]["wavelength_A"] == 0.71073
    assert [p["formula"] for p in found["charge"]["precursors"]] == ["Nb", "NbSn2"]
    assert found["transition"] is None


@pytest.mark.parametrize("suffix", [".md", ".json"])
def test_out_and_plot(suffix, plan, tmp_path) -> None:
    path, figure = tmp_path / f"plan{suffix}", tmp_path / "pattern.svg"
    outcome = plan("--out", path, "--plot", figure)
    assert outcome.out == ""
    assert f"plan written to {path}" in outcome.err
    text = path.read_text(encoding="utf-8")
    assert json.loads(text)["formula"] == "Nb3Sn" if suffix == ".json" else text.startswith("# Plan: Nb3Sn")
    assert figure.is_file()


def test_wrong_use_is_one_line(plan, call, tmp_path) -> None:
    one_line_error(plan("--precursor", "TiN", "--precursor", "Nb"), "holds Sn", "--precursor")
    one_line_error(plan("--out", tmp_path / "plan.pdf"), "plan.pdf", ".md")
    one_line_error(plan("--radiation", "sunlight"), "sunlight", "CuKa")
    one_line_error(plan("--mass-g", "0"), "above 0 g")
    one_line_error(plan("--mu-star", "0.6"), "between 0 and 0.5")
    one_line_error(plan("--mu-star", "0.9"), "mu*")
    one_line_error(plan("--id", "x"), "no row 'x'")
    one_line_error(call("plan", tmp_path / "gone.cif"), "gone.cif")


def test_the_help_names_the_bounds_of_mu_star(call) -> None:
    assert "0 to 0.5" in " ".join(call("plan", "--help").out.replace("│", " ").split())


def test_measure_add_list_export(call, campaign, tmp_path) -> None:  # noqa: F811 - the fixture
    folder = campaign.folder
    how = ("--tc", "17.9", "--tc-criterion", "midpoint", "--sample", "S1", "--phase-fraction", "0.9")
    assert call("measure", "add", folder, "--id", "Nb3Sn", *how).out == "recorded: Nb3Sn\n"
    outcome = call("measure", "add", folder, "--id", "MgB2", "--no-transition-above", "1.8", "--phase", "MgB4")
    assert "not the planned crystal" in outcome.out
    found = call("measure", "add", folder, "--id", "MgB2", "--phase", "x", "--as-planned", "--note", "ok", "--json").out
    assert json.loads(found)["as_planned"] is True
    rows = json.loads(call("measure", "list", folder, "--json").out)
    assert [row["id"] for row in rows] == ["Nb3Sn", "MgB2", "MgB2"]
    assert rows[0]["measured_tc_K"] == 17.9
    assert rows[1]["measured_no_transition_above_K"] == 1.8
    assert "measured Tc / K" in call("measure", "list", folder).out
    target = tmp_path / "measured.parquet"
    outcome = call("measure", "export", folder, "--out", target)
    assert target.is_file()
    assert outcome.err.splitlines() == [
        f"1 rows written to {target}",
        "left out: measurement 2 of MgB2: another phase was found (MgB4)",
        "left out: measurement 3 of MgB2: neither a Tc nor a bound",
    ]


def test_wrong_measurements_are_one_line(call, campaign, tmp_path) -> None:  # noqa: F811 - the fixture
    folder = campaign.folder
    one_line_error(call("measure", "add", folder, "--id", "NbSn", "--phase", "x"), "no row 'NbSn'", "Nb3Sn")
    one_line_error(call("measure", "add", folder, "--id", "Nb3Sn"), "nothing was found")
    one_line_error(call("measure", "add", folder, "--id", "Nb3Sn", "--tc", "5"), "criterion")
    one_line_error(call("measure", "list", tmp_path), "no campaign or study")
    campaign.file.write_text("{\n", encoding="utf-8")
    one_line_error(call("measure", "list", folder), "line 1 is broken")
