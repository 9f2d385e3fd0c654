"""Cheap stages and crystals for tests of engines and campaigns; worker processes import this module by name.

A toy stage appends the id of every row that it computes to the file in the environment variable ``ONNES_TOY_LOG``.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from onnes.crystals.schema import concat, values, with_columns
from onnes.errors import ModelError
from onnes.flow import gate as _gate  # noqa: F401 - registers the gate, which toy funnels use beside these
from onnes.flow.engine import ShardTask, run_shard
from onnes.flow.stage import Stage, StageContext, StageKind, StageSettings, register_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from onnes.flow.engine import StageRun, StepOutcome

LOG = "ONNES_TOY_LOG"


def toy_table(rows: int, *, atoms: int = 20) -> pa.Table:
    """Chains of niobium with one titanium atom; shards hold 400 atoms, hence 20 of these rows."""
    table = pa.table({"id": [f"toy-{i:04d}" for i in range(rows)]})
    frac = [x for i in range(atoms) for x in (0.0, 0.0, i / atoms)]
    return with_columns(
        table,
        {
            "source": ["toy"] * rows,
            "lattice": [[3.0 + 0.001 * i, 0, 0, 0, 3.0, 0, 0, 0, 3.0 * atoms] for i in range(rows)],
            "frac_coords": [frac] * rows,
            "atomic_numbers": [[22] + [41] * (atoms - 1)] * rows,
            "geometry": ["input"] * rows,
            "pressure_GPa": [0.0] * rows,
            "formula": [f"TiNb{atoms - 1}"] * rows,
            "reduced_formula": [f"TiNb{atoms - 1}"] * rows,
            "n_atoms": [atoms] * rows,
        },
    )


def toy_tc(name: str, seed: int = 0) -> float:
    """A number from 0 to 20 that depends on the id and the seed alone."""
    return int(hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()[:8], 16) % 2000 / 100


def log_row(name: str) -> None:
    """Append a line to the log in one write, so that lines of two processes never mix."""
    if path := os.environ.get(LOG):
        with open(path, "ab", buffering=0) as file:  # noqa: PTH123 - one unbuffered append
            file.write(f"{name}\n".encode())


def logged(path: str | Path) -> list[str]:
    """Ids of the rows computed so far, with repetition."""
    return Path(path).read_text(encoding="utf-8").split() if Path(path).exists() else []


class InlineEngine:
    """Computes every shard in this process."""

    def run(self, tasks: Sequence[ShardTask], on_rows: Callable[[int], None]) -> dict[str, float]:
        """Compute."""
        return {task.run_id: run_shard(task, on_rows) for task in tasks}


class Witness:
    """An observer that remembers what it was told."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str, int]] = []
        self.ticks: list[int] = []
        self.by_step: list[int] = []
        self.outcomes: list[StepOutcome] = []
        self.runs: list[StageRun] = []

    def step_started(self, step: str, title: str, rows: int) -> None:
        """Remember."""
        self.started.append((step, title, rows))
        self.by_step.append(0)

    def rows_done(self, rows: int) -> None:
        """Remember."""
        self.ticks.append(rows)
        self.by_step[-1] += rows

    def step_finished(self, outcome: StepOutcome, runs: list[StageRun]) -> None:
        """Remember."""
        self.outcomes.append(outcome)
        self.runs += runs


class ToyTcSettings(StageSettings):
    """Settings of `ToyTc`."""

    offset: float = 0.0
    sleep_ms: float = 0.0


@register_stage
class ToyTc(Stage):
    """Writes ``tc_K`` from a hash of the id."""

    name, version, kind, title = "toy-tc", "1", StageKind.MAP, "toy Tc"
    writes = ("tc_K",)
    settings_type = ToyTcSettings
    settings: ToyTcSettings

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Compute row by row."""
        result: list[float] = []
        for name in values(table, "id"):
            time.sleep(self.settings.sleep_ms / 1000)
            log_row(name)
            result.append(toy_tc(name, context.seed) + self.settings.offset)
            context.on_rows(1)
        return with_columns(table, {"tc_K": result})


@register_stage
class ToyRank(Stage):
    """A stage that must see the whole table: writes the rank of the id among all into ``dos_ef_states_per_eV``."""

    name, version, kind, title = "toy-rank", "1", StageKind.MAP, "toy rank"
    writes = ("dos_ef_states_per_eV",)
    whole_table = True

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Compare all rows."""
        context.on_rows(table.num_rows)
        ranks = np.argsort(np.argsort(values(table, "id")))
        return with_columns(table, {"dos_ef_states_per_eV": ranks.astype(float)})


class ToyChildrenSettings(StageSettings):
    """Settings of `ToyChildren`."""

    every: int = 3
    same_name: bool = False


