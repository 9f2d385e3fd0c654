"""Benchmark of the substitutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_table
from onnes.crystals.schema import concat, values, with_columns
from onnes.crystals.table import geometry_table
from onnes.propose.saps import replay_saps, saps_candidates
from onnes.tools import proposals_benchmark as module
from onnes.tools.proposals_benchmark import benchmark_proposals, duplicates, exact_replays

if TYPE_CHECKING:
    import pyarrow as pa


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return saps_candidates(known_table(["SrTiO3"]), elements=["Zr", "Hf"], max_cells=2)


def test_a_crystal_proposed_twice_is_seen(table: pa.Table) -> None:
    assert duplicates(table, sample=100) == 0
    lattice, frac, numbers = CrystalBatch.from_table(table).crystal(3)
    again = CrystalBatch.of([(lattice * 1.02, (frac + 0.1) % 1, numbers)])
    twin = table.slice(3, 1).drop_columns(["lattice", "frac_coords"])
    for name in ("lattice", "frac_coords"):
        twin = with_columns(twin, {name: geometry_table(again)[name].to_pylist()})
    assert duplicates(concat([table, twin]), sample=1000) == 2


def test_a_row_that_is_not_made_again_is_seen(table: pa.Table) -> None:
    parent = known_table(["SrTiO3"])
    assert exact_replays(parent, table, replay_saps) == table.num_rows
    lattices = np.array(values(table, "lattice"))
    lattices[0, 0] += 1e-6
    assert exact_replays(parent, with_columns(table, {"lattice": list(lattices)}), replay_saps) == table.num_rows - 1


def test_the_report_has_a_row_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CASES", module._CASES[2:3])
    result = benchmark_proposals(sample=5)
    assert result.values["saps Be2Nb3: per_minute"] > 3000
    assert result.values["saps Be2Nb3: replayed"] == result.values["saps Be2Nb3: candidates"] > 1000
    assert result.rows[0][4:] == ("0 of 5", f"{result.rows[0][2]} of {result.rows[0][2]}", "yes")
