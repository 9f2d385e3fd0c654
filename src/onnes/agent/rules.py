"""The rule planner: a goal form, a fixed plan, gates and a short list, without a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnes.agent.answer import Outcome, publish
from onnes.agent.routes import route
from onnes.agent.shortlist import answer_template
from onnes.agent.walk import Walk
from onnes.crystals.schema import values
from onnes.errors import BudgetSpent, NotApproved, OnnesError
from onnes.tools.actions.filters import elements_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnes.agent.goal import Goal
    from onnes.agent.session import Session

PLANNER = "rules"
RULE = "the first of the ranking, in its order, the best of each composition; a crystal that fails a gate is not ranked"
MAX_RANKED = 300
MOST_AT_ONCE = 2000
CONSIDERED = 30
"""Options that a decision lists with their scores."""


def plan_with_rules(session: Session, goal: Goal, *, files: Sequence[str] = ()) -> Outcome:
    """Go from a goal to a short list by fixed rules; every step through the session.

    The plan: candidates of the route, a quick look where they are too many, the default funnel with the goal's bounds, novelty
    after relaxation, a ranking, phonons of those on top and the ranking again until the short list has them, and an experiment
    plan for the first. The same goal and
    seed give the same record, times aside; called again, it goes on where it was stopped.

    Parameters
    ----------
    session
        Study, limits and approvals.
    goal
        What is asked for.
    files
        Crystals to start from, for the route ``latent``.

    Returns
    -------
    Outcome
        State, reason and short list; the answer lies in the study.
    """
    walk = Walk(session, goal)
    way = route(goal)
    walk.begin(PLANNER, route=way.name, hypothesis=way.hypothesis)
    try:
        if files:
            walk.bring(files)
        outcome = _walked(walk, goal, way.candidates(walk, goal))
    except BudgetSpent as error:
        outcome = Outcome(state="budget_spent", reason=str(error))
    except NotApproved as error:
        outcome = Outcome(state="waiting_for_approval", reason=str(error))
    except OnnesError as error:
        outcome = Outcome(state="failed", reason=str(error))
    session.record.append("end", outcome.model_dump(mode="json"))
    return outcome


def _walked(walk: Walk, goal: Goal, candidates: list[str]) -> Outcome:
    screened = walk.call(
        "screen", "relaxation, hull, metal or not, Tc: the default funnel with the bounds of the goal",
        crystals=_promising(walk, goal, candidates), min_tc_K=goal.min_tc_K,
        max_e_above_hull_eV_per_atom=goal.max_e_above_hull_eV_per_atom, new=goal.new,
    )  # fmt: skip
    if screened.n_failed == screened.n_rows:
        raise OnnesError(f"no candidate could be computed: {values(walk.table(screened.set_id), 'error')[0]}")
    survivors = _best_by_tc(walk, screened.set_id)
    wanted = []
    if survivors:
        told = walk.call(
            "novelty",
            "what the reference knows, and what has become the same crystal, after relaxation",
            crystals=survivors,
        )
        wanted = _wanted(walk, goal, told.set_id)
    if not wanted:
        _decide(walk, screened.set_id, ())
        path = publish(walk.session, answer_template(walk, screened.set_id, ()))
        return Outcome(state="nothing_found", reason="no candidate passed every gate", answer=path.name)
    ranked, best = _ranked_with_phonons(walk, goal, wanted)
    chosen = best[: goal.count]
    _decide(walk, ranked, chosen)
    path = publish(walk.session, answer_template(walk, screened.set_id, chosen, _plan(walk, chosen[0])))
    short = len(chosen) < goal.count
    reason = f"{len(chosen)} of the {goal.count} asked for passed every gate" if short else ""
    return Outcome(state="answered", reason=reason, shortlist=tuple(chosen), answer=path.name)


def _plan(walk: Walk, crystal: str) -> str | None:
    """Set of the experiment plan; None where no safe way to make the crystal is known, which the record explains."""
    try:
        return walk.call("plan", "how to make and measure the first", crystals=[crystal]).set_id
    except BudgetSpent:
        raise
    except OnnesError:
        walk.steps.append("- **plan**: no way to make the first is known to the rules; the record says why.")
        return None


def _promising(walk: Walk, goal: Goal, candidates: list[str]) -> list[str]:
    """The candidates to screen: all, or where they are too many, the best of a quick look at the unrelaxed crystals."""
    rows = [row for one in candidates for row in ([one] if "/" in one else walk.rows(one))]
    if len(rows) <= goal.candidates:
        return candidates
    looks = [
        walk.call(
            "predict",
            "a quick look at the unrelaxed crystals",
            crystals=rows[start : start + MOST_AT_ONCE],
            model="fast",
        )
        for start in range(0, len(rows), MOST_AT_ONCE)
    ]
    found: list[tuple[float, str]] = []
    for look in looks:
        order = walk.call("rank", "which of them are worth a relaxation", crystals=[look.set_id])
        table = walk.table(order.set_id)
        scores = zip(values(table, "score"), values(table, "id"), values(table, "judged_rank"), strict=True)
        found += [(-score, f"{look.set_id}/{row}") for score, row, rank in scores if rank is not None]
    return [one for _, one in sorted(found)[: goal.candidates]]


def _best_by_tc(walk: Walk, set_id: str) -> list[str]:
    """Open rows by Tc, the highest first, at most as many as are ranked."""
    table = walk.table(set_id)
    tc = dict(zip(values(table, "id"), values(table, "tc_K"), strict=True))
    rows = walk.open_rows(set_id)
    return sorted(rows, key=lambda one: (-(tc[one.partition("/")[2]] or 0.0), one))[:MAX_RANKED]


def _wanted(walk: Walk, goal: Goal, set_id: str) -> list[str]:
    """Open rows that the goal asks for: of its elements, also where files were brought in, and new ones alone where it says so."""
    table = walk.table(set_id)
    rows = zip(walk.rows(set_id), values(table, "is_novel"), elements_of(table), strict=True)
    fit = {one for one, new, elements in rows if goal.misfit(elements) is None and (new or goal.new is None)}
    return [one for one in walk.open_rows(set_id) if one in fit]


def _ranked_with_phonons(walk: Walk, goal: Goal, crystals: list[str]) -> tuple[str, list[str]]:
    """Rank, compute phonons of those on top that have none, and rank again until the whole short list has them.

    Returns
    -------
    tuple
        The last ranking, and its crystals in order, the best of each composition.
    """
    place = {one.partition("/")[2]: one for one in crystals}
    left, graded = goal.phonons, set[str]()
    why = "all that matters before making one, the model of the literature among it"
    while True:
        set_id = walk.call("rank", why, crystals=list(place.values())).set_id
        best = _in_order(walk, set_id, every=bool(goal.formulas))
        rows = [one.partition("/")[2] for one in best[: goal.count]]
        todo = [row for row in rows if row not in graded][:left]
        if not todo:
            return set_id, best
        dynamic = walk.call(
            "phonons", "dynamic stability of those on top, at the relaxed geometry", crystals=[place[row] for row in todo],
            refine=False, relax=False,
        )  # fmt: skip
        place |= {row: f"{dynamic.set_id}/{row}" for row in todo}
        graded, left, why = graded | set(todo), left - len(todo), "the ranking again, with phonons"


def _in_order(walk: Walk, set_id: str, *, every: bool) -> list[str]:
    """Crystals of a ranking, the best first, one of each composition; every one where the goal names compositions."""
    table = walk.table(set_id)
    rows = zip(values(table, "judged_rank"), values(table, "id"), values(table, "reduced_formula"), strict=True)
    first: dict[str, str] = {}
    for _, row, formula in sorted(row for row in rows if row[0] is not None):
        first.setdefault(row if every else formula, f"{set_id}/{row}")
    return list(first.values())


def _decide(walk: Walk, set_id: str, chosen: Sequence[str]) -> None:
    """Record the options as they were weighed: scores, and what speaks against each."""
    table = walk.table(set_id)
    names = [name for name in table.column_names if name == "score" or name.startswith("score_")]
    rows: list[dict[str, Any]] = table.select(
        [
            n
            for n in ("id", *names, "judged_rank", "concerns", "error", "rejected_by", "reason")
            if n in table.column_names
        ]
    ).to_pylist()
    rows.sort(key=lambda row: (row.get("judged_rank") is None, row.get("judged_rank") or 0, row["id"]))
    options = [
        {
            "crystal": f"{set_id}/{row['id']}",
            "scores": {name: round(row[name], 4) for name in names if row[name] is not None},
            "against": row.get("error") or row.get("reason") or row.get("concerns"),
            "cites": [f"{set_id}/{row['id']}/{name}" for name in names if row[name] is not None],
        }
        for row in rows[:CONSIDERED]
    ]
    walk.decide("which crystals go on the short list?", RULE, chosen, options)
