"""Criteria that follow from the elements alone: what stands in the way of making a compound."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

from onnes.campaign.finding import NEUTRAL, Finding, Row, number, unknown
from onnes.crystals.element_facts import element_facts
from onnes.crystals.symbols import symbols

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnes.crystals.element_facts import ElementFacts, Fact

PERIODIC_TABLE = "pymatgen's table of the elements"
SIMILAR = 1.0
"""Distance below which two elements tend to replace each other, see `onnes.propose.similarity.element_distance`."""
CONCERN = 0.4
"""Severity from which on a hazard is spoken of."""
GAS_K = 300.0
"""What boils below this is a gas where people work."""
GAS_SCORE = 0.5
"""Volatility of a compound with a gas, which comes from the gas phase or with a precursor: at most this."""
TROUTON = 10.6
"""Entropy of vaporisation over the gas constant, 88 J/(mol K) / R."""
PRICE_FREE, PRICE_WORST = 30.0, 300_000.0
"""USD/kg with a score of 1 and of 0, logarithmic between them."""
PRICE_SAID = 1000.0
"""USD/kg from which on the price is spoken of: a dollar a gram."""
SPREAD_FREE_K, SPREAD_WORST_K = 500.0, 3000.0
"""Spread of melting points with a score of 1 and of 0, linear between them."""
SPREAD_SAID_K = 1500.0


def _composition(row: Row) -> Counter[str]:
    return Counter(symbols()[z] for z in row.get("atomic_numbers") or ())


def _worst(row: Row, of: Callable[[ElementFacts], Fact | None], name: str) -> Finding:
    """One minus the worst severity of the elements; an element of which nothing is known makes it unknown."""
    composition = _composition(row)
    if not composition:
        return unknown("no elements")
    facts = {element: of(element_facts(element)) for element in composition}
    known = sorted(((e, f) for e, f in facts.items() if f is not None), key=lambda item: (-item[1].value, item[0]))
    missing = sorted(element for element, fact in facts.items() if fact is None)
    score = 1 - (known[0][1].value if known else 0.0)
    serious = [(element, fact) for element, fact in known if fact.value >= CONCERN]
    said = [f"{element}: {fact.text}" for element, fact in serious]
    sources = list(dict.fromkeys(fact.source for _, fact in serious))
    if missing:
        said.append(f"{name} of {', '.join(missing)} unknown")
        return unknown("; ".join(said), "; ".join(sources) or None, at_most=score)
    return Finding(score, "; ".join(said) or None, "; ".join(sources) or None)


def toxicity(row: Row) -> Finding:
    """Judge the worst harmonised classification for health of the elements."""
    return _worst(row, lambda facts: facts.toxicity, "toxicity")


def radioactivity(row: Row) -> Finding:
    """Judge whether an element has no stable isotope."""
    return _worst(row, lambda facts: facts.radioactivity, "radioactivity")


def air(row: Row) -> Finding:
    """Judge how the elements stand air."""
    return _worst(row, lambda facts: facts.air, "air-sensitivity")


def mixing(row: Row) -> Finding:
    """Judge whether atoms exchange sites: by the computed disorder where it is there, else by the most alike elements.

    The estimate is d^4 / (1 + d^4) with the distance d of two elements; it knows neither sites nor energies.
    """
    disorder = number(row, "disorder")
    if disorder is not None:
        said = f"computed disorder {disorder:.2f} of a random alloy" if disorder >= NEUTRAL else None
        return Finding(1 - min(1.0, max(0.0, disorder)), said, "onnes.propose.mixing")
    numbers = sorted(set(row.get("atomic_numbers") or ()))
    if not numbers:
        return unknown("no elements")
    pairs = sorted((_distance(a, b), symbols()[a], symbols()[b]) for a, b in combinations(numbers, 2))
    if not pairs:
        return Finding(1.0)
    if math.isinf(pairs[0][0]):
        return unknown("size or electronegativity of an element unknown")
    alike = [f"{a}/{b}" for distance, a, b in pairs if distance < SIMILAR]
    said = (
        f"{', '.join(alike)} are alike and may share sites: compute the mixing, and Tc of other orders"
        if alike
        else None
    )
    return Finding(1 - 1 / (1 + pairs[0][0] ** 4), said)


def _distance(a: int, b: int) -> float:
    from onnes.propose.similarity import element_distance

    return element_distance(symbols()[a], symbols()[b])


def volatility(row: Row) -> Finding:
    """Judge what boils off an arc furnace: the vapour pressure where the element of highest melting point melts.

    ln(p / bar) = TROUTON (1 - T_b / T) at that temperature T, of the element with the lowest boiling point T_b (Trouton's
    rule in the Clausius-Clapeyron equation); the score is 1 / (1 + p / bar). Carbon dissolves and does not have to melt.
    """
    facts = {element: element_facts(element) for element in _composition(row)}
    if not facts:
        return unknown("no elements")
    boiling = {e: f.boiling_point_K.value for e, f in facts.items() if f.boiling_point_K}
    melting = {e: f.melting_point_K.value for e, f in facts.items() if f.melting_point_K}
    if missing := sorted(set(facts) - (set(boiling) & set(melting))):
        return unknown(f"boiling point of {', '.join(missing)} unknown")
    gases = sorted(element for element in facts if boiling[element] < GAS_K)
    solids = [element for element in facts if element not in gases]
    parts, score = [], 1.0
    if melted := [element for element in solids if element != "C"]:
        first = min(melted, key=lambda element: (boiling[element], element))
        last = max(melted, key=lambda element: (melting[element], element))
        pressure = math.exp(TROUTON * (1 - boiling[first] / melting[last]))
        score = 1 / (1 + pressure)
        if boiling[first] < melting[last]:
            parts.append(
                f"{first} boils at {boiling[first]:.0f} K, before {last} melts at {melting[last]:.0f} K (about "
                f"{pressure:.2g} bar there): closed ampoule or excess instead of an open arc"
            )
    if gases:
        score = min(score, GAS_SCORE)
        parts.append(f"{', '.join(gases)} comes as a gas or with a precursor")
    return Finding(score, "; ".join(parts) or None)


def price(row: Row) -> Finding:
    """Judge the price of the elements in one kilogram of the compound, in USD."""
    composition = _composition(row)
    if not composition:
        return unknown("no elements")
    prices = {element: element_facts(element).price for element in composition}
    if missing := sorted(element for element, fact in prices.items() if fact is None):
        return unknown(f"price of {', '.join(missing)} unknown")
    masses = _mass_fractions(composition)
    parts = {element: masses[element] * fact.value for element, fact in prices.items() if fact is not None}
    total = sum(parts.values())
    place = math.log(max(total, PRICE_FREE) / PRICE_FREE) / math.log(PRICE_WORST / PRICE_FREE)
    most = max(sorted(parts), key=parts.__getitem__)
    fact = prices[most]
    if total < PRICE_SAID or fact is None:
        return Finding(1 - min(1.0, place))
    said = f"{total:,.0f} USD/kg, mostly {most} ({fact.value:,.0f} USD/kg, {fact.text})"
    return Finding(1 - min(1.0, place), said, fact.source)


def _mass_fractions(composition: Counter[str]) -> dict[str, float]:
    from pymatgen.core import Element  # slow to import

    masses = {element: amount * float(Element(element).atomic_mass) for element, amount in composition.items()}
    return {element: mass / sum(masses.values()) for element, mass in masses.items()}


def melting(row: Row) -> Finding:
    """Judge how far apart the melting points are, gases and carbon left out."""
    composition = _composition(row)
    if not composition:
        return unknown("no elements")
    points: list[tuple[float, str]] = []
    for element in composition:
        facts = element_facts(element)
        if facts.melting_point_K is None:
            return unknown(f"melting point of {element} unknown")
        gas = facts.boiling_point_K is not None and facts.boiling_point_K.value < GAS_K
        if not gas and element != "C":
            points.append((facts.melting_point_K.value, element))
    if not points:
        return Finding(1.0)
    (low, first), (high, last) = min(points), max(points)
    spread = high - low
    score = 1 - min(1.0, max(0.0, (spread - SPREAD_FREE_K) / (SPREAD_WORST_K - SPREAD_FREE_K)))
    said = f"{first} melts at {low:.0f} K, {last} at {high:.0f} K: turn and melt again, or react the solids"
    return Finding(score, said if spread > SPREAD_SAID_K else None)
