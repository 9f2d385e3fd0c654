"""Benchmark of the substitutions: candidates a minute, crystals proposed twice, rows that can be made again."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_table
from onnes.crystals.schema import values
from onnes.propose.ionic import ionic_candidates, replay_ionic
from onnes.propose.saps import replay_saps, saps_candidates
from onnes.propose.substitution import neighbour_substitutions, replay_neighbour
from onnes.training.benchmarks.report import Benchmark

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from pymatgen.core import Structure

    Replay = Callable[[Structure, str], Structure]

SAMPLE = 300
_CASES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("neighbour", "Be2Nb3", {}),
    ("neighbour", "YNi2B2C", {}),
    ("saps", "Be2Nb3", {}),
    ("saps", "SrTiO3", {"max_cells": 2}),
    ("saps", "YNi2B2C", {}),
    ("saps", "NbN", {"max_cells": 4, "limit": 2000}),
    ("ionic", "YNi2B2C", {}),
)
_METHODS: dict[str, tuple[Callable[..., pa.Table], Replay]] = {
    "neighbour": (neighbour_substitutions, replay_neighbour),
    "saps": (saps_candidates, replay_saps),
    "ionic": (ionic_candidates, replay_ionic),
}
_COLUMNS = ("method", "parent", "candidates", "a minute", "proposed twice", "made again exactly", "same table again")
_SAME_A = 1e-9


def benchmark_proposals(*, sample: int = SAMPLE, on_rows: Callable[[int], None] | None = None) -> Benchmark:
    """Substitute in single known crystals, and check what comes out.

    Parameters
    ----------
    sample
        Candidates that are compared with all others of their formula, in each case.
    on_rows
        Called with the number of candidates checked since the last call.
    """
    cells: list[tuple[str, ...]] = []
    numbers: dict[str, float] = {}
    for method, name, settings in _CASES:
        function, replay = _METHODS[method]
        parent = known_table([name])
        function(parent, **(settings | {"limit": 10}))  # libraries are imported, tables read
        start = time.process_time()
        table = function(parent, **settings)
        rate = 60 * table.num_rows / (time.process_time() - start)
        twice = duplicates(table, sample=sample, on_rows=on_rows)
        again = exact_replays(parent, table, replay)
        same = table.equals(function(parent, **settings))
        checked = min(sample, table.num_rows)
        text = f"{name}, {settings['max_cells']} cells" if "max_cells" in settings else name
        cells.append(
            (
                method,
                text,
                str(table.num_rows),
                f"{rate:.0f}",
                f"{twice} of {checked}",
                f"{again} of {table.num_rows}",
                "yes" if same else "no",
            )
        )
        found = {"candidates": table.num_rows, "per_minute": rate, "twice": twice, "replayed": again, "same": same}
        numbers |= {f"{method} {name}: {key}": float(value) for key, value in found.items()}
    notes = [
        "candidates a minute of processor time, identified (space group, prototype, hash) and validated; one process",
        "proposed twice: of a random sample (seed 0), those that pymatgen's StructureMatcher (default tolerances, which "
        "scale volumes away) takes for another candidate of the same formula",
        "made again exactly: same atoms, coordinates and cell from the parent and the column how",
    ]
    return Benchmark("Substitutions of one parent", _COLUMNS, cells, notes, numbers)


def duplicates(table: pa.Table, *, sample: int, on_rows: Callable[[int], None] | None = None) -> int:
    """How many of a random sample of candidates StructureMatcher takes for another candidate of the table."""
    from pymatgen.core.structure_matcher import StructureMatcher

    matcher = StructureMatcher()
    structures = CrystalBatch.from_table(table).to_structures()
    formulas = values(table, "reduced_formula")
    alike: dict[str, list[int]] = defaultdict(list)
    for row, formula in enumerate(formulas):
        alike[formula].append(row)
    found = 0
    drawn = np.random.default_rng(0).permutation(table.num_rows)[:sample]
    for row in drawn.tolist():
        others = [other for other in alike[formulas[row]] if other != row]
        found += any(matcher.fit(structures[row], structures[other]) for other in others)
        if on_rows:
            on_rows(1)
    return found


def exact_replays(parent: pa.Table, table: pa.Table, replay: Replay) -> int:
    """How many candidates of one parent are made again exactly."""
    structure = CrystalBatch.from_table(parent).to_structures()[0]
    found = 0
    for (lattice, frac, numbers), how in zip(CrystalBatch.from_table(table), values(table, "how"), strict=True):
        made, coords, atoms = CrystalBatch.from_structures([replay(structure, how)]).crystal(0)
        if len(atoms) == len(numbers) and (atoms == numbers).all():
            found += bool(np.abs(made - lattice).max() < _SAME_A and np.abs(coords - frac).max() < _SAME_A)
    return found
