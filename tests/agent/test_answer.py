import re

import pytest
from tests.agent.studies import small_study

from onnes.agent.answer import ANSWER, faults, publish, render_answer
from onnes.agent.session import Session
from onnes.errors import EvidenceError


@pytest.fixture
def answered(tmp_path):
    study, one = small_study(tmp_path / "s")
    session = Session(study)
    session.record.append("run", {"goal": {}})
    session.record.append("call", {"tool": "files", "arguments": {}, "set_id": one, "sha256": study.info(one).sha256})
    publish(
        session,
        f"# Found\n\n| formula | Tc |\n|---|---|\n| [[{one}/Nb/reduced_formula]] | [[{one}/Nb/tc_K]] |\n\nTc: [[{one}/Nb/tc_K]].",
    )
    return study, one


def test_an_answer_is_rendered_and_stands_the_check(answered):
    study, _ = answered
    text = (study.folder / ANSWER).read_text()
    assert "| Nb | 11.70 K |" in text
    assert "Tc: 11.70 K (Nb: Tc)." in text
    assert faults(study) == []


def test_every_number_that_is_edited_is_caught(answered):
    study, _ = answered
    path = study.folder / ANSWER
    whole = path.read_text()
    for found in re.finditer(r"\d", whole):
        path.write_text(whole[: found.start()] + str((int(found[0]) + 1) % 10) + whole[found.end() :])
        wrong = faults(study)
        assert wrong, found
        assert ANSWER in wrong[0]
    path.write_text(whole + "And Tc is 300 K.\n")
    assert faults(study)
    path.unlink()
    assert faults(study) == [f"{ANSWER} is missing"]


def test_one_byte_of_a_set_is_caught(answered):
    study, one = answered
    path = study.folder / "sets" / f"{one}.parquet"
    data = path.read_bytes()
    for place in range(0, len(data), max(1, len(data) // 60)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert any(one in fault for fault in faults(study)), place
    path.write_bytes(data)
    assert faults(study) == []


def test_a_set_that_was_made_anew_with_its_origin_is_caught_by_the_record(answered):
    study, one = answered
    table = study.table(one)
    study.add(one, table.slice(0, 1), tool="files", arguments={"n": 1})
    assert faults(study) == [f"set {one} is another than the one in the record"]


def test_one_byte_of_the_record_is_caught(answered):
    study, _ = answered
    path = study.folder / "record.jsonl"
    data = path.read_bytes()
    for place in range(0, len(data), 7):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert faults(study), place


def test_an_answer_with_an_unsupported_number_is_not_written(tmp_path):
    study, one = small_study(tmp_path / "s")
    session = Session(study)
    with pytest.raises(EvidenceError, match="'300' has no source"):
        publish(session, f"Tc is [[{one}/Nb/tc_K]], or 300 K.")
    assert not (study.folder / ANSWER).exists()
    assert session.record.events() == []
    with pytest.raises(EvidenceError, match="no set"):
        render_answer(study, "[[000000000000/Nb/tc_K]]")


def test_a_study_without_a_record_says_so(tmp_path):
    study, _ = small_study(tmp_path / "s")
    assert faults(study) == ["the study has no record"]
