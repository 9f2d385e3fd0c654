import json

import pytest

from onnes.agent.record import HEAD, RECORD, Record
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
        record.append("end", {})


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