@register_stage
class ToyChildren(Stage):
    """An expander: every third row gets a child."""

    name, version, kind, title = "toy-children", "1", StageKind.EXPANDER, "toy children"
    settings_type = ToyChildrenSettings
    settings: ToyChildrenSettings

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Put each child right behind its parent, where no order of the input would leave it."""
        rows: list[pa.Table] = []
        for i, name in enumerate(values(table, "id")):
            log_row(name)
            row = table.slice(i, 1)
            rows.append(row)
            if int(name[-4:]) % self.settings.every == 0:
                child = "child" if self.settings.same_name else f"{name}-child"
                rows.append(with_columns(row, {"id": [child], "parent_id": [name], "how": ["toy"]}))
            context.on_rows(1)
        return concat(rows)


class ToyRowsSettings(StageSettings):
    """Rows at which something happens."""

    rows: tuple[str, ...] = ()


@register_stage
class ToyFail(Stage):
    """Gives ``error`` to some rows, as a stage should that cannot compute them."""

    name, version, kind, title = "toy-fail", "1", StageKind.MAP, "toy failures"
    settings_type = ToyRowsSettings
    settings: ToyRowsSettings

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Fail the named rows."""
        context.on_rows(table.num_rows)
        bad = self.settings.rows
        return with_columns(table, {"error": ["toy fault" if i in bad else None for i in values(table, "id")]})


@register_stage
class ToyRaise(Stage):
    """Raises at some rows, as a stage does whose model is missing."""

    name, version, kind, title = "toy-raise", "1", StageKind.MAP, "toy fault"
    settings_type = ToyRowsSettings
    settings: ToyRowsSettings

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Raise when a named row is there."""
        for name in values(table, "id"):
            if name in self.settings.rows:
                raise ModelError(f"toy model is missing for {name}")
            log_row(name)
        context.on_rows(table.num_rows)
        return table


class ToyKillSettings(ToyRowsSettings):
    """How a worker dies, and how often."""

    how: str = "sigkill"
    once: str | None = None


@register_stage
class ToyKill(Stage):
    """Kills its own process at some rows, as the kernel does when memory runs out."""

    name, version, kind, title = "toy-kill", "1", StageKind.MAP, "toy crash"
    writes = ("tc_K",)
    settings_type = ToyKillSettings
    settings: ToyKillSettings

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Die at a named row; with ``once`` only while that file does not exist."""
        for name in values(table, "id"):
            if name in self.settings.rows:
                self._die()
            log_row(name)
            context.on_rows(1)
        return with_columns(table, {"tc_K": [toy_tc(name) for name in values(table, "id")]})

    def _die(self) -> None:
        if self.settings.once:
            if Path(self.settings.once).exists():
                return
            Path(self.settings.once).touch()
        if self.settings.how == "sigkill":
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(7)


@register_stage
class ToyWhere(Stage):
    """Writes the process and its number of threads into ``warnings``."""

    name, version, kind, title = "toy-where", "1", StageKind.MAP, "toy place"
    writes = ("warnings",)

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Look around; slow enough that a second worker gets something to do."""
        time.sleep(0.2)
        threads = os.environ.get("OMP_NUM_THREADS")
        return with_columns(table, {"warnings": [f"{os.getpid()} {threads}"] * table.num_rows})


@register_stage
class ToyLoser(Stage):
    """Breaks the promise: loses its last row."""

    name, version, kind, title = "toy-loser", "1", StageKind.MAP, "toy loss"

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Lose."""
        context.on_rows(table.num_rows)
        return table.slice(0, table.num_rows - 1)


@register_stage
class ToyDoubler(Stage):
    """Breaks the promise: hands its first row back twice."""

    name, version, kind, title = "toy-doubler", "1", StageKind.MAP, "toy double"

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Double."""
        context.on_rows(table.num_rows)
        return concat([table, table.slice(0, 1)])


class ToyTopSettings(StageSettings):
    """How many rows `ToyTop` takes."""

    top: int = 2
    children: bool = False


@register_stage
class ToyTop(Stage):
    """Computes the rows of the largest ``tc_K`` only, each in a shard of its own, and keeps unfinished work."""

    name, version, kind, title = "toy-top", "1", StageKind.EXPANDER, "toy choice"
    writes = ("debye_K",)
    shard_rows = 1
    settings_type = ToyTopSettings
    settings: ToyTopSettings

    def chosen(self, table: pa.Table) -> NDArray[np.bool_]:
        """Take the best."""
        mask = np.zeros(table.num_rows, bool)
        mask[np.argsort([-tc for tc in values(table, "tc_K")], kind="stable")[: self.settings.top]] = True
        return mask

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Write how many rows there are, and a file."""
        for name in values(table, "id"):
            log_row(name)
            if context.work_folder is not None:
                context.work_folder.mkdir(exist_ok=True)
                (context.work_folder / name).touch()
        context.on_rows(table.num_rows)
        found = with_columns(table, {"debye_K": [float(table.num_rows)] * table.num_rows})
        if not self.settings.children:
            return found
        child = with_columns(found, {"id": [f"{name}-child" for name in values(found, "id")]})
        return concat([found, child])
