import anyio
import pytest

from onnes.agent.record import Record
from onnes.campaign.study import Study
from onnes.errors import BudgetSpent, ConfigError, EvidenceError, NotApproved, OnnesError
from onnes.serve.calls import Calls, ToolFault
from onnes.tools import jobs, registry
from onnes.tools.call import SetResult
from tests.serve import fakes


@pytest.fixture
def study(tmp_path):
    return Study.create(tmp_path / "study", title="calls")


@pytest.fixture
def fake_tools(monkeypatch):
    for name, spec in fakes.FAKES.items():
        monkeypatch.setitem(registry._TOOLS, name, spec)


def events(study, kind="call"):
    return [event.body for event in Record(study.folder).events() if event.kind == kind]


PROPOSAL = {"elements": ["Nb", "N"], "prototypes": ["B1"], "n": 1}


def test_long_work_is_waited_for_and_recorded_at_its_start_and_end(study):
    calls = Calls.of(study, wait_s=60)
    result = anyio.run(calls.call, "propose", PROPOSAL)
    assert (result.state, result.n_rows, result.rows[0].formula) == ("done", 1, "NbN")
    first, last = events(study)
    assert (first["tool"], first["state"]) == ("propose", "running")
    assert (last["tool"], last["state"], last["sha256"]) == ("propose", "done", study.info(result.set_id).sha256)
    assert first["arguments"] == last["arguments"]
    assert anyio.run(calls.call, "propose", PROPOSAL) == result
    assert len(events(study)) == 2


def test_without_patience_it_answers_that_it_runs(study):
    calls = Calls.of(study, wait_s=0)
    result = anyio.run(calls.call, "propose", PROPOSAL)
    assert result.state == "running"
    assert jobs.wait(study, result.set_id, 60).state == "done"


def test_work_that_fails_is_an_error_and_recorded(study):
    wrong = {"method": "composition", "formulas": ["NbN"], "elements": ["Nb"], "motif": "laves"}
    with pytest.raises(OnnesError, match="no use for motif"):
        anyio.run(Calls.of(study, wait_s=60).call, "propose", wrong)
    last = events(study)[-1]
    assert "no use for motif" in last.get("error", "") or last["state"] == "failed"


@pytest.mark.parametrize(("state", "error", "words"), [("failed", "out of memory", "out of memory"),
                                                       ("cancelled", None, "propose was cancelled")])  # fmt: skip
def test_work_that_ends_badly_while_it_is_waited_for_is_not_started_again(study, monkeypatch, state, error, words):
    calls, made = Calls.of(study), []

    def session_call(name, arguments):
        made.append((name, arguments))
        return SetResult(set_id="0123456789ab", tool="propose", state="running" if name == "propose" else state)

    monkeypatch.setattr(calls.session, "call", session_call)
    monkeypatch.setattr(jobs, "state", lambda _, one: SetResult(set_id=one, tool="propose", state=state, error=error))
    with pytest.raises(OnnesError, match=words):
        anyio.run(calls.call, "propose", PROPOSAL)
    assert made == [("propose", PROPOSAL), ("status", {"set_id": "0123456789ab"})]


def test_a_fault_of_the_program_has_type_and_message_and_its_traceback_in_the_log(study, fake_tools, caplog):
    with pytest.raises(ToolFault, match=r"^IndexError: list index out of range$"):
        anyio.run(Calls.of(study).call, "broken", {})
    assert "broken failed" in caplog.text
    assert "Traceback" in caplog.text


def test_one_call_at_a_time(study, fake_tools):
    calls = Calls.of(study)

    async def many():
        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(calls.call, "exclusive", {"number": number})

    fakes.overlapped.clear()
    anyio.run(many)
    assert fakes.overlapped == []
    assert len(events(study)) == 8
    assert Record(study.folder).faults() == []


def test_status_does_not_wait_for_a_call_that_is_busy(study, fake_tools):
    calls = Calls.of(study)
    fakes.entered.clear()
    fakes.leave.clear()
    answers = []

    async def both():
        async with anyio.create_task_group() as group:
            group.start_soon(calls.call, "held", {})
            await anyio.to_thread.run_sync(fakes.entered.wait, 20)
            for name in ("status", "result", "cancel"):
                with pytest.raises(EvidenceError, match="no set"), anyio.fail_after(10):
                    await calls.call(name, {"set_id": "0123456789ab"})
                answers.append(name)
            fakes.leave.set()

    anyio.run(both)
    assert answers == ["status", "result", "cancel"]
    assert [body["tool"] for body in events(study)] == ["status", "result", "cancel", "held"]


def test_what_writes_needs_to_be_allowed(study, fake_tools):
    with pytest.raises(NotApproved, match=r"erase writes.*--allow"):
        anyio.run(Calls.of(study).call, "erase", {"what": "all"})
    result = anyio.run(Calls.of(study, allow=["erase"]).call, "erase", {"what": "all"})
    assert result.text == "0 all"
    assert [body["given"] for body in events(study, "approval")] == [False, True]


@pytest.mark.parametrize(("name", "words"), [("predict", "predict needs no consent; those that do: .*measure"),
                                             ("predikt", "unknown tool 'predikt'")])  # fmt: skip
def test_only_tools_that_need_consent_can_be_allowed(study, name, words):
    with pytest.raises(ConfigError, match=words):
        Calls.of(study, allow=["measure", name])


def test_a_negative_wait_is_refused(study):
    with pytest.raises(ConfigError, match="cannot wait"):
        Calls.of(study, wait_s=-1)


def test_the_number_of_calls_is_bounded_over_all_servers_of_a_study(study, fake_tools):
    anyio.run(Calls.of(study, max_calls=2).call, "exclusive", {"number": 1})
    calls = Calls.of(study, max_calls=2)
    anyio.run(calls.call, "exclusive", {"number": 2})
    with pytest.raises(BudgetSpent, match="`calls`"):
        anyio.run(calls.call, "exclusive", {"number": 3})


def test_a_call_that_is_given_up_leaves_the_job_alone(study, monkeypatch):
    calls = Calls.of(study, wait_s=60)

    async def impatient():
        with anyio.move_on_after(1):
            await calls.call("propose", {**PROPOSAL, "n": 2})

    monkeypatch.setattr(jobs, "state", lambda _, one: SetResult(set_id=one, tool="propose", state="running"))
    anyio.run(impatient)
    monkeypatch.undo()
    (started,) = events(study)
    assert started["state"] == "running"
    assert jobs.wait(study, started["set_id"], 60).state == "done"
