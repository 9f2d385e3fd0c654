import time

import pytest
from tests.agent.studies import small_study

from onnes.agent.limits import Clock, Limits, Spent, cores
from onnes.agent.session import Allowed, Session
from onnes.errors import BudgetSpent, ConfigError, CrystalError, NotApproved, OnnesError
from onnes.tools import jobs
from onnes.tools.call import SetResult


@pytest.fixture
def study(tmp_path):
    return small_study(tmp_path / "s")


def find(session, **more):
    return session.call("search", {"where": "reference", "formulas": ["Nb3Sn"], **more})


def test_a_call_is_recorded_with_arguments_set_and_hash(study):
    session = Session(study[0])
    result = find(session)
    assert isinstance(result, SetResult)
    (event,) = session.record.events()
    assert event.kind == "call"
    assert event.body["tool"] == "search"
    assert event.body["arguments"]["formulas"] == ["Nb3Sn"]
    assert event.body["sha256"] == study[0].info(result.set_id).sha256
    assert event.body["effect"] == "read"
    assert event.times.seconds is not None
    assert event.times.cpu_seconds is not None


def test_the_same_call_again_is_answered_and_not_recorded_twice(study):
    session = Session(study[0])
    assert find(session) == find(session)
    assert find(Session(study[0])) == find(session)
    assert len(session.record.events()) == 1


@pytest.mark.parametrize(("tool", "arguments", "message"), [
    ("serach", {}, "unknown tool 'serach'; known: .*search"), ("search", {"limit": "many"}, "limit"), ("search", {"hello": 1}, "hello"),
    ("relax", {}, "crystals: Field required"), ("crystal", {"crystal": "000000000000/Nb"}, "no set"),
    ("search", {"limit": 10**9}, "limit"), ("result", {"set_id": "../../etc"}, "no set"),
])  # fmt: skip
def test_a_call_that_fails_is_recorded_with_its_reason(study, tool, arguments, message):
    session = Session(study[0])
    with pytest.raises(OnnesError, match=message):
        session.call(tool, arguments)
    (event,) = session.record.events()
    assert event.body["error"]
    assert event.body["kind"] in ("ConfigError", "EvidenceError")
    assert session.spent.calls == 1


def test_what_a_caller_sends_is_cut_before_it_is_recorded(study):
    session = Session(study[0])
    with pytest.raises(ConfigError):
        session.call("search" * 100, {"x": "y" * 100_000, "z": object()})
    assert len(session.record.path.read_bytes()) < 8000


def test_calls_are_counted_over_sessions(study):
    limits = Limits(calls=2)
    find(Session(study[0], limits))
    session = Session(study[0], limits)
    find(session, limit=3)
    with pytest.raises(BudgetSpent, match="2 calls were made"):
        find(session, limit=4)
    assert Session(study[0], Limits(calls=9)).spent.calls == 2  # what was refused is not counted


def test_writing_needs_consent(study):
    set_id = study[1]
    asked = {"crystal": f"{set_id}/Nb", "no_transition_above_K": 2.0}
    session = Session(study[0])
    with pytest.raises(NotApproved, match="nobody could be asked"):
        session.call("measure", asked)
    kinds = [event.kind for event in session.record.events()]
    assert kinds == ["approval", "call"]
    assert session.record.events()[0].body["given"] is False
    assert not list(study[0].folder.glob("measurements*"))
    allowed = Session(study[0], approve=Allowed(frozenset({"measure"})))
    allowed.call("measure", asked)
    assert allowed.record.events()[-2].body == {
        "asked": allowed.record.events()[-2].body["asked"], "given": True, "by": "allowed beforehand"
    }  # fmt: skip
    assert list(study[0].folder.rglob("measurements.jsonl"))


def test_a_bound_on_processor_time_refuses_and_stops(study, monkeypatch):
    spent = Session(study[0], Limits(cpu_seconds=0.001))
    spent.spent.cpu_seconds = 1.0
    with pytest.raises(BudgetSpent, match="processor time"):
        find(spent)
    stopped = []
    running = SetResult(set_id="0" * 12, tool="predict", state="running")
    monkeypatch.setattr(jobs, "start", lambda *_: running)
    monkeypatch.setattr(jobs, "wait", lambda _study, _name, seconds: stopped.append(seconds) or running)
    monkeypatch.setattr(jobs, "stop", lambda _study, name: stopped.append(name))
    session = Session(study[0], Limits(cpu_seconds=10.0))
    with pytest.raises(BudgetSpent, match="was stopped"):
        session.call("predict", {"crystals": [study[1]]})
    assert stopped[0] <= 10.0 / cores()
    assert stopped[1] == "0" * 12
    assert session.spent.cpu_seconds >= 9.9
    assert Spent.of(session.record.events()).cpu_seconds >= 9.9


def test_a_running_job_is_answered_as_running_and_another_call_may_follow(study, monkeypatch):
    running = SetResult(set_id="0" * 12, tool="predict", state="running")
    monkeypatch.setattr(jobs, "start", lambda *_: running)
    monkeypatch.setattr(jobs, "wait", lambda *_: running)
    session = Session(study[0], wait_s=0.01)
    assert session.call("predict", {"crystals": [study[1]]}).state == "running"
    assert session.record.events()[0].body["state"] == "running"


def test_a_failed_job_is_an_error(study, monkeypatch):
    failed = SetResult(set_id="0" * 12, tool="predict", state="failed", error="no memory")
    monkeypatch.setattr(jobs, "start", lambda *_: failed)
    monkeypatch.setattr(jobs, "wait", lambda *_: failed)
    with pytest.raises(OnnesError, match="no memory"):
        Session(study[0], wait_s=0.01).call("predict", {"crystals": [study[1]]})


def test_the_clock_counts_both_times():
    clock = Clock()
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    assert clock.cpu_seconds() >= 0.05
    assert clock.seconds() >= 0.05


def test_files_that_hold_no_crystal_are_refused(study, tmp_path):
    from onnes.agent.goal import Goal
    from onnes.agent.walk import Walk

    path = tmp_path / "broken.cif"
    path.write_text("data_\nnothing")
    with pytest.raises(CrystalError, match=r"broken\.cif"):
        Walk(Session(study[0]), Goal()).bring([str(path)])
