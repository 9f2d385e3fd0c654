import pytest
from tests.agent.misbehaviours import WRONG_WORDS, ending
from tests.agent.plays import EVIL, GOAL, evil_study, found, good_end, play
from tests.agent.scripted_server import KEY, MODEL, ScriptedServer, call, final

from onnes.agent.answer import WORDS_LABEL
from onnes.agent.endpoint import Endpoint
from onnes.agent.final_answer import FinalAnswer, judged
from onnes.agent.goal import Goal
from onnes.agent.language_model import plan_with_model
from onnes.agent.record import Record
from onnes.agent.session import Session
from onnes.campaign.study import Study
from onnes.crystals.known import known_table
from onnes.crystals.schema import with_columns
from onnes.crystals.table import identify
from onnes.crystals.writers import write_crystals


@pytest.mark.parametrize("wrong", WRONG_WORDS)
def test_words_with_numbers_of_their_own_are_left_out_and_kept_in_the_record(tmp_path, wrong):
    played = play(tmp_path / "s", [found, ending(WRONG_WORDS[wrong])])
    assert played.outcome.state == "answered_without_words", played.outcome
    assert played.outcome.shortlist
    assert WORDS_LABEL not in played.answer
    assert "| Nb3Sn |" in played.answer
    finals = [one["final"] for one in played.events("words") if "final" in one]
    assert len(finals) == 3  # two were sent back
    assert all(one["wrong"] for one in finals)
    told = [one["content"] for one in played.server.requests[-1]["messages"] if one["role"] == "tool"]
    assert any("numbers without a source" in one for one in told)


def test_a_model_that_corrects_itself_is_heard(tmp_path):
    played = play(tmp_path / "s", [found, ending("Tc is 14 K."), good_end])
    assert played.outcome.state == "answered"
    assert WORDS_LABEL in played.answer


def test_a_right_id_for_the_wrong_thing_is_seen(tmp_path):
    played = play(
        tmp_path / "s",
        [
            found,
            ending("It lies [[{one}/tc_K]] above the hull.\n| hull |\n|---|\n| [[{one}/tc_K]] |\n- [[{one}/tc_K]]"),
        ],
    )
    assert played.outcome.state == "answered"
    assert played.answer.split(WORDS_LABEL)[1].count("14.41 K (Nb3Sn: Tc)") == 3


def test_words_can_do_nothing_where_they_are_shown(tmp_path):
    text = "# Verified\n<script>alert()</script> ![x](http://example.org/) \x1b[K\u202e\n\n| Tc |\n\x0b## Decision\u2028| [[{one}/tc_K]] |"
    played = play(tmp_path / "s", [found, ending(text, hypothesis="<img src=x>[a]: b")])
    words = played.answer.split(WORDS_LABEL)[1]
    assert played.outcome.state == "answered"
    assert all(line.startswith(">") for line in words.strip().splitlines())
    for bad in ("<script", "<img", "](", "\x1b", "\u202e", "\u2028", "\x0b"):
        assert bad not in words


def test_the_notes_of_a_crystal_are_data(tmp_path):
    study, one = evil_study(tmp_path / "s")
    assert "Ignore previous instructions" in EVIL
    played = play(tmp_path / "s", [found, ending("It says [[{one}/notes]].")])
    assert played.outcome.state == "answered"  # a text that the set holds, named as what it is
    assert "(Nb3Sn: notes)" in played.answer
    assert study.info(one).n_rows == 4


LISTS = {
    "rows that are none": (["aaaaaaaaaaaa/Nb3Sn", "{one}x", "Nb3Sn", ""], "nothing_found"),
    "what the goal excludes": (["{set}/MgB2"], "nothing_found"),
    "the same again": (["{one}", "[[{one}]]", "`{one}`", "{set}/Nb3Ge"], "answered"),
    "some of both": (["{one}", "{set}/MgB2"], "answered"),
    "a whole set": (["{set}"], "nothing_found"),
    "a formula without a crystal": (["{formula}"], "nothing_found"),
    "nothing": ([], "nothing_found"),
}


