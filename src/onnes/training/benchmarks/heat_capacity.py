"""Benchmark of the heat capacity: a potential's harmonic phonons against those of density-functional theory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy import constants

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import floats
from onnes.potentials.potential import DEFAULT_POTENTIAL
from onnes.training.benchmarks.plots.parity import parity
from onnes.training.benchmarks.report import Benchmark
from onnes.training.data import read_data
from onnes.training.phonon_data import ForceSettings, PhononSummary, cached_summaries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DATA = "phonon_heat_capacity_binaries"
CRYSTALS = 100
WITHIN = 0.05
_THREE_R_J_PER_MOL_K: float = 3 * constants.R


def benchmark_heat_capacity(
    *,
    crystals: int = CRYSTALS,
    seed: int = 0,
    potential: str = DEFAULT_POTENTIAL,
    forces: ForceSettings | None = None,
    plots: Path | None = None,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Heat capacity at 300 K and constant volume of random crystals of the MatCalc set.

    Parameters
    ----------
    crystals, seed
        Size and seed of the sample.
    potential
        Whose phonons.
    forces
        Supercells and displacements; defaults to `ForceSettings`.
    plots
        Folder for a parity plot.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call; finished ones are kept in the cache folder.

    Raises
    ------
    ConfigError
        Without the data.
    """
    data = read_data(DATA)
    chosen = np.sort(np.random.default_rng(seed).permutation(data.num_rows)[:crystals])
    rows = data.take(pa.array(chosen))
    batch, truth = CrystalBatch.from_table(rows), floats(rows, "heat_capacity_300K_J_per_mol_cell_K")
    found = cached_summaries(batch, potential, forces, device=device, on_rows=on_rows)
    # The labels belong to the cells of the file, the phonons to primitive ones.
    computed = np.array(
        [
            one.heat_capacity_J_per_mol_K * n / one.n_atoms if isinstance(one, PhononSummary) else np.nan
            for one, n in zip(found, batch.n_atoms, strict=True)
        ]
    )
    classical = _THREE_R_J_PER_MOL_K * batch.n_atoms
    if plots is not None:
        plots.mkdir(parents=True, exist_ok=True)
        parity(
            plots / "heat-capacity.svg", truth / batch.n_atoms, computed / batch.n_atoms, unit="J/mol/K per atom",
            name="heat capacity at 300 K",
        )  # fmt: skip
    per_atom = {"3R an atom (Dulong and Petit)": classical, f"{potential}, harmonic phonons": computed}
    table, numbers = [], {"n": float(len(truth))}
    for name, values in per_atom.items():
        error = values / truth - 1
        inside = int((np.abs(error) <= WITHIN).sum())
        table.append(
            (name, f"{inside} of {len(truth)}", f"{100 * np.nanmedian(np.abs(error)):.2f}", f"{100 * np.nanmean(error):+.2f}",
             f"{100 * np.nanmax(np.abs(error)):.1f}")
        )  # fmt: skip
        numbers |= {
            f"{name}: within_5_percent": float(inside),
            f"{name}: median_error": float(np.nanmedian(np.abs(error))),
        }
    return Benchmark(
        f"Heat capacity at 300 K of {len(truth)} binaries",
        ("method", "within 5 %", "median error / %", "mean error / %", "largest error / %"),
        table,
        _notes(found, truth, computed, batch.n_atoms, rows, seed, forces or ForceSettings()),
        numbers,
    )


def _notes(
    found: list[PhononSummary | str],
    truth: Floats,
    computed: Floats,
    n_atoms: NDArray[np.int64],
    rows: pa.Table,
    seed: int,
    forces: ForceSettings,
) -> list[str]:
    failed = [i for i, one in enumerate(found) if isinstance(one, str)]
    imaginary = sum(isinstance(one, PhononSummary) and one.min_per_cm < -10 for one in found)
    far = [i for i in np.argsort(-np.abs(computed / truth - 1)).tolist() if abs(computed[i] / truth[i] - 1) > WITHIN]
    formulas = rows["reduced_formula"].to_pylist()
    named = ", ".join(f"{formulas[i]} {100 * (computed[i] / truth[i] - 1):+.0f} %" for i in far[:20])
    largest = float((truth / n_atoms).max())
    return [
        f"random sample (seed {seed}) of {DATA}; heat capacities per mole of cells at constant volume; the largest label is "
        f"{largest:.2f} J/K per mole of atoms, below 3R = {_THREE_R_J_PER_MOL_K:.2f}, so the unit is J/(mol K)",
        f"{len(failed)} failed and count as outside; {imaginary} have a mode below -10 1/cm, which is left out of the sum",
        f"published geometry, supercells of at least {forces.min_length_A:g} A and at most {forces.max_supercell_atoms} "
        "atoms where the cell allows",
        f"outside: {named or 'none'}",
    ]
