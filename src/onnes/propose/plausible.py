"""What a relaxed crystal must look like: potentials have holes that no real crystal lies in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.symbols import symbols
from onnes.errors import ConfigError, ReferenceMismatch
from onnes.potentials.element_energies import element_energies
from onnes.propose.soft_spheres import overlaps
from onnes.propose.statistics import typical_volume

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from onnes.potentials.potential import Potential

    Geometry = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]

SMALLEST_VOLUME = 0.6
"""In units of the typical volume; 99 % of the known crystals have more than 0.8."""
SMALLEST_DISTANCE = 0.55
"""In units of the sum of two covalent radii; the closest known pair has 0.69."""
LOWEST_FORMATION_ENERGY_EV = -5.5
"""Per atom; among known crystals the fluorides of rare earths reach -4.5."""


@dataclass(frozen=True)
class Plausible:
    """Limits for the crystals that a potential relaxes.

    Attributes
    ----------
    element_energies_eV
        Energy of each element by that potential, by symbol; empty where none is shipped, and energies are not judged.
    """

    element_energies_eV: dict[str, float]

    @classmethod
    def of(cls, potential: Potential) -> Self:
        """Limits for a potential."""
        try:
            return cls(element_energies(potential))
        except (ConfigError, ReferenceMismatch):
            return cls({})

    def fault(self, geometry: Geometry, energy_eV_per_atom: float) -> str | None:
        """Say why a relaxed crystal is refused; None for a plausible one.

        Parameters
        ----------
        geometry
            Lattice (3, 3) with vectors as rows in angstrom, frac_coords (n, 3), atomic_numbers (n,).
        energy_eV_per_atom
            By the potential.

        Examples
        --------
        >>> Plausible({"Al": -3.7}).fault((3.0 * np.eye(3), np.zeros((1, 3)), np.array([13])), -20.0)
        'fell into a hole of the potential: energy'
        """
        lattice, _, numbers = geometry
        if abs(np.linalg.det(lattice)) < SMALLEST_VOLUME * typical_volume(numbers):
            return "fell into a hole of the potential: volume"
        if overlaps(CrystalBatch.of([geometry]), diameter=SMALLEST_DISTANCE)[0] > 0:
            return "fell into a hole of the potential: distance"
        names = [symbols()[z] for z in numbers]
        if all(name in self.element_energies_eV for name in names):
            elements = float(np.mean([self.element_energies_eV[name] for name in names]))
            if energy_eV_per_atom - elements < LOWEST_FORMATION_ENERGY_EV:
                return "fell into a hole of the potential: energy"
        return None
