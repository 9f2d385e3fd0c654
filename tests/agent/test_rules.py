import json
import shutil

import pytest
from tests.cli.faces import one_line_error, onnes

from onnes.agent.answer import ANSWER, faults
from onnes.agent.goal import Goal
from onnes.agent.record import Record
from onnes.agent.routes import ROUTES
from onnes.agent.rules import plan_with_rules
from onnes.agent.session import Session
from onnes.campaign.study import Study
from onnes.crystals.schema import values
from onnes.errors import ConfigError

GOAL = Goal(
    route="motif", motif="rocksalt", elements=("Nb", "Ti", "N", "C"), exclude=("C",), min_tc_K=1.0, max_elements=2, count=2,
    phonons=0, candidates=4, max_e_above_hull_eV_per_atom=0.2,
)  # fmt: skip


def run(folder, goal=GOAL):
    session = Session(Study.create(folder, title="rocksalt"), goal.limits)
    return session, plan_with_rules(session, goal)


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    return run(tmp_path_factory.mktemp("rules") / "study")


def bodies(study):
    """The record without its times."""
    return [(event.kind, event.body) for event in Record(study.folder).events()]


def test_a_goal_becomes_a_short_list_with_evidence(answered):
    session, outcome = answered
    assert outcome.state == "answered"
    assert 1 <= len(outcome.shortlist) <= 2
    assert faults(session.study) == []
    kinds = [event.kind for event in session.record.events()]
    assert kinds[0] == "run"
    assert kinds[-2:] == ["answer", "end"]
    assert "decision" in kinds
    tools = [event.body["tool"] for event in session.record.events() if event.kind == "call"]
    assert tools == ["propose", "screen", "novelty", "rank", "plan"]
    text = (session.study.folder / ANSWER).read_text()
    for one in outcome.shortlist:
        set_id, _, row = one.partition("/")
        table = session.study.table(set_id)
        index = values(table, "id").index(row)
        assert values(table, "tc_K")[index] >= 1.0
        assert f"{values(table, 'tc_K')[index]:.2f}" in text
        assert not set(values(table, "formula")[index]) & {"C"}


def test_the_decision_keeps_options_scores_and_what_speaks_against_them(answered):
    session, outcome = answered
    (decision,) = [event.body for event in session.record.events() if event.kind == "decision"]
    assert tuple(decision["chosen"]) == outcome.shortlist
    assert {one["crystal"] for one in decision["options"]} >= set(outcome.shortlist)
    assert all(session.study.value(cited).value is not None for one in decision["options"] for cited in one["cites"])
    assert all(0 <= score <= 1 for one in decision["options"] for score in one["scores"].values())


def test_the_same_goal_gives_the_same_record_times_aside(answered, tmp_path):
    session, _ = answered
    again, _ = run(tmp_path / "again")
    assert bodies(session.study) == bodies(again.study)
    assert (session.study.folder / ANSWER).read_bytes() == (again.study.folder / ANSWER).read_bytes()


def test_a_stopped_study_goes_on_without_computing_again(answered, tmp_path):
    session, outcome = answered
    copy = tmp_path / "copy"
    shutil.copytree(session.study.folder, copy)
    before = len(Record(copy).events())
    resumed, again = run(copy)
    assert again == outcome
    assert [event.kind for event in resumed.record.events()[before:]] == ["resumed", "decision", "answer", "end"]
    assert faults(resumed.study) == []


def test_a_spent_budget_ends_the_run_and_a_larger_one_goes_on(tmp_path):
    short = GOAL.model_copy(update={"limits": GOAL.limits.model_copy(update={"calls": 1})})
    session, outcome = run(tmp_path / "s", short)
    assert outcome.state == "budget_spent"
    assert session.spent.calls == 1
    assert faults(session.study) == []
    assert run(tmp_path / "s")[1].state == "answered"


def test_nothing_found_says_which_gates_stopped_what(tmp_path):
    session, outcome = run(tmp_path / "s", GOAL.model_copy(update={"min_tc_K": 300.0}))
    assert outcome.state == "nothing_found"
    assert faults(session.study) == []
    assert "gate **" in (session.study.folder / ANSWER).read_text()


def test_a_route_that_lacks_what_it_needs_fails_with_the_reason(tmp_path):
    _, outcome = run(tmp_path / "a", Goal(route="reinterpretation"))
    assert (outcome.state, "composition" in outcome.reason) == ("failed", True)
    _, outcome = run(tmp_path / "b", Goal(route="de-novo"))
    assert (outcome.state, "needs elements" in outcome.reason) == ("failed", True)


def test_commands_check_resume_and_export(answered, tmp_path, monkeypatch, capfd):
    folder = tmp_path / "copy"
    shutil.copytree(answered[0].study.folder, folder)
    assert onnes(monkeypatch, capfd, "agent", "check", folder).code == 0
    resumed = onnes(monkeypatch, capfd, "agent", "resume", folder, "--json")
    body = json.loads(resumed.out)
    assert body["state"] == "answered"
    assert body["planner"] == "rules"
    assert body["head"].endswith(Record(folder).events()[-1].hash)
    exported = onnes(monkeypatch, capfd, "agent", "export", folder, "--out", tmp_path / "crate")
    assert exported.code == 0
    graph = json.loads((tmp_path / "crate" / "ro-crate-metadata.json").read_text())["@graph"]
    actions = [one for one in graph if one["@type"] == "CreateAction"]
    assert {one["name"] for one in actions} == {"propose", "screen", "novelty", "rank", "plan"}
    assert (tmp_path / "crate" / "record.jsonl").read_bytes() == (folder / "record.jsonl").read_bytes()
    text = (folder / ANSWER).read_text()
    (folder / ANSWER).write_text(text.replace(" K |", "1 K |", 1))
    wrong = onnes(monkeypatch, capfd, "agent", "check", folder, "--json")
    assert wrong.code == 3
    assert ANSWER in json.loads(wrong.out)["faults"][0]


def test_commands_refuse_what_makes_no_sense(tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("ONNES_LLM_URL", raising=False)
    for words, said in (
        (["agent", "hello world", "--out", tmp_path / "x"], "could be understood"),
        (["agent", "run", "--out", tmp_path / "x"], "give either a goal"),
        (["agent", "above 5 K among Nb N", "--route", "magic", "--out", tmp_path / "x"], "no route is called 'magic'"),
        (["agent", "above 5 K among Nb N", "--planner", "oracle", "--out", tmp_path / "x"], "no planner is called"),
        (["agent", "above 5 K among Nb N", "--planner", "llm", "--out", tmp_path / "y"], "ONNES_LLM_URL"),
        (["agent", "check", tmp_path], "is no study"),
        (["agent", "doctor"], "ONNES_LLM_URL"),
    ):
        one_line_error(onnes(monkeypatch, capfd, *words), said)


def test_routes_are_listed_with_their_examples(monkeypatch, capfd):
    shown = onnes(monkeypatch, capfd, "agent", "routes").out
    for name in ROUTES:
        assert name in shown


def test_a_crate_of_nothing_is_refused(tmp_path):
    from onnes.agent.crate import write_crate

    with pytest.raises(ConfigError, match="has no record"):
        write_crate(Study.create(tmp_path / "s"), tmp_path / "crate")
