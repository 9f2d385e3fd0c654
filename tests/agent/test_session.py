import json
import signal
import subprocess
import sys
import threading
import time

import pytest
from tests.agent.studies import small_study

from onnes.agent import session as session_module
from onnes.agent.limits import Clock, Limits, Spent
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
    assert len(spent.record.events()) == 1


NAME = "0" * 12


def pretend(monkeypatch, states, *, cpu=0.0):
    """Jobs that are in these states one after the other, and have used so much processor time (s)."""
    told, left, going = [], list(states), set()

    def now():
        state = left.pop(0) if len(left) > 1 else left[0]
        going.clear()
        if state == "running":
            going.add(NAME)
        return SetResult(set_id=NAME, tool="predict", state=state, error="no memory" if state == "failed" else None)

    monkeypatch.setattr(session_module, "set_name", lambda *_: NAME)
    monkeypatch.setattr(jobs, "running", lambda *_: sorted(going))
    monkeypatch.setattr(jobs, "start", lambda *_, **more: told.append(("start", more)) or now())
    monkeypatch.setattr(jobs, "wait", lambda *_, **more: told.append(("wait", more)) or now())
    monkeypatch.setattr(jobs, "cpu_seconds", lambda *_: cpu)
    monkeypatch.setattr(
        jobs, "stop", lambda *_: told.append("stop") or SetResult(set_id=NAME, tool="predict", state="cancelled")
    )
    return told


def test_a_job_beyond_the_bound_is_stopped_and_its_real_time_recorded(study, monkeypatch):
    told = pretend(monkeypatch, ["running"], cpu=12.5)
    session = Session(study[0], Limits(cpu_seconds=10.0))
    with pytest.raises(BudgetSpent, match="was stopped after 12 s of processor time; 10 s were left"):
        session.call("predict", {"crystals": [study[1]]})
    assert told == [("start", {"max_cpu_seconds": 10.0}), ("wait", {"max_cpu_seconds": 10.0}), "stop"]
    assert session.spent.cpu_seconds == pytest.approx(12.5, abs=0.5)
    assert Spent.of(session.record.events()).cpu_seconds == pytest.approx(12.5, abs=0.5)


def test_a_job_within_the_bound_costs_what_it_used(study, monkeypatch):
    pretend(monkeypatch, ["running", "failed"], cpu=3.0)
    session = Session(study[0], Limits(cpu_seconds=10.0))
    for times in (1, 2):  # begun anew, it is paid for again
        with pytest.raises(OnnesError, match="no memory"):
            session.call("predict", {"crystals": [study[1]]})
        assert session.remaining_cpu_seconds() == pytest.approx(10 - 3 * times, abs=0.5)
    assert Session(study[0], Limits(cpu_seconds=10.0)).remaining_cpu_seconds() == pytest.approx(4, abs=0.5)


LONG = {"method": "diffusion", "elements": ["Nb", "N"], "n": 2000}


def wait_for_a_job(folder):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for lock in folder.glob(f"jobs/*/{jobs.LOCK}"):
            if jobs._runs(lock.parent):
                return lock.parent
        time.sleep(0.05)
    raise AssertionError("no job was started")


def test_who_is_interrupted_while_waiting_stops_the_job(study):
    session = Session(study[0], Limits(cpu_seconds=300.0))

    def interrupt():
        wait_for_a_job(study[0].folder)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # programs in the background ignore it
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            session.call("propose", LONG)
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert jobs.running(study[0]) == []
    (event,) = session.record.events()
    assert (event.body["kind"], event.body["tool"]) == ("KeyboardInterrupt", "propose")
    assert event.times.cpu_seconds > 0


def test_who_is_terminated_while_waiting_stops_the_job(study):
    program = (
        "import sys, json; from onnes.campaign.study import Study; from onnes.agent.session import Session, Limits\n"
        "Session(Study.open(sys.argv[1]), Limits(cpu_seconds=300)).call('propose', json.loads(sys.argv[2]))"
    )
    waiting = subprocess.Popen([sys.executable, "-c", program, str(study[0].folder), json.dumps(LONG)])
    folder = wait_for_a_job(study[0].folder)
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait(30) == 128 + signal.SIGTERM
    assert not jobs._runs(folder)
    assert jobs.cpu_seconds(study[0], folder.name) > 0


def test_looking_at_a_job_that_runs_is_neither_counted_nor_recorded(study, monkeypatch):
    told = pretend(monkeypatch, ["running"])
    session = Session(study[0], wait_s=0.0)
    for _ in range(3):
        session.call("predict", {"crystals": [study[1]]})
        assert session.call("status", {"set_id": NAME}).state == "running"
    assert [name for name, _ in told].count("start") == 3
    assert [event.body["tool"] for event in session.record.events()] == ["predict"]
    assert session.spent.calls == 1
    pretend(monkeypatch, ["cancelled"])
    for _ in range(3):
        assert session.call("status", {"set_id": NAME}).state == "cancelled"
    assert [event.body["tool"] for event in session.record.events()] == ["predict", "status"]


def test_a_set_that_another_run_only_saw_begin_is_recorded_with_its_hash(study, monkeypatch):
    pretend(monkeypatch, ["running"])
    asked = {"formulas": ["Nb3Sn"]}
    name = Session(study[0]).call("search", asked).set_id
    (study[0].folder / "record.jsonl").unlink()
    (study[0].folder / "record.head").unlink()
    arguments = study[0].info(name).arguments
    Session(study[0]).record.append(
        "call", {"tool": "search", "arguments": arguments, "set_id": name, "state": "running"}
    )
    session = Session(study[0])
    session.call("search", asked)
    assert session.record.events()[-1].body["sha256"] == study[0].info(name).sha256


def test_of_refusals_in_a_row_the_first_is_recorded(study):
    limits = Limits(calls=1)
    find(Session(study[0], limits))
    for _ in range(2):
        session = Session(study[0], limits)
        for limit in range(2, 5):
            with pytest.raises(BudgetSpent, match="1 calls were made"):
                find(session, limit=limit)
    assert [event.body.get("kind") for event in session.record.events()] == [None, "BudgetSpent"]
    raised = Session(study[0], Limits(calls=2))
    find(raised, limit=9)
    with pytest.raises(BudgetSpent):
        find(raised, limit=8)
    assert [event.body.get("kind") for event in raised.record.events()] == [None, "BudgetSpent", None, "BudgetSpent"]


def test_a_job_can_be_cancelled_when_no_call_is_left(study):
    session = Session(study[0], Limits(calls=1), wait_s=0.0)
    started = session.call("propose", LONG)
    assert started.state == "running"
    assert session.call("cancel", {"set_id": started.set_id}).state == "cancelled"
    with pytest.raises(BudgetSpent):
        session.call("cancel", {"set_id": started.set_id})


def test_a_running_job_is_answered_as_running_and_another_call_may_follow(study, monkeypatch):
    pretend(monkeypatch, ["running"])
    session = Session(study[0], wait_s=0.01)
    assert session.call("predict", {"crystals": [study[1]]}).state == "running"
    assert session.record.events()[0].body["state"] == "running"
    assert find(session).state == "done"


def test_a_failed_job_is_an_error(study, monkeypatch):
    pretend(monkeypatch, ["failed"])
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
