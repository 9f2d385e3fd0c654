"""Energy above the convex hull over a reference of the same potential, equal to that of pymatgen's PhaseDiagram."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from pymatgen.core import Composition

from onnes.physics.lower_hull import LowerHull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from pymatgen.analysis.phase_diagram import PhaseDiagram

    from onnes.physics.reference import Reference

    Floats = NDArray[np.float64]
    System = frozenset[str]

_KEPT_HULLS = 10_000
STABLE_WITHIN_eV = 1e-8
# What pymatgen's PhaseDiagram leaves out as well: compounds that do not form, and shares that are rounding.
_FORMS_BELOW_eV = -1e-11
_SMALLEST_SHARE = 1e-8


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


@dataclass(frozen=True)
class Phase:
    """Lowest known phase of one formula: its id in the reference and its energy."""

    formula: str
    id: str
    energy_eV_per_atom: float


@dataclass(frozen=True, eq=False)
class _System:
    """Hull of a chemical system: elements in the order of the columns, index of each phase, how many own ones come last."""

    elements: tuple[str, ...]
    phases: NDArray[np.int64]
    own: int
    hull: LowerHull
    coverage: int


class Hull:
    """Hulls of all chemical systems of one reference, made on demand and kept.

    A phase above the hull of its own elements can take no part in a system with more of them, so each hull is made of
    the stable phases of the subsystems and of the system's own compounds.

    Parameters
    ----------
    reference
        Known phases; the energies given to `place` must come from the same potential (`Reference.require`).
    """

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self._systems: dict[System, _System] = {}
        self._stable: dict[System, NDArray[np.int64]] = {}
        self._read()

    def _read(self) -> None:
        """Sort the lowest phase of each formula by its set of elements."""
        self._phases = [Phase(formula, name, energy) for formula, (energy, name) in self.reference.lowest.items()]
        self._fractions: list[dict[str, float]] = [_fractions(phase.formula) for phase in self._phases]
        self._of_system: dict[System, list[int]] = defaultdict(list)
        for index, fractions in enumerate(self._fractions):
            self._of_system[frozenset(fractions)].append(index)
        self._elements: dict[str, int] = {}
        for system, indices in self._of_system.items():
            if len(system) == 1:
                lowest = min(indices, key=lambda index: self._phases[index].energy_eV_per_atom)
                self._elements[next(iter(system))] = lowest
        self._formation = np.array(
            [
                phase.energy_eV_per_atom - self._elemental(fractions)
                if fractions.keys() <= self._elements.keys()
                else np.nan
                for phase, fractions in zip(self._phases, self._fractions, strict=True)
            ]
        )

    def _elemental(self, fractions: dict[str, float]) -> float:
        return sum(x * self._phases[self._elements[e]].energy_eV_per_atom for e, x in fractions.items())

    def missing_elements(self, elements: Sequence[str]) -> list[str]:
        """Elements for which the reference has no energy."""
        return sorted(e for e in elements if e not in self._elements)

    def phases(self, system: System) -> list[Phase]:
        """Lowest phase of every formula of a chemical system and its subsystems, those with an energy."""
        return [self._phases[i] for inside in self._subsystems(system) for i in self._of_system[inside]]

    def diagram(self, system: System) -> PhaseDiagram | None:
        """Phase diagram of a chemical system by pymatgen, for its plots; None when an element is unknown."""
        from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram

        if self.missing_elements(sorted(system)):
            return None
        entries = []
        for phase in self.phases(system):
            composition = Composition(phase.formula)
            energy = phase.energy_eV_per_atom * composition.num_atoms
            entries.append(PDEntry(composition, energy, name=phase.id))
        return PhaseDiagram(entries)

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
        return self.place_all([formula], [energy_eV_per_atom])[0]

    def place_all(
        self,
        formulas: Sequence[str],
        energies_eV_per_atom: Sequence[float] | Floats,
        *,
        on_rows: Callable[[int], None] | None = None,
    ) -> list[HullResult | None]:
        """Place many crystals, chemical system by chemical system: thousands a second.

        Parameters
        ----------
        formulas
            Any formula of each crystal, length B.
        energies_eV_per_atom
            Energies by the reference's potential, shape (B,).
        on_rows
            Called with the number of crystals done since the last call.

        Returns
        -------
        list of HullResult or None
            In the order given; None where an energy is not finite or the reference lacks one of the elements.
        """
        energies = np.asarray(energies_eV_per_atom, float)
        usable = np.flatnonzero(np.isfinite(energies)).tolist()
        fractions = {row: _fractions(formulas[row]) for row in usable}
        groups: dict[System, list[int]] = defaultdict(list)
        for row in usable:
            groups[frozenset(fractions[row])].append(row)
        results: list[HullResult | None] = [None] * len(formulas)
        if on_rows:
            on_rows(len(formulas) - len(usable))
        for elements, rows in groups.items():
            if not self.missing_elements(sorted(elements)):
                placed = self._place(self._system(elements), [fractions[row] for row in rows], energies[rows])
                for row, result in zip(rows, placed, strict=True):
                    results[row] = result
            if on_rows:
                on_rows(len(rows))
        return results

    def _place(self, system: _System, fractions: list[dict[str, float]], energies: Floats) -> Iterator[HullResult]:
        compositions = np.array([[x[element] for element in system.elements] for x in fractions])
        hull, phases, shares = system.hull.decompose(compositions)
        formation = energies - np.array([self._elemental(x) for x in fractions])
        for row in range(len(energies)):
            parts = [
                (-round(float(share), 6), self._phases[system.phases[phase]].formula)
                for phase, share in zip(phases[row], shares[row], strict=True)
                if share > _SMALLEST_SHARE
            ]
            text = " + ".join(f"{-share:.2f} {formula}" for share, formula in sorted(parts))
            yield HullResult(float(formation[row]), float(formation[row] - hull[row]), text, system.coverage)

    def _subsystems(self, system: System) -> list[System]:
        """Chemical systems with phases that lie inside of one, itself included, smallest first."""
        if 2 ** len(system) > len(self._of_system):
            return sorted((s for s in self._of_system if s <= system), key=lambda s: (len(s), sorted(s)))
        names = sorted(system)
        parts = (frozenset(part) for size in range(1, len(names) + 1) for part in combinations(names, size))
        return [part for part in parts if part in self._of_system]

    def _system(self, elements: System) -> _System:
        """Hull of a chemical system whose elements all have an energy."""
        if elements not in self._systems:
            if len(self._systems) >= _KEPT_HULLS:
                self._systems.clear()
            inside = self._subsystems(elements)
            own = np.array([i for i in self._of_system.get(elements, ()) if self._competes(i)], np.int64)
            phases = np.concatenate([*(self._stable_of(part) for part in inside if part != elements), own])
            if len(elements) == 1:
                phases = own = np.array([self._elements[next(iter(elements))]], np.int64)
            names = tuple(sorted(elements))
            fractions = np.array([[self._fractions[i].get(e, 0.0) for e in names] for i in phases])
            coverage = sum(len(self._of_system[part]) for part in inside if len(part) > 1)
            hull = LowerHull.of(fractions, self._formation[phases])
            self._systems[elements] = _System(names, phases, len(own), hull, coverage)
        return self._systems[elements]

    def _competes(self, index: int) -> bool:
        return bool(self._formation[index] < _FORMS_BELOW_eV)

    def _stable_of(self, elements: System) -> NDArray[np.int64]:
        """Phases of exactly these elements that lie on the hull of their chemical system."""
        if elements not in self._stable:
            system = self._system(elements)
            own = np.arange(len(system.phases) - system.own, len(system.phases))
            hull, _, _ = system.hull.decompose(system.hull.fractions[own])
            on_hull = system.hull.energies[own] - hull <= STABLE_WITHIN_eV
            self._stable[elements] = system.phases[own[on_hull]]
        return self._stable[elements]


def chemical_system(formula: str) -> frozenset[str]:
    """Elements of a formula.

    Examples
    --------
    >>> sorted(chemical_system("Be2HfNb2"))
    ['Be', 'Hf', 'Nb']
    """
    return frozenset(element.symbol for element in Composition(formula).elements)


def _fractions(formula: str) -> dict[str, float]:
    """Atomic fraction of each element."""
    composition = Composition(formula)
    total = composition.num_atoms
    return {element.symbol: amount / total for element, amount in composition.items()}


@lru_cache(maxsize=2)
def hull_of(reference: Reference) -> Hull:
    """Return the hull of a reference, made once: its thousands of entries take longer than many a placement."""
    return Hull(reference)
