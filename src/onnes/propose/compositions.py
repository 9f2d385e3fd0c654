"""Compositions of a chemical space that chemistry allows, ranked by a model where there is one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from math import comb, gcd
from random import Random
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from onnes.errors import ConfigError
from onnes.propose.periodic import NOBLE_GASES, atomic_numbers, symbol_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

States = Literal["icsd24", "smact14"]
Amounts = dict[str, int]

MAX_ATOMS = 12
MAX_BETWEEN = 2
THRESHOLD_EV_PER_ATOM = 0.05
"""Above stability, as GNoME keeps compositions (Merchant et al., Nature 624, 80 (2023))."""
MAX_LISTED = 1_000_000
_PLANE_TOLERANCE = 1e-9


class CompositionEnergy(Protocol):
    """A composition model: energy above stability (eV/atom) of formulas, shape (B,)."""

    def __call__(self, formulas: Sequence[str]) -> Floats:
        """Energies in the order of the formulas; NaN where the model cannot tell."""
        ...


@dataclass(frozen=True)
class Compositions:
    """Formulas of a chemical space.

    Attributes
    ----------
    formulas
        Reduced.
    energies_eV_per_atom
        By the composition model, in the same order; empty without one.
    listed
        Stoichiometries before any filter.
    balanced
        Of these, those that the oxidation states allow.
    """

    formulas: tuple[str, ...]
    energies_eV_per_atom: tuple[float, ...]
    listed: int
    balanced: int


def compositions(
    elements: Collection[str],
    *,
    n_elements: Sequence[int] = (2, 3),
    max_atoms: int = MAX_ATOMS,
    max_each: int | None = None,
    states: States | None = "icsd24",
    max_between: int = MAX_BETWEEN,
    metals_pass: bool = True,
    energy: CompositionEnergy | None = None,
    threshold_eV_per_atom: float = THRESHOLD_EV_PER_ATOM,
    limit: int | None = None,
    seed: int = 0,
) -> Compositions:
    """List the compositions of a chemical space that are worth a search for crystals.

    Parameters
    ----------
    elements
        Which elements to combine.
    n_elements
        Numbers of elements in a formula; those above the number of ``elements`` do not count.
    max_atoms
        Most atoms in the reduced formula.
    max_each
        Most atoms of one element in it; no bound by default.
    states
        SMACT's list of oxidation states (Davies et al., J. Open Source Softw. 4, 1361 (2019)): "icsd24" (those in the
        ICSD), "smact14", or None to let every stoichiometry pass. See `balanced`.
    max_between, metals_pass
        See `balanced`.
    energy
        Composition model: energy above stability of formulas in eV/atom, for instance
        `above_predicted_hull` of a model of formation energies.
    threshold_eV_per_atom
        Formulas that the model puts higher are dropped, and those that it cannot judge.
    limit
        Most formulas: the lowest ones by the model, or without one a random sample.
    seed
        Of that sample.

    Returns
    -------
    Compositions
        Lowest energy first; without a model fewest elements first, then fewest atoms, then by alphabet.

    Raises
    ------
    ConfigError
        For what is no element, a noble gas, bad counts, more than `MAX_LISTED` stoichiometries, or without SMACT.

    Examples
    --------
    >>> compositions(["Mg", "O"], max_atoms=4).formulas
    ('MgO', 'MgO2', 'Mg2O', 'Mg3O')
    """
    if max_atoms < 1 or (max_each is not None and max_each < 1) or (limit is not None and limit < 1):
        raise ConfigError("max_atoms, max_each and limit count from 1")
    listed = list(stoichiometries(elements, n_elements=n_elements, max_atoms=max_atoms, max_each=max_each))
    allowed = [
        amounts
        for amounts in listed
        if states is None or balanced(amounts, states=states, max_between=max_between, metals_pass=metals_pass)
    ]
    formulas = [formula_of(amounts) for amounts in allowed]
    if energy is None:
        if limit is not None and limit < len(formulas):
            formulas = [formulas[i] for i in sorted(Random(seed).sample(range(len(formulas)), limit))]
        return Compositions(tuple(formulas), (), len(listed), len(allowed))
    energies = np.asarray(energy(formulas), float) if formulas else np.zeros(0)
    order = [int(i) for i in np.argsort(energies, kind="stable") if energies[i] <= threshold_eV_per_atom][:limit]
    kept = tuple(float(energies[i]) for i in order)
    return Compositions(tuple(formulas[i] for i in order), kept, len(listed), len(allowed))


def stoichiometries(
    elements: Collection[str], *, n_elements: Sequence[int], max_atoms: int, max_each: int | None = None
) -> Iterator[Amounts]:
    """Reduced stoichiometries: fewest elements first, then fewest atoms, then by alphabet.

    Examples
    --------
    >>> list(stoichiometries(["Nb", "N"], n_elements=[2], max_atoms=3))
    [{'N': 1, 'Nb': 1}, {'N': 1, 'Nb': 2}, {'N': 2, 'Nb': 1}]
    """
    numbers = atomic_numbers(elements)
    noble = sorted(NOBLE_GASES & set(elements))
    if noble:
        raise ConfigError(f"noble gases make no metals; leave out {', '.join(noble)}")
    symbols = sorted(symbol_of(number) for number in numbers)
    sizes = sorted({size for size in n_elements if 1 <= size <= len(symbols)})
    if not sizes:
        raise ConfigError(
            f"{len(symbols)} elements make no formulas of {list(n_elements)} elements; name more elements"
        )
    total = sum(comb(len(symbols), size) * comb(max_atoms, size) for size in sizes)
    if total > MAX_LISTED:
        raise ConfigError(f"up to {total} stoichiometries; name fewer elements, or lower max_atoms or n_elements")
    for size in sizes:
        amounts = sorted(_partitions(size, max_atoms, max_each or max_atoms), key=lambda row: (sum(row), row))
        for row in amounts:
            for chosen in combinations(symbols, size):
                yield dict(zip(chosen, row, strict=True))


def balanced(
    amounts: Amounts, *, states: States = "icsd24", max_between: int = MAX_BETWEEN, metals_pass: bool = True
) -> bool:
    """Whether oxidation states can balance a formula, by the relaxed rule of GNoME.

    The rule is a loose one on purpose: of 1,006 stable compounds with a non-metal in the Materials Project it keeps all, of
    random amounts of random elements 99 %. Without elements between states (``max_between=0``) it keeps 95 % and 67 %.
    What to search for is better decided by a composition model.

    Each element takes one of its oxidation states, metals 0 as well (for their metallic forms); up to ``max_between``
    elements may instead lie between two of their states that follow each other, as silicon does in Li15Si4. Unless only
    one element is there, something must be positive and something negative.

    Parameters
    ----------
    amounts
        Atoms by element symbol.
    states
        SMACT's list.
    max_between
        Elements that may lie between two states.
    metals_pass
        Let a formula of metals alone pass in any case.

    Raises
    ------
    ConfigError
        Without SMACT.

    Examples
    --------
    >>> balanced({"Li": 15, "Si": 4}), balanced({"Li": 15, "Si": 4}, max_between=0), balanced({"Mg": 1, "F": 3})
    (True, False, False)
    """
    symbols = sorted(amounts)
    if len(symbols) == 1 or (metals_pass and all(is_metal(symbol) for symbol in symbols)):
        return True
    ranges = [oxidation_states(symbol, states) for symbol in symbols]
    if any(not found for found in ranges):
        return False
    counts = [amounts[symbol] for symbol in symbols]
    free_most = min(max_between, len(symbols))
    return any(
        _neutral(free, ranges, counts)
        for size in range(free_most + 1)
        for free in combinations(range(len(symbols)), size)
    )


@cache
def oxidation_states(symbol: str, states: States) -> tuple[int, ...]:
    """Oxidation states of an element in ascending order, 0 among them for a metal; empty where none is known.

    Examples
    --------
    >>> oxidation_states("Li", "icsd24"), oxidation_states("O", "icsd24")
    ((0, 1), (-2, -1))
    """
    try:
        import smact
    except ImportError as error:
        raise ConfigError(
            "oxidation states need the package SMACT; install it with: pip install 'onnes[generate]'"
        ) from error
    found = getattr(smact.Element(symbol), f"oxidation_states_{states}") or []
    return tuple(sorted({*found, 0} if is_metal(symbol) else set(found)))


@cache
def is_metal(symbol: str) -> bool:
    """Whether the element is a metal; the metalloids B, Si, Ge, As, Sb and Te are not."""
    from pymatgen.core import Element

    return bool(Element(symbol).is_metal)


def above_predicted_hull(formation_energy: Callable[[Sequence[str]], Floats]) -> CompositionEnergy:
    """Composition filter made of a model of formation energies: distance to the hull that the model itself predicts.

    The hull of a chemical space is made of all formulas of the question and of the elements at zero, so that errors of
    the model that all formulas share cancel.

    Parameters
    ----------
    formation_energy
        Formation energy of formulas in eV/atom, shape (B,), such as
        ``lambda formulas: model.predict(formulas)[0]`` of an `onnes.models.formation.FormationModel`.

    Examples
    --------
    >>> filter_ = above_predicted_hull(lambda formulas: np.array([{"NaCl": -2.1, "Na2Cl": -0.4}[f] for f in formulas]))
    >>> filter_(["NaCl", "Na2Cl"]).round(3).tolist()
    [0.0, 1.0]
    """

    def distances(formulas: Sequence[str]) -> Floats:
        from onnes.physics.lower_hull import LowerHull

        energies = np.asarray(formation_energy(formulas), float)
        rows = [_amounts_of(formula) for formula in formulas]
        symbols = sorted({symbol for row in rows for symbol in row})
        fractions = np.array([[row.get(symbol, 0) for symbol in symbols] for row in rows], float)
        fractions /= fractions.sum(axis=1, keepdims=True)
        known = np.isfinite(energies)
        above = np.full(len(rows), np.nan)
        points = np.vstack([np.eye(len(symbols)), fractions[known]])
        hull = LowerHull.of(points, np.append(np.zeros(len(symbols)), energies[known]))
        above[known] = np.maximum(energies[known] - hull.decompose(fractions[known])[0], 0)
        return np.where(above < _PLANE_TOLERANCE, 0.0, above)

    return distances


def formula_of(amounts: Amounts) -> str:
    """Reduced formula as pymatgen writes it.

    Examples
    --------
    >>> formula_of({"Sn": 2, "Nb": 6})
    'Nb3Sn'
    """
    from pymatgen.core import Composition

    return Composition(amounts).reduced_formula


def _amounts_of(formula: str) -> dict[str, float]:
    from pymatgen.core import Composition

    return dict(Composition(formula).get_el_amt_dict())


def _partitions(size: int, max_atoms: int, max_each: int) -> Iterator[tuple[int, ...]]:
    """Rows of ``size`` positive numbers without a common divisor that add up to at most ``max_atoms``."""
    largest = min(max_each, max_atoms - size + 1)
    for row in product(range(1, largest + 1), repeat=size):
        if sum(row) <= max_atoms and gcd(*row) == 1:
            yield row


def _neutral(free: tuple[int, ...], ranges: Sequence[tuple[int, ...]], counts: Sequence[int]) -> bool:
    """Whether the elements in ``free`` between their states, the others on one of theirs, can add up to zero.

    A value between two states that follow each other is any value between the lowest and the highest.
    """
    fixed = [i for i in range(len(ranges)) if i not in free]
    lowest = sum(counts[i] * ranges[i][0] for i in free)
    highest = sum(counts[i] * ranges[i][-1] for i in free)
    for chosen in product(*(ranges[i] for i in fixed)):
        charge = sum(counts[i] * state for i, state in zip(fixed, chosen, strict=True))
        if lowest <= -charge <= highest and _has_both_signs(chosen, [ranges[i] for i in free]):
            return True
    return False


def _has_both_signs(chosen: Sequence[int], free: Sequence[tuple[int, ...]]) -> bool:
    positive = any(state > 0 for state in chosen) or any(states[-1] > 0 for states in free)
    negative = any(state < 0 for state in chosen) or any(states[0] < 0 for states in free)
    return positive and negative
