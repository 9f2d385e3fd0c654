"""What a reference says about the phases that compete with a crystal while it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict
from pymatgen.core import Composition

from onnes.crystals.element_facts import element_facts
from onnes.physics.hull import Phase, chemical_system
from onnes.physics.lower_hull import LowerHull
from onnes.physics.reference import HYPOTHETICAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from onnes.physics.hull import Hull, HullResult
    from onnes.physics.reference import Reference

    Floats = NDArray[np.float64]

ON_HULL_WITHIN_EV = 1e-3
"""Relaxations of the same crystal differ by so much (eV/atom)."""
NEARBY = 0.15
"""Share of the atoms that must be exchanged to get from one composition to a nearby one."""
NEARBY_WITHIN_EV = 0.05
"""Nearby phases further above the hull do not count as competitors (eV/atom)."""
_MOST_LISTED = 8
_SMALLEST_SHARE = 1e-6
_SAME_CRYSTAL_EV = 5e-3  # between a relaxed crystal and the same one as published
_SHALLOW = 0.5  # of the depth of the deepest neighbour
_REFRACTORY = 1.2  # of the mean melting point of the elements, weighted by atoms

Congruence = Literal["favourable", "undecided", "unfavourable", "unknown"]


class CompetingPhase(BaseModel):
    """A phase of the reference beside the crystal.

    Attributes
    ----------
    formula, id
        Reduced formula, and name of its lowest entry in the reference.
    formation_energy_eV_per_atom, e_above_hull_eV_per_atom
        By the reference.
    share_by_atoms
        Of the atoms of the crystal that go into this phase when it decomposes; None for a phase that takes no part.
    composition_distance
        Share of the atoms that differ, 0 to 1.
    depth_eV_per_atom
        How far it lies below the hull of all other phases; only of compounds that the crystal decomposes to.
    hypothetical
        Whether nobody has reported it.
    """

    model_config = ConfigDict(frozen=True)

    formula: str
    id: str
    formation_energy_eV_per_atom: float
    e_above_hull_eV_per_atom: float
    share_by_atoms: float | None = None
    composition_distance: float
    depth_eV_per_atom: float | None = None
    hypothetical: bool = False


class PhaseCompetition(BaseModel):
    """Place of a composition among the known phases of its chemical system, at 0 K.

    Attributes
    ----------
    energy_eV_per_atom, energy_source
        Energy behind the numbers, and whose it is; None when nobody knows one.
    stand_in
        Known phase of the same composition whose energy that is, where the crystal has none of its own.
    e_above_hull_eV_per_atom
        Above the hull of all known phases, one of the same composition included.
    on_hull
        Whether that is at most `ON_HULL_WITHIN_EV`.
    depth_eV_per_atom
        How far the crystal lies below the hull of all other compositions; negative above it. Large depths favour a phase over
        its neighbours (the inverse hull energy of Chen et al., Nat. Synth. 3, 606 (2024)).
    lower_polymorph, lower_polymorph_by_eV_per_atom
        Known phase of the same composition that lies lower, and by how much.
    decomposition
        Phases that the crystal falls apart into when its own composition is left out.
    nearby, n_nearby
        Competitors within `NEARBY` in composition and `NEARBY_WITHIN_EV` of the hull, nearest first: some of them, and all counted.
    coverage
        Known compounds in the chemical system and its subsystems.
    congruence, congruence_text
        Indicator of congruent melting, and what it rests on. A hull at 0 K holds no liquid: this is no phase diagram.
    source
        Reference and its sha256.
    """

    model_config = ConfigDict(frozen=True)

    reduced_formula: str
    energy_eV_per_atom: float | None
    energy_source: str
    stand_in: str | None = None
    formation_energy_eV_per_atom: float | None
    e_above_hull_eV_per_atom: float | None
    on_hull: bool | None
    depth_eV_per_atom: float | None
    lower_polymorph: str | None
    lower_polymorph_by_eV_per_atom: float | None
    decomposition: tuple[CompetingPhase, ...]
    nearby: tuple[CompetingPhase, ...]
    n_nearby: int
    coverage: int
    congruence: Congruence
    congruence_text: str
    source: str


def reference_source(reference: Reference) -> str:
    """Name a reference so that it can be found again.

    Examples
    --------
    >>> from onnes.physics.reference import Reference
    >>> reference_source(Reference.shipped("sevennet-0")).startswith("known phases, SevenNet-0 (sha256 ")
    True
    """
    return f"{reference.name} (sha256 {reference.sha256[:12]})"


def phase_competition(
    formula: str, hull: Hull, *, energy_eV_per_atom: float | None = None, energy_source: str = "given"
) -> PhaseCompetition | None:
    """Place a composition among the known phases.

    Parameters
    ----------
    formula
        Of the crystal.
    hull
        Hulls of a reference.
    energy_eV_per_atom
        Of the crystal, by the potential of the reference. Without it that of the lowest known phase of this composition is used,
        where there is one.
    energy_source
        Where it comes from.

    Returns
    -------
    PhaseCompetition or None
        None when the reference lacks one of the elements.

    Examples
    --------
    >>> from onnes.physics.hull import hull_of
    >>> from onnes.physics.reference import Reference
    >>> found = phase_competition("V3Si", hull_of(Reference.shipped("sevennet-0")))
    >>> found.on_hull, [phase.formula for phase in found.decomposition]
    (True, ['V5Si3', 'V'])
    """
    reduced = Composition(formula).reduced_formula
    elements = sorted(chemical_system(formula))
    if hull.missing_elements(elements):
        return None
    known = hull.reference.lowest.get(reduced)
    energy, stand_in = energy_eV_per_atom, None
    if energy is None and known is not None:
        energy, energy_source = known[0], f"lowest known phase of this composition, {known[1]}"
        stand_in = known[1]
    others = [phase for phase in hull.phases(frozenset(elements)) if phase.formula != reduced]
    system = _System(hull, elements, others)
    listed, count = system.nearby(reduced)
    place = hull.place(reduced, energy) if energy is not None else None
    if energy is None or place is None:
        result = hull.place(reduced, 0.0)
        return PhaseCompetition(
            reduced_formula=reduced, energy_eV_per_atom=None, energy_source="none", formation_energy_eV_per_atom=None,
            e_above_hull_eV_per_atom=None, on_hull=None, depth_eV_per_atom=None, lower_polymorph=None,
            lower_polymorph_by_eV_per_atom=None, decomposition=system.decomposition(reduced, None)[0], nearby=listed,
            n_nearby=count, coverage=result.coverage if result else 0, congruence="unknown",
            congruence_text="The energy of the crystal is not known: its depth below its neighbours cannot be given.",
            source=reference_source(hull.reference),
        )  # fmt: skip
    parts, depth = system.decomposition(reduced, place)
    lower = known is not None and energy - known[0] > _SAME_CRYSTAL_EV
    congruence, text = _congruence(reduced, depth, parts, count)
    return PhaseCompetition(
        reduced_formula=reduced,
        energy_eV_per_atom=energy,
        energy_source=energy_source,
        stand_in=stand_in,
        formation_energy_eV_per_atom=place.formation_energy_eV_per_atom,
        e_above_hull_eV_per_atom=place.e_above_hull_eV_per_atom,
        on_hull=place.e_above_hull_eV_per_atom <= ON_HULL_WITHIN_EV,
        depth_eV_per_atom=depth,
        lower_polymorph=known[1] if known and lower else None,
        lower_polymorph_by_eV_per_atom=energy - known[0] if known and lower else None,
        decomposition=parts,
        nearby=listed,
        n_nearby=count,
        coverage=place.coverage,
        congruence=congruence,
        congruence_text=text,
        source=reference_source(hull.reference),
    )


class _System:
    """Phases of a chemical system as arrays: atomic fractions, formation energies, energies above hull."""

    def __init__(self, hull: Hull, elements: list[str], phases: list[Phase]) -> None:
        self._elements, self._phases = elements, phases
        placed = hull.place_all([p.formula for p in phases], [p.energy_eV_per_atom for p in phases])
        self._fractions = np.array([self._composition(p.formula) for p in phases]).reshape(-1, len(elements))
        self._energies = np.array([p.formation_energy_eV_per_atom if p else np.nan for p in placed])
        self._above = np.array([p.e_above_hull_eV_per_atom if p else np.nan for p in placed])
        self._hypothetical = _hypothetical(hull.reference, [p.id for p in phases])

    def _composition(self, formula: str) -> list[float]:
        fractions = Composition(formula).fractional_composition
        return [float(fractions[element]) for element in self._elements]

    def _phase(
        self, index: int, own: Floats, *, share: float | None = None, depth: float | None = None
    ) -> CompetingPhase:
        phase = self._phases[index]
        return CompetingPhase(
            formula=phase.formula,
            id=phase.id,
            formation_energy_eV_per_atom=float(self._energies[index]),
            e_above_hull_eV_per_atom=max(0.0, float(self._above[index])),
            share_by_atoms=share,
            composition_distance=float(np.abs(self._fractions[index] - own).sum() / 2),
            depth_eV_per_atom=depth,
            hypothetical=phase.id in self._hypothetical,
        )

    def nearby(self, formula: str) -> tuple[tuple[CompetingPhase, ...], int]:
        """Competitors of a composition, nearest first: some of them, and how many there are."""
        own = np.array(self._composition(formula))
        found = [self._phase(i, own) for i in np.flatnonzero(self._above <= NEARBY_WITHIN_EV).tolist()]
        near = sorted(
            (phase for phase in found if phase.composition_distance <= NEARBY),
            key=lambda phase: (phase.composition_distance, phase.e_above_hull_eV_per_atom, phase.formula),
        )
        return tuple(near[:_MOST_LISTED]), len(near)

    def decomposition(self, formula: str, place: HullResult | None) -> tuple[tuple[CompetingPhase, ...], float | None]:
        """Phases that a composition falls apart into, largest share first, and how far it lies below them."""
        if len(self._elements) == 1:
            return (), None
        own = np.array(self._composition(formula))
        hull = LowerHull.of(self._fractions, self._energies)
        level, indices, shares = (part[0] for part in hull.decompose(own[None]))
        parts = []
        for index, share in zip(indices.tolist(), shares.tolist(), strict=True):
            if share > _SMALLEST_SHARE:
                compound = bool((self._fractions[index] < 1).all())
                depth = self._depth(index, own, place) if compound and place is not None else None
                parts.append(self._phase(index, own, share=share, depth=depth))
        parts.sort(key=lambda phase: (-(phase.share_by_atoms or 0), phase.formula))
        return tuple(parts), None if place is None else float(level) - place.formation_energy_eV_per_atom

    def _depth(self, index: int, own: Floats, place: HullResult) -> float:
        """How far a phase lies below all others, the crystal among them."""
        rest = np.arange(len(self._phases)) != index
        fractions = np.vstack([self._fractions[rest], own])
        energies = np.append(self._energies[rest], place.formation_energy_eV_per_atom)
        level, _, _ = LowerHull.of(fractions, energies).decompose(self._fractions[[index]])
        return float(level[0] - self._energies[index])


def _hypothetical(reference: Reference, ids: list[str]) -> set[str]:
    source = reference.table.filter(pc.field("id").isin(pa.array(ids, pa.string())))
    rows = zip(source["id"].to_pylist(), source["source"].to_pylist(), strict=True)
    return {name for name, origin in rows if origin == HYPOTHETICAL}


def _congruence(
    formula: str, depth: float | None, parts: tuple[CompetingPhase, ...], n_nearby: int
) -> tuple[Congruence, str]:
    """Hold the depth of a crystal against that of its neighbours; words first of all say what this is not."""
    if depth is None:
        return "unknown", f"{formula} is an element."
    head = "A hull at 0 K holds no liquid and says nothing certain about congruent melting. As an indicator: "
    tail = f"; {n_nearby} known phase{'s' if n_nearby != 1 else ''} nearby."
    if depth < ON_HULL_WITHIN_EV:
        above = depth < -ON_HULL_WITHIN_EV
        where = f"{-depth:.3f} eV/atom above its neighbours" if above else "no deeper than its neighbours"
        return (
            "unfavourable",
            f"{head}{formula} lies {where}: they may form {'instead' if above else 'beside it'}{tail}",
        )
    said = f"{head}{formula} lies {depth:.3f} eV/atom below its neighbours"
    rivals = [phase for phase in parts if (phase.depth_eV_per_atom or 0.0) > ON_HULL_WITHIN_EV]
    deepest = max(rivals, key=lambda phase: phase.depth_eV_per_atom or 0.0, default=None)
    if deepest is not None:
        other = deepest.depth_eV_per_atom or 0.0
        said += f", {deepest.formula} {other:.3f} below its own"
        if depth < _SHALLOW * other:
            return "unfavourable", f"{said}: that phase may solidify first, by a peritectic reaction{tail}"
        if depth < other:
            return "undecided", f"{said}: neither stands out{tail}"
    if (first := _refractory(formula, parts)) is not None:
        return "undecided", f"{said}, but {first} melts far above the mean of the elements and may solidify first{tail}"
    return "favourable", f"{said}: no phase stands out beside it{tail}"


def _refractory(formula: str, parts: tuple[CompetingPhase, ...]) -> str | None:
    """Element that a crystal decomposes to, if it is likely to solidify before the crystal can form."""
    composition = Composition(formula)
    facts = {e.symbol: element_facts(e.symbol).melting_point_K for e in composition.elements}
    melting = {symbol: fact.value for symbol, fact in facts.items() if fact}
    mean = sum(x * melting.get(e.symbol, 0.0) for e, x in composition.fractional_composition.items())
    return next((phase.formula for phase in parts if melting.get(phase.formula, 0.0) > _REFRACTORY * mean), None)
