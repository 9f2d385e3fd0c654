"""What a method of synthesis means in the laboratory, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pymatgen.core import Composition

    from onnes.campaign.element_melting import ElementMelting

Method = Literal[
    "arc melting", "arc melting with excess", "sealed ampoule", "powders and spark plasma", "gas reaction", "high pressure"
]  # fmt: skip

AMBIENT_GPA = 0.1
"""Up to this a pressure counts as ambient."""
_ATTACKS_TANTALUM = frozenset(("P", "As", "Sb", "S", "Se", "Te", "Cl", "Br", "I", "O"))
_STEPS: dict[Method, str] = {
    "arc melting": "Melt the elements together in an arc furnace under gettered argon; turn the button over and melt again at least "
    "four times, weighing it after each melt.",
    "arc melting with excess": "Melt the elements together in an arc furnace under gettered argon, {volatile} below the others or as a "
    "pre-alloy; weigh after each melt, take the loss to be {volatile}, and add as much before the next one.",
    "sealed ampoule": "Seal a small charge in {container}; heat slowly, because the vapour of {volatile} can burst it; hold, grind, "
    "press and heat again.",
    "powders and spark plasma": "Mill the powders under argon, press them, react them in a furnace, and sinter the product by spark "
    "plasma (or hot pressing){atmosphere}.",
    "gas reaction": "Heat the powder of the metal in flowing {gas}, grind and repeat until the mass no longer grows; the gain in mass "
    "gives the composition.",
    "high pressure": "React the powders in a sealed capsule in a multi-anvil or belt press{at_pressure}, quench under pressure, then "
    "release it.",
}


class Alternative(BaseModel):
    """Another method, and when to take it."""

    model_config = ConfigDict(frozen=True)

    method: Method
    when: str


def procedure(
    method: Method, composition: Composition, elements: tuple[ElementMelting, ...], pressure_GPa: float = 0.0
) -> str:
    """Say what to do.

    Parameters
    ----------
    method
        One of `Method`.
    composition, elements
        Of the crystal, see `onnes.campaign.element_melting.element_meltings`.
    pressure_GPa
        At which the crystal is meant to exist.
    """
    if method == "arc melting" and len(composition) == 1:
        return "Melt the element in an arc furnace under gettered argon."
    symbols = {e.symbol for e in elements}
    gases = [e.symbol for e in elements if e.kind == "gas"]
    volatile = [e.symbol for e in elements if e.kind == "volatile"] or gases
    atmosphere = ", under nitrogen" if "N" in gases else ""
    if "O" in gases:
        atmosphere = ", then anneal it in oxygen or argon as the oxidation states ask"
    return _STEPS[method].format(
        volatile=" and ".join(volatile),
        container=_container(symbols),
        gas={"N": "nitrogen or ammonia", "H": "hydrogen"}.get("".join(gases), "the gas"),
        atmosphere=atmosphere,
        at_pressure=f" at {pressure_GPa:g} GPa" if pressure_GPa > AMBIENT_GPA else "",
    )


def _container(symbols: set[str]) -> str:
    if "F" in symbols:
        return "a welded tube of platinum or nickel (fluorides attack silica)"
    if symbols & _ATTACKS_TANTALUM:
        return "an evacuated ampoule of fused silica, in a crucible of alumina or graphite"
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
    if len(elements) == 1:
        return ()
    gas = any(e.kind == "gas" for e in elements)
    others: dict[Method, dict[Method, str]] = {
        "arc melting": {"powders and spark plasma": "when the button stays inhomogeneous, or for a dense body"},
        "arc melting with excess": {"sealed ampoule": "when the loss of mass cannot be kept small"},
        "sealed ampoule": {"high pressure": "when the ampoule leaks or the volatile element does not react"},
        "powders and spark plasma": {"high pressure": "when the gas is given off at the temperature that is needed"}
        if gas
        else {"arc melting": "for a first sample, from the elements"},
        "gas reaction": {
            "powders and spark plasma": "for a dense body, or to set the share of the gas by the masses",
            "high pressure": "when more gas is to go in than one bar of it gives",
        },
        "high pressure": {"powders and spark plasma": "when a part of the phase is enough to see a transition"},
    }
    found = dict(others[method])
    if metastable and method != "high pressure":
        found.setdefault("high pressure", "when only the phases of lower energy form")
    return tuple(Alternative(method=other, when=when) for other, when in found.items())
