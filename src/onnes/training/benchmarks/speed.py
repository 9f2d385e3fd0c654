"""Benchmarks of speed: ratios against a plain pass or against ASE, measured in the same run."""

from __future__ import annotations

import multiprocessing
import time
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_table
from onnes.crystals.readers import read_crystals
from onnes.errors import OnnesError
from onnes.flow.local import ONE_THREAD, available_cores
from onnes.potentials.potential import DEFAULT_POTENTIAL, load_potential
from onnes.potentials.relaxation import RelaxSettings, relax_batch
from onnes.training.benchmarks.report import Benchmark
from onnes.training.data import data_folder

if TYPE_CHECKING:
    from collections.abc import Callable


_STRAIN, _RATTLE_A = 0.02, 0.05


def relaxation_starts(n: int, min_atoms: int, max_atoms: int, *, seed: int = 0) -> CrystalBatch:
    """Strained and rattled crystals of the given sizes, from the training data or else from the known crystals."""
    try:
        table = read_crystals([data_folder() / "epc_dft_alexandria.parquet"])
    except OnnesError:
        table = known_table()
    rng = np.random.default_rng(seed)
    sizes = np.array(table["n_atoms"].to_pylist())
    rows = np.flatnonzero((sizes >= min_atoms) & (sizes <= max_atoms))
    batch = CrystalBatch.from_table(table.take(rng.choice(rows, min(n, len(rows)), replace=False)))
    crystals = []
    for lattice, frac, numbers in batch:
        strain = np.eye(3) + rng.normal(0, _STRAIN, (3, 3))
        shift = rng.normal(0, _RATTLE_A, frac.shape) @ np.linalg.inv(lattice)
        crystals.append((lattice @ strain, frac + shift, numbers))
    return CrystalBatch.of(crystals)


def _ours(batch: CrystalBatch, optimizer: str) -> tuple[float, np.ndarray, int]:
    potential = load_potential(DEFAULT_POTENTIAL)
    start = time.perf_counter()
    settings = RelaxSettings(keep_symmetry=False, optimizer=optimizer)  # pyright: ignore[reportArgumentType]
    result = relax_batch(batch, potential, settings)
    return time.perf_counter() - start, result.energies_eV / batch.n_atoms, result.evaluations


def _ase(batch: CrystalBatch, optimizer: str) -> tuple[float, np.ndarray, int]:
    """ASE one by one with SevenNet's own calculator: the way most people relax."""
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS, FIRE
    from sevenn.calculator import SevenNetCalculator

    calculator = SevenNetCalculator("7net-0", device="cpu")
    energies, evaluations = [], 0
    start = time.perf_counter()
    for atoms in batch.to_atoms():
        atoms.calc = calculator
        driver = {"fire": FIRE, "bfgs": BFGS}[optimizer](FrechetCellFilter(atoms), logfile=None)
        driver.run(fmax=0.02, steps=300)
        energies.append(atoms.get_potential_energy() / len(atoms))
        evaluations += driver.nsteps + 1
    return time.perf_counter() - start, np.array(energies), evaluations


def _part(batch: CrystalBatch) -> float:
    """Relax one process's share."""
    return _ours(batch, "bfgs")[0]


def benchmark_relax(*, small: int = 24, large: int = 12, on_rows: Callable[[int], None] | None = None) -> Benchmark:
    """Crystals a minute of the batched relaxer and of ASE one by one: same potential, same tolerance, one process."""
    rows: list[tuple[str, ...]] = []
    values: dict[str, float] = {}
    warm = relaxation_starts(2, 2, 4, seed=9)
    _ours(warm, "bfgs")
    _ase(warm, "fire")
    for label, n, low, high in (("1-4 atoms", small, 1, 4), ("8 atoms", large, 8, 8)):
        batch = relaxation_starts(n, low, high)
        runs = {
            "ASE FIRE, one by one": _ase(batch, "fire"),
            "ASE BFGS, one by one": _ase(batch, "bfgs"),
            "batched, FIRE": _ours(batch, "fire"),
            "batched, BFGS (default)": _ours(batch, "bfgs"),
        }
        seconds, energies, _ = runs["ASE FIRE, one by one"]
        for name, (took, found, evaluations) in runs.items():
            ratio = seconds / took
            difference = 1e3 * np.abs(found - energies)
            rows.append((label, name, f"{60 * len(batch) / took:.0f}", f"{ratio:.2f}", str(evaluations),
                         f"{np.median(difference):.3f} / {difference.max():.2f}"))  # fmt: skip
            values[f"{label}: {name}"] = ratio
        if on_rows:
            on_rows(1)
    batch = relaxation_starts(2 * small, 1, 8)
    one, two = _processes(batch, 1), _processes(batch, 2)
    rows.append(("1-8 atoms", "batched, 1 process", f"{60 * len(batch) / one:.0f}", "1.00", "", ""))
    rows.append(("1-8 atoms", "batched, 2 processes", f"{60 * len(batch) / two:.0f}", f"{one / two:.2f}", "", ""))
    values["2 processes"] = one / two
    return Benchmark(
        "Relaxation: crystals a minute, SevenNet-0, fmax 0.02 eV/Å, positions and cell",
        ("cells", "relaxer", "crystals / min", "ratio", "evaluations", "energy difference to ASE FIRE, median / max (meV/atom)"),
        rows,
        [f"starts: strained by {_STRAIN:.0%}, rattled by {_RATTLE_A} Å, seed 0; one thread per process",
         f"{available_cores()} cores; the last two rows need an idle machine"],
        values,
    )  # fmt: skip


def _processes(batch: CrystalBatch, count: int) -> float:
    """Seconds that ``count`` processes take for the whole batch, model loading left out."""
    from onnes.flow.local import _environment

    parts = [batch.select(range(i, len(batch), count)) for i in range(count)]
    context = multiprocessing.get_context("spawn")
    with _environment(ONE_THREAD), context.Pool(count) as pool:
        warm = relaxation_starts(2, 1, 2, seed=9)
        pool.map(_part, [warm] * count, chunksize=1)
        start = time.perf_counter()
        pool.map(_part, parts, chunksize=1)
        return time.perf_counter() - start
