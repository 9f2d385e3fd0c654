"""A session: whoever plans, calls tools through it, and every call is checked, allowed, counted and recorded."""

from __future__ import annotations

import json
import math
import signal
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from onnes.agent.limits import Clock, Limits, Spent, counts_as_call
from onnes.agent.record import Record
from onnes.errors import BudgetSpent, EvidenceError, NotApproved, OnnesError
from onnes.tools import jobs
from onnes.tools.call import SetResult, call_tool, checked_arguments, set_name
from onnes.tools.description import needs_consent
from onnes.tools.registry import tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel

    from onnes.campaign.study import SetInfo, Study
    from onnes.tools.registry import ToolSpec

POLLS = frozenset({"status", "result"})
"""They may be asked a hundred times of the same job: while it runs, that is neither recorded nor counted."""


@dataclass(frozen=True)
class Ask:
    """What a person is asked to allow."""

    tool: str
    effect: str
    arguments: dict[str, Any]

    def text(self) -> str:
        """The question."""
        return f"{self.tool} ({self.effect}) with {json.dumps(self.arguments, sort_keys=True)}"


class Approver(Protocol):
    """Who may allow what writes or submits: a person, or a rule that a person set beforehand."""

    @property
    def who(self) -> str:
        """As the record names it."""
        ...

    def __call__(self, ask: Ask) -> bool:
        """Whether it is allowed."""
        ...


@dataclass(frozen=True)
class Refuse:
    """Allows nothing: the default where nobody can be asked."""

    who: str = "nobody could be asked"

    def __call__(self, ask: Ask) -> bool:
        """No."""
        del ask
        return False


@dataclass(frozen=True)
class Allowed:
    """Allows the tools that a person named beforehand."""

    tools: frozenset[str]
    who: str = "allowed beforehand"

    def __call__(self, ask: Ask) -> bool:
        """Whether the tool is among them."""
        return ask.tool in self.tools


