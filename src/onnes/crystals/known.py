"""Known crystals written from their published parameters, with measured Tc where there is one."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from onnes.errors import CrystalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from pymatgen.core import Structure


@dataclass(frozen=True)
class KnownCrystal:
    """One entry of the list: what was published, and where.

    Attributes
    ----------
    space_group
        Number in International Tables A, standard setting.
    cell
        a, b, c in angstrom and alpha, beta, gamma in degrees.
    sites
        (element, fractional coordinates of one atom) of each occupied Wyckoff position.
    tc_K
        Measured critical temperature in kelvin; None where none is listed, which does not mean that there is none.
    """

    name: str
    formula: str
    structure_type: str
    space_group: int
    cell: tuple[float, ...]
    sites: tuple[tuple[str, tuple[float, ...]], ...]
    citation: str
    tc_K: float | None = None
    tc_citation: str | None = None
    pressure_GPa: float = 0.0

    def structure(self, *, primitive: bool = False) -> Structure:
        """Build the crystal in its conventional cell, or in the primitive one."""
        from pymatgen.core import Element, Lattice, Structure

        from onnes.crystals.orbits import expand

        sites = [(int(Element(element).Z), position) for element, position in self.sites]
        lattice, frac, numbers = expand(self.space_group, self.cell, sites, primitive=primitive)
        return Structure(Lattice(lattice), numbers.tolist(), frac)


@lru_cache(maxsize=1)
def _entries() -> dict[str, KnownCrystal]:
    return read_entries(read_facts("known.toml"))


def read_facts(file: str) -> dict[str, Any]:
    """Read one of the package's files of published crystals."""
    return tomllib.loads(files("onnes.crystals").joinpath(f"data/{file}").read_text(encoding="utf-8"))


def read_entries(facts: dict[str, Any]) -> dict[str, KnownCrystal]:
    """Entries by name from what stands in such a file."""
    return {name: _entry(name, about) for name, about in facts.items()}


def _entry(name: str, facts: dict[str, Any]) -> KnownCrystal:
    sites = tuple((site[0], tuple(site[1:])) for site in facts["sites"])
    return KnownCrystal(**{**facts, "name": name, "cell": tuple(facts["cell"]), "sites": sites})


def known_names() -> list[str]:
    """Names of the known crystals, in the order of the list.

    Examples
    --------
    >>> known_names()[:3]
    ['Nb3Sn', 'MgB2', 'NbN']
    """
    return list(_entries())


def known_entry(name: str) -> KnownCrystal:
    """Look up the published parameters of a known crystal.

    Raises
    ------
    CrystalError
        When the name is not in the list; the message gives the names that look like it.

    Examples
    --------
    >>> known_entry("MgB2").space_group
    191
    """
    if name not in _entries():
        close = get_close_matches(name, known_names(), n=4, cutoff=0.5)
        hint = f"did you mean {', '.join(close)}?" if close else "onnes.crystals.known.known_names() lists them"
        raise CrystalError(f"no known crystal is called {name!r}; {hint}")
    return _entries()[name]


def known_crystal(name: str, *, primitive: bool = False) -> Structure:
    """Known crystal as a pymatgen structure, in its conventional cell unless ``primitive``.

    Raises
    ------
    CrystalError
        When the name is not in the list.

    Examples
    --------
    >>> known_crystal("Be2Nb3").composition.reduced_formula, len(known_crystal("Be2Nb3"))
    ('Be2Nb3', 10)
    """
    return known_entry(name).structure(primitive=primitive)


def known_table(names: Sequence[str] | None = None, *, primitive: bool = True) -> pa.Table:
    """Crystal table of the known crystals: ids are their names, ``source`` is "known".

    Parameters
    ----------
    names
        Which ones; all by default.
    primitive
        Primitive cells (default) or conventional ones.

    Raises
    ------
    CrystalError
        When a name is not in the list.
    """
    return entries_table(
        [known_entry(name) for name in (known_names() if names is None else names)], primitive=primitive
    )


def entries_table(entries: Sequence[KnownCrystal], *, primitive: bool = True) -> pa.Table:
    """Crystal table of entries: ids are their names, ``source`` is "known"."""
    from onnes.crystals.batch import CrystalBatch
    from onnes.crystals.schema import with_columns
    from onnes.crystals.table import crystal_table

    batch = CrystalBatch.from_structures(entry.structure(primitive=primitive) for entry in entries)
    table = crystal_table(batch, ids=[entry.name for entry in entries], source="known")
    return with_columns(table, {"pressure_GPa": [entry.pressure_GPa for entry in entries]})


def known_tc() -> dict[str, float]:
    """Measured critical temperatures in kelvin by name, for the crystals that have one.

    Examples
    --------
    >>> known_tc()["MgB2"]
    39.0
    """
    return {name: entry.tc_K for name, entry in _entries().items() if entry.tc_K is not None}
