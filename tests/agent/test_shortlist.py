import pytest

from onnes.agent.answer import render_answer
from onnes.agent.goal import Goal
from onnes.agent.session import Session
from onnes.agent.shortlist import _plan_lines, goal_lines, table_lines
from onnes.agent.walk import Walk
from onnes.campaign.study import GOAL, Study
from onnes.crystals.schema import values


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A study with the plan for a compound that is made from oxides."""
    walk = Walk(Session(Study.create(tmp_path_factory.mktemp("plan") / "s")), Goal())
    found = walk.call("search", "a cuprate", formulas=["Ba2YCu3O7"])
    return walk.session.study, walk.call("plan", "how", crystals=[f"{found.set_id}/{found.rows[0].id}"]).set_id


def test_what_is_to_be_weighed_is_listed_whole(planned):
    study, plan = planned
    table = study.table(plan)
    kinds, masses = values(table, "kind"), values(table, "mass_g")
    weighed = [m for kind, m in zip(kinds, masses, strict=True) if kind in ("element", "compound")]
    assert len(weighed) >= 3
    text = render_answer(study, "\n".join(_plan_lines(study, plan)))
    rows = [line for line in text.splitlines() if " g |" in line]
    assert len([row for row in rows if "compound" in row or "element" in row]) == len(weighed)


def test_the_strongest_lines_come_first(planned):
    study, plan = planned
    table = study.table(plan)
    strongest = max(
        (power, row) for row, kind, power in zip(*(values(table, n) for n in ("id", "kind", "intensity")), strict=True)
        if kind == "line"
    )[1]  # fmt: skip
    lines = [line for line in _plan_lines(study, plan) if "two_theta_deg" in line]
    assert strongest in lines[0]
    assert len(lines) <= 6


def test_a_goal_is_written_with_citations_alone(planned):
    study, _ = planned
    goal = Goal(min_tc_K=8.0, formulas=("SnNb3",), motif="a15", elements=("Nb", "Sn"), exclude=("Be",))
    (study.folder / GOAL).write_text(goal.model_dump_json())
    text = render_answer(study, "\n".join(goal_lines(goal)))
    for word in ("8 K", "SnNb3", "a15", "without: Be"):
        assert word in text


def test_columns_that_hold_nothing_are_left_out(planned):
    study, plan = planned
    row = values(study.table(plan), "id")[0]
    header, _, cells = table_lines(study, [f"{plan}/{row}"], {"id": "what", "tc_hi_K": "to"})
    assert header == "| what |"
    assert cells == f"| [[{plan}/{row}/id]] |"