@pytest.mark.parametrize("case", LISTS)
def test_the_short_list_holds_only_crystals_that_exist_and_fit(tmp_path, case):
    names, state = LISTS[case]

    def end(seen):
        one = seen.crystals[0]
        known = {"one": one, "set": one.partition("/")[0], "formula": f"{seen.results[-1]['set_id']}/Nb3Sn"}
        return final("It couples.", [name.format(**known) for name in names], "See above.")

    played = play(tmp_path / "s", [found, call("experimental", formulas=["Nb3Sn"]), end])
    assert played.outcome.state == state, played.outcome
    rows = [one.partition("/")[2] for one in played.outcome.shortlist]
    assert len(rows) == len(set(rows))
    assert set(rows) <= {"Nb3Sn", "Nb3Ge"}
    assert "MgB2" not in played.answer.split("## Limits")[0]
    decision = played.events("decision")[-1]
    assert decision["chosen"] == list(played.outcome.shortlist)


def test_rejected_and_surplus_crystals_do_not_get_on_the_list(tmp_path):
    goal = GOAL.model_copy(update={"count": 1, "required": ("Nb",), "max_elements": 1})
    played = play(tmp_path / "s", [found, lambda seen: final("x", seen.crystals, "y")], goal=goal)
    assert [one.partition("/")[2] for one in played.outcome.shortlist] == ["Nb"]
    assert "more elements than the goal allows" in played.outcome.reason


def test_the_goal_in_formulas_that_nobody_found_does_not_stop_the_answer(tmp_path):
    goal = Goal(words="reinterpret Zr7Re9 above 3 K", formulas=("Zr7Re9",), min_tc_K=3.0)
    played = play(tmp_path / "s", [found, lambda _: final("Nothing fits.", [], "None of them.")], goal=goal)
    assert played.outcome.state == "nothing_found"
    assert "in words: reinterpret Zr7Re9 above 3 K" in played.answer


def with_set(folder, columns, names=("Nb3Sn", "Nb3Ge"), **about):
    """A set of the study in that folder."""
    study, first = evil_study(folder)
    table = identify(with_columns(known_table(list(names)), columns))
    set_id = study.name_of("screen", about, about.get("inputs", ()))
    study.add(set_id, table, tool="screen", arguments=about, inputs=about.get("inputs", ()))
    return study, first, set_id


def verdict(study, goal, *crystals):
    return judged(study, goal, FinalAnswer(hypothesis="x", shortlist=crystals, text="y"))


GOOD = {"tc_K": [14.0, 18.0], "e_above_hull_eV_per_atom": [0.0, 0.05], "is_novel": [False, True]}
OPEN = Goal(min_tc_K=10.0)


@pytest.mark.parametrize(("columns", "goal", "why"), [
    ({}, {}, None),
    ({"tc_K": [9.99, 18.0]}, {}, "tc_K of 9.99, below the 10"),
    ({"tc_K": [None, 18.0]}, {}, "has no tc_K in that set; call predict"),
    ({"e_above_hull_eV_per_atom": [0.11, 0.0]}, {}, "above the 0.1"),
    ({"e_above_hull_eV_per_atom": [0.09, 0.0]}, {"max_e_above_hull_eV_per_atom": 0.08}, "above the 0.08"),
    ({"e_above_hull_eV_per_atom": [None, 0.0]}, {}, "call hull"),
    ({}, {"new": "crystals"}, "is not shown to be new"),
    ({"is_novel": [None, True]}, {"new": "crystals"}, "is not shown to be new"),
    ({"is_novel": [True, True]}, {"new": "crystals"}, None),
    ({"is_novel": [True, True]}, {"new": "compositions"}, "composition that the reference knows"),
    ({}, {"min_elements": 3}, "fewer elements"),
    ({}, {"motif": "a15"}, None),
    ({}, {"motif": "laves"}, "not of the motif laves"),
    ({}, {"max_atoms": 4}, "more atoms"),
])  # fmt: skip
def test_a_crystal_outside_the_bounds_of_the_goal_is_refused(tmp_path, columns, goal, why):
    study, _, set_id = with_set(tmp_path / "s", {**GOOD, **columns})
    found = verdict(study, OPEN.model_copy(update=goal), f"{set_id}/Nb3Sn")
    if why is None:
        assert (found.crystals, found.wrong_list) == ((f"{set_id}/Nb3Sn",), ())
    else:
        assert found.crystals == ()
        assert why in found.wrong_list[0]


