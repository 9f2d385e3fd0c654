"""Crystals that a search has relaxed: which of them are the same, and their table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import with_columns
from onnes.crystals.symmetry import describe
from onnes.crystals.table import identify
from onnes.errors import CrystalError
from onnes.propose.rows import proposal_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from onnes.propose.rows import Proposal

    Geometry = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]

SOURCE = "composition"
_SAME_ENERGY_EV, _SAME_VOLUME = 0.005, 0.02
_SURELY_OTHER_ENERGY_EV = 0.02


@dataclass(frozen=True, eq=False)
class Found:
    """A random crystal on its way down.

    Attributes
    ----------
    proposal
        The random crystal.
    place
        The how-manyeth it is in its search.
    geometry
        Lattice (3, 3) with vectors as rows in angstrom, frac_coords (n, 3), atomic_numbers (n,), as they are now.
    steps
        Steps taken so far.
    converged
        Whether the last relaxation reached its forces.
    is_final
        Whether that was the one to the final forces.
    """

    proposal: Proposal
    place: int
    geometry: Geometry
    energy_eV_per_atom: float = np.nan
    forces_max_eV_per_A: float = np.nan
    steps: int = 0
    converged: bool = False
    is_final: bool = False

    @cached_property
    def label(self) -> str | None:
        """Prototype label of the current geometry; None when no symmetry is found."""
        try:
            return describe(*self.geometry).prototype
        except CrystalError:
            return None

    @property
    def volume_A3_per_atom(self) -> float:
        """Of the current geometry."""
        return float(abs(np.linalg.det(self.geometry[0])) / len(self.geometry[2]))

    def resembles(self, other: Found) -> bool:
        """Whether prototype, energy and volume agree, which is enough to not relax a crystal further."""
        return (
            self.label is not None
            and self.label == other.label
            and abs(self.energy_eV_per_atom - other.energy_eV_per_atom) < _SURELY_OTHER_ENERGY_EV
            and abs(self.volume_A3_per_atom / other.volume_A3_per_atom - 1) < 2 * _SAME_VOLUME
        )

    def equals(self, other: Found) -> bool:
        """Whether both are the same crystal: by prototype, energy and volume, else by pymatgen's StructureMatcher."""
        if abs(self.energy_eV_per_atom - other.energy_eV_per_atom) > _SURELY_OTHER_ENERGY_EV:
            return False
        near = abs(self.energy_eV_per_atom - other.energy_eV_per_atom) < _SAME_ENERGY_EV
        same_volume = abs(self.volume_A3_per_atom / other.volume_A3_per_atom - 1) < _SAME_VOLUME
        if near and same_volume and self.label is not None and self.label == other.label:
            return True
        from pymatgen.core.structure_matcher import StructureMatcher

        one, two = CrystalBatch.of([self.geometry, other.geometry]).to_structures()
        return bool(StructureMatcher(scale=False).fit(one, two))


def distinct(crystals: Sequence[Found], most: int, *, thorough: bool = True) -> list[Found]:
    """First crystals of a list that differ from each other, at most so many.

    Parameters
    ----------
    crystals
        In the order of preference.
    most
        Crystals to return.
    thorough
        Compare structures; otherwise prototype, energy and volume only.
    """
    kept: list[Found] = []
    for crystal in crystals:
        if len(kept) == most:
            break
        if not any(crystal.equals(other) if thorough else crystal.resembles(other) for other in kept):
            kept.append(crystal)
    return kept


def relaxed_table(crystals: Sequence[Found], potential: str) -> pa.Table:
    """Crystal table of relaxed crystals in their order; the random geometry stands in the input columns.

    A crystal that has not reached its forces carries ``error``.
    """
    table = proposal_table([crystal.proposal for crystal in crystals], source=SOURCE)
    columns = {
        "input_lattice": table["lattice"].to_pylist(),
        "input_frac_coords": table["frac_coords"].to_pylist(),
        "lattice": [crystal.geometry[0].ravel().tolist() for crystal in crystals],
        "frac_coords": [crystal.geometry[1].ravel().tolist() for crystal in crystals],
        "geometry": [potential] * len(crystals),
        "potential": [potential] * len(crystals),
        "energy_eV_per_atom": [crystal.energy_eV_per_atom for crystal in crystals],
        "forces_max_eV_per_A": [crystal.forces_max_eV_per_A for crystal in crystals],
        "relax_steps": [crystal.steps for crystal in crystals],
        "relax_converged": [crystal.converged for crystal in crystals],
        "error": [None if c.converged else f"not relaxed after {c.steps} steps" for c in crystals],
    }
    return identify(with_columns(table, columns))
