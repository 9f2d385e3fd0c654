"""Structure types of the AFLOW library of crystallographic prototypes, read where pymatgen carries them.

Mehl et al., Comput. Mater. Sci. 136, S1 (2017). Nothing of the library is kept in this package.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.orbits import to_primitive
from onnes.errors import ConfigError
from onnes.propose.colouring import symmetry
from onnes.propose.periodic import atomic_number
from onnes.propose.rows import plain_formula
from onnes.propose.structure_type import Prototype

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PREFIX = "aflow:"

# Distances below these shares of the sum of covalent radii are errors; bonds inside molecules are shorter than others.
_SHORTEST, _SHORTEST_MOLECULAR = 0.8, 0.69
_MOLECULAR = (6, 7, 8)
_ACTINIUM = 89
_NEAR_A = 3.0


@lru_cache(maxsize=1)
def _entries() -> dict[str, dict[str, Any]]:
    """Structures of the library by name, in its order."""
    # The package that holds the file takes seconds to import; the file alone is read at once.
    spec = find_spec("pymatgen.analysis")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("pymatgen is not installed completely. Install pymatgen again")
    file = Path(next(iter(spec.submodule_search_locations))) / "prototypes" / "aflow_prototypes.json.gz"
    if not file.is_file():
        raise ConfigError("this version of pymatgen carries no AFLOW prototypes; install pymatgen 2026.10 or later")
    found = json.loads(gzip.decompress(file.read_bytes()))
    twice = Counter(entry["tags"]["aflow"] for entry in found)
    names = [_name(entry, several=twice[entry["tags"]["aflow"]] > 1) for entry in found]
    return {name: entry for name, entry in zip(names, found, strict=True) if _is_sound(entry["snl"])}


def _is_sound(structure: dict[str, Any]) -> bool:
    """Whether the namesake has no atoms inside each other.

    A few entries have a wrong coordinate: nickel 1.03 A from antimony in NiSbS, magnesium 1.46 A from magnesium in MgNi2.
    """
    from ase.data import covalent_radii
    from pymatgen.core import Structure

    numbers = np.array(_numbers(structure), np.int64)
    # Not the package's own neighbour list, which imports torch.
    near = Structure(_matrix(structure), numbers.tolist(), _coords(structure)).get_neighbor_list(_NEAR_A)
    first, second = numbers[near[0]], numbers[near[1]]
    ratios = near[3] / (covalent_radii[first] + covalent_radii[second])
    molecular = np.isin(first, _MOLECULAR) | np.isin(second, _MOLECULAR)
    # The tabulated radii of the actinides are those of their salts, larger than in the metals.
    judged = np.maximum(first, second) < _ACTINIUM
    return not bool((judged & (ratios < np.where(molecular, _SHORTEST_MOLECULAR, _SHORTEST))).any())


def _name(entry: dict[str, Any], *, several: bool) -> str:
    """The library's label; with its compound where several types share the label."""
    label = entry["tags"]["aflow"]
    return f"{PREFIX}{label}:{plain_formula(_numbers(entry['snl']))}" if several else f"{PREFIX}{label}"


def _numbers(structure: dict[str, Any]) -> list[int]:
    return [atomic_number(site["species"][0]["element"]) for site in structure["sites"]]


def _coords(structure: dict[str, Any]) -> Floats:
    return np.array([site["abc"] for site in structure["sites"]], float)


def _matrix(structure: dict[str, Any]) -> Floats:
    return np.array(structure["lattice"]["matrix"], float)


def aflow_names() -> list[str]:
    """Names of the library's structure types, such as ``aflow:AB2_hP6_194_b_f``.

    Where several types share a label, the compound follows it: ``aflow:AB_oP8_62_c_c:MnP``. Entries whose namesake has
    impossible distances are left out (12 of 288 in pymatgen 2026.10).

    Raises
    ------
    ConfigError
        When pymatgen does not carry the library.

    Examples
    --------
    >>> len(aflow_names()), "aflow:A3B_cP8_223_c_a" in aflow_names()
    (276, True)
    """
    return list(_entries())


@cache
def aflow_prototype(name: str) -> Prototype:
    """Structure type of one of `aflow_names`, its kinds of atoms in the library's order.

    The space group is the one that the coordinates have within 0.1 angstrom, which a few of the labels miss.

    Raises
    ------
    KeyError
        When there is no such name.

    Examples
    --------
    >>> kind = aflow_prototype("aflow:A3B_cP8_223_c_a")
    >>> kind.compound, kind.space_group, kind.counts.tolist()
    ('Cr3Si', 223, [6, 2])
    """
    structure = _entries()[name]["snl"]
    given = np.array(_numbers(structure), np.int64)
    elements = sorted({site["species"][0]["element"] for site in structure["sites"]})
    kinds = {atomic_number(element): k for k, element in enumerate(elements)}
    # Kinds stand in as atomic numbers from 1 on, as for the other types.
    stand_ins = np.array([kinds[z] + 1 for z in given.tolist()], np.int64)
    lattice, frac, stand_ins = to_primitive(_matrix(structure), _coords(structure), stand_ins)
    group = symmetry(lattice, frac, stand_ins).number
    labels = tuple(ascii_uppercase[: len(elements)])
    return Prototype(name, plain_formula(given.tolist()), group, lattice, frac, stand_ins - 1, labels)


def strukturbericht(name: str) -> str | None:
    """Strukturbericht symbol that the library gives a type; None without one.

    Examples
    --------
    >>> strukturbericht("aflow:A3B_cP8_223_c_a")
    'A15'
    """
    symbol = str(_entries()[name]["tags"]["strukturbericht"])
    return None if symbol == "None" else symbol


def alike(first: Prototype, second: Prototype) -> bool:
    """Whether two types are the same geometry, whichever elements they carry.

    They are compared by pymatgen's StructureMatcher when space group and composition agree.
    """
    if first.space_group != second.space_group or sorted(first.counts) != sorted(second.counts):
        return False
    from pymatgen.core import Lattice, Structure
    from pymatgen.core.structure_matcher import StructureMatcher

    one, other = (
        Structure(Lattice(kind.lattice), (kind.species_of_site + 1).tolist(), kind.frac_coords)
        for kind in (first, second)
    )
    return bool(StructureMatcher(primitive_cell=False).fit_anonymous(one, other))
