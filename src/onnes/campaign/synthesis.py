"""A route to make a crystal, suggested from the phases around it and from its elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from onnes.campaign.annealing import RULE, Annealing, suggest_annealing
from onnes.campaign.element_melting import (
    ElementMelting,
    composition_of,
    element_meltings,
    element_source,
    elements_of,
)
from onnes.campaign.method_choice import METASTABLE_EV, METASTABLE_SOURCE, MethodRules, Reason
from onnes.campaign.phase_competition import ON_HULL_WITHIN_EV, PhaseCompetition, phase_competition, reference_source
from onnes.campaign.precursors import Charge, Vessel, gas_name, weigh
from onnes.campaign.procedures import NO_ROUTE, Alternative, Method, alternatives, procedure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymatgen.core import Composition

    from onnes.physics.hull import Hull

_WIDE_SPREAD_K = 1500.0
_CLEARLY_METASTABLE_EV = 0.025
# Metals whose oxides and fluorides the Materials Project computes with a Hubbard U, which its metals and other compounds lack.
_HUBBARD = frozenset(("V", "Cr", "Mn", "Fe", "Co", "Ni", "Mo", "W"))


class Route(BaseModel):
    """Suggested way to make a crystal.

    Attributes
    ----------
    method, procedure
        What to do, in brief and in words.
    reasons
        Why, each with its source.
    alternatives
        Other methods and when to take them.
    warnings
        What speaks against success.
    competition
        The phases around it; None when the reference lacks one of its elements.
    elements, melting_point_spread_K
        Their melting and boiling points, and the range of the melting points of those that are no gases.
    annealing
        Temperatures by rule of thumb; None where there is no such rule.
    """

    model_config = ConfigDict(frozen=True)

    reduced_formula: str
    method: Method
    procedure: str
    reasons: tuple[Reason, ...]
    alternatives: tuple[Alternative, ...]
    warnings: tuple[Reason, ...]
    competition: PhaseCompetition | None
    elements: tuple[ElementMelting, ...]
    melting_point_spread_K: float | None
    annealing: Annealing | None


def suggest_route(
    formula: str,
    hull: Hull,
    *,
    energy_eV_per_atom: float | None = None,
    energy_source: str = "given",
    pressure_GPa: float = 0.0,
    precursors: Sequence[str] | None = None,
) -> Route:
    """Suggest how to make a crystal.

    Gases, volatile elements and refractory borides and carbides decide the method; the hull says what to expect of it. The
    bounds between the methods are rules of thumb.

    Parameters
    ----------
    formula
        Of the crystal; fractions are allowed.
    hull
        Hulls of a reference.
    energy_eV_per_atom, energy_source
        Of the crystal, by the potential of the reference, and where it comes from. Without it the lowest known phase of the same
        composition stands in.
    pressure_GPa
        At which the crystal is meant to exist.
    precursors
        As for `onnes.campaign.precursors.weigh`.

    Raises
    ------
    ConfigError
        When no mixture of the precursors has the composition, or only one with a halogen.
    CrystalError
        For a formula that cannot be read.

    Examples
    --------
    >>> from onnes.physics.hull import hull_of
    >>> from onnes.physics.reference import Reference
    >>> shipped = hull_of(Reference.shipped("sevennet-0"))
    >>> [suggest_route(formula, shipped).method for formula in ("V3Si", "MgB2", "TiN")]
    ['arc melting', 'sealed ampoule', 'gas reaction']
    """
    composition = composition_of(formula)
    elements = element_meltings(composition)
    competition = phase_competition(
        formula, hull, energy_eV_per_atom=energy_eV_per_atom, energy_source=energy_source
    )  # fmt: skip
    doubtful = _mixed_with_u(composition, hull)
    known = competition.e_above_hull_eV_per_atom if competition and not doubtful else None
    above = known or 0.0
    method, reasons, charge = _method(composition, formula, elements, competition, above, pressure_GPa, precursors)
    melting = [e.melting_point_K for e in elements if e.kind != "gas" and e.melting_point_K is not None]
    spread = max(melting) - min(melting) if melting else None
    if spread is not None and spread > _WIDE_SPREAD_K and method.startswith("arc"):
        text = f"The melting points differ by {spread:.0f} K: turn and remelt often."
        reasons.append(Reason(text=text, source=element_source(elements)))
    return Route(
        reduced_formula=composition.reduced_formula,
        method=method,
        procedure=procedure(method, composition, elements, charge, pressure_GPa),
        reasons=(*reasons, *_hull_reasons(competition, elements)),
        alternatives=alternatives(method, elements, metastable=above > _CLEARLY_METASTABLE_EV),
        warnings=tuple(_warnings(hull, composition, competition, doubtful)),
        competition=competition,
        elements=elements,
        melting_point_spread_K=spread,
        annealing=suggest_annealing(composition, elements, method),
    )


def _method(
    composition: Composition,
    formula: str,
    elements: tuple[ElementMelting, ...],
    competition: PhaseCompetition | None,
    above_hull_eV: float,
    pressure_GPa: float,
    precursors: Sequence[str] | None,
) -> tuple[Method, list[Reason], Charge]:
    """Method by the rules, unless a closed vessel would have to exchange gas with the charge."""
    source = f"{competition.source if competition else ''}; bound: {METASTABLE_SOURCE}"
    first = weigh(formula, 1.0, precursors=precursors)
    method, reasons = MethodRules(composition, elements, first, pressure_GPa, above_hull_eV, source).method()
    charge = charge_of(method, formula, 1.0, precursors=precursors)
    if VESSELS[method] == "closed" and (gases := [p.formula for p in charge.precursors if p.kind == "gas"]):
        text = (
            f"{', '.join(gases)} would have to go into or out of a closed vessel, which cannot supply it and may burst of it: name other "
            "precursors with --precursor."
        )
        return NO_ROUTE, [*reasons, Reason(text=text, source=charge.source)], charge
    return method, reasons, charge


VESSELS: dict[Method, Vessel] = {
    "arc melting": "closed", "arc melting with excess": "closed", "sealed ampoule": "closed", "high pressure": "closed",
    "autoclave": "loaded", "diamond-anvil cell": "loaded", "gas reaction": "open", "powders and spark plasma": "open",
    "no route suggested": "unknown",
}  # fmt: skip
"""What a gas does that the precursors do not bring."""
_POWDERS: tuple[Method, ...] = ("powders and spark plasma", "high pressure")


def charge_of(method: Method, formula: str, mass_g: float, *, precursors: Sequence[str] | None = None) -> Charge:
    """Weigh a sample for a method.

    Parameters
    ----------
    method
        Of the route.
    formula, mass_g, precursors
        As for `onnes.campaign.precursors.weigh`. For a gas reaction the metal and its gas by default.

    Examples
    --------
    >>> [p.formula for p in charge_of("gas reaction", "ZrH", 1.0).precursors]
    ['H2', 'Zr']
    """
    if method == "gas reaction" and not precursors:
        precursors = sorted(gas_name(symbol) for symbol in elements_of(composition_of(formula)))
    return weigh(formula, mass_g, precursors=precursors, powders=method in _POWDERS, vessel=VESSELS[method])


def _hull_reasons(found: PhaseCompetition | None, elements: tuple[ElementMelting, ...]) -> list[Reason]:
    """What the hull says, whatever the method."""
    if found is None:
        return []
    reasons = []
    above = found.e_above_hull_eV_per_atom
    if above is not None:
        said = "On the hull" if found.on_hull else f"{above:.3f} eV/atom above the hull"
        reasons.append(Reason(text=f"{said} of {found.coverage} known compounds, at 0 K.", source=found.source))
    if found.decomposition:
        parts = " + ".join(f"{p.share_by_atoms or 0:.2f} {p.formula}" for p in found.decomposition)
        depth = found.depth_eV_per_atom
        cost = ""
        if depth is not None:
            word = "costs" if depth > 0 else "frees"
            cost = f", which {word} {abs(depth):.3f} eV/atom" if abs(depth) > ON_HULL_WITHIN_EV else ", at no cost"
        text = f"Without it the system would hold {parts} (by atoms){cost}."
        reasons.append(Reason(text=text, source=found.source))
    source = f"{found.source}; {element_source(elements)}; {RULE}"
    return [*reasons, Reason(text=found.congruence_text, source=source)]


def _mixed_with_u(composition: Composition, hull: Hull) -> list[str]:
    """Metals that make the energies of an oxide or fluoride incomparable with those of the other phases."""
    symbols = set(elements_of(composition))
    mixed = symbols & {"O", "F"} and "+U" in hull.reference.energy_scheme
    return sorted(symbols & _HUBBARD) if mixed else []


def _warnings(
    hull: Hull, composition: Composition, competition: PhaseCompetition | None, doubtful: list[str]
) -> list[Reason]:
    source = reference_source(hull.reference)
    if competition is None:
        missing = ", ".join(hull.missing_elements(elements_of(composition)))
        return [Reason(text=f"The reference holds no {missing}: nothing is known of competing phases.", source=source)]
    found = []
    above, lower = competition.e_above_hull_eV_per_atom, competition.lower_polymorph_by_eV_per_atom
    if doubtful:
        text = (
            f"Oxides and fluorides of {', '.join(doubtful)} were computed with a Hubbard U, the other phases without: the hull is not "
            "to be trusted here."
        )
        found.append(Reason(text=text, source=f"{source}: {hull.reference.energy_scheme}"))
    if above is None:
        found.append(Reason(text="The crystal has no energy: its place on the hull is not known.", source=source))
    elif competition.stand_in is not None:
        text = (
            f"The crystal has no energy of its own here: the numbers of the hull are those of {competition.stand_in}, the lowest known "
            "phase of its composition."
        )
        found.append(Reason(text=text, source=source))
    if above is not None and above > METASTABLE_EV:
        text = f"{above:.3f} eV/atom above the hull; 90 % of the metastable crystals that were made lie within {METASTABLE_EV:g}."
        found.append(Reason(text=text, source=f"{source}; bound: {METASTABLE_SOURCE}"))
    if lower is not None:
        text = f"The known phase {competition.lower_polymorph} of the same composition lies {lower:.3f} eV/atom lower and may form instead."
        found.append(Reason(text=text, source=source))
    if competition.coverage == 0 and len(composition) > 1:
        found.append(Reason(text="The reference knows no compound of these elements.", source=source))
    return found
