"""Goedecker-Teter-Hutter pseudopotentials: read from the tables of an installed package, written as Quantum ESPRESSO reads them."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ase.data import atomic_numbers

from onnes.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTIONAL_CODES = {"PBE": 11, "PADE": 1}
"""Families of the tables and ABINIT's code of their functional."""
_CP2K_FILES = (Path("/usr/share/cp2k/GTH_POTENTIALS"), Path("/usr/local/share/cp2k/GTH_POTENTIALS"))
_PYSCF_FILE = "pbc/gto/pseudo/gth-{family}.dat"
INSTALL = "apt-get install --no-install-recommends cp2k-data (or: pip install pyscf)"
"""What to say to somebody who has no tables."""


_Entry = tuple[list[str], list[list[str]]]


@dataclass(frozen=True)
class GthPotential:
    """The numbers of one GTH pseudopotential, in atomic units.

    Attributes
    ----------
    symbol, name
        Element and name of the entry, such as ``GTH-PBE-q13``.
    valence
        Number of electrons that are not in the core.
    r_loc, local
        Radius of the local part and its up to four coefficients.
    channels
        For each angular momentum from 0 on: the radius, and the rows of the upper triangle of the coefficients h.
    """

    symbol: str
    name: str
    valence: int
    r_loc: float
    local: tuple[float, ...]
    channels: tuple[tuple[float, tuple[tuple[float, ...], ...]], ...]

    def as_psp10(self) -> str:
        """Return the text that `pw.x` and `ph.x` read from a file with the suffix ``.gth`` (ABINIT's pspcod 10).

        Examples
        --------
        >>> print(GthPotential("H", "GTH-PBE-q1", 1, 0.2, (-4.18, 0.72), ()).as_psp10())
        GTH-PBE-q1 H
        1 1 000000
        10 11 0 1 2001 0
        0.2 2 -4.18 0.72
        1
        0.2 0
        <BLANKLINE>
        """
        family = self.name.split("-")[1]
        lines = [
            f"{self.name} {self.symbol}",
            f"{atomic_numbers[self.symbol]} {self.valence} 000000",
            f"10 {FUNCTIONAL_CODES[family]} {max(len(self.channels) - 1, 0)} {max(len(self.channels), 1)} 2001 0",
            " ".join(map(str, (self.r_loc, len(self.local), *self.local))),
            str(max(len(self.channels), 1)),
        ]
        for momentum, (radius, rows) in enumerate(self.channels):
            lines.append(" ".join(map(str, (radius, len(rows), *(rows[0] if rows else ())))))
            lines += [" ".join(map(str, row)) for row in rows[1:]]
            if momentum:  # the spin-orbit block, which is left out
                lines += [" ".join("0.0" for _ in row) for row in rows]
        if not self.channels:
            lines.append("0.2 0")
        return "\n".join(lines) + "\n"


def gth_tables(family: str = "PBE") -> Path:
    """Find the tables of an installed package: CP2K's data (also through ``CP2K_DATA_DIR``), or pyscf.

    Raises
    ------
    VerificationError
        When neither is installed.
    """
    places = [Path(os.environ["CP2K_DATA_DIR"]) / "GTH_POTENTIALS"] if os.environ.get("CP2K_DATA_DIR") else []
    places += _CP2K_FILES
    spec = importlib.util.find_spec("pyscf")
    if spec is not None and spec.origin:
        places.append(Path(spec.origin).parent / _PYSCF_FILE.format(family=family.lower()))
    for place in places:
        if place.is_file():
            return place
    raise VerificationError(f"no tables of GTH pseudopotentials found; install them with: {INSTALL}")


def gth_entries(symbol: str, family: str = "PBE", tables: Path | None = None) -> tuple[str, ...]:
    """Name the entries of an element, such as ``GTH-PBE-q13``, the default one first.

    Raises
    ------
    VerificationError
        When there are no tables, or the element is not in them.
    """
    return tuple(header[1] for header, _ in _of_element(symbol, family, tables or gth_tables(family)))


def read_gth(symbol: str, family: str = "PBE", tables: Path | None = None, *, name: str | None = None) -> GthPotential:
    """Read the entry of an element: the one that the tables name as the default, or another.

    Parameters
    ----------
    symbol
        Element.
    family
        ``PBE``, or ``PADE`` (LDA).
    tables
        File in CP2K's layout; of an installed package by default.
    name
        Of the entry, such as ``GTH-PBE-q2``; the default one if not given.

    Returns
    -------
    GthPotential

    Raises
    ------
    VerificationError
        When there are no tables, the element is not in them, or its entry cannot be read.
    """
    path = tables or gth_tables(family)
    entries = _of_element(symbol, family, path)
    if name is not None and not any(name in header for header, _ in entries):
        raise VerificationError(f"{path} has no entry {name} of {symbol}, only {', '.join(h[1] for h, _ in entries)}")
    header, numbers = next(entry for entry in entries if name is None or name in entry[0])
    try:
        return _potential(symbol, header[1], numbers)
    except (ValueError, IndexError) as error:
        raise VerificationError(f"{path}: the entry {' '.join(header)} cannot be read: {error}") from error


def _of_element(symbol: str, family: str, path: Path) -> list[_Entry]:
    """Entries of an element and a family; the default one first."""
    if family not in FUNCTIONAL_CODES:
        raise VerificationError(
            f"no family of GTH pseudopotentials {family!r}; there are {', '.join(FUNCTIONAL_CODES)}"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise VerificationError(f"{path} cannot be read: {error.strerror}") from error
    entries = [
        (header, numbers)
        for header, numbers in _entries(text)
        if header[0] == symbol and any(name.split("-q")[0] == f"GTH-{family}" for name in header[1:])
    ]
    if not entries:
        raise VerificationError(f"{path} has no GTH-{family} pseudopotential of {symbol}")
    return sorted(entries, key=lambda entry: f"GTH-{family}" not in entry[0])


def _entries(text: str) -> Iterator[_Entry]:
    """Headers and the lines of numbers below them."""
    header: list[str] = []
    numbers: list[list[str]] = []
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0][0].isalpha() and len(words) > 1:
            if header:
                yield header, numbers
            header, numbers = words, []
        elif header:
            numbers.append(words)
    if header:
        yield header, numbers


def _potential(symbol: str, name: str, numbers: list[list[str]]) -> GthPotential:
    valence = sum(int(word) for word in numbers[0])
    n_local = int(numbers[1][1])
    local = tuple(float(word) for word in numbers[1][2 : 2 + n_local])
    channels, at = [], 3
    for _ in range(int(numbers[2][0])):
        size = int(numbers[at][1])
        rows = [numbers[at][2:], *numbers[at + 1 : at + size]] if size else []
        if [len(row) for row in rows] != list(range(size, 0, -1)):
            raise ValueError(f"a channel of {size} projectors needs {size * (size + 1) // 2} coefficients")
        channels.append((float(numbers[at][0]), tuple(tuple(float(word) for word in row) for row in rows)))
        at += max(size, 1)
    return GthPotential(symbol, name, valence, float(numbers[1][0]), local, tuple(channels))
