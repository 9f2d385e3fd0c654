"""Materials Project crystals with DFT formation energies, and the energies of potentials for the same geometries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from onnes.crystals.batch import CrystalBatch
from onnes.training.benchmarks.energies import cached_energies
from onnes.training.data import read_data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DATA = "mp_structures"
ELEMENTS = "elemental_reference_energies"
ELEMENT_SOURCE = "matcalc_MP-PBE"


def mp_crystals(max_atoms: int) -> pa.Table:
    """Rows of up to ``max_atoms`` atoms that have a formation energy, one for each id, smallest first.

    Smallest first, so that a larger limit finds the energies of a smaller one in the cache.
    """
    table = read_data(DATA).sort_by([("n_atoms", "ascending"), ("id", "ascending")])
    seen: set[str] = set()
    energies, sizes = table["formation_energy_eV_per_atom"].to_pylist(), table["n_atoms"].to_pylist()
    rows = [
        i
        for i, name in enumerate(table["id"].to_pylist())
        if sizes[i] <= max_atoms and energies[i] is not None and name not in seen and not seen.add(name)
    ]
    return table.take(rows)


def element_energies(
    potential: str, *, device: str = "cpu", on_rows: Callable[[int], None] | None = None
) -> Mapping[str, float]:
    """Energy (eV/atom) of the ground state of each element by a potential, at the DFT geometry; failed ones left out.

    The crystals are the lowest of the Materials Project.
    """
    table = read_data(ELEMENTS)
    named = np.array(table["source"].to_pylist()) == ELEMENT_SOURCE
    table = table.filter(pa.array(named & table["atomic_numbers"].is_valid().to_numpy()))
    found = cached_energies(CrystalBatch.from_table(table), potential, device=device, on_rows=on_rows)
    return {e: float(x) for e, x in zip(table["element"].to_pylist(), found, strict=True) if np.isfinite(x)}
