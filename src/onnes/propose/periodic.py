"""The periodic table as a map: which elements surround which."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from onnes.crystals.symbols import symbols
from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection

NOBLE_GASES = frozenset({"He", "Ne", "Ar", "Kr", "Xe", "Rn"})
# Beside the noble gases: no isotope that lives long enough for a bulk sample to be handled in an ordinary laboratory.
SHORT_LIVED = frozenset({"Tc", "Pm", "Po", "At", "Fr", "Ra", "Ac", "Pa"})
DEFAULT_EXCLUDED = NOBLE_GASES | SHORT_LIVED
HEAVIEST = 92  # uranium; what lies beyond is never proposed
_CERIUM, _LUTETIUM, _THORIUM = 58, 71, 90


def atomic_number(symbol: str) -> int:
    """Atomic number of an element symbol.

    Raises
    ------
    ConfigError
        When there is no such element; the message names it.

    Examples
    --------
    >>> atomic_number("Nb")
    41
    """
    if symbol not in symbols()[1:]:
        raise ConfigError(f"{symbol!r} is not an element; write symbols such as Nb, with a capital first letter")
    return symbols().index(symbol)


def symbol_of(number: int) -> str:
    """Symbol of an atomic number, 1 to 118."""
    return symbols()[number]


def atomic_numbers(symbols: Collection[str]) -> frozenset[int]:
    """Atomic numbers of several symbols; raises ConfigError naming what is not an element."""
    return frozenset(atomic_number(symbol) for symbol in symbols)


@lru_cache(maxsize=1)
def _places() -> dict[tuple[int, int], int]:
    """Atomic number at each (row, column) of the 18-column table, La and Ac in column 3, the f rows left out."""
    from pymatgen.core import Element

    main = [z for z in range(1, HEAVIEST + 1) if not (_CERIUM <= z <= _LUTETIUM or z >= _THORIUM)]
    return {(Element.from_Z(z).row, Element.from_Z(z).group): z for z in main}


@lru_cache(maxsize=128)
def neighbours(symbol: str) -> tuple[str, ...]:
    """Elements in the up to eight places around an element in the 18-column periodic table, by atomic number.

    Left, right, up, down and the four diagonals; an empty place gives nothing, so beryllium does not touch boron. La
    and Ac stand below Y in column 3. The other f elements are in no column: Ce to Lu and Th to U have only the
    element before and after them, and Ce touches La, Th touches Ac. Nothing beyond uranium. The relation is symmetric.

    Raises
    ------
    ConfigError
        When there is no such element.

    Examples
    --------
    >>> neighbours("Nb")
    ('Ti', 'V', 'Cr', 'Zr', 'Mo', 'Hf', 'Ta', 'W')
    >>> neighbours("Gd")
    ('Eu', 'Tb')
    """
    number = atomic_number(symbol)
    found: set[int] = set()
    place = next((place for place, z in _places().items() if z == number), None)
    if place is not None:
        around = [(place[0] + up, place[1] + right) for up in (-1, 0, 1) for right in (-1, 0, 1)]
        found |= {_places()[there] for there in around if there in _places()}
    for first, last in ((_CERIUM - 1, _LUTETIUM), (_THORIUM - 1, HEAVIEST)):
        if first <= number <= last:
            found |= {z for z in (number - 1, number + 1) if first <= z <= last}
    return tuple(symbol_of(z) for z in sorted(found - {number}))
