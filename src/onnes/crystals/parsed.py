"""``Parsed``: one crystal as a parser found it, before validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import CrystalError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from onnes.crystals.validation import Occupancies

# A site that is full within this is ordered.
FULL = 1e-3
_MIN_VOLUME_A3 = 1e-9


@dataclass(frozen=True, eq=False)
class Parsed:
    """A crystal that was read but not yet validated.

    Attributes
    ----------
    lattice
        Row vectors, shape (3, 3), angstrom.
    frac_coords
        Shape (n, 3).
    atomic_numbers
        Shape (n,); on a partly occupied site that of the most frequent species.
    site_occupancies
        (atomic number, occupancy) pairs of each site; None when every site is full.
    name
        Name of the crystal inside the file, if it has one.
    note
        What a reader of the table should know.
    """

    lattice: NDArray[np.float64]
    frac_coords: NDArray[np.float64]
    atomic_numbers: NDArray[np.int64]
    site_occupancies: Occupancies | None = None
    name: str | None = None
    note: str | None = None

    @classmethod
    def of_sites(
        cls,
        lattice: NDArray[np.float64],
        frac_coords: NDArray[np.float64],
        sites: Occupancies,
        *,
        name: str | None = None,
        note: str | None = None,
    ) -> Parsed:
        """Make one from the species of each site; raises CrystalError on a site without species.

        Examples
        --------
        >>> Parsed.of_sites(np.eye(3), np.zeros((1, 3)), [[(41, 0.4), (40, 0.6)]]).atomic_numbers.tolist()
        [40]
        """
        for number, site in enumerate(sites, start=1):
            if not site:
                raise CrystalError(f"site {number} has no atom. Remove it or name its element")
        numbers = np.array([max(site, key=lambda pair: (pair[1], -pair[0]))[0] for site in sites], dtype=np.int64)
        full = all(len(site) == 1 and abs(site[0][1] - 1.0) <= FULL for site in sites)
        return cls(lattice, frac_coords, numbers, None if full else sites, name, note)


def fractional(cell: NDArray[np.float64], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fractional coordinates of Cartesian positions, shape (n, 3).

    Raises
    ------
    CrystalError
        If the cell is not three finite vectors that span a volume.

    Examples
    --------
    >>> fractional(4 * np.eye(3), np.array([[2.0, 0, 1]])).tolist()
    [[0.5, 0.0, 0.25]]
    """
    if cell.shape != (3, 3) or not np.isfinite(cell).all() or not abs(np.linalg.det(cell)) > _MIN_VOLUME_A3:
        raise CrystalError("the cell has no volume or is not finite. Give three lattice vectors")
    return np.asarray(np.linalg.solve(cell.T, positions.T).T, dtype=np.float64)
