"""One step of a verification: a program, its input, its state on disk, and what happens when it fails."""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from onnes.errors import VerificationError
from onnes.flow.shards import key_sha256, write_bytes
from onnes.verify.faults import Fault, Program, fault, recognise
from onnes.verify.programs import Ended, end_strays, run_program, version_of
from onnes.verify.symptom import Symptom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from onnes.verify.inputs import Namelists
    from onnes.verify.retries import Change, RetryPolicy
    from onnes.verify.settings import RunSettings

    History = Sequence[tuple[Fault, Change]]

_BINARIES: dict[str, Program] = {"pw": "pw.x", "ph": "ph.x", "q2r": "q2r.x", "matdyn": "matdyn.x"}
OUTPUT = "output"
"""Link to the output of the last try."""
STATUS, LOCK, STEPS, SCRATCH, PSEUDO = "status.json", "lock", "steps", "scratch", "pseudo"
_LOOKED_AT_S = 0.5
_SHORTEST_S = 20.0
"""With less time than this left (s) no step is begun."""
_CLEAN_END = 0.95
"""Part of the time of a step after which the program itself is to stop cleanly."""
_TIMED = {"pw": "control", "ph": "inputph"}
"""Section with ``max_seconds``, of the programs that know it."""


class Try(BaseModel):
    """One try of a step."""

    number: int
    input_sha256: str
    version: str
    change: str = ""
    """What was changed after the last fault, in words."""
    exit_code: int | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0
    symptom: str = ""
    message: str = ""


class StepState(BaseModel):
    """State of a step; lies as ``status.json`` in its folder."""

    name: str
    key: str
    """Hash of the input, the pseudopotentials and the step before."""
    state: Literal["running", "done", "failed"] = "running"
    tries: list[Try] = []
    advice: str = ""

    @property
    def wall_s(self) -> float:
        """Time of all tries."""
        return sum(one.wall_s for one in self.tries)

    @property
    def cpu_s(self) -> float:
        """Processor time of all tries."""
        return sum(one.cpu_s for one in self.tries)


@dataclass(frozen=True)
class Step:
    """What is to be done.

    Attributes
    ----------
    name
        Also the name of its folder.
    program, calculation
        ``pw``, ``ph``, ``q2r`` or ``matdyn``; and what `onnes.verify.faults.recognise` must know of it.
    namelists, text
        Parameters, and the function that makes the input of them: a retry changes the parameters. Its second argument is the
        folder of an interrupted relaxation to go on from, or None.
    before
        Key of the step that this one starts from.
    leaves, spoils
        Files in the scratch folder that steps after it need; names of steps whose files there it writes over.
    check
        Called with the step's folder after the program ended well; raises VerificationError when the result is incomplete.
    prepare, collect
        Called with the step's folder before each try, and after a program that ended well.
    """

    name: str
    program: Literal["pw", "ph", "q2r", "matdyn"]
    calculation: str
    namelists: Namelists
    text: Callable[[Namelists, Path | None], str]
    before: str = ""
    leaves: tuple[str, ...] = ()
    spoils: tuple[str, ...] = ()
    check: Callable[[Path], object] = field(default=lambda _: None)
    prepare: Callable[[Path], object] = field(default=lambda _: None)
    collect: Callable[[Path], object] = field(default=lambda _: None)

    @property
    def binary(self) -> Program:
        """Name of the program as faults and policy know it."""
        return _BINARIES[self.program]

    def key(self, pseudo_sha256: Mapping[str, str]) -> str:
        """Hash of all that the result depends on."""
        return key_sha256(
            step=self.name,
            program=self.program,
            text=self.text(self.namelists, None),
            pseudos=dict(pseudo_sha256),
            before=self.before,
        )


@dataclass(frozen=True)
class _Attempt:
    """With what a step is tried: parameters, what was changed, whether a relaxation goes on from its last geometry."""

    namelists: Namelists
    change: str = ""
    go_on: bool = False


class StepFailedError(VerificationError):
    """A step failed for good."""

    def __init__(self, step: str, fault: Fault) -> None:
        super().__init__(f"{step}: {fault.message}")
        self.step = step
        self.fault = fault


class RedoError(Exception):
    """A fault asks for an earlier step to be done again with a change; the history is that of the step that failed."""

    def __init__(self, step: str, change: Change, history: History) -> None:
        super().__init__(step)
        self.step = step
        self.change = change
        self.history = history


