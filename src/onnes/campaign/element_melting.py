"""Melting and boiling points of the elements of a crystal: which are gases, which are lost when it is melted."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pymatgen.core import Composition, Element

from onnes.crystals.element_facts import element_facts
from onnes.errors import CrystalError

ROOM_K = 298.0
NEVER_IN_AN_ARC_K = 1500.0
"""What boils below it does not stay in an arc furnace (rule of thumb)."""
NEVER_IN_AN_OPEN_ARC = frozenset(("Li", "Na", "K", "Rb", "Cs", "Ca", "Sr", "Ba", "Eu", "Yb", "Tl", "Cd", "Hg"))
"""Metals that burn or evaporate there, or whose fume is toxic, whatever is melted with them."""
LOW_POOL_K = 1400.0
"""What melts below it is melted in a closed tube in a furnace (rule of thumb)."""
MOST_CARBON_IN_A_MELT = 1 / 3


class ElementMelting(BaseModel):
    """Melting and boiling point of an element at ambient pressure, and what follows; None where unknown."""

    model_config = ConfigDict(frozen=True)

    symbol: str
    melting_point_K: float | None
    boiling_point_K: float | None
    kind: Literal["gas", "volatile", "solid"]
    source: str


def composition_of(formula: str) -> Composition:
    """Read a formula; raises CrystalError when it is none, or holds something that is no element.

    Examples
    --------
    >>> composition_of("Nb0.75Ti0.25").get_atomic_fraction("Nb")
    0.75
    """
    try:
        composition = Composition(formula, strict=True)
    except (ValueError, KeyError, TypeError) as error:
        raise CrystalError(f"{formula!r} is no formula; write it like Nb3Sn or Nb0.75Ti0.25") from error
    if not composition or not all(isinstance(one, Element) for one in composition):
        raise CrystalError(f"{formula!r} is no formula of elements; write it like Nb3Sn or Nb0.75Ti0.25")
    return composition


def elements_of(composition: Composition) -> list[str]:
    """Symbols of the elements of a composition, sorted."""
    return sorted(one.symbol for one in composition.elements)


def element_meltings(composition: Composition) -> tuple[ElementMelting, ...]:
    """Melting and boiling points of the elements, and which of them are gases or volatile.

    An element is volatile when it boils below 1500 K, or below the highest melting point among the elements; carbon counts
    there only when a third of the atoms are carbon, because less of it dissolves in the melt.

    Examples
    --------
    >>> [(one.symbol, one.kind) for one in element_meltings(composition_of("Mg2SiN"))]
    [('Mg', 'volatile'), ('N', 'gas'), ('Si', 'solid')]
    """
    pool = pool_K(composition)
    found = []
    for symbol in elements_of(composition):
        facts = element_facts(symbol)
        melts, boils = facts.melting_point_K, facts.boiling_point_K
        gas = boils is not None and boils.value < ROOM_K
        volatile = boils is not None and (boils.value < NEVER_IN_AN_ARC_K or boils.value < pool)
        found.append(
            ElementMelting(
                symbol=symbol,
                melting_point_K=melts.value if melts else None,
                boiling_point_K=boils.value if boils else None,
                kind="gas" if gas else "volatile" if volatile else "solid",
                source="; ".join(dict.fromkeys(fact.source for fact in (melts, boils) if fact)) or "unknown",
            )
        )
    return tuple(found)


def pool_K(composition: Composition) -> float:
    """Highest melting point that a melt must overcome, in kelvin; carbon counts when it is too much to be dissolved."""
    dissolves = composition.get_atomic_fraction("C") < MOST_CARBON_IN_A_MELT
    melting = [element_facts(e).melting_point_K for e in elements_of(composition) if not (e == "C" and dissolves)]
    return max((fact.value for fact in melting if fact), default=0.0)


def element_source(elements: tuple[ElementMelting, ...]) -> str:
    """Where the melting and boiling points of these elements come from."""
    return "; ".join(dict.fromkeys(part for one in elements for part in one.source.split("; ")))
