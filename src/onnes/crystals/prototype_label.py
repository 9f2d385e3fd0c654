"""Prototype labels: space group, Pearson symbol and the Wyckoff positions of each element, with and without elements."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import groupby, permutations, product
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnes.crystals.symbols import atomic_numbers, symbols
from onnes.errors import CrystalError

if TYPE_CHECKING:
    from collections.abc import Sequence

# For each element, in their order: how many orbits sit on each Wyckoff letter.
_Orbits = tuple[tuple[tuple[str, int], ...], ...]
_TERM = re.compile(r"[A-Z](\d*)")
_WORD = re.compile(r"(\d*)([a-zA-Z])")


def prototype_label(dataset: Any, numbers: Sequence[int]) -> str:
    """Label of a crystal with its elements, such as ``A2B_hP3_191_c_b:B-Mg``.

    It is the label of ``pymatgen.analysis.prototypes.get_protostructure_label_from_moyopy`` (Goodall et al., Sci. Adv. 8,
    eabn4117 (2022)); importing that module takes seconds, so the label is built here.

    Parameters
    ----------
    dataset
        Symmetry, a ``moyopy.MoyoDataset``.
    numbers
        Atomic numbers of the same cell, length n.

    Raises
    ------
    CrystalError
        When the Wyckoff positions that were found do not add up to the composition.
    """
    elements: dict[str, list[str]] = {}
    for atom, orbit in enumerate(dataset.orbits):
        letters = elements.setdefault(symbols()[numbers[atom]], [])
        if orbit == atom:
            letters.append(dataset.wyckoffs[atom])
    names = tuple(sorted(elements))
    orbits = tuple(tuple(sorted(Counter(elements[name]).items())) for name in names)
    counts = Counter(numbers)
    amounts = _lowest_terms([counts[atomic_numbers()[name]] for name in names])
    wyckoffs = _canonical(orbits, dataset.number)
    multiplicity = _wyckoff_data()[0][str(dataset.number)]
    found = [sum(multiplicity[letter] * n for letter, n in orbit) for orbit in orbits]
    if _lowest_terms(found) != amounts:
        raise CrystalError(f"the Wyckoff positions {wyckoffs} of space group {dataset.number} do not add up")
    return f"{_formula(amounts)}_{dataset.pearson_symbol}_{dataset.number}_{wyckoffs}:{'-'.join(names)}"


@dataclass(frozen=True)
class AnonymousPrototype:
    """A prototype without its elements: kinds of sites, called slots, that each carry one element.

    Attributes
    ----------
    label
        Equal for all crystals of the prototype, whatever the alphabetical order of their elements.
    amounts
        Atoms of each slot in the reduced formula, ascending.
    equivalent
        Orders of the slots that give the same crystal once more, the identity first: elements ``e[order[0]], e[order[1]],
        ...`` on the slots make the same label as ``e[0], e[1], ...``.
    """

    label: str
    amounts: tuple[int, ...]
    equivalent: tuple[tuple[int, ...], ...]


def anonymous_prototype(label: str) -> tuple[AnonymousPrototype, tuple[str, ...]]:
    """Split a label into what is left without the elements, and the element on each slot.

    Examples
    --------
    >>> anonymous_prototype("A2B_hP3_191_c_b:B-Mg")[0] == anonymous_prototype("AB2_hP3_191_b_c:Al-B")[0]
    True
    >>> anonymous_prototype("A2B_hP3_191_c_b:B-Mg")[1]
    ('Mg', 'B')
    >>> anonymous_prototype("AB_cP2_221_a_b:Cl-Cs")[0].equivalent
    ((0, 1), (1, 0))
    """
    head, elements = label.split(":")
    names = elements.split("-")
    prototype, order = _anonymous(head)
    return prototype, tuple(names[i] for i in order)


@lru_cache(maxsize=65536)
def _anonymous(head: str) -> tuple[AnonymousPrototype, tuple[int, ...]]:
    formula, pearson, group, words = head.split("_", 3)
    space_group = int(group)
    amounts = [int(n or 1) for n in _TERM.findall(formula)]
    orbits = [tuple(sorted((letter, int(n or 1)) for n, letter in _WORD.findall(word))) for word in words.split("_")]
    labels: dict[tuple[int, ...], str] = {}
    # Only slots with the same amount on as many sites of the same multiplicities may change places; in each order one
    # label comes out, and the least is chosen.
    multiplicity = _wyckoff_data()[0][group]
    kinds = [
        (amount, sorted((multiplicity[letter], n) for letter, n in orbit))
        for amount, orbit in zip(amounts, orbits, strict=True)
    ]
    groups = [[i for i, one in enumerate(kinds) if one == kind] for kind, _ in groupby(sorted(kinds))]
    for parts in product(*(permutations(members) for members in groups)):
        order = tuple(i for part in parts for i in part)
        labels[order] = _canonical(tuple(orbits[i] for i in order), space_group)
    least = min(labels.values())
    orders = [order for order, text in labels.items() if text == least]
    first = orders[0]
    equivalent = tuple(tuple(first.index(i) for i in order) for order in orders)
    ascending = tuple(amounts[i] for i in first)
    return AnonymousPrototype(f"{_formula(ascending)}_{pearson}_{group}_{least}", ascending, equivalent), first


def _lowest_terms(amounts: Sequence[int]) -> list[int]:
    divisor = gcd(*amounts)
    return [n // divisor for n in amounts]


def _formula(amounts: Sequence[int]) -> str:
    terms = zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", amounts, strict=False)
    return "".join(letter + (str(n) if n > 1 else "") for letter, n in terms)


@lru_cache(maxsize=65536)
def _canonical(orbits: _Orbits, space_group: int) -> str:
    """Choose among the equivalent origins the one with the least sum of letters, as aviary and pymatgen do."""
    best: tuple[int, str] | None = None
    for relabelling in _wyckoff_data()[1][str(space_group)]:
        score, words = 0, []
        for orbit in orbits:
            renamed = sorted((relabelling[letter], n) for letter, n in orbit)
            words.append("".join(letter if n == 1 else f"{n}{letter}" for letter, n in renamed))
            score += sum(0 if letter == "A" else ord(letter) - 96 for letter, _ in renamed)
        candidate = (score, "_".join(words))
        best = candidate if best is None else min(best, candidate)
    if best is None:
        raise CrystalError(f"space group {space_group} has no Wyckoff data")
    return best[1]


@cache
def _wyckoff_data() -> tuple[dict[str, dict[str, int]], dict[str, list[dict[str, str]]]]:
    """Multiplicity of each Wyckoff letter, and its names at equivalent origins, both by space group.

    pymatgen's data files are read without importing its module, which decodes a 10 second library beside them.
    """
    spec = find_spec("pymatgen.analysis")
    if spec is None or not spec.submodule_search_locations:
        raise CrystalError("pymatgen is not installed completely. Install pymatgen again")
    folder = Path(next(iter(spec.submodule_search_locations))) / "prototypes"
    multiplicities, relabellings = (
        json.loads(gzip.decompress((folder / f"wyckoff-position-{name}.json.gz").read_bytes()))
        for name in ("multiplicities", "relabelings")
    )
    named = {
        group: [{chr(int(old)): new for old, new in one.items()} for one in many]
        for group, many in relabellings.items()
    }
    return multiplicities, named
