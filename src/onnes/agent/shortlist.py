"""The text of an answer: what was asked, what was done, the short list, the reasons; every number a citation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnes.agent.routes import route
from onnes.crystals.schema import values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnes.agent.goal import Goal
    from onnes.agent.walk import Walk
    from onnes.campaign.study import Study

COLUMNS: Mapping[str, str] = {
    "judged_rank": "rank",
    "reduced_formula": "formula",
    "space_group": "space group",
    "tc_K": "Tc",
    "tc_lo_K": "from",
    "tc_hi_K": "to",
    "e_above_hull_eV_per_atom": "above hull",
    "phonon_grade": "phonons",
    "in_domain": "in domain",
    "is_novel": "new",
    "known_as": "known as",
    "pareto_front": "Pareto front",
    "score": "score",
}
_LITERATURE: Mapping[str, str] = {
    "exp_superconductor_probability": "superconducts, says the literature",
    "exp_tc_K": "Tc, says the literature",
}
_WEIGHED: Mapping[str, str] = {"id": "what", "kind": "kind", "mass_g": "mass"}
_LINES: Mapping[str, str] = {
    "two_theta_deg": "diffraction angle",
    "d_A": "plane distance",
    "intensity": "intensity",
    "hkl": "indices",
}
_TO_WEIGH = ("sample", "element", "compound", "gas")
SHOWN_LINES = 6
LIMITS = """Tc is an estimate by learned models for conventional, phonon-mediated superconductivity: it orders candidates and is no
measurement. Energies above the hull hold against the competing phases that the reference knows. Phonons, where they were computed,
come from an interatomic potential. Nothing here was verified by first principles."""
"""What every answer says of its own reach."""


def goal_lines(goal: Goal) -> list[str]:
    """What was asked for, its numbers as citations of the goal; what any goal without a word on it has is marked as default."""

    def bound(field: str) -> str:
        return f"[[goal/*/{field}]]{' (the default)' if goal.is_default(field) else ''}"

    lines = [
        f"- Tc of at least {bound('min_tc_K')}",
        f"- at most {bound('max_e_above_hull_eV_per_atom')} above the hull",
    ]
    for label, names in (("elements", goal.allowed()), ("must hold", goal.required), ("without", goal.exclude)):
        if names:
            lines.append(f"- {label}: {', '.join(names)}")
    lines.append(f"- elements in a compound, at most: {bound('max_elements')}; at least: {bound('min_elements')}")
    lines.append(f"- atoms in the cell, at most: {bound('max_atoms')}")
    if goal.new:
        lines.append(f"- new {goal.new} alone")
    if goal.formulas:
        lines.append("- compositions: [[goal/*/formulas]]")
    if goal.motif:
        lines.append("- motif: [[goal/*/motif]]")
    return lines


def table_lines(study: Study, crystals: Sequence[str], columns: Mapping[str, str]) -> list[str]:
    """A Markdown table of crystals ``set_id/row id``, every cell a citation; columns that hold nothing are left out."""
    cells: dict[str, list[str]] = {name: [] for name in columns}
    for one in crystals:
        set_id, _, row = one.partition("/")
        table = study.table(set_id)
        index = values(table, "id").index(row)
        for name in columns:
            value = values(table, name)[index]
            cells[name].append("–" if value is None else f"[[{one}/{name}]]")
    filled = [name for name in columns if any(cell != "–" for cell in cells[name])]
    lines = [f"| {' | '.join(columns[name] for name in filled)} |", "|" + "---|" * len(filled)]
    return lines + [f"| {' | '.join(row)} |" for row in zip(*(cells[name] for name in filled), strict=True)]


def answer_template(walk: Walk, screened: str, chosen: Sequence[str], plan: str | None = None) -> str:
    """Write the answer of the rule planner.

    Parameters
    ----------
    walk
        Where the study and the steps are.
    screened, plan
        Sets: the screened candidates, the experiment plan.
    chosen
        Crystals of the short list, best first.
    """
    study, goal = walk.session.study, walk.goal
    way = route(goal)
    parts = [
        "# Short list",
        "",
        "Planned by rules, without a language model.",
        "",
        "## Asked for",
        "",
        *goal_lines(goal),
    ]
    parts += ["", "## Hypothesis", "", way.hypothesis, "", "## What was done", "", *walk.steps]  # fmt: skip
    if not chosen:
        parts += ["", "## Nothing passed", "", *_stopped(study, screened), "", "Allow more elements, a lower Tc or more energy "
                  "above the hull, and ask again."]  # fmt: skip
        return "\n".join(parts)
    parts += ["", "## Decision", "", *table_lines(study, chosen, COLUMNS), ""]
    parts += ["What was measured, as a model of the literature predicts it (another quantity than the computed Tc):", "",
              *table_lines(study, chosen, {"reduced_formula": "formula", **_LITERATURE}), ""]  # fmt: skip
    parts += ["## For and against", ""]
    for one in chosen:
        parts.append(f"- [[{one}/id]]: {_concerns(study, one)}")
    if plan is not None:
        parts += ["", "## Making the first", "", *_plan_lines(study, plan)]
    parts += ["", "## Limits", "", *LIMITS.splitlines(), "", "## Evidence", "",
              "Every number stands for a result id: set, row, column. `onnes agent check` renders them again and checks the record."]  # fmt: skip
    return "\n".join(parts)


def _concerns(study: Study, crystal: str) -> str:
    """What the judgement says against a crystal, and what it could not know, each a citation."""
    set_id, _, row = crystal.partition("/")
    table = study.table(set_id)
    index = values(table, "id").index(row)
    said = [f"[[{crystal}/{name}]]" for name in ("concerns", "unknown") if values(table, name)[index]]
    return " ".join(said) or "nothing was found against it"


def _stopped(study: Study, screened: str) -> list[str]:
    """The gates that stopped candidates, in the order of the rows."""
    table = study.table(screened)
    gates = dict.fromkeys(gate for gate in values(table, "rejected_by") if gate)
    lines = [f"- gate **{gate}** stopped some" for gate in gates]
    return lines + (["- some could not be computed"] if any(values(table, "error")) else [])


def _plan_lines(study: Study, plan: str) -> list[str]:
    """The remarks of an experiment plan, hazards among them, what to weigh, and the strongest lines to look for."""
    table = study.table(plan)
    columns = (values(table, name) for name in ("id", "kind", "intensity", "two_theta_deg"))
    rows = [(f"{plan}/{row}", kind, power, angle) for row, kind, power, angle in zip(*columns, strict=True)]
    weighed = [row for row, kind, _, _ in rows if kind in _TO_WEIGH]
    strongest = sorted((-power, angle, row) for row, kind, power, angle in rows if kind == "line")[:SHOWN_LINES]
    parts = [f"- [[{plan}/*/remark_{number}]]" for number in range(1, len(study.info(plan).remarks) + 1)]
    if weighed:
        parts += ["", "To weigh, or to lead over it:", "", *table_lines(study, weighed, _WEIGHED)]
    if strongest:
        parts += ["", "To look for in the powder pattern, the strongest first:", "",
                  *table_lines(study, [row for _, _, row in strongest], _LINES)]  # fmt: skip
    return parts
