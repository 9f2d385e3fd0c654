"""A session: whoever plans, calls tools through it, and every call is checked, allowed, counted and recorded."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from onnes.agent.limits import Clock, Limits, Spent, cores, counts_as_call
from onnes.agent.record import Record
from onnes.errors import BudgetSpent, NotApproved, OnnesError
from onnes.tools import jobs
from onnes.tools.call import SetResult, call_tool, checked_arguments
from onnes.tools.registry import tool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from onnes.campaign.study import SetInfo, Study
    from onnes.tools.registry import ToolSpec


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
        self._job_cpu = 0.0
        self._counted = {e.body["set_id"] for e in events if e.body.get("state") == "done"}
        self._done = {
            _key(e.body["tool"], e.body["arguments"]) for e in events if e.kind == "call" and not e.body.get("error")
        }

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
        try:
            self._within_limits()
            spec = tool(name)
            checked = checked_arguments(name, arguments)
            body |= {"arguments": checked.model_dump(mode="json"), "effect": spec.effect}
            self._allowed(spec, body)
            result = self._run(spec, checked)
            self._count_job(result)
        except Exception as error:
            self._keep({**body, "error": str(error)[:2000], "kind": type(error).__name__}, clock)
            raise
        body |= _outcome(self.study, result)
        if _key(name, body["arguments"]) not in self._done or spec.effect == "write":
            self._keep(body, clock)
            if body.get("state", "done") == "done":
                self._done.add(_key(name, body["arguments"]))
        return result

    def brought(self, info: SetInfo) -> None:
        """Record a set that a person brought in."""
        if _key(info.tool, info.arguments) in self._done:
            return
        body = {"tool": info.tool, "arguments": info.arguments, "effect": "read"}
        self.record.append("call", {**body, **_of_set(self.study, info)})
        self._done.add(_key(info.tool, info.arguments))

    def remaining_cpu_seconds(self) -> float | None:
        """What is left of the processor time; None without a bound."""
        return None if self.limits.cpu_seconds is None else self.limits.cpu_seconds - self.spent.cpu_seconds

    def _within_limits(self) -> None:
        if self.spent.calls >= self.limits.calls:
            raise BudgetSpent(
                f"{self.spent.calls} calls were made, as many as allowed; raise the limit `calls` to go on"
            )
        left = self.remaining_cpu_seconds()
        if left is not None and left <= 0:
            raise BudgetSpent(
                f"{self.spent.cpu_seconds:.0f} s of processor time are spent, {self.limits.cpu_seconds:g} were allowed; "
                "raise the limit `cpu_seconds` to go on"
            )

    def _allowed(self, spec: ToolSpec, body: dict[str, Any]) -> None:
        if spec.effect not in ("write", "submit"):
            return
        ask = Ask(spec.name, spec.effect, body["arguments"])
        given = bool(self.approve(ask))
        self.record.append("approval", {"asked": ask.text(), "given": given, "by": self.approve.who})
        body["approval"] = {"given": given, "by": self.approve.who}
        if not given:
            raise NotApproved(f"{spec.name} {spec.effect}s, and needs the consent of a person: {self.approve.who}")

    def _run(self, spec: ToolSpec, checked: BaseModel) -> BaseModel:
        left = self.remaining_cpu_seconds()
        if not (spec.long and (self.wait_s is not None or left is not None)):
            return call_tool(self.study, spec.name, checked, on_rows=self.on_rows, observer=self.observer)
        arguments = checked.model_dump(mode="json")
        started = jobs.start(self.study, spec.name, arguments)
        # A job can be stopped when the budget ends. It may use all cores, so that much wall time is within the budget.
        patience = [t for t in (self.wait_s, None if left is None else left / cores()) if t is not None]
        result = jobs.wait(self.study, started.set_id, min(patience))
        if result.state == "running" and left is not None and (self.wait_s is None or left / cores() <= self.wait_s):
            jobs.stop(self.study, started.set_id)
            self._job_cpu = left
            raise BudgetSpent(f"{spec.name} was stopped: the {left:.0f} s of processor time that were left are spent")
        if result.state == "failed":
            self._count_job(result)
            raise OnnesError(result.error or f"{spec.name} failed")
        return result

    def _count_job(self, result: BaseModel) -> None:
        """Count the processor time of a job once, when it is first seen to have ended."""
        if isinstance(result, SetResult) and result.state != "running" and result.set_id not in self._counted:
            self._job_cpu += jobs.cpu_seconds(self.study, result.set_id)
            self._counted.add(result.set_id)

    def _keep(self, body: dict[str, Any], clock: Clock) -> None:
        cpu = clock.cpu_seconds() + self._job_cpu
        self._job_cpu = 0.0
        self.record.append("call", body, seconds=round(clock.seconds(), 3), cpu_seconds=round(cpu, 3))
        self.spent.calls += counts_as_call(body)
        self.spent.cpu_seconds += cpu


def _outcome(study: Study, result: BaseModel) -> dict[str, Any]:
    """What the record keeps of a result; its numbers lie in the set."""
    if not isinstance(result, SetResult):
        return {"result": result.model_dump(mode="json")}
    if result.state != "done":
        return {"set_id": result.set_id, "state": result.state}
    return _of_set(study, study.info(result.set_id))


def _of_set(study: Study, info: SetInfo) -> dict[str, Any]:
    return {
        "set_id": info.set_id, "state": "done", "sha256": info.sha256, "rows": info.n_rows, "open": info.n_open,
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


def _key(name: str, arguments: Mapping[str, Any]) -> str:
    return json.dumps([name, arguments], sort_keys=True, default=str)
