import json

import pytest

from onnes.agent.answer import faults
from onnes.agent.record import Record
from onnes.campaign.study import Study
from onnes.crystals.known import known_table
from onnes.crystals.schema import with_columns
from onnes.tools import jobs
from onnes.tools.registry import tools
from tests.cli.faces import one_line_error, onnes

FILES = ("--file", "examples/Nb3Sn.cif", "--file", "examples/NbN.cif")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "study"


@pytest.fixture
def call(monkeypatch, capfd, folder):
    return lambda *words: onnes(monkeypatch, capfd, "call", *words, "--study", folder)


def test_a_call_makes_the_study_and_prints_a_table(call, folder):
    outcome = call("search", "elements=Nb,Sn", "superconductors=true", "sort_by=measured_tc_K")
    assert outcome.code == 0
    head, first = outcome.out.splitlines()[:2]
    assert head.split("  ")[0].strip() == "id"
    assert "measured tc / K" in head
    assert first.split()[0] == "Nb3Sn"
    assert "18.3" in first
    assert "3 rows" in outcome.out
    study = Study.open(folder)
    assert (study.settings["title"], study.seed, len(study.sets())) == ("study", 0, 1)


def test_arguments_as_json_and_the_answer_as_json(call):
    outcome = call("propose", "n=3", "--arguments", '{"elements": ["Nb", "Sn"], "motif": "a15", "n": 1}', "--json")
    assert outcome.code == 0
    assert outcome.err == ""
    found = json.loads(outcome.out)
    assert (found["tool"], found["n_rows"]) == ("propose", 2)  # the pair is what counts


def test_files_become_the_crystals_of_a_call(call, folder):
    outcome = call("search", *FILES, "structure_type=A15", "--json")
    found = json.loads(outcome.out)
    assert [row["id"] for row in found["rows"]] == ["Nb3Sn"]
    study = Study.open(folder)
    assert study.info(found["set_id"]).inputs == tuple(one.set_id for one in study.sets() if one.tool == "files")


def test_calls_and_files_stand_in_the_record_with_the_hashes_of_their_sets(call, folder):
    made = json.loads(call("search", *FILES, "structure_type=A15", "--json").out)
    call("search", *FILES, "structure_type=A15")  # the same again is the same
    call("propose", "elements=Nb,N", "prototypes=B1", "--wait", "60", "--quiet")
    call("reinterpret", "formula=Nb17Sn3", "relax=false")  # fails
    study = Study.open(folder)
    bodies = [event.body for event in Record(folder).events()]
    assert [(body["tool"], "error" in body) for body in bodies] == [
        ("files", False), ("search", False), ("propose", False), ("reinterpret", True),
    ]  # fmt: skip
    assert bodies[1]["set_id"] == made["set_id"]
    for body in bodies[:3]:
        assert (body["sha256"], body["info_sha256"]) == (
            study.info(body["set_id"]).sha256,
            study.info_sha256(body["set_id"]),
        )
    assert faults(study) == []
    path = folder / "sets" / f"{made['set_id']}.json"
    path.write_text(path.read_text().replace("A15", "B1"))
    assert faults(study) != []


def test_a_crystal_is_printed_with_its_result_ids_and_structure(call, folder):
    found = json.loads(call("search", *FILES, "--json").out)
    outcome = call("crystal", f"crystal={found['set_id']}/Nb3Sn")
    assert outcome.code == 0
    assert f"result_id={found['set_id']}/Nb3Sn/space_group, label=space_group, value=223" in outcome.out
    assert "data_Nb3Sn" in outcome.out


def test_rows_that_failed_are_code_3(call, folder):
    rows = with_columns(known_table(["Nb", "NbN"]), {"error": [None, "atoms too close"]})
    Study.create(folder).add("a" * 12, rows, tool="made", arguments={})
    outcome = call("result", "set_id=" + "a" * 12)
    assert outcome.code == 3
    assert "atoms too close" in outcome.out
    assert "2 rows, 1 failed" in outcome.out


def test_a_job_in_the_background_is_asked_for_later(call, folder):
    outcome = call("propose", "elements=Nb,Sn", "motif=a15", "--background")
    assert outcome.code == 0
    set_id = outcome.out.split()[1]
    assert "(propose): " in outcome.out
    assert jobs.wait(Study.open(folder), set_id, 60).state == "done"
    assert "2 rows" in call("status", f"set_id={set_id}").out
    assert "2 rows" in call("propose", "elements=Nb,Sn", "motif=a15", "--wait", "1").out


def test_a_job_that_is_waited_for_shows_its_rows(call):
    outcome = call("propose", "elements=Nb,N", "prototypes=B1", "--wait", "60", "--quiet")
    assert outcome.code == 0
    assert "NbN" in outcome.out
    assert outcome.err == ""


def test_a_job_that_failed_is_an_error(call):
    one_line_error(
        call("reinterpret", "formula=Nb17Sn3", "relax=false", "--wait", "60", "--quiet"), "stoichiometry of Nb17Sn3"
    )


def test_the_tools_and_their_arguments_are_listed(monkeypatch, capfd):
    found = json.loads(onnes(monkeypatch, capfd, "call", "--list", "--json").out)
    assert [row["tool"] for row in found] == [spec.name for spec in tools()]
    rows = {
        row["argument"]: row for row in json.loads(onnes(monkeypatch, capfd, "call", "phonons", "--list", "--json").out)
    }
    assert rows["crystals"]["default"] == "needed"
    assert "(Å)" in rows["min_length_A"]["meaning"]
    text = onnes(monkeypatch, capfd, "call", "propose", "--list").out
    assert "neighbour, ionic, saps" in " ".join(text.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name a tool"),
        (("guess",), "unknown tool 'guess'"),
        (("search", "Nb"), "'Nb' is no argument; write it as in elements=Nb,N"),
        (("search", "--arguments", "{"), "--arguments is no JSON"),
        (("search", "--arguments", "[1]"), "no JSON object"),
        (("search", "limit=many"), "limit: "),
        (("predict", "crystals=ffffffffffff"), "no set 'ffffffffffff'"),
        (("crystal", "crystal=x/y", "--background"), "crystal answers at once; leave out --wait and --background"),
    ],
)
def test_a_fault_is_one_line(call, words, said):
    one_line_error(call(*words), said)


def test_a_study_is_needed_and_has_one_seed(monkeypatch, capfd, call, folder):
    one_line_error(onnes(monkeypatch, capfd, "call", "search"), "--study DIR")
    assert call("search", "formulas=Nb", "--seed", "5").code == 0
    assert Study.open(folder).seed == 5
    one_line_error(call("search", "formulas=Nb", "--seed", "6"), "has the seed 5")
