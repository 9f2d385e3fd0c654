"""Annealing temperatures by rule of thumb."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from onnes.campaign.element_melting import MOST_CARBON_IN_A_MELT, ROOM_K, ElementMelting, element_source

if TYPE_CHECKING:
    from pymatgen.core import Composition

RULE = "rule of thumb"
_SALTS = frozenset(("O", "F", "Cl", "Br", "I"))
_COLDEST_ANNEALING_K = 400.0
_BEFORE_REACTION, _AFTER_REACTION = 0.7, 0.6
_SILICA_K = 1400.0


class Annealing(BaseModel):
    """Temperatures (K) by Tammann's rule that diffusion is fast somewhat above half the melting point; rules of thumb.

    Attributes
    ----------
    hold_below_K
        While an unreacted solid may be there: 0.7 of the melting point of the lowest-melting one, ``lowest_solid``.
    homogenise_at_K
        When nothing unreacted is left: 0.6 of the mean melting point of the elements, weighted by atoms.
    """

    model_config = ConfigDict(frozen=True)

    hold_below_K: float
    lowest_solid: str
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
        None where the elements tell nothing, as in oxides and salts.
    """
    if len(composition) == 1 or {e.symbol for e in elements} & _SALTS:
        return None
    solids = [e for e in elements if e.kind != "gas" and e.melting_point_K is not None]
    solids = [e for e in solids if (e.melting_point_K or 0.0) > ROOM_K]
    if not solids:
        return None
    lowest = min(solids, key=lambda e: e.melting_point_K or 0.0)
    if method == "sealed ampoule" and composition.get_atomic_fraction("C") >= MOST_CARBON_IN_A_MELT:
        solids = [e for e in solids if e.symbol != "C"]  # graphite takes the others up
    weights = [composition.get_atomic_fraction(e.symbol) for e in solids]
    mean = sum(w * (e.melting_point_K or 0.0) for w, e in zip(weights, solids, strict=True)) / sum(weights)
    hold, homogenise = _BEFORE_REACTION * (lowest.melting_point_K or 0.0), _AFTER_REACTION * mean
    if homogenise < _COLDEST_ANNEALING_K:
        return None
    name = lowest.symbol
    if method.startswith("arc"):
        first = f"If lines of unreacted {name} show in the powder pattern, hold first below {hold:.0f} K"
    else:
        first = f"Hold first below {hold:.0f} K, where unreacted {name} stays solid"
    text = (
        f"{first} ({_BEFORE_REACTION:g} of its melting point), and heat slowly through the latter. Homogenise the reacted sample at "
        f"about {homogenise:.0f} K ({_AFTER_REACTION:g} of the mean melting point of the elements) for days; look at the powder "
        "pattern before and after."
    )
    if homogenise > _SILICA_K:
        text += f" Fused silica creeps above about {_SILICA_K:.0f} K: use a tube of tantalum, or a furnace of its own."
    return Annealing(
        hold_below_K=hold, lowest_solid=lowest.symbol, homogenise_at_K=homogenise, text=text,
        source=f"{RULE} (Tammann); {element_source(elements)}",
    )  # fmt: skip
