"""Parents of substitutions: their Wyckoff sites, and what they become with other elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import is_open, values, with_columns
from onnes.crystals.symmetry import describe
from onnes.crystals.table import crystal_table
from onnes.errors import CrystalError
from onnes.propose.radii import estimated_volume
from onnes.propose.sites import WyckoffSites, wyckoff_sites

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pymatgen.core import Structure

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

SMALLEST_SCALE, LARGEST_SCALE = 0.8, 1.25  # linear


@dataclass(frozen=True, eq=False)
class Parent:
    """An ordered crystal of a table: its id, its prototype label with elements, its occupied Wyckoff positions."""

    id: str
    label: str
    sites: WyckoffSites


def parent_table(parents: pa.Table | Structure) -> pa.Table:
    """A crystal table as it is; a structure as a table of one row whose id is the formula."""
    if isinstance(parents, pa.Table):
        return parents
    name = parents.composition.reduced_formula
    return crystal_table(CrystalBatch.from_structures([parents]), ids=[name], source="structure")


def usable_parents(table: pa.Table, *, max_atoms: int) -> tuple[list[Parent], list[pa.Table]]:
    """The parents that can be substituted in, and the rows of the others with their ``error``.

    Rejected rows are skipped. A parent with more than ``max_atoms`` in its primitive cell, with partly occupied sites or
    without a symmetry is of the others.
    """
    usable: list[Parent] = []
    others = [table.slice(i, 1) for i, error in enumerate(values(table, "error")) if error is not None]
    for index in np.flatnonzero(is_open(table)).tolist():
        row = table.slice(index, 1)
        name = row["id"][0].as_py()
        try:
            usable.append(_parent(row, name, max_atoms))
        except CrystalError as error:
            others.append(with_columns(row, {"error": [f"parent {name}: {error}"]}))
    return usable, others


def _parent(row: pa.Table, name: str, max_atoms: int) -> Parent:
    if values(row, "site_occupancies")[0] is not None:
        raise CrystalError("partly occupied sites cannot be substituted; make ordered cells of it first")
    crystal = CrystalBatch.from_table(row).crystal(0)
    sites = wyckoff_sites(*crystal)
    if len(sites.frac_coords) > max_atoms:
        raise CrystalError(
            f"{len(sites.frac_coords)} atoms in the primitive cell, more than {max_atoms}; raise max_atoms"
        )
    return Parent(name, values(row, "prototype")[0] or describe(*crystal).prototype, sites)


def carrying(sites: WyckoffSites, elements: Ints) -> tuple[Floats, Floats, Ints]:
    """The crystal with other elements on its orbits, its volume changed in the ratio of the radii.

    Parameters
    ----------
    sites
        The parent.
    elements
        Atomic number on each orbit, shape (orbits,).

    Returns
    -------
    Lattice (3, 3) with vectors as rows in angstrom, frac_coords (n, 3), atomic_numbers (n,).
    """
    numbers = elements[sites.orbit_of_site]
    return rescaled(sites.lattice, sites.elements[sites.orbit_of_site], numbers), sites.frac_coords, numbers


def rescaled(lattice: Floats, before: Ints, after: Ints) -> Floats:
    """A cell of the same shape whose volume follows the radii of the atoms, shape (3, 3).

    Parameters
    ----------
    lattice
        Vectors as rows, angstrom, shape (3, 3).
    before, after
        Atomic numbers of all atoms, shape (n,); the vectors grow or shrink by a factor from 0.8 to 1.25.

    Raises
    ------
    ConfigError
        For an element without a radius.
    """
    ratio = estimated_volume(after) / estimated_volume(before)
    return lattice * float(np.clip(ratio ** (1 / 3), SMALLEST_SCALE, LARGEST_SCALE))


def with_error(table: pa.Table, parent: Parent, error: Exception) -> pa.Table:
    """The row of a parent that cannot be used, with the reason in ``error``."""
    row = table.slice(values(table, "id").index(parent.id), 1)
    return with_columns(row, {"error": [f"parent {parent.id}: {error}"]})
