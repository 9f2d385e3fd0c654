"""The evidence record: one event a line, each hashed over the one before."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from onnes.errors import EvidenceError
from onnes.flow.shards import write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

RECORD, HEAD, TORN = "record.jsonl", "record.head", "record.torn"
START = "0" * 64

Kind = Literal["run", "resumed", "call", "approval", "decision", "words", "answer", "end", "torn"]


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
    language model: not evidence), ``answer`` (checked text with its result ids and the sets behind it), ``end``, or ``torn``
    (a line that was cut when its writer was killed, moved to ``record.torn``).
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


@dataclass(frozen=True)
class _Left:
    """The files of a record as they were left by the last event that this object wrote."""

    stamp: tuple[int, int, int]
    head: bytes
    event: Event


class Record:
    """The record of a study.

    Before its first event an object checks the whole chain; after that, only that the files are those that it left.

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
        self._left: _Left | None = None

    def append(
        self, kind: Kind, body: Mapping[str, Any], *, seconds: float | None = None, cpu_seconds: float | None = None
    ) -> Event:
        """Add an event and put it on disk.

        Raises
        ------
        EvidenceError
            When the record on disk is not what was written: nothing is added to a record that was changed.
        """
        times = Times(at=datetime.now(UTC).isoformat(timespec="milliseconds"), seconds=seconds, cpu_seconds=cpu_seconds)
        with self._locked():
            return self._write(self._last(times), kind, body, times)

    def _write(self, last: Event | None, kind: Kind, body: Mapping[str, Any], times: Times) -> Event:
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
        self._left = _Left(self._stamp(), self._head.read_bytes(), event)
        return event

    def events(self) -> list[Event]:
        """All events, oldest first, without a torn end; raises EvidenceError for a line that is none."""
        found = []
        for number, line in enumerate(self._whole()[0]):
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
        """What is wrong with the record: changed, removed, added, reordered or torn bytes; empty when nothing is."""
        lines, torn = self._whole()
        faults = self._chain_faults(lines)
        if torn:
            faults.append(
                f"{self.path.name}, line {len(lines) + 1}: torn, its writer was killed; the next event moves it to {TORN}"
            )
        return faults

    def _chain_faults(self, lines: list[bytes]) -> list[str]:
        faults, previous = [], START
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
            return (
                [f"{self._head.name} is missing"] if len(lines) > 1 else []
            )  # one: killed between the first two writes
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

    def _whole(self) -> tuple[list[bytes], bytes]:
        """Lines, and what follows them where it was torn: a piece without an end behind the event that the head names."""
        lines = self._lines()
        if not lines or lines[-1].endswith(b"\n") or b"\r" in lines[-1]:
            return lines, b""
        *whole, piece = lines
        if not self._head.is_file():
            return (lines, b"") if whole else ([], piece)
        try:
            last = Event.model_validate_json(whole[-1]) if whole else None
        except ValueError:
            return lines, b""
        named = last is not None and self._head.read_bytes() == _head_line(last)
        return (whole, piece) if named else (lines, b"")

    def _last(self, times: Times) -> Event | None:
        """The event to go on from, after a check of all of them, or of the files where this object wrote the last."""
        left, there = self._left, self.path.is_file() and self._head.is_file()
        if left is not None and there and (self._stamp(), self._head.read_bytes()) == (left.stamp, left.head):
            return left.event
        lines, torn = self._whole()
        if faults := self._chain_faults(lines):
            raise EvidenceError(f"the record was changed, nothing is added to it: {faults[0]}")
        last = Event.model_validate_json(lines[-1]) if lines else None
        if last is not None:
            self._keep_head(last)
        if not torn:
            return last
        with self.path.with_name(TORN).open("ab") as file:
            file.write(torn + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.truncate(self.path, sum(map(len, lines)))
        body = {"bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest(), "moved_to": TORN}
        return self._write(last, "torn", body, times)

    def _stamp(self) -> tuple[int, int, int]:
        now = self.path.stat()
        return now.st_size, now.st_mtime_ns, now.st_ino

    def _keep_head(self, event: Event) -> None:
        write_bytes(_head_line(event), self._head)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name("record.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _head_line(event: Event) -> bytes:
    return _canonical({"events": event.number + 1, "hash": event.hash}) + b"\n"


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(content)).hexdigest()
