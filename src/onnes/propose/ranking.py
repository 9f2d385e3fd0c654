"""Whole-element substitutions of many parents, ranked together by the probabilities of their replacements."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.prototype_label import AnonymousPrototype, anonymous_prototype
from onnes.errors import ConfigError, CrystalError
from onnes.propose.periodic import atomic_number

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

MAX_ELEMENTS = 7  # the orders of their slots, 5040, are all compared
_BASE = 128  # of codes that hold one atomic number a slot; nine of them would fit into 63 bits
_DIGITS = 12
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class RankedFamily:
    """All crystals of one prototype that some parent gives, the likeliest first.

    Attributes
    ----------
    prototype
        Without elements.
    elements
        Atomic number on each slot of the parent, shape (n, slots).
    scores, probabilities, parents
        Sum over the parents, largest term of it, and the parent that term belongs to; shape (n,).
    """

    prototype: AnonymousPrototype
    elements: Ints
    scores: Floats
    probabilities: Floats
    parents: Ints


def likely_replacements(rows: Floats, own: Ints, threshold: float) -> tuple[Ints, Floats]:
    """All choices of different elements whose probability exceeds a threshold, by branch and bound.

    A branch is cut as soon as its product falls to the threshold: no factor exceeds 1, that of an element which stays.

    Parameters
    ----------
    rows
        Probability that each element takes the place of the one that is there, zero where it must not, shape (k, z).
    own
        What is there, shape (k,); it may stay, with probability 1.
    threshold
        Probabilities above it are kept.

    Returns
    -------
    Atomic numbers, shape (n, k), and probabilities, shape (n,); what is there already is left out.

    Examples
    --------
    >>> rows = np.zeros((2, 4))
    >>> rows[0, 2], rows[1, 3] = 0.1, 0.02
    >>> likely_replacements(rows, np.array([0, 1]), 0.001)[0].tolist()
    [[0, 3], [2, 1], [2, 3]]
    """
    found, probabilities = np.zeros((1, 0), np.int64), np.ones(1)
    for row, stays in zip(rows, own.tolist(), strict=True):
        options = np.union1d(np.flatnonzero(row > threshold), [stays])
        factors = np.where(options == stays, 1.0, row[options])
        products = probabilities[:, None] * factors
        keep = products > threshold
        for column in found.T:
            keep &= column[:, None] != options
        before, option = np.nonzero(keep)
        found = np.column_stack([found[before], options[option]])
        probabilities = products[before, option]
    new = (found != own).any(axis=1)
    return found[new], probabilities[new]


def ranked_families(
    labels: Sequence[str],
    probabilities: Sequence[Mapping[int, Floats] | None],
    *,
    allowed: Flags,
    fixed: Collection[int] = (),
    known: Mapping[tuple[int, ...], Ints] | None = None,
    threshold: float,
) -> list[RankedFamily]:
    """Substitute whole elements in all parents, prototype by prototype.

    Parameters
    ----------
    labels
        Prototype label with elements of each parent; of equal ones the first counts.
    probabilities
        For each parent those of its elements (`onnes.propose.replacement.replacement_probabilities`); None to skip it.
    allowed
        Which elements may be put in, shape (z,). What the parent holds may stay.
    fixed
        Atomic numbers that are not replaced.
    known
        Formulas to leave out, from `codes_of_formulas`.
    threshold
        Smallest probability of a replacement.

    Returns
    -------
    One family a prototype, in the order in which the parents show them. Crystals that are parents are left out.
    Two arrangements with one label (the same elements, exchanged on sites that share a letter) count as one crystal.
    """
    members: dict[AnonymousPrototype, list[tuple[int, Ints]]] = defaultdict(list)
    first = {label: index for index, label in reversed(list(enumerate(labels)))}
    for label in dict.fromkeys(labels):
        if label.count("-") >= MAX_ELEMENTS:
            raise CrystalError(f"{label} has more than {MAX_ELEMENTS} elements")
        prototype, symbols = anonymous_prototype(label)
        members[prototype].append((first[label], np.array([atomic_number(symbol) for symbol in symbols])))
    families: list[RankedFamily] = []
    for prototype, own_elements in members.items():
        kept: list[tuple[int, Ints, Floats]] = []
        for index, own in own_elements:
            factors = probabilities[index]
            if factors is None:
                continue
            rows = np.array([np.where(allowed, factors[z], 0.0) * (z not in fixed) for z in own.tolist()])
            kept.append((index, *likely_replacements(rows, own, threshold)))
        if kept:
            there = np.array([own for _, own in own_elements])
            families.append(_family(prototype, kept, there, (known or {}).get(prototype.amounts, _NONE)))
    return families


def _family(
    prototype: AnonymousPrototype, kept: list[tuple[int, Ints, Floats]], members: Ints, known: Ints
) -> RankedFamily:
    found = np.concatenate([rows for _, rows, _ in kept])
    codes = crystal_codes(found, prototype)
    probabilities = np.concatenate([p for _, _, p in kept])
    parents = np.repeat([index for index, _, _ in kept], [len(p) for _, _, p in kept])
    # The likeliest parent of each crystal comes first, and np.unique reports the first.
    order = np.lexsort((parents, -probabilities))
    unique, first, which = np.unique(codes[order], return_index=True, return_inverse=True)
    scores = np.zeros(len(unique))
    np.add.at(scores, which, probabilities[order])
    new = ~np.isin(unique, crystal_codes(members, prototype))
    new &= ~np.isin(formula_codes(found[order][first], prototype.amounts), known)
    # Rounded, so that the order of summation does not decide between equals; the codes then do.
    rank = np.lexsort((unique[new], -np.round(scores[new], _DIGITS)))
    best = order[first][new][rank]
    return RankedFamily(
        prototype,
        found[best],
        scores[new][rank],
        probabilities[best],
        parents[best],
    )


def crystal_codes(elements: Ints, prototype: AnonymousPrototype) -> Ints:
    """One number a crystal, equal for crystals with one prototype label.

    Parameters
    ----------
    elements
        Atomic number on each slot, shape (n, slots).
    prototype
        Without elements.

    Returns
    -------
    The least over the equivalent orders of the slots, shape (n,).
    """
    return np.min([_packed(elements[:, list(order)]) for order in prototype.equivalent], axis=0)


def formula_codes(elements: Ints, amounts: Sequence[int]) -> Ints:
    """One number a crystal, equal for crystals with one formula; shape (n,).

    Parameters
    ----------
    elements
        Atomic numbers, shape (n, slots).
    amounts
        Atoms of each of them in the reduced formula, ascending.
    """
    groups = [np.flatnonzero(np.array(amounts) == amount) for amount in sorted(set(amounts))]
    return _packed(np.column_stack([np.sort(elements[:, group], axis=1) for group in groups]))


def codes_of_formulas(formulas: Iterable[str]) -> dict[tuple[int, ...], Ints]:
    """Sort formulas by their ascending amounts, each as a number of `formula_codes`.

    Raises
    ------
    ConfigError
        For what is no formula, or has fractions of atoms.

    Examples
    --------
    >>> codes_of_formulas(["MgB2", "Al4Cu2"])
    {(1, 2): array([1541, 3725])}
    """
    from pymatgen.core import Composition

    found: dict[tuple[int, ...], list[list[int]]] = defaultdict(list)
    for formula in formulas:
        try:
            amounts = Composition(formula).get_el_amt_dict()
        except ValueError as error:
            raise ConfigError(f"{formula!r} is no formula ({error}); write one like MgB2") from error
        if not amounts or any(n != round(n) for n in amounts.values()):
            raise ConfigError(f"{formula!r} has fractions of atoms; write whole numbers, such as Nb3Zr")
        divisor = gcd(*(round(n) for n in amounts.values()))
        content = sorted((round(n) // divisor, atomic_number(symbol)) for symbol, n in amounts.items())
        if len(content) <= MAX_ELEMENTS:
            found[tuple(n for n, _ in content)].append([z for _, z in content])
    return {key: formula_codes(np.array(rows), key) for key, rows in found.items()}


def _packed(elements: Ints) -> Ints:
    return elements @ _BASE ** np.arange(elements.shape[1], dtype=np.int64)[::-1]


def in_order(families: Sequence[RankedFamily]) -> Iterator[tuple[RankedFamily, int]]:
    """Crystals of all families as (family, row), the best score first."""
    queues = (_queue(index, family) for index, family in enumerate(families))
    return ((families[index], row) for _, index, row in heapq.merge(*queues))


def _queue(index: int, family: RankedFamily) -> Iterator[tuple[float, int, int]]:
    return ((-round(score, _DIGITS), index, row) for row, score in enumerate(family.scores.tolist()))
