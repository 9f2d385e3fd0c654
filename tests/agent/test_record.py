import hashlib
import json
import os

import pytest

from onnes.agent.record import HEAD, RECORD, TORN, Record
from onnes.errors import EvidenceError


@pytest.fixture
def record(tmp_path):
    made = Record(tmp_path)
    made.append("run", {"goal": "above 8 K", "planner": "rules"})
    made.append("call", {"tool": "search", "set_id": "0123456789ab", "ü": [1.5, None]}, seconds=0.25, cpu_seconds=0.1)
    made.append("end", {"state": "answered"})
    return made


def test_events_come_back_as_they_were_written(record):
    first, second, third = record.events()
    assert [e.number for e in (first, second, third)] == [0, 1, 2]
    assert second.body == {"tool": "search", "set_id": "0123456789ab", "ü": [1.5, None]}
    assert second.times.seconds == 0.25
    assert second.previous == first.hash
    assert third.previous == second.hash
    assert record.faults() == []
    assert record.head() == f"3 events, {third.hash}"


def test_every_changed_byte_is_found(record):
    whole = record.path.read_bytes()
    for place in range(len(whole)):
        for other in (whole[place] ^ 1, ord(" ")):
            if other == whole[place]:
                continue
            record.path.write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])
            assert record.faults(), (place, whole[place : place + 1], chr(other))
    record.path.write_bytes(whole)
    assert record.faults() == []


@pytest.mark.parametrize("change", [
    lambda lines: lines[:-1],
    lambda lines: lines[1:],
    lambda lines: [lines[0], lines[2]],
    lambda lines: [lines[1], lines[0], lines[2]],
    lambda lines: [*lines, lines[-1]],
    lambda lines: [lines[0][:-1] + b" \n", *lines[1:]],
    lambda lines: [*lines, b"\n"],
    lambda lines: [],
])  # fmt: skip
def test_lines_removed_added_or_reordered_are_found(record, change):
    lines = record.path.read_bytes().splitlines(keepends=True)
    record.path.write_bytes(b"".join(change(lines)))
    assert record.faults()


def test_a_changed_or_missing_head_is_found(record):
    head = record.path.with_name(HEAD)
    whole = head.read_bytes()
    for place in range(len(whole)):
        head.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert record.faults(), place
    head.unlink()
    assert record.faults() == [f"{HEAD} is missing"]


def test_nothing_is_added_to_a_changed_record(record):
    record.path.write_bytes(record.path.read_bytes().replace(b"search", b"relaxx"))
    with pytest.raises(EvidenceError, match="was changed, nothing is added"):
        Record(record.path.parent).append("end", {})
    os.utime(record.path)  # a clock may be too coarse to tell two writes apart
    with pytest.raises(EvidenceError, match="was changed, nothing is added"):
        record.append("end", {})


@pytest.mark.parametrize("change", ["longer", "shorter", "head", "no head", "gone"])
def test_whoever_wrote_the_last_event_sees_a_change_as_well(record, change):
    head = record.path.with_name(HEAD)
    whole = record.path.read_bytes()
    if change == "longer":
        record.path.write_bytes(whole + b"{}\n")
    elif change == "shorter":
        record.path.write_bytes(b"".join(whole.splitlines(keepends=True)[:1]))
    elif change == "head":
        head.write_bytes(head.read_bytes().replace(b"3", b"4"))
    elif change == "no head":
        head.unlink()
    else:
        record.path.unlink()
    with pytest.raises(EvidenceError, match="was changed, nothing is added"):
        record.append("end", {})


def test_the_chain_is_checked_once_and_again_after_another_writer(record, monkeypatch):
    checked = []
    real = Record._chain_faults
    monkeypatch.setattr(Record, "_chain_faults", lambda self, lines: checked.append(len(lines)) or real(self, lines))
    record.append("words", {})
    record.append("words", {})
    assert checked == []
    other = Record(record.path.parent)
    for _ in range(3):
        other.append("words", {})
    assert checked == [5]
    record.append("end", {})
    assert checked == [5, 8]
    assert record.faults() == []
    assert len(record.events()) == 9


def _torn(record, piece):
    with record.path.open("ab") as file:
        file.write(piece)


@pytest.mark.parametrize("piece", [b"{", b'{"number":3,"kind":"words"', b"\x00\x00\xff"])
def test_a_torn_last_line_is_moved_aside_and_noted(record, piece):
    _torn(record, piece)
    again = Record(record.path.parent)
    assert len(again.events()) == 3
    assert again.faults() == [
        "record.jsonl, line 4: torn, its writer was killed; the next event moves it to record.torn"
    ]
    again.append("end", {"state": "failed"})
    assert again.faults() == []
    assert [event.kind for event in again.events()[3:]] == ["torn", "end"]
    assert again.events()[3].body["sha256"] == hashlib.sha256(piece).hexdigest()
    assert record.path.with_name(TORN).read_bytes() == piece + b"\n"
    record.append("words", {})
    _torn(record, piece)
    record.append("words", {})
    assert [event.kind for event in record.events()[5:]] == ["words", "torn", "words"]
    assert record.path.with_name(TORN).read_bytes() == 2 * (piece + b"\n")


def test_a_piece_is_no_way_to_cut_the_last_event(record):
    whole = record.path.read_bytes()
    for end in (len(whole) - 1, len(whole) - 40):
        record.path.write_bytes(whole[:end])
        assert record.faults()
        with pytest.raises(EvidenceError, match="nothing is added"):
            Record(record.path.parent).append("end", {})
    assert not record.path.with_name(TORN).exists()


def test_the_first_event_may_be_torn_or_lack_its_head(tmp_path):
    torn = Record(tmp_path / "a")
    torn.path.parent.mkdir()
    torn.path.write_bytes(b'{"body"')
    assert torn.events() == []
    torn.append("run", {})
    assert [event.kind for event in torn.events()] == ["torn", "run"]
    early = Record(tmp_path / "b")
    early.append("run", {})
    early.path.with_name(HEAD).unlink()
    Record(tmp_path / "b").append("end", {})
    assert early.faults() == []


def test_a_record_whose_writer_was_killed_between_line_and_head_goes_on(record):
    head = record.path.with_name(HEAD)
    before = head.read_bytes()
    record.append("words", {"text": "hello"})
    head.write_bytes(before)
    assert record.faults() == []
    record.append("end", {})
    assert record.faults() == []
    assert len(record.events()) == 5


def test_a_rewritten_chain_is_found_by_its_head_elsewhere(record, tmp_path):
    kept = record.head()
    other = Record(tmp_path / "other")
    for event in record.events():
        other.append(event.kind, {**event.body, "goal": "changed"})
    assert other.faults() == []
    assert other.head() != kept


def test_a_line_that_is_no_event_is_named(record):
    with record.path.open("ab") as file:
        file.write(b"{broken\n")
    assert any(f"{RECORD}, line 4" in fault for fault in record.faults())
    with pytest.raises(EvidenceError, match="line 4 is no event"):
        record.events()


def test_two_runs_differ_in_their_times_alone(record, tmp_path):
    again = Record(tmp_path / "again")
    for event in record.events():
        again.append(event.kind, event.body)
    bodies = [[json.dumps([e.number, e.kind, e.body], sort_keys=True) for e in one.events()] for one in (record, again)]
    assert bodies[0] == bodies[1]
