import pytest

from onnes.campaign.funnels import funnel_names, register_builtin_stages
from onnes.errors import ConfigError
from onnes.flow.engine import run_shard
from onnes.flow.funnel import Funnel
from onnes.tools import campaigns
from onnes.tools.call import arguments_of, call_tool

STAGES = (
    {"use": "identity"},
    {"use": "predict", "model": "fast"},
    {"use": "gate", "name": "metal", "column": "is_metal_probability", "min": 0.5},
    {"use": "gate", "name": "tc", "column": "tc_K", "min": 2.0},
)


class Here:
    """Engine in this process that keeps what it was asked for, and can break after a step."""

    asked: list[str]
    breaks_after = None

    def __init__(self, workers=None):
        Here.workers = workers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, tasks, on_rows):
        seconds = {task.run_id: run_shard(task, on_rows) for task in tasks}
        Here.asked += [task.step for task in tasks]
        if tasks and tasks[0].step == Here.breaks_after:
            raise KeyboardInterrupt
        return seconds


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A short funnel, in this process."""
    register_builtin_stages()
    monkeypatch.setattr(campaigns, "load_funnel", lambda name: Funnel(name=name, stage=STAGES))
    monkeypatch.setattr(campaigns, "LocalEngine", Here)
    monkeypatch.setattr(Here, "asked", [], raising=False)
    monkeypatch.setattr(Here, "breaks_after", None)


def test_the_funnels_are_those_that_are_shipped():
    about = arguments_of("screen").model_json_schema()["properties"]["funnel"]
    assert about.get("enum", [about.get("const")]) == funnel_names()


def test_a_screening_keeps_every_row_and_where_it_stopped(study, call, known, table):
    ticks = []
    found = call_tool(study, "screen", {"crystals": known, "min_tc_K": 3, "workers": 1}, on_rows=ticks.append)
    rows = {row["id"]: row for row in table(found).to_pylist()}
    assert set(rows) == {"Nb", "NbN", "Nb3Sn", "NaCl"}
    assert rows["NaCl"]["rejected_by"] == "metal"
    assert rows["Nb"]["rejected_by"] is None
    assert [row.id for row in found.rows][-1] == "NaCl"  # survivors come first
    assert found.rows[0].values["tc_K"] >= found.rows[1].values["tc_K"]
    assert sum(ticks) >= 8
    assert Here.workers == 1
    info = study.info(found.set_id)
    assert {"campaign input", "identity: reference", "predict: model fast"} <= set(info.fingerprints)
    assert "metal: 3 of 4 passed, 1 rejected" in info.remarks
    campaign = study.folder / "campaigns" / found.set_id
    assert "min = 3.0" in (campaign / "campaign.toml").read_text()
    report = call("report", crystals=found.set_id, top=1)
    assert report.path == f"campaigns/{found.set_id}/report/index.html"
    assert (study.folder / report.path).is_file()
    assert (report.n_candidates, report.n_survivors) == (4, found.n_open)


def test_a_broken_screening_goes_on_where_it_ended(study, call, known, monkeypatch):
    arguments = {"crystals": f"{known}/NaCl"}
    monkeypatch.setattr(Here, "breaks_after", "predict")
    with pytest.raises(KeyboardInterrupt):
        call("screen", **arguments)
    assert Here.asked == ["identity", "predict"]
    assert [one.tool for one in study.sets()] == ["files"]
    monkeypatch.setattr(Here, "breaks_after", None)
    found = call("screen", **arguments)
    assert Here.asked == ["identity", "predict"]  # nothing was computed again
    assert found.n_rejected == 1
    assert [path.name for path in (study.folder / "campaigns").iterdir()] == [found.set_id]


def test_candidates_are_proposed_and_screened_in_one_call(study, call, table):
    found = call("discover", elements="Na,Cl", prototypes=["B1", "B2"], n=2, new="crystals")
    rows = {row["space_group"]: row for row in table(found).to_pylist()}
    assert rows[225]["rejected_by"] == "identity"  # rock salt is known
    assert rows[221]["rejected_by"] == "metal"
    assert rows[221]["source"] == "prototype"
    assert study.info(found.set_id).arguments["new"] == "crystals"


def test_what_is_wrong_with_a_proposal_is_said_before_the_screening(call, study):
    with pytest.raises(ConfigError, match="needs elements"):
        call("discover", n=2)
    assert not (study.folder / "campaigns").exists()


def test_a_report_is_one_of_a_screened_set(call, known):
    with pytest.raises(ConfigError, match=f"set {known} comes from files; a report is made of a set of `screen`"):
        call("report", crystals=known)
    with pytest.raises(ConfigError, match="at most 1 item"):
        call("report", crystals=[known, known])
