import json
import shutil
from pathlib import Path

import pytest

from onnes.campaign.folder import Campaign
from onnes.campaign.ledger import Ledger
from onnes.crystals.schema import values
from onnes.errors import ConfigError, EngineError
from onnes.flow.funnel import Funnel
from tests.flow.toy_stages import LOG, InlineEngine, Witness, logged, toy_table, toy_tc

FUNNEL = Funnel(
    name="toy",
    description='for "tests",\nin two lines',
    stage=(
        {"use": "toy-tc", "name": "tc"},
        {"use": "gate", "name": "hot", "column": "tc_K", "min": 5.0},
        {"use": "toy-fail", "rows": ["toy-0003"]},
    ),
)


def create(folder, *, table=None, funnel=FUNNEL, seed=0, request=None, title="Toys"):
    return Campaign.create(
        folder, toy_table(45) if table is None else table, funnel, title=title, seed=seed, request=request or {}
    )


@pytest.fixture
def done(tmp_path):
    campaign = create(tmp_path / "campaign")
    campaign.run(InlineEngine(), Witness())
    return campaign


def test_settings_survive_toml(tmp_path):
    request = {
        "of": "Be2Nb3", "limit": None, "files": ["a.cif", Path("b c.cif")], "nested": {"x": None, "y": 1.5},
        "odd": 'quote " \\ and\nline é', "empty": [], "flag": True,
    }  # fmt: skip
    funnel = FUNNEL.with_settings({"hot": {"max": None, "min": 5.5}})
    campaign = create(tmp_path / "c", request=request, funnel=funnel, seed=11, title="Tc > 5 K [toml]")
    settings = Campaign.open(tmp_path / "c").settings
    assert settings["request"] == {
        "of": "Be2Nb3", "files": ["a.cif", "b c.cif"], "nested": {"y": 1.5},
        "odd": 'quote " \\ and\nline é', "empty": [], "flag": True,
    }  # fmt: skip
    assert (settings["title"], settings["seed"]) == ("Tc > 5 K [toml]", 11)
    read = campaign.funnel
    assert (read.name, read.description) == (funnel.name, funnel.description)
    assert [stage.settings for stage in read.build()] == [stage.settings for stage in funnel.build()]
    assert create(tmp_path / "c", request=request, funnel=funnel, seed=11, title="Tc > 5 K [toml]") == campaign


def test_the_same_call_finds_the_same_campaign(tmp_path):
    first = create(tmp_path / "c")
    text = (tmp_path / "c" / "campaign.toml").read_bytes()
    assert create(tmp_path / "c") == first
    assert (tmp_path / "c" / "campaign.toml").read_bytes() == text


@pytest.mark.parametrize(
    "change",
    [
        {"table": toy_table(44)},
        {"seed": 1},
        {"request": {"min": 3}},
        {"funnel": FUNNEL.with_settings({"hot": {"min": 6.0}})},
    ],
    ids=["crystals", "seed", "request", "funnel"],
)
def test_another_campaign_in_the_same_folder_is_refused(tmp_path, change):
    create(tmp_path / "c")
    before = {p: p.read_bytes() for p in (tmp_path / "c").iterdir()}
    with pytest.raises(
        ConfigError, match=r"holds a campaign with other crystals or other settings; give another --out"
    ):
        create(tmp_path / "c", **change)
    assert {p: p.read_bytes() for p in (tmp_path / "c").iterdir()} == before


def test_a_campaign_goes_on_with_further_columns_of_its_survivors(tmp_path):
    first = create(tmp_path / "c")
    assert len(first.funnel.steps) == 3
    gates = Funnel(name="toy", description=FUNNEL.description, stage=FUNNEL.steps[:2])
    shorter = create(tmp_path / "c", funnel=gates)  # the last step only adds columns
    assert [step.name for step in shorter.funnel.steps] == ["tc", "hot"]
    assert create(tmp_path / "c").funnel == FUNNEL


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not empty and holds no campaign"):
        create(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_will_do(tmp_path):
    assert create(tmp_path).settings["title"] == "Toys"


def test_a_create_that_was_killed_half_way_can_be_repeated(tmp_path):
    folder = tmp_path / "c"
    create(folder)
    (folder / "campaign.toml").rename(folder / ".campaign.toml.123.tmp")
    (folder / ".input.parquet.123.tmp").write_bytes(b"PAR1")
    create(folder).run(InlineEngine(), Witness())
    assert Campaign.open(folder).results.num_rows == 45


def test_open_wants_a_campaign(tmp_path):
    with pytest.raises(ConfigError, match=r"is no campaign: it has no campaign\.toml"):
        Campaign.open(tmp_path)


def test_results_before_the_first_run_say_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="has no results yet; run the same `onnes` command again"):
        _ = create(tmp_path / "c").results


