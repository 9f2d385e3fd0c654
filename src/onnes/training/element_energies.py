"""Computes the shipped energies of the elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.potentials.unrelaxed import volume_scan
from onnes.training.data import read_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnes.potentials.potential import Potential

DATA = "elemental_reference_energies"
SOURCES = ("matcalc_MP-PBE", "matcalc_MatPES-PBE")
"""Whose ground states: the second where the first has none."""


def compute_element_energies(potential: Potential, *, on_done: Callable[[int], None] | None = None) -> dict[str, float]:
    """Lowest energy of each element over a scan of the volume of its ground state (eV/atom), by symbol.

    Parameters
    ----------
    potential
        Any `Potential`; an element that it does not know is left out.
    on_done
        Called with the number of elements done since the last call.

    Raises
    ------
    ConfigError
        Without the data.
    """
    data = read_data(DATA)
    rows = list(zip(data["element"].to_pylist(), data["source"].to_pylist(), strict=True))
    first: dict[str, int] = {}
    for source in SOURCES:
        for i, (element, where) in enumerate(rows):
            if where == source:
                first.setdefault(element, i)
    scan = volume_scan(CrystalBatch.from_table(data.take(list(first.values()))), potential, on_done=on_done)
    energies = zip(first, scan.energies_eV_per_atom, strict=True)
    return {element: round(float(energy), 5) for element, energy in sorted(energies) if np.isfinite(energy)}