@dataclass(frozen=True)
class Runner:
    """Runs the steps of one folder; made by `opened`, which holds the folder's lock."""

    folder: Path
    run: RunSettings
    policy: RetryPolicy
    pseudo_sha256: Mapping[str, str]
    deadline: float
    """Moment (monotonic clock, s) after which nothing is begun."""
    on_step: Callable[[StepState], None] = field(default=lambda _: None)

    @property
    def scratch(self) -> Path:
        """Folder that the programs share."""
        return self.folder / SCRATCH

    def place(self, name: str) -> Path:
        """Folder of a step."""
        return self.folder / STEPS / name

    def is_done(self, step: Step, *, scratch_needed: bool = False) -> bool:
        """Whether the step was finished with this very input, its result is whole, and its files are still there."""
        state = read_state(self.place(step.name))
        if state is None or state.state != "done" or state.key != step.key(self.pseudo_sha256):
            return False
        if state.tries and state.tries[-1].version != version_of(getattr(self.run, f"{step.program}_command")):
            return False  # numbers of two versions do not belong into one result
        if scratch_needed and not self._left(step, state.key):
            return False
        try:
            step.check(self.place(step.name))
        except (VerificationError, OSError):
            return False
        return True

    def complete(
        self, step: Step, *, scratch_needed: bool = False, change: Change | None = None, history: History = ()
    ) -> StepState:
        """Do a step unless it is done; with a change, do it again in any case, after the faults of the history.

        Raises
        ------
        StepFailedError
            When it failed and the policy knows no further change.
        RedoError
            When an earlier step must be done again.
        """
        place, key = self.place(step.name), step.key(self.pseudo_sha256)
        if change is None and self.is_done(step, scratch_needed=scratch_needed):
            state = read_state(place)
            assert state is not None  # noqa: S101 - is_done has just read it
            return state
        state, resumed = self._begun(step, key)
        namelists = self._with_time(step)
        attempt = _Attempt(namelists, go_on=resumed and step.calculation in ("relax", "vc-relax"))
        if change is not None:
            attempt = _Attempt(self.policy.apply(namelists, change), change.describe())
        history = list(history)
        while True:
            found = self._attempt(step, attempt, state)
            if found is None:
                return self._done(step, state)
            change = self._next(step, found, history)
            if change is None:
                state.state, state.advice = "failed", found.advice
                self._keep(state)
                raise StepFailedError(step.name, found)
            if change.accept_geometry:
                step.collect(place)
                step.check(place)
                return self._done(step, state)
            history.append((found, change))
            if change.redo:
                self._keep(state)
                raise RedoError(change.redo, change, history)
            namelists = self.policy.apply(attempt.namelists, change)
            attempt = _Attempt(namelists, change.describe(), go_on=change.restart == "last_geometry")

    def _begun(self, step: Step, key: str) -> tuple[StepState, bool]:
        """Clear the step's folder; the tries of an earlier run with the same input stay on record."""
        place = self.place(step.name)
        before = read_state(place)
        same = before is not None and before.key == key
        for path in place.glob("*") if place.is_dir() else ():
            if same and path.name.startswith("try-"):
                continue
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        tries = before.tries if same and before is not None else []
        for one in tries:
            if one.exit_code is None:
                one.symptom, one.message = Symptom.KILLED.value, "the run that waited for it was ended"
        return StepState(name=step.name, key=key, tries=tries), bool(tries)

    def _done(self, step: Step, state: StepState) -> StepState:
        state.state = "done"
        if step.leaves:
            write_bytes(state.key.encode(), self.scratch / f".{step.name}")
        self._keep(state)
        return state

    def _next(self, step: Step, found: Fault, history: History) -> Change | None:
        if self._left_s() < _SHORTEST_S:
            return None
        return self.policy.next_change(step.binary, found, history)

    def _attempt(self, step: Step, attempt: _Attempt, state: StepState) -> Fault | None:
        left = self._left_s()
        if left < _SHORTEST_S:
            return Fault(
                Symptom.OUT_OF_TIME, "no time is left for another step", "run the same command again: it goes on here"
            )
        namelists, limit = self._limited(step, attempt.namelists, left)
        place, number = self.place(step.name), len(state.tries) + 1
        place.mkdir(parents=True, exist_ok=True)
        self.scratch.mkdir(exist_ok=True)
        for name in (step.name, *step.spoils):
            (self.scratch / f".{name}").unlink(missing_ok=True)
        step.prepare(place)
        text = step.text(namelists, place if attempt.go_on else None)
        command = getattr(self.run, f"{step.program}_command")
        one = Try(number=number, input_sha256=key_sha256(text=text), version=version_of(command), change=attempt.change)
        state.tries.append(one)
        self._keep(state)
        source, output = place / f"try-{number}.in", place / f"try-{number}.out"
        source.write_text(text, encoding="utf-8")
        (place / "CRASH").unlink(missing_ok=True)
        # q2r.x and matdyn.x gain nothing from ranks, and all of them would write the same files
        run = self.run if step.program in _TIMED else self.run.model_copy(update={"ranks": 1})
        ended = run_program(
            command, self._arguments(step, source.name), folder=place, output=output, run=run, limit_s=limit,
            mark=self.folder,
        )  # fmt: skip
        one.exit_code, one.wall_s, one.cpu_s = ended.exit_code, ended.wall_s, ended.cpu_s
        found = self._fault(step, place, output, ended)
        if found is not None:
            one.symptom, one.message = found.symptom.value, found.message
        self._keep(state)
        return found

    def _fault(self, step: Step, place: Path, output: Path, ended: Ended) -> Fault | None:
        (place / OUTPUT).unlink(missing_ok=True)
        (place / OUTPUT).symlink_to(output.name)
        crash = place / "CRASH"
        found = recognise(
            step.binary, exit_code=ended.exit_code, output=output.read_text(encoding="utf-8", errors="replace"),
            crash=crash.read_text(encoding="utf-8", errors="replace") if crash.is_file() else "",
            timed_out=ended.timed_out, calculation=step.calculation,
        )  # fmt: skip
        if found is not None:
            return found
        try:
            step.collect(place)
            step.check(place)
        except (VerificationError, OSError) as error:
            return fault(Symptom.TRUNCATED, f"the program ended well, but its result is not whole: {error}")
        return None

    def _arguments(self, step: Step, source: str) -> list[str]:
        pools = min(self.run.pools or self.run.ranks, self.run.ranks)
        several = ["-nk", str(pools)] if pools > 1 and step.program in ("pw", "ph") else []
        return [*several, "-in", source]

    def _with_time(self, step: Step) -> Namelists:
        """Let the program stop by itself in time. Not part of the step's key: how much time there is changes no result."""
        section = _TIMED.get(step.program)
        if section is None:
            return step.namelists
        seconds = int(_CLEAN_END * 3600 * self.run.step_hours)
        return {**step.namelists, section: {**step.namelists[section], "max_seconds": seconds}}

    def _limited(self, step: Step, namelists: Namelists, left_s: float) -> tuple[Namelists, float]:
        """Bring ``max_seconds``, which a retry may have changed, below the time that is left; return also the limit in s."""
        section, limit = _TIMED.get(step.program), 3600 * self.run.step_hours
        if section is None:
            return namelists, min(left_s, limit)
        asked = namelists[section]["max_seconds"]
        limit = min(left_s, max(limit, asked / _CLEAN_END))
        return {**namelists, section: {**namelists[section], "max_seconds": int(min(asked, _CLEAN_END * limit))}}, limit

    def _left_s(self) -> float:
        return self.deadline - time.monotonic()

    def _keep(self, state: StepState) -> None:
        write_bytes(state.model_dump_json(indent=1).encode(), self.place(state.name) / STATUS)
        self.on_step(state)

    def _left(self, step: Step, key: str) -> bool:
        mark = self.scratch / f".{step.name}"
        return (
            mark.is_file() and mark.read_text() == key and all((self.scratch / name).exists() for name in step.leaves)
        )


def read_state(place: Path) -> StepState | None:
    """Read the state of a step; None when there is none that can be read."""
    try:
        return StepState.model_validate_json((place / STATUS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@contextmanager
def opened(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, after ending what a killed run left behind.

    Raises
    ------
    VerificationError
        When another process works there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as lock:
        until = time.monotonic() + _LOOKED_AT_S
        while not _locked(lock):  # somebody who only looks holds it for a moment
            if time.monotonic() > until:
                lock.seek(0)
                who = lock.read().strip() or "unknown process"
                raise VerificationError(f"{folder} is in use by another run ({who}); wait for it, or stop it")
            time.sleep(_LOOKED_AT_S / 10)
        lock.seek(0)
        lock.truncate()
        json.dump(_process(), lock)
        lock.flush()
        end_strays(folder)
        yield


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _process() -> dict[str, Any]:
    import os
    import platform

    return {"pid": os.getpid(), "host": platform.node()}
