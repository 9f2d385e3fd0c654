"""A structure type: sites in a cell, and which of them carry the same element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnes.propose.periodic import symbol_of
from onnes.propose.radii import estimated_volume
from onnes.propose.rows import Proposal, encode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Prototype:
    """A structure type in its primitive cell.

    Attributes
    ----------
    name, compound
        Key of the list (a Strukturbericht symbol where there is one) and the crystal that the type is named after.
    lattice, frac_coords
        Shapes (3, 3) in angstrom with vectors as rows, and (n, 3).
    species_of_site
        Index into `species` of each atom, shape (n,).
    species
        Labels of the kinds of atoms, "A", "B", ...
    """

    name: str
    compound: str
    space_group: int
    lattice: Floats
    frac_coords: Floats
    species_of_site: Ints
    species: tuple[str, ...]

    @property
    def counts(self) -> Ints:
        """Atoms of each kind in the primitive cell, shape (species,)."""
        return np.bincount(self.species_of_site, minlength=len(self.species))

    def decorated(self, numbers: Ints, *, op: str = "prototype") -> Proposal:
        """Put elements (atomic numbers in the order of `species`) on the sites, at the volume of their radii."""
        atoms = numbers[self.species_of_site]
        scale = (estimated_volume(atoms) / abs(np.linalg.det(self.lattice))) ** (1 / 3)
        elements = {label: symbol_of(int(z)) for label, z in zip(self.species, numbers, strict=True)}
        how = encode({"op": op, "prototype": self.name, "elements": elements})
        return Proposal(self.lattice * scale, self.frac_coords, atoms, None, how)