@dataclass
class Session:
    """Tool calls on a study, under limits, with approvals and a record.

    Attributes
    ----------
    study
        Where sets lie.
    limits
        What may be spent, over all sessions of this study's record.
    approve
        Who is asked before anything that writes or submits.
    wait_s
        None runs tools in this process. Otherwise long ones run as jobs, and a call answers after so many seconds with
        ``state`` "running" when the job has not ended.
    observer, on_rows
        Whoever wants to know how it goes.
    """

    study: Study
    limits: Limits = field(default_factory=Limits)
    approve: Approver = field(default_factory=Refuse)
    wait_s: float | None = None
    observer: Any = None
    on_rows: Any = None

    def __post_init__(self) -> None:
        self.record = Record(self.study.folder)
        events = self.record.events()
        self.spent = Spent.of(events)
        self._lock = threading.RLock()  # a server answers `status` beside another call
        self._job_cpu = 0.0
        calls = [event.body for event in events if event.kind == "call"]
        self._counted = {body.get("job") or body["set_id"] for body in calls if _has_ended(body)}
        self._recorded = {_key(body["tool"], body["arguments"], _state(body)) for body in calls if "error" not in body}
        self._refused = calls[-1].get("error") if calls and not counts_as_call(calls[-1]) else None

    def call(self, name: str, arguments: Mapping[str, Any]) -> BaseModel:
        """Call a tool.

        Raises
        ------
        ConfigError
            For an unknown tool or arguments that do not fit.
        BudgetSpent
            When the limits do not allow it.
        NotApproved
            When it writes or submits and was not allowed.
        OnnesError
            What the tool raises. Every failure is recorded as well.
        """
        clock = Clock()
        body: dict[str, Any] = {"tool": str(name)[:80], "arguments": _plain(arguments)}
        self._within_limits(body, clock)
        try:
            spec = tool(name)
            checked = checked_arguments(name, arguments)
            body |= {"arguments": checked.model_dump(mode="json"), "effect": spec.effect}
            self._allowed(spec, body)
            result = self._run(spec, checked, body)
            self._count_job(result)
        except BaseException as error:
            if isinstance(error, Exception) or self._job_cpu:
                self._keep({**body, "error": str(error)[:2000], "kind": type(error).__name__}, clock)
            raise
        if name in POLLS and isinstance(result, SetResult) and result.state == "running":
            return result
        body = {key: value for key, value in body.items() if key != "job"} | _outcome(self.study, result)
        with self._lock:
            key = _key(name, body["arguments"], _state(body))
            if key not in self._recorded or spec.effect == "write":
                self._keep(body, clock)
                self._recorded.add(key)
        return result

    def brought(self, info: SetInfo) -> None:
        """Record a set that a person brought in."""
        if _key(info.tool, info.arguments, "done") in self._recorded:
            return
        body = {"tool": info.tool, "arguments": info.arguments, "effect": "read"}
        self.record.append("call", {**body, **_of_set(self.study, info)})
        self._recorded.add(_key(info.tool, info.arguments, "done"))

    def remaining_cpu_seconds(self) -> float | None:
        """What is left of the processor time; None without a bound."""
        return None if self.limits.cpu_seconds is None else self.limits.cpu_seconds - self.spent.cpu_seconds

    def _within_limits(self, body: dict[str, Any], clock: Clock) -> None:
        """Refuse a call that the limits do not allow; of refusals in a row the first is recorded."""
        with self._lock:
            why = self._used_up(body)
            if why is None:
                return
            if why != self._refused:
                self._keep({**body, "error": why, "kind": BudgetSpent.__name__}, clock)
                self._refused = why
        raise BudgetSpent(why)

    def _used_up(self, body: dict[str, Any]) -> str | None:
        if body["tool"] == "cancel" and body["arguments"].get("set_id") in jobs.running(self.study):
            return None
        if self.spent.calls >= self.limits.calls:
            return f"{self.spent.calls} calls were made, as many as allowed; raise the limit `calls` to go on"
        left = self.remaining_cpu_seconds()
        if left is not None and left <= 0:
            return (
                f"{self.spent.cpu_seconds:.0f} s of processor time are spent, {self.limits.cpu_seconds:g} were allowed; "
                "raise the limit `cpu_seconds` to go on"
            )
        return None

    def _allowed(self, spec: ToolSpec, body: dict[str, Any]) -> None:
        if not needs_consent(spec):
            return
        ask = Ask(spec.name, spec.effect, body["arguments"])
        given = bool(self.approve(ask))
        self.record.append("approval", {"asked": ask.text(), "given": given, "by": self.approve.who})
        body["approval"] = {"given": given, "by": self.approve.who}
        if not given:
            raise NotApproved(f"{spec.name} {spec.effect}s, and needs the consent of a person: {self.approve.who}")

    def _run(self, spec: ToolSpec, checked: BaseModel, body: dict[str, Any]) -> BaseModel:
        left = self.remaining_cpu_seconds()
        if not (spec.long and (self.wait_s is not None or left is not None)):
            return call_tool(self.study, spec.name, checked, on_rows=self.on_rows, observer=self.observer)
        body["job"] = set_name(self.study, spec.name, checked)
        anew = not self.study.has(body["job"]) and body["job"] not in jobs.running(self.study)
        if anew:
            self._forget(spec.name, body)
        try:
            with _terminated_as_interrupted():
                result = self._job(spec.name, checked, left)
        except BaseException:
            if anew and self.wait_s is None:  # nobody else waits for it, and nobody would bound it
                with suppress(EvidenceError):
                    self._count_job(jobs.stop(self.study, body["job"]))
            raise
        if result.state == "running" and left is not None and jobs.cpu_seconds(self.study, result.set_id) >= left:
            result = jobs.stop(self.study, result.set_id)
        self._count_job(result)
        if result.state not in ("running", "done") and left is not None and self._job_cpu >= left:
            raise BudgetSpent(
                f"{spec.name} was stopped after {self._job_cpu:.0f} s of processor time; {left:.0f} s were left"
            )
        if result.state == "failed":
            raise OnnesError(result.error or f"{spec.name} failed")
        return result

    def _job(self, name: str, checked: BaseModel, left: float | None) -> SetResult:
        """Start a job, and wait for it as long as this session does."""
        started = jobs.start(self.study, name, checked.model_dump(mode="json"), max_cpu_seconds=left)
        patience = math.inf if self.wait_s is None else self.wait_s
        return jobs.wait(self.study, started.set_id, patience, max_cpu_seconds=left)

    def _forget(self, name: str, body: dict[str, Any]) -> None:
        """A job begins anew: it is counted and recorded as if it had not been there."""
        with self._lock:
            self._counted.discard(body["job"])
            running = _key(name, body["arguments"], "running")
            self._recorded = {key for key in self._recorded if key != running and body["job"] not in key}

    def _count_job(self, result: BaseModel) -> None:
        """Count the processor time of a job once, when it is first seen to have ended."""
        if not isinstance(result, SetResult) or result.state == "running":
            return
        with self._lock:
            if result.set_id not in self._counted:
                self._job_cpu += jobs.cpu_seconds(self.study, result.set_id)
                self._counted.add(result.set_id)

    def _keep(self, body: dict[str, Any], clock: Clock) -> None:
        with self._lock:
            cpu = clock.cpu_seconds() + self._job_cpu
            self._job_cpu = 0.0
            self.record.append("call", body, seconds=round(clock.seconds(), 3), cpu_seconds=round(cpu, 3))
            self.spent.calls += counts_as_call(body)
            self.spent.cpu_seconds += cpu
            self._refused = None


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM raise SystemExit, so that what has to be cleaned up is."""

    def terminated(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    # Handlers belong to the main thread, and one that the program set is its own affair.
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, terminated)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _outcome(study: Study, result: BaseModel) -> dict[str, Any]:
    """What the record keeps of a result; its numbers lie in the set."""
    if not isinstance(result, SetResult):
        return {"result": result.model_dump(mode="json")}
    if result.state != "done":
        return {"set_id": result.set_id, "state": result.state}
    return _of_set(study, study.info(result.set_id))


def _of_set(study: Study, info: SetInfo) -> dict[str, Any]:
    return {
        "set_id": info.set_id, "state": "done", "sha256": info.sha256,
        "info_sha256": study.info_sha256(info.set_id), "rows": info.n_rows, "open": info.n_open,
        "failed": info.n_failed, "fingerprints": info.fingerprints, "code_version": info.code_version, "seed": study.seed,
        "device": study.device,
    }  # fmt: skip


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as JSON, cut short: what a model sends may be anything."""
    text = json.dumps(dict(arguments), default=str)[:4000]
    try:
        return json.loads(text)
    except ValueError:
        return {"cut": text}


def _state(body: Mapping[str, Any]) -> str:
    return body.get("state", "done")


def _has_ended(body: Mapping[str, Any]) -> bool:
    """Whether a recorded call saw the end of a job, and counted its time."""
    return ("job" in body and "error" in body) or ("set_id" in body and _state(body) != "running")


def _key(name: str, arguments: Mapping[str, Any], state: str) -> str:
    return json.dumps([name, arguments, state], sort_keys=True, default=str)
