"""Annealing temperatures by rule of thumb."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from onnes.campaign.element_melting import MOST_CARBON_IN_A_MELT, ROOM_K, ElementMelting, element_source

if TYPE_CHECKING:
    from pymatgen.core import Composition

RULE = "rule of thumb"
_SALTS = frozenset(("Cl", "Br", "I"))
_COLDEST_ANNEALING_K = 400.0
_COLDEST_HOLD_K = 350.0
_BEFORE_REACTION, _AFTER_REACTION = 0.7, 0.6
_SILICA_K = 1400.0
_METHODS = ("arc melting", "arc melting with excess", "sealed ampoule", "powders and spark plasma")
"""Those for which the rule means something; hydrides would give off their gas, and pressure moves the melting points."""


class Annealing(BaseModel):
    """Temperatures (K) by Tammann's rule that diffusion is fast somewhat above half the melting point; rules of thumb.

    Attributes
    ----------
    hold_below_K, lowest_solid
        While an unreacted solid may be there: 0.7 of the melting point of the lowest-melting one, and not above where an element
        boils. None where that is below 350 K, or not below the temperature to homogenise at.
    homogenise_at_K
        When nothing unreacted is left: 0.6 of the mean melting point of the elements, weighted by atoms.
    """

    model_config = ConfigDict(frozen=True)

    hold_below_K: float | None
    lowest_solid: str | None
    homogenise_at_K: float
    text: str
    source: str


def suggest_annealing(
    composition: Composition, elements: tuple[ElementMelting, ...], method: str
) -> Annealing | None:  # fmt: skip
    """Apply Tammann's rule to the elements that are solid at room temperature.

    Parameters
    ----------
    composition, elements
        Of the crystal (`onnes.campaign.element_melting.element_meltings`).
    method
        By which it is made.

    Returns
    -------
    Annealing or None
        None where the elements tell nothing, as in oxides, salts and compounds with a gas; and where one of them is liquid at
        room temperature or boils below the temperature to homogenise at.
    """
    if len(composition) == 1 or method not in _METHODS or {e.symbol for e in elements} & _SALTS:
        return None
    if any(e.kind == "gas" or e.melting_point_K is None or e.melting_point_K < ROOM_K for e in elements):
        return None
    solids = list(elements)
    lowest = min(solids, key=_melting)
    if method == "sealed ampoule" and composition.get_atomic_fraction("C") >= MOST_CARBON_IN_A_MELT:
        solids = [e for e in solids if e.symbol != "C"]  # graphite takes the others up
    weights = [composition.get_atomic_fraction(e.symbol) for e in solids]
    mean = sum(w * _melting(e) for w, e in zip(weights, solids, strict=True)) / sum(weights)
    homogenise = _AFTER_REACTION * mean
    boils = min((e.boiling_point_K for e in elements if e.boiling_point_K is not None), default=0.0)
    closed_and_too_hot = method == "sealed ampoule" and homogenise > _SILICA_K
    if homogenise < _COLDEST_ANNEALING_K or boils <= homogenise or closed_and_too_hot:
        return None
    hold = min(_BEFORE_REACTION * _melting(lowest), boils)
    held = hold if _COLDEST_HOLD_K <= hold < homogenise else None
    return Annealing(
        hold_below_K=held, lowest_solid=lowest.symbol if held else None, homogenise_at_K=homogenise,
        text=_text(method, held, lowest.symbol, homogenise), source=f"{RULE} (Tammann); {element_source(elements)}",
    )  # fmt: skip


def _melting(element: ElementMelting) -> float:
    return element.melting_point_K or 0.0


def _text(method: str, hold: float | None, name: str, homogenise: float) -> str:
    text = ""
    if hold is not None:
        first = f"Hold first below {hold:.0f} K, where unreacted {name} stays solid"
        if method.startswith("arc"):
            first = f"If lines of unreacted {name} show in the powder pattern, hold first below {hold:.0f} K"
        text = f"{first} ({_BEFORE_REACTION:g} of its melting point), and heat slowly through the latter. "
    text += (
        f"Homogenise the reacted sample at about {homogenise:.0f} K ({_AFTER_REACTION:g} of the mean melting point of the elements) for "
        "days, if the phase diagram shows no liquid there; look at the powder pattern before and after."
    )
    if homogenise > _SILICA_K:
        text += f" Fused silica creeps above about {_SILICA_K:.0f} K: use a tube of tantalum, or a furnace of its own."
    return text
