"""The evidence record: one event a line, each hashed over the one before."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from onnes.errors import EvidenceError
from onnes.flow.shards import write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

RECORD, HEAD = "record.jsonl", "record.head"
START = "0" * 64

Kind = Literal["run", "resumed", "call", "approval", "decision", "words", "answer", "end"]


class Times(BaseModel):
    """What differs between two runs of the same: when, how long, at what cost."""

    model_config = ConfigDict(frozen=True)

    at: str
    seconds: float | None = None
    cpu_seconds: float | None = None


class Event(BaseModel):
    """One line of the record.

    ``kind`` is ``run`` (goal, planner, versions, limits), ``resumed``, ``call`` (a tool, its arguments, approval, set or
    error), ``approval``, ``decision`` (options with scores, rule, what was chosen and why not the others), ``words`` (of a
    language model: not evidence), ``answer`` (checked text with its result ids) or ``end``.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    kind: Kind
    body: dict[str, Any]
    times: Times
    previous: str
    hash: str

    def line(self) -> bytes:
        """The event as it stands in the file."""
        return _canonical(self.model_dump(mode="json")) + b"\n"


class Record:
    """The record of a study.

    Parameters
    ----------
    folder
        The study's folder; the record is made with the first event.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> record = Record(Path(tempfile.mkdtemp()))
    >>> record.append("run", {"goal": "a superconductor"}).number, record.faults()
    (0, [])
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD
        self._head = folder / HEAD

    def append(
        self, kind: Kind, body: Mapping[str, Any], *, seconds: float | None = None, cpu_seconds: float | None = None
    ) -> Event:
        """Add an event and put it on disk.

        Raises
        ------
        EvidenceError
            When the record on disk is not what was written: nothing is added to a record that was changed.
        """
        with self._locked():
            last = self._last()
            times = Times(
                at=datetime.now(UTC).isoformat(timespec="milliseconds"), seconds=seconds, cpu_seconds=cpu_seconds
            )
            content = {
                "number": 0 if last is None else last.number + 1,
                "kind": kind,
                "body": json.loads(json.dumps(dict(body), default=str)),
                "times": times.model_dump(mode="json"),
                "previous": START if last is None else last.hash,
            }
            event = Event.model_validate({**content, "hash": _hash(content)})
            with self.path.open("ab") as file:
                file.write(event.line())
                file.flush()
                os.fsync(file.fileno())
            self._keep_head(event)
        return event

    def events(self) -> list[Event]:
        """All events, oldest first; raises EvidenceError for a line that is none."""
        found = []
        for number, line in enumerate(self._lines()):
            try:
                found.append(Event.model_validate_json(line))
            except ValueError as error:
                raise EvidenceError(f"{self.path.name}, line {number + 1} is no event: {str(error)[:200]}") from None
        return found

    def head(self) -> str:
        """Number of events and hash of the last; kept elsewhere, it proves that this record was not written anew."""
        events = self.events()
        return f"{len(events)} events, {events[-1].hash}" if events else "empty"

    def faults(self) -> list[str]:
        """What is wrong with the record: changed, removed, added or reordered bytes; empty when nothing is."""
        faults, previous = [], START
        lines = self._lines()
        for number, line in enumerate(lines):
            where = f"{self.path.name}, line {number + 1}"
            try:
                event = Event.model_validate_json(line)
            except ValueError:
                return [*faults, f"{where}: no event; the line was changed"]
            content = event.model_dump(mode="json", exclude={"hash"})
            if event.line() != line or _hash(content) != event.hash:
                faults.append(f"{where}: changed after it was written")
            if event.number != number or event.previous != previous:
                faults.append(f"{where}: does not follow the line before; lines were removed, added or reordered")
            previous = event.hash
        return faults + self._tail_faults(lines, previous)

    def _tail_faults(self, lines: list[bytes], last: str) -> list[str]:
        if not self._head.is_file():
            return [f"{self._head.name} is missing"] if lines else []
        try:
            head = json.loads(self._head.read_bytes())
            written, head_hash = int(head["events"]), str(head["hash"])
        except (ValueError, KeyError, TypeError):
            return [f"{self._head.name} was changed"]
        if self._head.read_bytes() != _canonical(head) + b"\n":
            return [f"{self._head.name} was changed"]
        if written == len(lines):
            return [] if head_hash == last else [f"{self._head.name} names another last event"]
        if written == len(lines) - 1 and lines:  # killed between the two writes
            before = Event.model_validate_json(lines[-1]).previous
            return [] if head_hash == before else [f"{self._head.name} names another last event"]
        return [f"{len(lines)} events, {self._head.name} says {written}: the end of the record was cut or added to"]

    def _lines(self) -> list[bytes]:
        if not self.path.is_file():
            return []
        data = self.path.read_bytes()
        return data.splitlines(keepends=True) if b"\r" not in data else [data]

    def _last(self) -> Event | None:
        if faults := self.faults():
            raise EvidenceError(f"the record was changed, nothing is added to it: {faults[0]}")
        lines = self._lines()
        if not lines:
            return None
        event = Event.model_validate_json(lines[-1])
        self._keep_head(event)
        return event

    def _keep_head(self, event: Event) -> None:
        write_bytes(_canonical({"events": event.number + 1, "hash": event.hash}) + b"\n", self._head)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name("record.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(content)).hexdigest()