def test_a_run_keeps_every_row_where_it_stopped(done):
    results = done.results
    assert values(results, "id") == values(toy_table(45), "id")
    cold = [toy_tc(i) < 5 for i in values(results, "id")]
    assert [by == "hot" for by in values(results, "rejected_by")] == cold
    assert values(results, "error").count("toy fault") == 1 - cold[3]


def test_the_report_counts_what_the_results_hold(done):
    data = done.report_data(top=5)
    results = done.results.to_pylist()
    cold = sum(row["rejected_by"] == "hot" for row in results)
    failed = sum(row["error"] is not None for row in results)
    assert (data.n_candidates, data.n_rejected, data.n_failed) == (45, cold, failed)
    assert data.n_survivors == 45 - cold - failed
    assert [(s.stage, s.entered, s.passed) for s in data.stages] == [
        ("tc", 45, 45), ("hot", 45, 45 - cold), ("toy-fail", 45 - cold, 45 - cold - failed),
    ]  # fmt: skip
    best = max((row for row in results if not row["rejected_by"] and not row["error"]), key=lambda row: row["tc_K"])
    assert data.survivors[0].id == best["id"]
    assert len(data.candidates) == 5
    assert data.meta["funnel"] == "toy"
    assert data.meta["input sha256"] == done.settings["input_sha256"]


def test_a_copied_campaign_still_tells_where_its_numbers_come_from(done, tmp_path):
    moved = tmp_path / "elsewhere" / "100% #1? a=b"
    shutil.copytree(done.folder, moved)
    expected = done.report_data()
    shutil.rmtree(done.folder)
    campaign = Campaign.open(moved)
    data = campaign.report_data()
    assert data == expected
    assert campaign.write_report(top=1).is_file()
    result_id = data.candidates[0].results["tc_K"].result_id
    ledger = Ledger(moved / "ledger.sqlite")
    run = ledger.trace(result_id)
    ledger.close()
    assert (run["step"], run["stage"], run["settings"]) == ("tc", "toy-tc", {"offset": 0.0, "sleep_ms": 0.0})
    assert result_id == f"{run['run_id']}/{data.candidates[0].id}/tc_K"
    assert (moved / run["input"]).is_file()
    assert (moved / run["output"]).is_file()
    assert not Path(run["output"]).is_absolute()


def test_a_second_run_computes_nothing_and_changes_no_file(done, tmp_path, monkeypatch):
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    files = {p: p.read_bytes() for p in done.folder.rglob("*") if p.is_file() and "ledger" not in p.name}
    report = done.report_data()
    create(done.folder).run(InlineEngine(), Witness())
    assert logged(tmp_path / "log") == []
    assert {p: p.read_bytes() for p in done.folder.rglob("*") if p.is_file() and "ledger" not in p.name} == files
    assert done.report_data() == report


def test_a_copied_campaign_resumes_without_computing(done, tmp_path, monkeypatch):
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    shutil.copytree(done.folder, tmp_path / "copy")
    create(tmp_path / "copy").run(InlineEngine(), Witness())
    assert logged(tmp_path / "log") == []
    assert (tmp_path / "copy" / "results.parquet").read_bytes() == (done.folder / "results.parquet").read_bytes()


def test_a_run_that_breaks_leaves_the_old_results_and_says_so_in_the_ledger(tmp_path):
    funnel = Funnel(name="bad", stage=({"use": "toy-tc"}, {"use": "toy-loser"}))
    campaign = create(tmp_path / "c", funnel=funnel)
    with pytest.raises(EngineError, match="lost the row"):
        campaign.run(InlineEngine(), Witness())
    assert not (campaign.folder / "results.parquet").exists()
    ledger = Ledger(campaign.folder / "ledger.sqlite")
    assert [e["what"] for e in ledger.events()] == ["run started"]
    assert {run["step"] for run in ledger.runs()} == {"toy-tc"}
    ledger.close()


def test_kept_counts_are_json_without_times_of_reuse(done):
    kept = json.loads((done.folder / "outcomes.json").read_text(encoding="utf-8"))
    assert kept["writers"] == {"tc_K": "tc"}
    assert [o["step"] for o in kept["outcomes"]] == ["tc", "hot", "toy-fail"]
    assert all("reused" not in o for o in kept["outcomes"])
