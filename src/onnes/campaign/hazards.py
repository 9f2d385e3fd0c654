"""What to mind while a crystal is made: its elements, the substances that are weighed, and what the method itself brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from onnes.campaign.element_criteria import CONCERN
from onnes.campaign.element_melting import composition_of, elements_of
from onnes.crystals.element_facts import element_facts, toxicity_when_weighed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymatgen.core import Composition

    from onnes.campaign.precursors import Charge
    from onnes.campaign.synthesis import Route
    from onnes.crystals.element_facts import Fact

Kind = Literal["toxicity", "radioactivity", "air", "fire", "gas", "pressure"]

_CLP = "Regulation (EC) No 1272/2008 (CLP), Annex VI"
_BRETHERICK = "Urben (ed.), Bretherick's Handbook of Reactive Chemical Hazards, 8th ed. (2017)"
_RULE = "rule of thumb"
_FLAMMABLE_POWDERS = frozenset(
    ("Mg", "Al", "Ti", "Zr", "Hf", "Zn", "Th", "U", "Nb", "Ta", "V", "Sc", "Y", "La", "Ce", "Pr", "Nd", "Sm", "Gd", "Tb", "Dy",
     "Ho", "Er", "Tm", "Lu", "Ca", "Fe", "Mn", "Co", "Ni")
)  # fmt: skip
_IGNITES_BY_ITSELF = frozenset(("Ti", "Zr", "Hf", "Mg", "Al", "Zn", "Th", "U", "Ce", "La", "Pr", "Nd", "Sm"))
_REDUCING = frozenset(
    ("Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Al", "Ti", "Zr", "Hf", "Sc", "Y", "La", "Ce", "Si", "B", "P")
)
_OXIDISERS = frozenset(
    ("Na2O2", "BaO2", "PbO2", "MnO2", "Ag2O", "HgO", "CuO", "Cu2O", "Fe2O3", "Fe3O4", "Co3O4", "NiO", "MoO3", "WO3", "V2O5", "Bi2O3", "PbO", "SnO2")
)  # fmt: skip
_HYDROGEN_GASES = {
    "S": "hydrogen sulfide",
    "Se": "hydrogen selenide",
    "P": "phosphine",
    "As": "arsine",
    "Sb": "stibine",
}


class Hazard(BaseModel):
    """What to mind about an element of the crystal, of its precursors, or of the gas of a method; a compound may behave otherwise."""

    model_config = ConfigDict(frozen=True)

    element: str
    kind: Kind
    text: str
    source: str


def hazards_of(composition: Composition, charge: Charge, route: Route) -> tuple[Hazard, ...]:
    """Hazards of a plan, each kind once for an element.

    Parameters
    ----------
    composition
        Of the crystal.
    charge, route
        What is weighed, and how it is made.
    """
    elements = set(elements_of(composition))
    for precursor in charge.precursors:
        elements |= set(elements_of(composition_of(precursor.formula)))
    weighed = frozenset(composition_of(p.formula).reduced_formula for p in charge.precursors if p.mass_g > 0)
    found = [
        *_of_elements(elements, weighed),
        *_fires(charge, route),
        *_gases(elements, charge, route),
        *_pressures(charge, route),
    ]
    once: dict[tuple[str, str], Hazard] = {}
    for one in found:
        first = once.get((one.element, one.kind))
        more = first is not None and one.text not in first.text
        once[one.element, one.kind] = _joined(first, one) if first is not None and more else first or one
    return tuple(once[key] for key in sorted(once))


def _joined(first: Hazard, more: Hazard) -> Hazard:
    sources = dict.fromkeys((*first.source.split("; "), *more.source.split("; ")))
    return Hazard(element=first.element, kind=first.kind, text=f"{first.text}; {more.text}", source="; ".join(sources))


def _of_elements(elements: set[str], weighed: frozenset[str]) -> Iterator[Hazard]:
    for symbol in sorted(elements):
        facts = element_facts(symbol)
        known: tuple[tuple[Kind, Fact | None], ...] = (
            ("toxicity", toxicity_when_weighed(symbol, weighed)), ("radioactivity", facts.radioactivity), ("air", facts.air),
        )  # fmt: skip
        for kind, fact in known:
            if fact is not None and fact.value >= CONCERN:
                yield Hazard(element=symbol, kind=kind, text=fact.text, source=fact.source)


def _fires(charge: Charge, route: Route) -> Iterator[Hazard]:
    """Powders that burn, hydrides, and oxidisers beside reducing elements."""
    in_pieces = route.method.startswith("arc") or route.method == "diamond-anvil cell"
    free = {p.formula for p in charge.precursors if p.kind == "element"}
    for symbol in sorted(free & _FLAMMABLE_POWDERS if not in_pieces else ()):
        how = "may ignite by itself in air" if symbol in _IGNITES_BY_ITSELF else "may burn"
        text = f"as a fine powder {symbol} {how}: weigh and mill it under argon, no water or carbon dioxide on a fire"
        yield Hazard(element=symbol, kind="fire", text=text, source=_BRETHERICK)
    for one in charge.precursors:
        if one.kind == "compound" and "H" in elements_of(composition_of(one.formula)):
            text = f"{one.formula} gives off hydrogen with water or when heated, and may ignite: under argon only"
            yield Hazard(element="H", kind="fire", text=text, source=_BRETHERICK)
    oxides = [p.formula for p in charge.precursors if p.formula in _OXIDISERS]
    for symbol in sorted(free & _REDUCING if oxides else ()):
        text = f"{symbol} with {', '.join(oxides)} may react like thermite when heated or ground: a trial of milligrams first"
        yield Hazard(element=symbol, kind="fire", text=text, source=_BRETHERICK)


def _gases(elements: set[str], charge: Charge, route: Route) -> Iterator[Hazard]:
    """Gases that flow, are loaded, are given off or form with moisture."""
    exchanged = {p.formula for p in charge.precursors if p.kind == "gas"}
    if "H2" in exchanged or ("H" in elements and route.method in ("gas reaction", "autoclave", "diamond-anvil cell")):
        text = "hydrogen is extremely flammable (H220) and explodes in air at 4 to 75 %: leak test, detector, hood"
        yield Hazard(element="H", kind="gas", text=text, source=f"{_CLP}, 001-001-00-9")
    if "H" in elements:
        for symbol in sorted(elements & set(_HYDROGEN_GASES)):
            text = f"{_HYDROGEN_GASES[symbol]} may form with hydrogen: toxic or fatal if inhaled, flammable"
            yield Hazard(element=symbol, kind="gas", text=text, source=_BRETHERICK)
    if "N" in elements and route.method == "gas reaction":
        text = "ammonia is toxic if inhaled (H331), burns the skin (H314) and is flammable (H221); flowing nitrogen displaces air"
        yield Hazard(element="N", kind="gas", text=text, source=f"{_CLP}, 007-001-00-5")
    if "O2" in exchanged:
        text = "oxygen may cause or intensify fire (H270): no grease on fittings"
        yield Hazard(element="O", kind="gas", text=text, source=f"{_CLP}, 008-001-00-8")
    if "F" in elements:
        text = "fluorides give hydrogen fluoride with acids or moist heat: fatal if inhaled (H330), on the skin (H310), swallowed (H300)"
        yield Hazard(element="F", kind="gas", text=text, source=f"{_CLP}, 009-002-00-6")
    if "Cl" in elements:
        text = (
            "chlorides can give hydrogen chloride with moisture or heat: toxic if inhaled (H331), burns the skin (H314)"
        )
        yield Hazard(element="Cl", kind="gas", text=text, source=f"{_CLP}, 017-002-00-2")


def _pressures(charge: Charge, route: Route) -> Iterator[Hazard]:
    """Vapour in a closed tube, fume of an arc."""
    free = {p.formula for p in charge.precursors if p.kind == "element"}
    for one in route.elements:
        if one.kind != "volatile" or one.symbol not in free:
            continue
        if route.method == "sealed ampoule":
            text = f"the vapour of {one.symbol} reaches 1 bar at {one.boiling_point_K:.0f} K: the ampoule may burst; face shield, small charges"
            yield Hazard(element=one.symbol, kind="pressure", text=text, source=one.source)
        elif route.method.startswith("arc"):
            text = f"{one.symbol} evaporates in the arc and settles as dust in the chamber: wear a filter mask, wipe it wet"
            yield Hazard(element=one.symbol, kind="gas", text=text, source=_RULE)
    if route.method in ("autoclave", "high pressure"):
        symbol = "H" if route.method == "autoclave" else route.elements[0].symbol
        text = "high pressure: equipment that is inspected for it, never opened warm or under pressure"
        yield Hazard(element=symbol, kind="pressure", text=text, source=_RULE)
