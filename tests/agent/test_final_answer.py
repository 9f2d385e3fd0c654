import pytest
from tests.agent.misbehaviours import WRONG_WORDS, ending
from tests.agent.plays import EVIL, GOAL, evil_study, found, good_end, play
from tests.agent.scripted_server import call, final

from onnes.agent.answer import WORDS_LABEL
from onnes.agent.goal import Goal


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
