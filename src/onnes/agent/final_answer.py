"""The final answer of a language model: its short list must exist and fit the goal, its words may hold no number of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from onnes.agent.answer import WORDS_LABEL
from onnes.agent.claims import CITATION, harmless, render
from onnes.agent.rejections import Rejections
from onnes.agent.shortlist import COLUMNS, LIMITS, goal_lines, table_lines
from onnes.campaign.value import visible
from onnes.crystals.schema import GEOMETRY_COLUMNS, floats, values
from onnes.errors import EvidenceError
from onnes.tools.actions.filters import Wanted, elements_of
from onnes.tools.call import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from onnes.agent.goal import Goal
    from onnes.campaign.study import Study

MAX_WORDS = 8000
"""Characters of hypothesis and text together."""
_CITED = "every number as [[set_id/row id/column]], never written out"


class FinalAnswer(BaseModel):
    """The short list and the reasons. Call it once, at the end."""

    model_config = ConfigDict(frozen=True)

    hypothesis: str = Field(description=f"Why these crystals may superconduct, in a sentence or two; {_CITED}.")
    shortlist: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        description="Crystals as set_id/row id, best first; empty if nothing found fits the goal."
    )
    text: str = Field(description=f"What was done and what speaks for and against each crystal; {_CITED}.")


@dataclass(frozen=True)
class Verdict:
    """What was found of a final answer.

    Attributes
    ----------
    crystals
        Those of its short list that exist and fit the goal, each once, in its order.
    wrong_list
        What is wrong with the others.
    wrong_words
        Numbers without a source, and citations that lead nowhere.
    """

    crystals: tuple[str, ...]
    wrong_list: tuple[str, ...]
    wrong_words: tuple[str, ...]

    def sentence(self) -> str:
        """All that is wrong, for the model."""
        parts = []
        if self.wrong_words:
            parts.append(
                f"The words hold numbers without a source: {'; '.join(self.wrong_words[:8])}. Cite results as "
                "[[set_id/row id/column]], or say it without the number"
            )
        if self.wrong_list:
            parts.append(f"The short list is wrong: {'; '.join(self.wrong_list[:8])}")
        return ". ".join(parts)


def judged(study: Study, goal: Goal, final: FinalAnswer) -> Verdict:
    """Check a final answer against the study and the goal."""
    crystals: dict[str, str] = {}
    wrong = []
    rejections = Rejections(study, goal) if final.shortlist else None
    for given in final.shortlist:
        one = given.strip(" `[]")
        why = _misfit(study, goal, one) or (rejections and rejections.of(one))
        if why is None:
            crystals.setdefault(one.partition("/")[2], one)
        else:
            wrong.append(f"{one[:80]!r} {why}")
    words = f"{final.hypothesis}\n{final.text}"
    faults = [fault for line in _lines(words) for fault in render(study, line).unsupported]
    if len(words) > MAX_WORDS:
        faults.append(f"they have {len(words)} characters, {MAX_WORDS} are allowed")
    return Verdict(tuple(crystals.values())[: goal.count], tuple(wrong), tuple(faults))


def template(study: Study, goal: Goal, crystals: Sequence[str], final: FinalAnswer | None) -> str:
    """Text of the answer, its numbers as citations.

    Parameters
    ----------
    study, goal
        Where results lie, and what was asked for.
    crystals
        The short list, checked.
    final
        Whose words to give; None leaves them out.
    """
    asked = ["- in words: [[goal/*/words]]", ""] if goal.words else []
    if goal.words and goal.leftovers(goal.words):
        asked += ["Not all of the words could be read by rules; the rest was left to the language model, and no bound below stands for "
                  "it.", ""]  # fmt: skip
    asked += [line for line in goal_lines(goal) if not render(study, line).unsupported]
    parts = ["# Short list", "", "Planned by a language model, through the same tools, limits and record as by rules.", "",
             "## Asked for", "", *asked]  # fmt: skip
    parts += ["", "## Decision", ""]
    if crystals:
        parts += table_lines(study, crystals, {"id": "crystal", **COLUMNS})
        parts += ["", "Made in these steps; counts are rows.", "", *_steps(study, crystals)]
    else:
        parts.append("Nothing was found that fits.")
    parts += ["", "## Limits", "", *LIMITS.splitlines(), "", "## Hypothesis and reasons", ""]
    if final is None:
        return "\n".join(
            [
                *parts,
                "What the language model wrote held numbers without a source and was left out; the record keeps it.",
            ]
        )
    # From the label on, `render_answer` names every value.
    return "\n".join([*parts, WORDS_LABEL, ">", *_quoted(final.hypothesis), ">", *_quoted(final.text)])


def _misfit(study: Study, goal: Goal, crystal: str) -> str | None:
    """Why a crystal cannot stand on the short list; None when it can."""
    if not crystal.partition("/")[2]:
        return "names no crystal; write set_id/row id"
    try:
        study.value(f"{crystal}/id")
        table = study.rows([crystal])[0]
    except EvidenceError as error:
        return f"does not exist: {error}"
    if not CITATION.fullmatch(f"[[{crystal}/id]]"):
        return "has a name that cannot be cited"
    if any(values(table, name)[0] is None for name in GEOMETRY_COLUMNS):
        return "is no crystal with coordinates"
    stopped = values(table, "error")[0] or values(table, "rejected_by")[0]
    if stopped:
        return f"failed or was rejected ({stopped})"
    if why := goal.misfit(elements_of(table)[0]):
        return why
    if not goal.is_default("max_atoms") and (values(table, "n_atoms")[0] or 0) > goal.max_atoms:
        return "has more atoms in its cell than the goal allows"
    return _out_of_bounds(goal, table) or _unlike(goal, table)


def _out_of_bounds(goal: Goal, table: pa.Table) -> str | None:
    """Whether Tc and energy above the hull of a row are known, and within the goal."""
    for column, bound, sign, maker in (
        ("tc_K", goal.min_tc_K, 1, "predict"),
        ("e_above_hull_eV_per_atom", goal.max_e_above_hull_eV_per_atom, -1, "hull"),
    ):
        value = floats(table, column)[0]
        if np.isnan(value):
            return f"has no {column} in that set; call {maker} on it and name the crystal in the set that it makes"
        if sign * value < sign * bound:
            return f"has a {column} of {value:.4g}, {'below' if sign > 0 else 'above'} the {bound:g} that the goal asks for"
    return None


def _unlike(goal: Goal, table: pa.Table) -> str | None:
    """Whether a row is new, and of the motif, where the goal says so."""
    if goal.new is not None and values(table, "is_novel")[0] is not True:
        return (
            "is not shown to be new, as the goal asks; call novelty on it and name the crystal in the set that it makes"
        )
    if goal.new == "compositions" and values(table, "reduced_formula")[0] in _known_compositions():
        return "has a composition that the reference knows; the goal asks for new ones"
    fits = goal.motif is None or Wanted(structure_type=goal.motif).of_kind(table).num_rows
    return None if fits else f"is not of the motif {goal.motif}"


def _known_compositions() -> set[str]:
    """Reduced formulas that the shipped reference lists."""
    from onnes.physics.reference import Reference
    from onnes.potentials.potential import DEFAULT_POTENTIAL

    return {formula for formula, _ in Reference.find(None, DEFAULT_POTENTIAL).labels}


def _steps(study: Study, crystals: Sequence[str]) -> list[str]:
    """The sets behind crystals, those made first before those made from them."""
    order: dict[str, None] = {}

    def visit(set_ids: Iterable[str]) -> None:
        for set_id in set_ids:
            if set_id not in order and study.has(set_id):
                visit(study.info(set_id).inputs)
                order[set_id] = None

    visit(one.partition("/")[0] for one in crystals)
    return [f"- **{study.info(one).tool}**, set `{one}`: [[{one}/*/n_rows]]" for one in order]


def _lines(words: str) -> list[str]:
    """Words as lines that show all they hold, and can do nothing where they are rendered: no tags, links or images."""
    return [harmless(visible(line.replace("\t", " ")).strip()) for line in words.splitlines()]


def _quoted(words: str) -> list[str]:
    """Words as a quotation: no line of theirs can pass for a heading or a table of the answer."""
    return [f"> {line}".rstrip() for line in _lines(words)] or [">"]
