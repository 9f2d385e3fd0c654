"""Benchmark of `onnes.predict`: its rate against a plain pass of the feature models alone, in the same run."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.models.superconductivity import load_superconductivity_model
from onnes.potentials.potential import load_potential
from onnes.tools.crystals import predict
from onnes.training.benchmarks.report import Benchmark

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

_TURN = 512
_PLAIN_CRYSTALS, _PLAIN_ATOMS = 16, 96


def benchmark_predict(
    table: pa.Table, *, device: str = "cpu", on_rows: Callable[[int], None] | None = None
) -> Benchmark:
    """Predict a table and pass the feature models over it, in turns of 512 rows.

    Parameters
    ----------
    table
        Crystal table, such as the Alexandria electron-phonon set.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call.
    """
    model = load_superconductivity_model()
    names = [*model.potentials, *([model.moments] if model.moments else [])]
    potentials = [load_potential(name, device=device) for name in names]
    predict(table.slice(0, 8), device=device)
    ours = plain = 0.0
    atoms = np.random.default_rng(0).permutation(table.num_rows)
    for start in range(0, table.num_rows, _TURN):
        part = table.take(np.sort(atoms[start : start + _TURN]))
        began = time.perf_counter()
        predict(part, device=device)
        middle = time.perf_counter()
        batch = CrystalBatch.from_table(part)
        for chunk in batch.batches(_PLAIN_ATOMS, _PLAIN_CRYSTALS):
            piece = batch.select(chunk)
            for potential in potentials:
                potential.evaluate(piece, forces=False, features=True)
        ours, plain = ours + middle - began, plain + time.perf_counter() - middle
        if on_rows:
            on_rows(part.num_rows)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    n = table.num_rows
    return Benchmark(
        f"Predicting {n} crystals, one process",
        ("what", "crystals / s", "ratio"),
        [("plain pass of " + " and ".join(p.name for p in potentials), f"{n / plain:.1f}", "1.00"),
         ("onnes predict, hull included", f"{n / ours:.1f}", f"{plain / ours:.2f}")],
        [f"in turns of {_TURN} rows in one run; peak memory {memory:.2f} GB"],
        {"ratio": plain / ours, "memory_GB": memory, "rate": n / ours},
    )  # fmt: skip
