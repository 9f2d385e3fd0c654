import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnes.agent.goal import Goal
from onnes.agent.routes import ROUTES, route
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
])  # fmt: skip
def test_words_fill_the_form(words, form):
    goal = Goal.from_words(words)
    assert goal.words == words
    for name, value in form.items():
        assert getattr(goal, name) == value, name


@pytest.mark.parametrize(("words", "message"), [
    ("hello world", "nothing in"), ("above 8 K at 150 GPa", "ambient pressure"), ("above 8 K, Tc 12 to 15, among Nb N", "12, 15"),
    ("above 4000 K", "min_tc_K"), ("", "nothing in"),
])  # fmt: skip
def test_words_that_are_not_understood_are_named(words, message):
    with pytest.raises(ConfigError, match=message):
        Goal.from_words(words)


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
