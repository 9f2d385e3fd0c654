"""What changes from one reference to another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from onnes.physics.hull import Hull, STABLE_WITHIN_eV, chemical_system

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from onnes.physics.reference import Reference

_SAME_ENERGY_eV = 1e-6


@dataclass(frozen=True)
class ReferenceDiff:
    """Difference of two references of the same potential.

    Attributes
    ----------
    only_in_first, only_in_second
        Formulas that just one of them has an energy for.
    energy_change_eV_per_atom
        Second less first for the formulas whose lowest energy differs.
    no_longer_stable, newly_stable
        Formulas on the hull of the first but not of the second, and the other way round.
    """

    only_in_first: list[str]
    only_in_second: list[str]
    energy_change_eV_per_atom: dict[str, float]
    no_longer_stable: list[str]
    newly_stable: list[str]


def diff_references(
    first: Reference, second: Reference, *, on_rows: Callable[[int], None] | None = None
) -> ReferenceDiff:
    """Compare the lowest phases of two references.

    Parameters
    ----------
    first, second
        References of the same potential.
    on_rows
        Called with the number of phases done since the last call.

    Raises
    ------
    ReferenceMismatch
        When the energies are of different origin.
    """
    first.require_same_origin(second)
    ours, theirs = first.lowest, second.lowest
    change = {
        formula: theirs[formula][0] - energy
        for formula, (energy, _) in sorted(ours.items())
        if formula in theirs and abs(theirs[formula][0] - energy) > _SAME_ENERGY_eV
    }
    lost, gained = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    changed = [*lost, *gained, *change]
    before, after = _stable(first, changed, on_rows), _stable(second, changed, on_rows)
    return ReferenceDiff(lost, gained, change, sorted(before - after), sorted(after - before))


def _stable(reference: Reference, changed: Collection[str], on_rows: Callable[[int], None] | None) -> set[str]:
    """Formulas on the hull, among those whose chemical system holds a changed phase."""
    systems = {chemical_system(formula) for formula in changed}
    formulas = [formula for formula in reference.lowest if _holds_one_of(chemical_system(formula), systems)]
    energies = [reference.lowest[formula][0] for formula in formulas]
    places = Hull(reference).place_all(formulas, energies, on_rows=on_rows)
    return {
        formula
        for formula, place in zip(formulas, places, strict=True)
        if place is not None and place.e_above_hull_eV_per_atom <= STABLE_WITHIN_eV
    }


def _holds_one_of(elements: frozenset[str], systems: set[frozenset[str]]) -> bool:
    sizes = range(1, len(elements) + 1)
    return any(frozenset(part) in systems for size in sizes for part in combinations(elements, size))
