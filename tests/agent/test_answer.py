import json
import re

import pytest
from tests.agent.plays import unsupported_numbers
from tests.agent.studies import small_study

from onnes.agent.answer import ANSWER, faults, publish, render_answer
from onnes.agent.record import Record
from onnes.agent.session import Session
from onnes.campaign.study import GOAL
from onnes.errors import EvidenceError


@pytest.fixture
def answered(tmp_path):
    study, one = small_study(tmp_path / "s")
    session = Session(study)
    session.record.append("run", {"goal": json.loads((study.folder / GOAL).read_text())})
    session.brought(study.info(one))
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


def test_one_byte_of_the_origin_of_a_set_is_caught(answered):
    study, one = answered
    path = study.folder / "sets" / f"{one}.json"
    data = path.read_bytes()
    for place in range(0, len(data), 3):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert any(one in fault for fault in faults(study)), (place, data[place : place + 1])
    path.unlink()
    assert faults(study)


@pytest.mark.parametrize(("field", "value"), [
    ("tool", "measure"), ("arguments", {"n": 2}), ("n_rows", 3), ("inputs", ["a" * 12]), ("remarks", ["verified"]), ("code_version", "9"),
])  # fmt: skip
def test_another_origin_is_caught(answered, field, value):
    study, one = answered
    path = study.folder / "sets" / f"{one}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}, indent=1) + "\n")
    assert faults(study) == [f"the origin of set {one} is another than the one in the record (sets/{one}.json)"]


@pytest.mark.parametrize("change", [{"min_tc_K": 2.0}, {"min_tc_K": 8}, {"words": "above 2 K"}, {"more": 1}])
def test_another_goal_is_caught_even_where_the_answer_agrees(answered, change):
    study, one = answered
    session = Session(study)
    publish(session, f"Asked for: at least [[goal/*/min_tc_K]]; [[{one}/Nb/tc_K]]")
    assert faults(study) == []
    path = study.folder / GOAL
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    answer = study.folder / ANSWER
    answer.write_text(answer.read_text().replace("8 K", "2 K"))
    assert faults(study) == [f"{GOAL} is not the goal that the record names"]
    path.unlink()
    assert faults(study) == [f"{GOAL} is missing"]


def test_the_text_must_be_the_one_that_the_record_names(answered):
    study, one = answered
    template = f"Tc: [[{one}/Nb/tc_K]]"
    hashes = {"sha256": study.info(one).sha256, "info_sha256": study.info_sha256(one)}
    Record(study.folder).append(
        "answer", {"template": template, "sha256": "0" * 64, "citations": [], "sets": {one: hashes}}
    )
    (study.folder / ANSWER).write_text(render_answer(study, template))
    assert faults(study) == [f"{ANSWER} is not the text that the record names"]


def test_every_set_behind_an_answer_is_in_the_record(answered):
    study, one = answered
    study.add("b" * 12, study.table(one), tool="relax", arguments={}, inputs=[one])
    study.add("c" * 12, study.table(one), tool="hull", arguments={}, inputs=["b" * 12])
    template = f"[[{'c' * 12}/Nb/tc_K]]"
    before = (study.folder / "record.jsonl").read_bytes(), (study.folder / "record.head").read_bytes()
    publish(Session(study), template)
    assert faults(study) == []
    study.add("b" * 12, study.table(one), tool="relax", arguments={"fmax": 1}, inputs=[one])
    assert faults(study) == [
        f"the origin of set {'b' * 12} is another than the one in the record (sets/{'b' * 12}.json)"
    ]
    (study.folder / "record.jsonl").write_bytes(before[0])
    (study.folder / "record.head").write_bytes(before[1])
    Record(study.folder).append("answer", {"template": template, "sha256": "", "citations": []})
    assert faults(study) == [f"the answer cites what the record does not name: set {'b' * 12}, {'c' * 12}"]


def test_a_line_end_that_changed_is_caught(answered):
    study, _ = answered
    path = study.folder / ANSWER
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert faults(study)


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
    with pytest.raises(EvidenceError, match="before"):
        publish(session, f"Tc is minus [[{one}/Nb/tc_K]].")
    with pytest.raises(EvidenceError, match="no set"):
        render_answer(study, "[[000000000000/Nb/tc_K]]")


@pytest.mark.parametrize(
    "words", ["300 K", "thirtynine", "twenty-three", "XXXIX", "a tenth", "in the forties", "٣", "Tc39K"]
)
def test_the_check_of_played_runs_finds_what_this_one_should(answered, words):
    study, one = answered
    assert unsupported_numbers(study) == []
    template = f"Nb has Tc [[{one}/Nb/tc_K]], or {words}."
    Record(study.folder).append("answer", {"template": template})
    (study.folder / ANSWER).write_text(template.replace(f"[[{one}/Nb/tc_K]]", "11.70 K (Nb: Tc)") + "\n")
    assert unsupported_numbers(study)
    Record(study.folder).append("answer", {"template": template.replace(f", or {words}", "")})
    (study.folder / ANSWER).write_text("Nb has Tc 11.70 K (Nb: Tc).\n")
    assert unsupported_numbers(study) == []
    (study.folder / ANSWER).write_text("Nb has Tc 11.80 K (Nb: Tc).\n")
    assert unsupported_numbers(study)


def test_a_study_without_a_record_says_so(tmp_path):
    study, _ = small_study(tmp_path / "s")
    assert faults(study) == ["the study has no record"]