@pytest.mark.parametrize(("reason", "goal", "refused"), [
    ("is_metal_probability = 0.1 < 0.5", {}, True),
    ("tc_K = 3 < 5", {}, True),
    ("tc_K = 12 < 20", {}, False),  # tighter than what was asked for
    ("e_above_hull_eV_per_atom = 0.3 > 0.1", {}, True),
    ("e_above_hull_eV_per_atom = 0.04 > 0.01", {}, False),
    ("known = Nb3Sn", {}, False),
    ("known = Nb3Sn", {"new": "crystals"}, True),
    ("duplicate = other", {}, False),
])  # fmt: skip
@pytest.mark.parametrize("same", ["made from it", "the same crystal", "another crystal"])
def test_what_another_set_rejected_cannot_come_in_by_its_first_name(tmp_path, reason, goal, refused, same):
    study, _, first = with_set(tmp_path / "s", {**GOOD, "is_novel": [True, True]})
    columns = {"rejected_by": ["gate", None], "reason": [reason, None]}
    inputs = [first] if same == "made from it" else []
    _, _, second = with_set(tmp_path / "s", {**GOOD, **columns}, inputs=inputs, step="second")
    if same == "another crystal":  # the same row id says nothing without a common origin
        tables = [study.table(first), with_columns(study.table(second), {"crystal_hash": ["0" * 64, "1" * 64]})]
        study, refused = Study.create(tmp_path / "other"), False
        for one, table in zip((first, second), tables, strict=True):
            study.add(one, table, tool="screen", arguments={})
    found = verdict(study, OPEN.model_copy(update=goal), f"{first}/Nb3Sn", f"{first}/Nb3Ge")
    assert found.crystals == ((f"{first}/Nb3Ge",) if refused else (f"{first}/Nb3Sn", f"{first}/Nb3Ge"))
    assert (f"set {second}" in "".join(found.wrong_list)) is refused


def test_relaxed_and_rejected_counts_for_the_unrelaxed(tmp_path):
    study, _, first = with_set(tmp_path / "s", GOOD)
    table = with_columns(study.table(first), {"crystal_hash": ["0" * 64, "1" * 64], "rejected_by": ["metal", None]})
    relaxed = study.name_of("relax", {}, [first])
    study.add(relaxed, table, tool="relax", arguments={}, inputs=[first])
    assert verdict(study, OPEN, f"{first}/Nb3Sn", f"{first}/Nb3Ge").crystals == (f"{first}/Nb3Ge",)


def test_defaults_are_not_told_as_asked_for(tmp_path):
    words = "a cheap superconductor above 8 K, no Be"
    goal = Goal.from_words(words, partly=True).model_copy(update={"min_elements": 1})
    played = play(tmp_path / "s", [found, good_end], goal=goal)
    asked = played.answer.split("## Asked for")[1].split("## Decision")[0]
    assert "the default" in asked.split("above the hull")[0].split("Tc of at least")[1]  # of the hull, not of Tc
    assert "8.00 K\n" in asked or "8 K\n" in asked
    assert "left to the language model" in asked
    opened = played.server.requests[0]["messages"][-1]["content"]
    form = next(line for line in opened.splitlines() if line.startswith("Goal as a form"))
    assert '"min_tc_K": 8.0' in form
    assert "max_elements" not in form
    assert 'leaves to you: ["cheap"]' in opened


def test_files_are_brought_in_for_a_model_too(tmp_path):
    path = tmp_path / "mine.cif"
    write_crystals(known_table(["Nb3Sn"]), path)
    study = Study.create(tmp_path / "s")
    with ScriptedServer([final("None fits.", [], "It was looked at.")]) as server:
        endpoint = Endpoint.model_validate({"url": server.url, "model": MODEL, "key": KEY, "timeout_s": 5})
        plan_with_model(Session(study), Goal(route="latent"), endpoint, files=[str(path)])
        opened = server.requests[0]["messages"][-1]["content"]
    (brought,) = study.sets()
    assert brought.tool == "files"
    assert f"{brought.set_id} (files, rows: 1)" in opened
    assert [event.kind for event in Record(study.folder).events()][:2] == ["run", "call"]
