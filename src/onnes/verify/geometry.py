"""The last cell that a relaxation by `pw.x` came to, also where it was cut off."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from onnes.verify.pw_output import BOHR_A

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

_NUMBER = r"[-+]?\d+\.\d+"
_ROW = rf"(?:[ ]*{_NUMBER}){{3}}[ ]*\n"
_GEOMETRY = re.compile(
    rf"^CELL_PARAMETERS \((?P<unit>\w+)(?:= *(?P<alat>{_NUMBER}))?\)[ ]*\n(?P<cell>(?:{_ROW}){{3}})\s*"
    rf"^ATOMIC_POSITIONS \((?P<kind>\w+)\)[ ]*\n(?P<atoms>(?:[ ]*[A-Z][a-z]?\d*(?:[ ]+{_NUMBER}){{3}}.*\n)+)",
    re.MULTILINE,
)
_COUNT = re.compile(r"number of atoms/cell\s+=\s+(\d+)")


def last_geometry(folder: Path) -> Atoms | None:
    """Return the last cell that the relaxations in a folder came to; None when none did a step.

    Parameters
    ----------
    folder
        With the outputs ``try-<number>.out``.
    """
    for path in sorted(folder.glob("try-*.out"), key=lambda one: int(one.stem.split("-")[1]), reverse=True):
        atoms = _last(path.read_text(encoding="utf-8", errors="replace"))
        if atoms is not None:
            return atoms
    return None


def _last(text: str) -> Atoms | None:
    from ase import Atoms
    from ase.symbols import symbols2numbers

    count = _COUNT.search(text)
    for found in reversed(list(_GEOMETRY.finditer(text))):
        lines = [line.split() for line in found["atoms"].splitlines()]
        if count is None or len(lines) != int(count[1]):
            continue  # cut off in the middle
        alat = float(found["alat"] or 0) * BOHR_A
        unit = {"alat": alat, "bohr": BOHR_A, "angstrom": 1.0}
        if found["unit"] not in unit or found["kind"] not in {*unit, "crystal"}:
            return None
        cell = unit[found["unit"]] * np.array(found["cell"].split(), float).reshape(3, 3)
        positions = np.array([line[1:4] for line in lines], float)
        cartesian = positions @ cell if found["kind"] == "crystal" else positions * unit[found["kind"]]
        numbers = symbols2numbers([line[0].rstrip("0123456789") for line in lines])
        return Atoms(numbers=numbers, cell=cell, positions=cartesian, pbc=True)
    return None
