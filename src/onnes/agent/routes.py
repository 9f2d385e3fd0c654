"""The five routes to a superconductor: where the candidates of a goal come from, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnes.crystals.schema import values
from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from onnes.agent.goal import Goal, RouteName
    from onnes.agent.walk import Walk

MOST_DECORATED = 2_000
MOST_DRAWN = 100
DEFAULT_MOTIF = "a15"


@dataclass(frozen=True)
class Route:
    """A way to candidates.

    Attributes
    ----------
    name
        As in ``--route``.
    hypothesis
        What it supposes, in a sentence without numbers.
    candidates
        Makes them: sets or single crystals of the study.
    example
        A goal in words that shows it.
    known
        Whether known crystals are what it looks for.
    """

    name: RouteName
    hypothesis: str
    candidates: Callable[[Walk, Goal], list[str]]
    example: str
    known: bool = False


def route(goal: Goal) -> Route:
    """The route of a goal: the one asked for, or the one that fits what the goal names."""
    if goal.route is not None:
        return ROUTES[goal.route]
    if goal.motif is not None:
        return ROUTES["motif"]
    return ROUTES["reinterpretation" if goal.formulas else "de-novo"]


def _elements(goal: Goal) -> list[str]:
    if not goal.allowed():
        raise ConfigError(
            "this route needs elements to work with; say 'among Nb Ti N C', or give `elements` in the goal"
        )
    return list(goal.allowed())


def _form(goal: Goal) -> dict[str, object]:
    """What the goal says of compositions and cells, as arguments of `propose`."""
    return {
        "elements": _elements(goal), "required": list(goal.required), "exclude": list(goal.exclude),
        "max_elements": goal.max_elements, "max_atoms": goal.max_atoms,
    }  # fmt: skip


def _decorated(walk: Walk, goal: Goal, *, motif: str | None = None) -> str:
    """Structure types decorated with the elements of the goal."""
    # Without the name: some hold digits, and every word of an answer is checked for numbers.
    why = f"structure types of {'the motif' if motif else 'every kind'}, with the elements allowed"
    made = walk.call("propose", why, method="prototype", motif=motif, n=MOST_DECORATED, **_form(goal))
    return made.set_id


def _known(walk: Walk, goal: Goal) -> list[str]:
    """Crystals that the reference knows: structure types whose decoration it lists, and crystals with published coordinates."""
    made = _decorated(walk, goal)
    told = walk.call("novelty", "which of them the reference knows", crystals=[made])
    known = [
        one
        for one, new in zip(walk.rows(told.set_id), values(walk.table(told.set_id), "is_novel"), strict=True)
        if new is False
    ]
    published = walk.call(
        "search", "crystals with published coordinates", elements=_elements(goal), required=list(goal.required),
        exclude=list(goal.exclude), max_elements=goal.max_elements, max_atoms=goal.max_atoms,
    )  # fmt: skip
    found = [published.set_id] if published.n_rows else []
    if not known and not found:
        raise ConfigError(
            "the reference knows no compound of these elements in a structure type at hand; allow more elements"
        )
    return [*found, *known]


def _rediscovery(walk: Walk, goal: Goal) -> list[str]:
    return _known(walk, goal)


def _motif(walk: Walk, goal: Goal) -> list[str]:
    return [_decorated(walk, goal, motif=goal.motif or DEFAULT_MOTIF)]


def _de_novo(walk: Walk, goal: Goal) -> list[str]:
    drawn = walk.call(
        "propose", "crystals drawn by the generator, asked for a high Tc", method="diffusion",
        target_tc_K=max(2 * goal.min_tc_K, 10.0), n=min(goal.candidates, MOST_DRAWN), **_form(goal),
    )  # fmt: skip
    return [drawn.set_id, _decorated(walk, goal)]


def _reinterpretation(walk: Walk, goal: Goal) -> list[str]:
    if not goal.formulas:
        raise ConfigError("this route needs a composition whose structure is in doubt; say 'reinterpret Nb3Sn'")
    return [
        walk.call(
            "reinterpret", "structure types for the composition, relaxed and ranked by energy", formula=formula
        ).set_id
        for formula in goal.formulas
    ]


def _latent(walk: Walk, goal: Goal) -> list[str]:
    brought = [one.set_id for one in walk.session.study.sets() if one.tool == "files"]
    return brought or _known(walk, goal)


ROUTES: Mapping[str, Route] = {
    one.name: one
    for one in (
        Route(
            "rediscovery",
            "Compounds that are known to exist, and are asked for superconductivity as if nobody had looked, show whether the "
            "models find again what the literature reports.",
            _rediscovery, "superconductors above 4 K among Nb V Ta Ti Zr Sn Ge Si Al C N, at most 2 elements", known=True,
        ),
        Route(
            "motif",
            "A structural motif that is known to superconduct goes on doing so with other elements on its sites.",
            _motif, "Laves superconductors above 4 K among Zr Hf Nb V Ti Sc Re Os Mo, at most 3 elements",
        ),
        Route(
            "de-novo",
            "Stable metals with strong coupling exist among crystals that nobody has listed; a generator asked for a high Tc, and "
            "structure types with every combination of the elements, propose them.",
            _de_novo, "superconductor above 8 K, no Be, no Tl, at most 4 elements among Nb Zr Hf Ti Mo N C B",
        ),
        Route(
            "reinterpretation",
            "The structure reported for a composition may be wrong or missing; in another structure type the same composition may "
            "be stable and superconduct.",
            _reinterpretation, "reinterpret ZrRe2 above 3 K", known=True,
        ),
        Route(
            "latent",
            "Databases hold compounds that were made and never cooled; a model of computed coupling and a model of the literature "
            "name those worth a measurement.",
            _latent, "superconductors above 5 K among Ti V Zr Nb Mo Hf Ta C N B Si, at most 2 elements", known=True,
        ),
    )
}  # fmt: skip
