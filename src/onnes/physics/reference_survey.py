"""What a reference knows and what it lacks: in all, and in one chemical system."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

from pymatgen.core import Element

from onnes.errors import ConfigError
from onnes.physics.hull import Hull, STABLE_WITHIN_eV, chemical_system
from onnes.physics.reference import HYPOTHETICAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnes.physics.reference import Reference


@dataclass(frozen=True)
class ReferenceSurvey:
    """A reference in numbers.

    Attributes
    ----------
    phases, with_energy, hypothetical
        Rows; those with an energy; those that nobody reported.
    formulas, formulas_with_energy
        Different reduced formulas.
    elements
        Elements with an energy: only crystals made of these can be placed.
    systems
        By number of elements: chemical systems with a compound that has an energy.
    possible_systems
        By number of elements: all systems that those elements could form.
    """

    phases: int
    with_energy: int
    hypothetical: int
    formulas: int
    formulas_with_energy: int
    elements: list[str]
    systems: dict[int, int]
    possible_systems: dict[int, int]


@dataclass(frozen=True)
class FormulaSurvey:
    """What is known of one formula.

    Attributes
    ----------
    formula, id
        Reduced formula, and the id of its lowest phase (or of the first, without energies).
    phases, with_energy
        Known crystals, and those with an energy.
    e_above_hull_eV_per_atom
        Of the lowest one; None without an energy or without those of its elements.
    stable
        On the hull.
    hypothetical
        Nobody reported a crystal of this formula.
    """

    formula: str
    id: str
    phases: int
    with_energy: int
    e_above_hull_eV_per_atom: float | None
    stable: bool
    hypothetical: bool


@dataclass(frozen=True)
class SystemSurvey:
    """What is known of a chemical system and its subsystems.

    Attributes
    ----------
    system
        For example ``"Be-Hf-Nb"``.
    formulas
        Sorted by number of elements and formula.
    subsystems
        Number of compounds with an energy of each subsystem of two or more elements, itself included.
    missing_elements
        Elements without an energy: nothing that holds them can be placed.
    without_energy
        Known formulas that do not compete.
    without_compounds
        Subsystems in which a candidate is held against the elements (and smaller subsystems) alone.
    """

    system: str
    formulas: list[FormulaSurvey]
    subsystems: dict[str, int]
    missing_elements: list[str]
    without_energy: list[str]
    without_compounds: list[str]


def survey_reference(reference: Reference) -> ReferenceSurvey:
    """Count what a reference holds.

    Examples
    --------
    >>> from onnes.physics.reference import Reference
    >>> survey_reference(Reference.shipped("sevennet-0")).possible_systems[2]  # pairs of 89 elements
    3916
    """
    table = reference.table
    systems = {chemical_system(formula) for formula in reference.lowest}
    elements = sorted(next(iter(system)) for system in systems if len(system) == 1)
    usable = [system for system in systems if len(system) > 1 and system <= set(elements)]
    counts = Counter(len(system) for system in usable)
    return ReferenceSurvey(
        phases=table.num_rows,
        with_energy=table.num_rows - table["energy_eV_per_atom"].null_count,
        hypothetical=table["source"].to_pylist().count(HYPOTHETICAL),
        formulas=len(set(table["reduced_formula"].to_pylist())),
        formulas_with_energy=len(reference.lowest),
        elements=elements,
        systems=dict(sorted(counts.items())),
        possible_systems={size: comb(len(elements), size) for size in sorted(counts)},
    )


def survey_system(reference: Reference, elements: Sequence[str]) -> SystemSurvey:
    """List what a reference knows of a chemical system, and what it lacks.

    Raises
    ------
    ConfigError
        For something that is no element.
    """
    wrong = [symbol for symbol in elements if not Element.is_valid_symbol(symbol)]
    if wrong or not elements:
        raise ConfigError(f"no element is called {', '.join(wrong) or 'nothing'}; give a system such as Nb-Hf-Be")
    names = sorted(set(elements))
    hull = Hull(reference)
    formulas = _formulas(reference, hull, frozenset(names))
    counts = {
        "-".join(part): sum(f.with_energy > 0 and chemical_system(f.formula) == set(part) for f in formulas)
        for size in range(2, len(names) + 1)
        for part in combinations(names, size)
    }
    return SystemSurvey(
        system="-".join(names),
        formulas=formulas,
        subsystems=counts,
        missing_elements=hull.missing_elements(names),
        without_energy=[f.formula for f in formulas if not f.with_energy and not f.hypothetical],
        without_compounds=[system for system, count in counts.items() if not count],
    )


def _formulas(reference: Reference, hull: Hull, system: frozenset[str]) -> list[FormulaSurvey]:
    rows: dict[str, list[tuple[str, str, float | None]]] = defaultdict(list)
    columns = ("reduced_formula", "id", "source", "energy_eV_per_atom")
    for formula, name, source, energy in zip(*(reference.table[c].to_pylist() for c in columns), strict=True):
        rows[formula].append((name, source, energy))
    inside = [formula for formula in rows if chemical_system(formula) <= system]
    inside.sort(key=lambda formula: (len(chemical_system(formula)), formula))
    lowest = [reference.lowest.get(formula, (float("nan"), rows[formula][0][0])) for formula in inside]
    places = hull.place_all(inside, [energy for energy, _ in lowest])
    found: list[FormulaSurvey] = []
    for formula, (_, name), place in zip(inside, lowest, places, strict=True):
        above = place.e_above_hull_eV_per_atom if place is not None else None
        found.append(
            FormulaSurvey(
                formula=formula,
                id=name,
                phases=len(rows[formula]),
                with_energy=sum(energy is not None for _, _, energy in rows[formula]),
                e_above_hull_eV_per_atom=above,
                stable=above is not None and above <= STABLE_WITHIN_eV,
                hypothetical=all(source == HYPOTHETICAL for _, source, _ in rows[formula]),
            )
        )
    return found
