"""What a method of synthesis means in the laboratory, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from onnes.campaign.element_melting import LOW_POOL_K, NEVER_IN_AN_OPEN_ARC, pool_K

if TYPE_CHECKING:
    from pymatgen.core import Composition

    from onnes.campaign.element_melting import ElementMelting
    from onnes.campaign.precursors import Charge

Method = Literal[
    "arc melting", "arc melting with excess", "sealed ampoule", "powders and spark plasma", "gas reaction", "autoclave", "high pressure",
    "diamond-anvil cell", "no route suggested",
]  # fmt: skip

NO_ROUTE: Method = "no route suggested"

AMBIENT_GPA = 0.1
"""Up to this a pressure counts as ambient."""
LARGE_PRESS_GPA = 25.0
"""Up to this a large press is suggested, above it a diamond-anvil cell."""
_ATTACKS_TANTALUM = frozenset(("P", "As", "Sb", "S", "Se", "Te", "Cl", "Br", "I", "O"))
_STEPS: dict[Method, str] = {
    "arc melting": "Melt the elements together in an arc furnace under gettered argon; turn the button over and melt again at least "
    "four times, weighing it after each melt.",
    "arc melting with excess": "Melt the elements together in an arc furnace under gettered argon, {volatile} below the others or as a "
    "pre-alloy; weigh after each melt, take the loss to be {volatile}, and add as much before the next one.",
    "sealed ampoule": "Seal a small charge in {container}; heat slowly behind a shield, because {vapour} can burst it{below}; hold, let it cool "
    "before opening, grind under argon, press and heat again.",
    "powders and spark plasma": "Mill the powders under argon, press them, react them in a furnace, and sinter the product by spark "
    "plasma (or hot pressing){atmosphere}.",
    "gas reaction": "Heat the powder of the metal in flowing {gas} under a hood, weigh often, and stop at the calculated gain in mass; longer "
    "heating may go on to a phase richer in the gas.",
    "autoclave": "Mix the metals and hydrides under argon; heat them in an autoclave made for hydrogen, under a pressure of it at which the "
    "hydride is stable (look up its isotherm); cool under hydrogen, and compare the mass with the calculated one. Never in a welded tube "
    "or in glass: a hydride gives off hydrogen when it is heated and bursts it.",
    "high pressure": "React the powders in a sealed capsule in a multi-anvil or belt press{at_pressure}, quench under pressure, then "
    "release it slowly; the crystal may not survive the release.",
    "diamond-anvil cell": "Load a piece of some micrograms into a diamond-anvil cell{medium}, bring it{at_pressure}, and heat it with a laser. It is "
    "measured in the cell, by resistance and X-rays at a synchrotron; the masses give the proportions only.",
    "no route suggested": "No route is suggested; the reasons say why. Ask someone who makes such compounds, and look up how a related one was "
    "made.",
}
_MELT = (
    "Seal the pieces in {container}; heat slowly behind a shield, because active metals react with the others at once and with much heat; melt "
    "all of it a little above the liquidus of the phase diagram and not above 1400 K, shake the melt, let it cool before opening, and anneal below the solidus."
)
# Metals whose vapour or melt eats silica.
_ATTACKS_SILICA = frozenset(("Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Sm", "Eu", "Tm", "Yb"))


class Alternative(BaseModel):
    """Another method, and when to take it."""

    model_config = ConfigDict(frozen=True)

    method: Method
    when: str


def procedure(
    method: Method,
    composition: Composition,
    elements: tuple[ElementMelting, ...],
    charge: Charge,
    pressure_GPa: float = 0.0,
) -> str:
    """Say what to do.

    Parameters
    ----------
    method
        One of `Method`.
    composition, elements
        Of the crystal, see `onnes.campaign.element_melting.element_meltings`.
    charge
        What is weighed.
    pressure_GPa
        At which the crystal is meant to exist.
    """
    if len(composition) == 1 and method == "arc melting":
        return "Melt the element in an arc furnace under gettered argon."
    if len(composition) == 1 and method == "sealed ampoule":
        return "Take the element as it is sold, and keep it closed; nothing has to be made."
    gases = [e.symbol for e in elements if e.kind == "gas"]
    volatile = [e for e in elements if e.kind == "volatile"]
    free = {p.formula for p in charge.precursors if p.kind == "element"}
    pool = pool_K(composition)
    melts = method == "sealed ampoule" and not gases and not volatile and pool < LOW_POOL_K
    with_ammonia = not {e.symbol for e in elements} & NEVER_IN_AN_OPEN_ARC  # it dissolves the others, and gives amides
    atmosphere = ", under nitrogen" if "N" in gases else ""
    if "O" in gases:
        atmosphere = ", then anneal it in oxygen or argon as the oxidation states ask"
    at_pressure = f" {'to' if method == 'diamond-anvil cell' else 'at'} {pressure_GPa:g} GPa"
    return (_MELT if melts else _STEPS[method]).format(
        volatile=" and ".join(e.symbol for e in volatile),
        vapour=f"the vapour of {' and '.join(e.symbol for e in volatile)}"
        if volatile
        else "gas that the powders give off",
        below=_below([e for e in volatile if e.symbol in free]),
        container=_container({e.symbol for e in elements}, free, pool),
        gas={"N": "nitrogen or ammonia" if with_ammonia else "nitrogen", "H": "hydrogen"}.get(
            "".join(gases), "the gas"
        ),
        atmosphere=atmosphere,
        at_pressure=at_pressure if pressure_GPa > AMBIENT_GPA else "",
        medium=" with a source of hydrogen, NH3BH3 or hydrogen loaded as a compressed gas" if "H" in gases else "",
    )


def _below(volatile: list[ElementMelting]) -> str:
    """Bound on the temperature while an element is unreacted: where its vapour reaches one bar."""
    boiling = [(e.boiling_point_K, e.symbol) for e in volatile if e.boiling_point_K is not None]
    if not boiling:
        return ""
    temperature, symbol = min(boiling)
    return f": {symbol} reaches 1 bar at {temperature:.0f} K, so stay below while any of it is unreacted"


def _container(symbols: set[str], free: set[str], pool: float) -> str:
    """What holds the charge: neither the elements that stand in it as such nor the product may attack it."""
    attacks = sorted(free & _ATTACKS_SILICA)
    if "F" in symbols:
        return "a welded tube of platinum or nickel (fluorides attack silica)"
    if other := sorted(symbols & _ATTACKS_TANTALUM):
        if attacks:
            return (
                f"a crucible of alumina inside a tube of stainless steel or niobium whose ends are welded shut under argon, that one inside "
                f"evacuated fused silica (vapour of {', '.join(attacks)} eats through bare silica, {', '.join(other)} attacks the metal where the "
                "crucible does not cover it)"
            )
        crucible = "alumina (graphite would reduce the oxides)" if "O" in symbols else "alumina or graphite"
        return f"an evacuated ampoule of fused silica, in a crucible of {crucible}"
    if pool < LOW_POOL_K and not attacks:
        return "an evacuated ampoule of fused silica, in a crucible of alumina"
    return "a tube of tantalum or niobium welded under argon, inside evacuated fused silica"


def alternatives(
    method: Method, elements: tuple[ElementMelting, ...], *, metastable: bool
) -> tuple[Alternative, ...]:  # fmt: skip
    """Other methods and when to take them.

    Parameters
    ----------
    method
        The one that is suggested.
    elements
        Of the crystal.
    metastable
        Whether other phases lie clearly lower.
    """
    if len(elements) == 1 or method in ("autoclave", "diamond-anvil cell", NO_ROUTE):
        return ()
    if any(e.symbol == "H" for e in elements):  # neither a sealed capsule nor a hot die holds hydrogen
        return (Alternative(method="autoclave", when="when more hydrogen is to go in than one bar of it gives"),)
    gas = any(e.kind == "gas" for e in elements)
    others: dict[Method, dict[Method, str]] = {
        "arc melting": {"powders and spark plasma": "when the button stays inhomogeneous, or for a dense body"},
        "arc melting with excess": {"sealed ampoule": "when the loss of mass cannot be kept small"},
        "sealed ampoule": {"high pressure": "when the volatile element does not react"}
        if any(e.kind == "volatile" for e in elements)
        else {},
        "powders and spark plasma": {"high pressure": "when the gas is given off at the temperature that is needed"}
        if gas
        else {"arc melting": "for a first sample, from the elements"},
        "gas reaction": {
            "powders and spark plasma": "for a dense body, or to set the share of the gas by the masses",
            "autoclave": "when more gas is to go in than one bar of it gives",
        },
        "high pressure": {"powders and spark plasma": "when a part of the phase is enough to see a transition"},
    }
    found = dict(others[method])
    if metastable and method != "high pressure":
        found.setdefault("high pressure", "when only the phases of lower energy form")
    return tuple(Alternative(method=other, when=when) for other, when in found.items())
