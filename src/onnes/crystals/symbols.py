"""Element symbols and atomic numbers."""

from __future__ import annotations

from functools import cache

from onnes.errors import CrystalError

# Hydrogen isotopes have hydrogen's electrons, which is all that matters here.
_ISOTOPES = {"D": 1, "T": 1}


@cache
def symbols() -> tuple[str, ...]:
    """Symbols by atomic number; entry 0 is ``X``, no element."""
    from ase.data import chemical_symbols  # slow to import

    return tuple(chemical_symbols)


@cache
def atomic_numbers() -> dict[str, int]:
    """Atomic numbers by symbol, deuterium and tritium as hydrogen.

    Examples
    --------
    >>> atomic_numbers()["Nb"], atomic_numbers()["D"]
    (41, 1)
    """
    return {symbol: z for z, symbol in enumerate(symbols()) if z > 0} | _ISOTOPES


def atomic_number(symbol: str) -> int:
    """Atomic number of a symbol, which may carry a charge.

    Raises
    ------
    CrystalError
        If there is no such element.

    Examples
    --------
    >>> atomic_number("O2-"), atomic_number("Nb")
    (8, 41)
    """
    letters = symbol.strip().rstrip("+-0123456789.")
    if letters not in atomic_numbers():
        raise CrystalError(f"unknown element {symbol!r}. Use real elements, Z from 1 to 103")
    return atomic_numbers()[letters]
