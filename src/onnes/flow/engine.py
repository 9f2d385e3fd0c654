"""What every engine shares: the plan of a stage's shards, the outcome, and the order of a funnel."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from onnes.crystals.schema import concat, is_open, values, with_columns
from onnes.errors import EngineError
from onnes.flow.shards import SHARD_ROWS, cut, key_sha256, parquet_bytes, read_parquet, write_bytes
from onnes.flow.stage import Stage, StageContext, import_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onnes.flow.funnel import Funnel, FunnelStep

_OPEN_COLUMNS = ("error", "rejected_by", "reason")


@dataclass(frozen=True)
class ShardTask:
    """One shard of one stage: plain data, so that any worker on any machine can take it."""

    run_id: str
    stage: str
    step: str
    module: str
    settings: dict[str, Any]
    input: str
    output: str
    device: str
    seed: int
    rows: int
    work_folder: str | None = None

    def done(self) -> bool:
        """Whether the output lies on disk already."""
        return Path(self.output).exists()

    def stage_object(self) -> Stage:
        """Import the stage and give it its settings."""
        kind = import_stage(self.module, self.stage)
        return kind(kind.settings_type(**self.settings))


def run_shard(task: ShardTask, on_rows: Callable[[int], None]) -> float:
    """Compute one shard and put its output in place; returns the seconds it took."""
    start = time.monotonic()
    table = apply_checked(task, read_parquet(Path(task.input)), on_rows)
    write_bytes(parquet_bytes(table), Path(task.output))
    return time.monotonic() - start


def apply_checked(task: ShardTask, table: pa.Table, on_rows: Callable[[int], None]) -> pa.Table:
    """Apply the stage to the rows of a shard; no row may vanish, and each remembers the run that touched it."""
    work_folder = None if task.work_folder is None else Path(task.work_folder)
    context = StageContext(task.step, task.device, task.seed, on_rows, work_folder)
    result = task.stage_object().apply(table, context)
    ids = values(result, "id")
    missing = set(values(table, "id")) - set(ids)
    if len(set(ids)) != len(ids):
        raise EngineError(f"stage {task.step!r} doubled the row {_twice(ids)!r}; every row needs an id of its own")
    if missing:
        raise EngineError(f"stage {task.step!r} lost the row {sorted(missing)[0]!r}; a stage must hand back every row")
    runs = [[*(before or []), f"{task.step}:{task.run_id}"] for before in values(result, "runs")]
    return with_columns(result, {"runs": runs})


def failed_row(task: ShardTask, table: pa.Table, message: str) -> pa.Table:
    """Mark every row of a table as failed in this stage."""
    n = table.num_rows
    runs = [[*(before or []), f"{task.step}:{task.run_id}"] for before in values(table, "runs")]
    return with_columns(table, {"error": [f"{task.step}: {message}"] * n, "runs": runs})


class Engine(Protocol):
    """Runs shard tasks, in any order, on any number of workers; raises only when nothing can go on."""

    def run(self, tasks: Sequence[ShardTask], on_rows: Callable[[int], None]) -> dict[str, float]:
        """Compute the tasks; returns the seconds each took by run id."""
        ...


@dataclass(frozen=True)
class StageRun:
    """Everything that made one shard of results: what the ledger keeps of it."""

    run_id: str
    step: str
    stage: str
    version: str
    kind: str
    settings: dict[str, Any]
    fingerprints: dict[str, str]
    seed: int
    device: str
    input_sha256: str
    input: str
    output: str
    rows: int
    seconds: float | None


@dataclass(frozen=True)
class StepOutcome:
    """Counts of one step over all its shards."""

    step: str
    title: str
    entered: int
    passed: int
    rejected: int
    failed: int
    added: int
    reused: int
    seconds: float
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FunnelResult:
    """All rows at the place where they stopped or at the end, and the counts of each step."""

    table: pa.Table
    outcomes: list[StepOutcome]
    writers: dict[str, str]


class Observer(Protocol):
    """Whoever wants to know how a funnel goes: a progress bar, the ledger, a log."""

    def step_started(self, step: str, title: str, rows: int) -> None:
        """Announce a step."""

    def rows_done(self, rows: int) -> None:
        """Count rows of the step that is under way."""

    def step_finished(self, outcome: StepOutcome, runs: list[StageRun]) -> None:
        """Report a finished step."""


def run_funnel(
    table: pa.Table,
    funnel: Funnel,
    folder: Path,
    engine: Engine,
    observer: Observer,
    *,
    device: str,
    seed: int,
    work_folder: Path | None = None,
) -> FunnelResult:
    """Run every step of a funnel over a table, reusing what lies in ``folder``.

    Parameters
    ----------
    table
        Crystal table; rows with ``error`` or ``rejected_by`` are carried along untouched.
    funnel
        The steps.
    folder
        Receives ``NN-step/in`` and ``NN-step/out``.
    engine, observer
        Who computes, and who is told.
    device, seed
        Handed to every stage; the seed is part of each output's name.
    work_folder
        Handed to every stage, for what it has not finished.

    Returns
    -------
    FunnelResult
        Rows in the order of the input; children of an expander follow all others.
    """
    stages = funnel.build()
    order = {row: i for i, row in enumerate(values(table, "id"))}
    if len(order) != table.num_rows:
        twice = _twice(values(table, "id"))
        raise EngineError(f"two crystals of the table have the same id {twice!r}; make the column 'id' unique")
    mask = is_open(table)
    stopped = [table.filter(pa.array(~mask))]
    current = table.filter(pa.array(mask))
    outcomes: list[StepOutcome] = []
    writers: dict[str, str] = {}
    for number, (step, stage) in enumerate(zip(funnel.steps, stages, strict=True)):
        observer.step_started(step.name, stage.headline(), current.num_rows)
        output, outcome, runs = _run_step(
            current, step, stage, folder / f"{number:02d}-{step.name}", engine, observer, device=device, seed=seed,
            work_folder=work_folder,
        )  # fmt: skip
        observer.step_finished(outcome, runs)
        outcomes.append(outcome)
        writers.update(dict.fromkeys(stage.writes, step.name))
        mask = is_open(output)
        stopped.append(output.filter(pa.array(~mask)))
        current = output.filter(pa.array(mask))
    everything = concat([*stopped, current])
    ranks = [order.get(row, len(order)) for row in values(everything, "id")]
    everything = everything.take(pa.array(np.argsort(ranks, kind="stable")))
    return FunnelResult(everything, outcomes, writers)


def _twice(ids: Sequence[str | None]) -> str | None:
    """Find the first id that occurs more than once."""
    return next((name for name, count in Counter(ids).items() if count > 1), None)


def _run_step(
    table: pa.Table,
    step: FunnelStep,
    stage: Stage,
    folder: Path,
    engine: Engine,
    observer: Observer,
    *,
    device: str,
    seed: int,
    work_folder: Path | None,
) -> tuple[pa.Table, StepOutcome, list[StageRun]]:
    start = time.monotonic()
    taken, left = _parted(table, stage)
    fingerprints = dict(stage.fingerprints())
    tasks: list[ShardTask] = []
    hashes: dict[str, str] = {}
    for shard in [taken] if stage.whole_table else cut(taken, max_rows=stage.shard_rows or SHARD_ROWS):
        if not shard.num_rows:
            continue
        data = parquet_bytes(shard)
        sha = hashlib.sha256(data).hexdigest()
        settings = stage.settings.model_dump(mode="json")
        run_id = key_sha256(
            input=sha,
            stage=stage.name,
            version=stage.version,
            step=step.name,
            settings=settings,
            seed=seed,
            **fingerprints,
        )[:16]
        source, target = folder / "in" / f"{sha[:16]}.parquet", folder / "out" / f"{run_id}.parquet"
        if not source.exists():
            write_bytes(data, source)
        hashes[run_id] = sha
        module = type(stage).__module__
        tasks.append(
            ShardTask(
                run_id, stage.name, step.name, module, settings, str(source), str(target), device, seed, shard.num_rows,
                None if work_folder is None else str(work_folder),
            )
        )  # fmt: skip
    _discard(tasks, stage)
    todo = [task for task in tasks if not task.done()]
    observer.rows_done(left.num_rows + sum(task.rows for task in tasks if task.done()))
    seconds: dict[str, float] = {}
    if stage.in_process:
        seconds = {task.run_id: run_shard(task, observer.rows_done) for task in todo}
    elif todo:
        seconds = engine.run(todo, observer.rows_done)
    output = _joined(table, [*(read_parquet(Path(task.output)) for task in tasks), left])
    runs = [
        StageRun(
            task.run_id, step.name, stage.name, stage.version, stage.kind, task.settings, fingerprints, seed, device,
            hashes[task.run_id], task.input, task.output, task.rows, seconds.get(task.run_id),
        )
        for task in tasks
    ]  # fmt: skip
    if (twice := _twice(values(output, "id"))) is not None:
        raise EngineError(f"stage {step.name!r} made two rows with the id {twice!r}; every row needs an id of its own")
    outcome = _count(table, output, step, stage, len(tasks) - len(todo), time.monotonic() - start)
    return output, outcome, runs


def _discard(tasks: list[ShardTask], stage: Stage) -> None:
    """Remove outputs with rows that the stage computes again."""
    if stage.computed_again is None:
        return
    column, value = stage.computed_again
    for task in tasks:
        if task.done() and value in values(read_parquet(Path(task.output)), column):
            Path(task.output).unlink()


def _parted(table: pa.Table, stage: Stage) -> tuple[pa.Table, pa.Table]:
    """Rows that the stage computes, and those that pass."""
    chosen = stage.chosen(table)
    if chosen is None:
        return table, table.slice(0, 0)
    return table.filter(pa.array(chosen)), table.filter(pa.array(~chosen))


def _joined(table: pa.Table, parts: list[pa.Table]) -> pa.Table:
    """Rows in the order in which they came; rows that a stage added stay behind those that they stand behind."""
    output = concat([part for part in parts if part.num_rows] or [table])
    if not parts[-1].num_rows:
        return output
    order = {row: i for i, row in enumerate(values(table, "id"))}
    ranks: list[int] = []
    for row in values(output, "id"):
        ranks.append(order.get(row, ranks[-1] if ranks else 0))
    return output.take(pa.array(np.argsort(ranks, kind="stable")))


def _count(
    before: pa.Table, after: pa.Table, step: FunnelStep, stage: Stage, reused: int, seconds: float
) -> StepOutcome:
    rejected = [
        reason or "" for by, reason in zip(values(after, "rejected_by"), values(after, "reason"), strict=True) if by
    ]
    failed = sum(error is not None for error in values(after, "error"))
    kinds = Counter(reason.split(" = ")[0] for reason in rejected)
    return StepOutcome(
        step.name,
        stage.headline(),
        before.num_rows,
        after.num_rows - len(rejected) - failed,
        len(rejected),
        failed,
        after.num_rows - before.num_rows,
        reused,
        seconds,
        dict(kinds.most_common()),
    )
