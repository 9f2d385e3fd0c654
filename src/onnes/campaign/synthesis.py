"""A route to make a crystal, suggested from the phases around it and from its elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from onnes.campaign.annealing import RULE, Annealing, suggest_annealing
from onnes.campaign.element_melting import (
    MOST_CARBON_IN_A_MELT,
    NEVER_IN_AN_ARC_K,
    ElementMelting,
    composition_of,
    element_meltings,
    element_source,
    elements_of,
    pool_K,
)
from onnes.campaign.phase_competition import ON_HULL_WITHIN_EV, PhaseCompetition, phase_competition, reference_source
from onnes.campaign.procedures import AMBIENT_GPA, Alternative, Method, alternatives, procedure

if TYPE_CHECKING:
    from pymatgen.core import Composition

    from onnes.physics.hull import Hull

METASTABLE_EV = 0.067
"""90 % of the metastable inorganic crystals that have been made lie closer to the hull (eV/atom)."""
_METASTABLE = "Sun et al., Sci. Adv. 2, e1600225 (2016)"
_LOST_IN_AN_ARC = 0.8  # what boils below this share of the melting point of the most refractory element
_REFRACTORY_K = 1900.0
_WIDE_SPREAD_K = 1500.0
_MOST_HYDROGEN = 0.75
_VOLATILE_OXIDES_K = 1200.0  # boiling point of the element
_CLEARLY_METASTABLE_EV = 0.025
_LIGHT = frozenset(("B", "C"))
# Metals whose oxides and fluorides the Materials Project computes with a Hubbard U, which its metals and other compounds lack.
_HUBBARD = frozenset(("V", "Cr", "Mn", "Fe", "Co", "Ni", "Mo", "W"))


class Reason(BaseModel):
    """Why something is suggested, and where that is known from."""

    model_config = ConfigDict(frozen=True)

    text: str
    source: str


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

    Raises
    ------
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
    case = _Case(composition, elements, competition, pressure_GPa, trusted=not doubtful)
    method, reasons = case.method()
    melting = [e.melting_point_K for e in elements if e.kind != "gas" and e.melting_point_K is not None]
    spread = max(melting) - min(melting) if melting else None
    if spread is not None and spread > _WIDE_SPREAD_K and method.startswith("arc"):
        reasons.append(case.by_elements(f"The melting points differ by {spread:.0f} K: turn and remelt often."))
    return Route(
        reduced_formula=composition.reduced_formula,
        method=method,
        procedure=procedure(method, composition, elements, pressure_GPa),
        reasons=(*reasons, *case.hull_reasons()),
        alternatives=alternatives(method, elements, metastable=case.above_hull_eV > _CLEARLY_METASTABLE_EV),
        warnings=tuple(_warnings(hull, composition, competition, doubtful)),
        competition=competition,
        elements=elements,
        melting_point_spread_K=spread,
        annealing=suggest_annealing(composition, elements, method),
    )


@dataclass(frozen=True)
class _Case:
    """What the rules look at; ``trusted`` says whether energies may decide."""

    composition: Composition
    elements: tuple[ElementMelting, ...]
    competition: PhaseCompetition | None
    pressure_GPa: float
    trusted: bool

    @property
    def above_hull_eV(self) -> float:
        """Energy above hull, zero when it is not known or not to be trusted."""
        known = self.competition.e_above_hull_eV_per_atom if self.competition and self.trusted else None
        return known or 0.0

    def kind(self, name: str) -> list[ElementMelting]:
        return [e for e in self.elements if e.kind == name]

    def by_elements(self, text: str) -> Reason:
        return Reason(text=text, source=element_source(self.elements))

    def method(self) -> tuple[Method, list[Reason]]:
        """Choose the method by the first rule that applies."""
        if self.pressure_GPa > AMBIENT_GPA:
            text = f"The crystal is meant for {self.pressure_GPa:g} GPa."
            return "high pressure", [Reason(text=text, source="pressure of the crystal")]
        if self.kind("gas"):
            return self._with_gases()
        if self.kind("volatile"):
            return self._with_volatile()
        light = sum(self.composition.get_atomic_fraction(symbol) for symbol in _LIGHT)
        metals = [e for e in self.elements if e.symbol not in _LIGHT]
        if light >= MOST_CARBON_IN_A_MELT and metals and all((e.melting_point_K or 0) > _REFRACTORY_K for e in metals):
            text = f"Boron and carbon make up {light:.0%} of the atoms beside refractory metals: it melts too high for an even melt."
            return "powders and spark plasma", [Reason(text=text, source=RULE)]
        return "arc melting", [
            self.by_elements("No element is a gas, and none boils below the melting point of another.")
        ]

    def _with_gases(self) -> tuple[Method, list[Reason]]:
        gases, volatile = self.kind("gas"), self.kind("volatile")
        symbols = {e.symbol for e in gases}
        many = len(gases) > 1
        reasons = [self.by_elements(f"{_and(gases)} {'are gases' if many else 'is a gas'} at room temperature.")]
        hydrogen = self.composition.get_atomic_fraction("H")
        if hydrogen > _MOST_HYDROGEN:
            text = f"Hydrogen makes up {hydrogen:.0%} of the atoms, more than a metal takes up at 1 bar."
            return "high pressure", [*reasons, Reason(text=text, source=RULE)]
        if self.competition is not None and self.above_hull_eV > METASTABLE_EV:
            text = f"{self.above_hull_eV:.3f} eV/atom above the hull with a gas: only pressure keeps it in."
            source = f"{self.competition.source}; bound: {_METASTABLE}"
            return "high pressure", [*reasons, Reason(text=text, source=source)]
        if "O" in symbols:  # oxides of the others hardly evaporate
            volatile = [e for e in volatile if e.symbol == "Tl" or (e.boiling_point_K or 0.0) < _VOLATILE_OXIDES_K]
        if volatile or symbols & {"F", "Cl"}:
            why = f"{_and(volatile)} would evaporate" if volatile else "Halides react with moisture and evaporate"
            text = f"{why}: a closed vessel keeps the composition."
            return "sealed ampoule", [*reasons, Reason(text=text, source=RULE)]
        if len(self.elements) == 2 and symbols & {"N", "H"}:
            return "gas reaction", [*reasons, Reason(text="One metal takes the gas up by itself.", source=RULE)]
        text = f"{_and(gases)} can be weighed in the powder of a compound."
        return "powders and spark plasma", [*reasons, Reason(text=text, source=RULE)]

    def _with_volatile(self) -> tuple[Method, list[Reason]]:
        pool = pool_K(self.composition)
        first = min(self.kind("volatile"), key=lambda e: e.boiling_point_K or 0.0)
        boils = first.boiling_point_K or 0.0
        reason = self.by_elements(
            f"{first.symbol} boils at {boils:.0f} K; the highest melting point to overcome is {pool:.0f} K."
        )
        if boils < NEVER_IN_AN_ARC_K or boils < _LOST_IN_AN_ARC * pool:
            text = f"What boils below {NEVER_IN_AN_ARC_K:.0f} K, or below {_LOST_IN_AN_ARC:g} of that, is lost in an open arc."
            return "sealed ampoule", [reason, Reason(text=text, source=RULE)]
        return "arc melting with excess", [
            reason,
            Reason(text="The loss is small enough to be made up for.", source=RULE),
        ]

    def hull_reasons(self) -> list[Reason]:
        """What the hull says, whatever the method."""
        if self.competition is None:
            return []
        reasons, found = [], self.competition
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
        source = f"{found.source}; {element_source(self.elements)}; {RULE}"
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
        found.append(Reason(text=text, source=f"{source}; bound: {_METASTABLE}"))
    if lower is not None:
        text = f"The known phase {competition.lower_polymorph} of the same composition lies {lower:.3f} eV/atom lower and may form instead."
        found.append(Reason(text=text, source=source))
    if competition.coverage == 0 and len(composition) > 1:
        found.append(Reason(text="The reference knows no compound of these elements.", source=source))
    return found


def _and(elements: list[ElementMelting]) -> str:
    return " and ".join(e.symbol for e in elements)
