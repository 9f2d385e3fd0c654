"""Energy above the convex hull (pymatgen's PhaseDiagram) over a reference of the same potential."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnes.physics.reference import Reference


_KEPT_DIAGRAMS = 4000


@dataclass(frozen=True)
class HullResult:
    """Place of one crystal against the known phases.

    Attributes
    ----------
    formation_energy_eV_per_atom
        From the elements of the reference.
    e_above_hull_eV_per_atom
        Negative when the crystal lies below every known competitor.
    decomposes_to
        Competing phases and their molar fractions by atoms, e.g. ``"0.60 NbBe2 + 0.40 Nb"``.
    coverage
        Known compounds (elements not counted) in the chemical system and its subsystems.
    """

    formation_energy_eV_per_atom: float
    e_above_hull_eV_per_atom: float
    decomposes_to: str
    coverage: int


class Hull:
    """Hulls of all chemical systems of one reference, made on demand and kept.

    Parameters
    ----------
    reference
        Known phases; the energies given to `place` must come from the same potential (`Reference.require`).
    """

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self._diagrams: dict[frozenset[str], tuple[PhaseDiagram | None, int]] = {}

    @cached_property
    def _entries(self) -> dict[frozenset[str], list[PDEntry]]:
        """Lowest entry of each formula, by its set of elements."""
        entries: dict[frozenset[str], list[PDEntry]] = {}
        for formula, (energy, name) in self.reference.lowest.items():
            composition = Composition(formula)
            entry = PDEntry(composition, energy * composition.num_atoms, name=name)
            entries.setdefault(frozenset(e.symbol for e in composition.elements), []).append(entry)
        return entries

    @cached_property
    def _by_element(self) -> dict[str, list[frozenset[str]]]:
        systems: dict[str, list[frozenset[str]]] = {}
        for system in self._entries:
            for element in system:
                systems.setdefault(element, []).append(system)
        return systems

    def missing_elements(self, elements: Sequence[str]) -> list[str]:
        """Elements for which the reference has no energy."""
        return sorted(e for e in elements if frozenset([e]) not in self._entries)

    def diagram(self, system: frozenset[str]) -> tuple[PhaseDiagram | None, int]:
        """Phase diagram of a chemical system and its number of known compounds; None when an element is unknown."""
        if system not in self._diagrams:
            if len(self._diagrams) >= _KEPT_DIAGRAMS:
                self._diagrams.clear()
            if self.missing_elements(sorted(system)):
                self._diagrams[system] = (None, 0)
            else:
                inside = {s for element in system for s in self._by_element[element] if s <= system}
                entries = [entry for s in sorted(inside, key=sorted) for entry in self._entries[s]]
                compounds = sum(len(entry.composition.elements) > 1 for entry in entries)
                self._diagrams[system] = (PhaseDiagram(entries), compounds)
        return self._diagrams[system]

    def place(self, formula: str, energy_eV_per_atom: float) -> HullResult | None:
        """Place a crystal.

        Parameters
        ----------
        formula
            Any formula of the crystal.
        energy_eV_per_atom
            Its energy by the reference's potential.

        Returns
        -------
        HullResult or None
            None when the reference lacks one of the elements.
        """
        composition = Composition(formula)
        diagram, coverage = self.diagram(frozenset(e.symbol for e in composition.elements))
        if diagram is None or not np.isfinite(energy_eV_per_atom):
            return None
        decomposition = diagram.get_decomposition(composition)
        hull_energy = sum(part * entry.energy_per_atom for entry, part in decomposition.items())
        references = {element.symbol: entry.energy_per_atom for element, entry in diagram.el_refs.items()}
        elements = sum(
            composition.get_atomic_fraction(element) * references[element.symbol] for element in composition.elements
        )
        parts = sorted(
            decomposition.items(), key=lambda item: (-round(item[1], 6), item[0].composition.reduced_formula)
        )
        text = " + ".join(f"{part:.2f} {entry.composition.reduced_formula}" for entry, part in parts)
        return HullResult(energy_eV_per_atom - elements, energy_eV_per_atom - hull_energy, text, coverage)


@lru_cache(maxsize=2)
def hull_of(reference: Reference) -> Hull:
    """Return the hull of a reference, made once: its thousands of entries take longer than many a placement."""
    return Hull(reference)
