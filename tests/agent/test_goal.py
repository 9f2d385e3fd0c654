import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnes.agent.goal import Goal
from onnes.agent.routes import ROUTES, route
from onnes.cli.agent import _goal
from onnes.errors import ConfigError, OnnesError

BAR = "ambient-pressure superconductor above 8 K, no Be, no Tl, at most 4 elements among Nb Zr Hf Ti Mo N C B"


@pytest.mark.parametrize(("words", "form"), [
    (BAR, {"min_tc_K": 8.0, "exclude": ("Be", "Tl"), "max_elements": 4, "elements": tuple("Nb Zr Hf Ti Mo N C B".split())}),
    ("Tc over 12.5 K without Hg or As", {"min_tc_K": 12.5, "exclude": ("Hg", "As")}),
    ("at most three elements from Nb, Ti and N", {"max_elements": 3, "elements": ("Nb", "Ti", "N")}),
    ("new compositions of Nb and Ti within 50 meV/atom of the hull, top 20",
     {"new": "compositions", "elements": ("Nb", "Ti"), "max_e_above_hull_eV_per_atom": 0.05, "count": 20}),
    ("up to 8 atoms in the cell, containing Sc, among Sc Re", {"max_atoms": 8, "required": ("Sc",), "elements": ("Sc", "Re")}),
    ("Laves phases above 4 K among Zr Hf Be, no Be", {"motif": "laves", "elements": ("Zr", "Hf"), "exclude": ("Be",)}),
    ("reinterpret Zr4VRe7", {"formulas": ("Zr4VRe7",)}),
    ("above 5 K at 0 GPa in Nb N", {"min_tc_K": 5.0, "elements": ("Nb", "N")}),
    ("no beryllium, no lead, among Nb Be Pb N", {"exclude": ("Be", "Pb"), "elements": ("Nb", "N")}),
    ("among niobium, titanium and nitrogen, without tin or Mercury",
     {"elements": ("Nb", "Ti", "N"), "exclude": ("Sn", "Hg")}),
    ("above 5 K among Nb N. No Be", {"elements": ("Nb", "N"), "exclude": ("Be",)}),
    ("among Nb N No Be At most 2 elements", {"elements": ("Nb", "N"), "exclude": ("Be",), "max_elements": 2}),
    ("does not contain lead or Hg, containing niobium", {"exclude": ("Pb", "Hg"), "required": ("Nb",)}),
    ("lead-free, Nb-based, above 4 K", {"exclude": ("Pb",), "required": ("Nb",), "min_tc_K": 4.0}),
    ("neither Be nor Tl among Nb N but at most 3 elements", {"exclude": ("Be", "Tl"), "max_elements": 3}),
    ("no less than 8 K with no Be among Nb-Ti-N", {"min_tc_K": 8.0, "exclude": ("Be",), "elements": ("Nb", "Ti", "N")}),
    ("no more than 3 elements, at least 2 elements, above 3 K", {"max_elements": 3, "min_elements": 2, "min_tc_K": 3.0}),
    ("ternary, with Tc above 8 K", {"min_elements": 3, "max_elements": 3, "required": (), "min_tc_K": 8.0}),
    ("iron-based, above 10 K, no high-pressure phases", {"motif": "iron-based", "required": (), "elements": ()}),
    ("MAX phases above 2 K, max 3 elements", {"motif": "max", "max_elements": 3}),
])  # fmt: skip
def test_words_fill_the_form(words, form):
    goal = Goal.from_words(words)
    assert goal.words == words
    for name, value in form.items():
        assert getattr(goal, name) == value, name


DOCUMENTED = ("above 8 K", "no Be", "at most 3 elements among Nb Ti N", "containing Sc", "within 50 meV/atom of the hull",
              "at most 8 atoms", "Laves", "reinterpret Zr4VRe7", "new compositions", "top 20")  # fmt: skip


@pytest.mark.parametrize("words", DOCUMENTED)
def test_every_documented_phrase_is_read(words):
    assert Goal.leftovers(words) == []
    assert Goal.from_words(words).model_dump(exclude_defaults=True, exclude={"words"})
    assert f'"{words}"' in Path("docs/agent.md").read_text(encoding="utf-8").replace("\n", " ")


@pytest.mark.parametrize(("words", "message"), [
    ("hello world", "nothing in"), ("above 8 K, Tc 12 to 15, among Nb N", "12 to 15"), ("", "nothing in"),
    ("above 4000 K", "min_tc_K"), ("above 8 K, cheap and rust-proof", "'cheap and rust-proof'"),
    ("containing Nb, among Ti N", "required, and not among"), ("among Be, no Be", "excludes every element"),
    ("containing Be, no Be", "both required and excluded"), ("above 8 K, above 9 K, no Be", "'above 8 K', 'above 9 K'"),
])  # fmt: skip
def test_words_that_are_not_understood_are_named(words, message):
    with pytest.raises(ConfigError, match=message):
        Goal.from_words(words)


