"""The occupied Wyckoff positions of a parent crystal, each under a name that can be written down."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import CrystalError
from onnes.propose.colouring import symmetry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WyckoffSites:
    """A crystal in its standardised primitive cell, its atoms sorted into orbits.

    Attributes
    ----------
    lattice, frac_coords
        Shapes (3, 3) in angstrom with vectors as rows, and (n, 3).
    orbit_of_site
        Index of the orbit of each atom, shape (n,).
    names
        Multiplicity in the conventional cell and Wyckoff letter, such as "4h"; where several orbits share a letter
        they are told apart as "6c1", "6c2".
    elements
        Atomic number on each orbit, shape (orbits,).
    """

    lattice: Floats
    frac_coords: Floats
    orbit_of_site: Ints
    names: tuple[str, ...]
    elements: Ints

    @property
    def multiplicities(self) -> Ints:
        """Atoms of each orbit in the primitive cell, shape (orbits,)."""
        return np.bincount(self.orbit_of_site, minlength=len(self.names))


def wyckoff_sites(lattice: Floats, frac_coords: Floats, atomic_numbers: Ints) -> WyckoffSites:
    """Find the orbits of a crystal (tolerance 0.1 angstrom, as for its space group elsewhere).

    Raises
    ------
    CrystalError
        When no symmetry can be found at all.

    Examples
    --------
    >>> import numpy as np
    >>> wyckoff_sites(3.0 * np.eye(3), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), np.array([55, 17])).names
    ('1a', '1b')
    """
    try:
        primitive = symmetry(lattice, frac_coords, atomic_numbers).prim_std_cell
        basis, coords = np.array(primitive.basis), np.array(primitive.positions) % 1.0
        numbers = np.array(primitive.numbers, np.int64)
        # Searched again in the cell that is used, so that letters and coordinates belong to one setting.
        found = symmetry(basis, coords, numbers)
    except (ValueError, RuntimeError) as error:
        raise CrystalError(f"no symmetry found ({error}); check the coordinates of this parent") from error
    first_atoms = sorted(set(found.orbits))
    orbit_of_site = np.array([first_atoms.index(first) for first in found.orbits], np.int64)
    cells = len(found.std_cell.numbers) // len(numbers)
    counts = np.bincount(orbit_of_site) * cells
    plain = [f"{count}{found.wyckoffs[first]}" for count, first in zip(counts, first_atoms, strict=True)]
    return WyckoffSites(basis, coords, orbit_of_site, _told_apart(plain), numbers[first_atoms])


def _told_apart(plain: list[str]) -> tuple[str, ...]:
    total, seen, names = Counter(plain), Counter[str](), []
    for name in plain:
        seen[name] += 1
        names.append(f"{name}{seen[name]}" if total[name] > 1 else name)
    return tuple(names)