@pytest.mark.parametrize(("denied", "field"), [
    ("no more than 20 K", "min_tc_K"), ("not above 10 K", "min_tc_K"), ("nothing above 10 K", "min_tc_K"),
    ("not necessarily above 10 K", "min_tc_K"), ("isn't above 10 K", "min_tc_K"), ("below 20 K", "min_tc_K"),
    ("without Nb3Sn", "formulas"), ("not Nb3Sn or MgB2", "formulas"), ("no Be, Nb3Sn", "formulas"),
    ("anything but Nb3Sn", "formulas"), ("no Laves phases", "motif"), ("except cuprates", "motif"), ("Laves or A15", "motif"),
    ("not only Nb and N", "elements"), ("not without Nb", "exclude"), ("no new compositions", "new"), ("not ternary", "max_elements"),
])  # fmt: skip
def test_what_is_denied_is_never_read_as_asked_for(denied, field):
    words = f"{denied}; top 7"
    with pytest.raises(ConfigError, match=r"could not be understood.*--goal FILE\.toml") as error:
        Goal.from_words(words)
    assert denied.split()[-1].strip(",") in str(error.value)
    partly = Goal.from_words(words, partly=True)
    assert partly.is_default(field)
    assert (partly.count, partly.words) == (7, words)


@pytest.mark.parametrize("partly", [False, True])
@pytest.mark.parametrize("words", [
    "above 8 K at 150 GPa", "high-pressure superconductors above 8 K", "above 8 K under pressure", "not at ambient pressure, above 8 K",
    "non-ambient pressure above 8 K", "above 8 K at 10 kbar", "compressed hydrides above 8 K", "above 8 K in a diamond anvil cell",
])  # fmt: skip
def test_a_pressure_is_refused_whoever_reads_the_rest(words, partly):
    with pytest.raises(ConfigError, match="ambient pressure"):
        Goal.from_words(words, partly=partly)


def test_what_is_read_is_kept_where_a_model_reads_the_rest():
    goal = Goal.from_words("a cheap new ternary nitride above 10 K, no Be, lead-free", partly=True)
    assert (goal.exclude, goal.min_tc_K, goal.min_elements) == (("Be", "Pb"), 10.0, 3)
    assert Goal.leftovers(goal.words) == ["cheap new", "nitride"]
    assert Goal.from_words("surprise me", partly=True) == Goal(words="surprise me")


def test_long_words_take_no_long_time():
    begun = time.process_time()
    for words in ("Nb " * 700, " " * 2000, "no " * 700, "a" * 2000, "Nb3Sn" * 400, "niobium, and " * 150, "1" * 2000):
        with contextlib.suppress(OnnesError):
            Goal.from_words(words)
    assert time.process_time() - begun < 5


def test_a_goal_says_what_does_not_fit_it():
    goal = Goal(elements=("Nb", "N", "Be"), required=("Nb",), exclude=("Be",), max_elements=2)
    assert goal.misfit(["Nb", "N"]) is None
    for elements, why in (
        (["Nb", "Be"], "holds Be"),
        (["Nb", "C"], "holds C"),
        (["N"], "lacks Nb"),
        (["Nb"], "fewer elements"),
    ):
        assert why in (goal.misfit(elements) or ""), elements
    assert "more elements" in (Goal(max_elements=2).misfit(["Nb", "N", "C"]) or "")


@given(st.text(max_size=80))
def test_whatever_the_words_the_answer_is_a_goal_or_a_clear_error(words):
    try:
        goal = Goal.from_words(words)
    except OnnesError:
        return
    assert goal.words == words


def test_a_file_names_the_field_that_is_wrong(tmp_path):
    path = tmp_path / "goal.toml"
    path.write_text('min_tc_K = 8\nelements = ["Nb", "Qq"]\n')
    with pytest.raises(ConfigError, match=r"elements.*'Qq' is no chemical element"):
        Goal.from_file(path)
    path.write_text('min_tc_K = 8\nelements = "Nb, Ti"\n[limits]\ncpu_seconds = 600\n')
    goal = Goal.from_file(path)
    assert goal.elements == ("Nb", "Ti")
    assert goal.limits.cpu_seconds == 600
    with pytest.raises(ConfigError, match="cannot read the goal"):
        Goal.from_file(tmp_path / "none.toml")


def test_the_route_follows_from_what_is_named():
    assert route(Goal.from_words(BAR)).name == "de-novo"
    assert route(Goal.from_words("Laves above 4 K")).name == "motif"
    assert route(Goal.from_words("reinterpret Nb3Sn")).name == "reinterpretation"
    assert route(Goal(route="latent")).name == "latent"


@pytest.mark.parametrize("name", ROUTES)
def test_every_route_has_an_example_that_is_understood(name):
    goal = Goal.from_words(ROUTES[name].example)
    assert goal.elements or goal.formulas
    assert not any(c.isnumeric() for c in ROUTES[name].hypothesis)


def run_goal(*args, **more):
    settings = {"words": None, "file": None, "route": None, "planner": "rules", "files": False, **more}
    return _goal(*args, **settings)


def test_files_of_crystals_make_the_route_latent():
    for planner in ("rules", "llm"):
        asked = run_goal(words="above 5 K among Nb N", planner=planner, files=True)
        assert (asked.route, asked.elements) == ("latent", ("Nb", "N"))
    assert run_goal(files=True, route="latent") == Goal(route="latent")  # not the example's elements
    assert run_goal(words="above 5 K among Nb N").route is None
    with pytest.raises(ConfigError, match="route latent, and motif makes its own"):
        run_goal(words="above 5 K among Nb N", route="motif", files=True)


def test_with_a_model_the_command_keeps_what_was_read_and_refuses_a_pressure():
    asked = run_goal(words="a cheap superconductor above 12 K, no Be", planner="llm")
    assert (asked.min_tc_K, asked.exclude) == (12.0, ("Be",))
    with pytest.raises(ConfigError, match="'cheap'"):
        run_goal(words="a cheap superconductor above 12 K, no Be")
    with pytest.raises(ConfigError, match="ambient pressure"):
        run_goal(words="a cheap superconductor above 12 K at 200 GPa", planner="llm")
