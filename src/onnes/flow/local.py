"""The local engine: worker processes, one thread each, that survive a crash of any of them."""

from __future__ import annotations

import multiprocessing
import os
import queue
import threading
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnes.flow.engine import ShardTask, apply_checked, failed_row, run_shard
from onnes.flow.shards import parquet_bytes, read_parquet, write_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_TRIES = 2
_ticks: Any = None

# One thread per process: OpenMP threads that spin against each other make small graphs many times slower.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1"}


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalEngine:
    """Runs shards in worker processes that stay alive between stages, so that a model is loaded once in each.

    Parameters
    ----------
    workers
        Number of processes; by default one a core.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = max(1, workers or available_cores())
        self._context = multiprocessing.get_context("spawn")
        self._queue: Any = None
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the workers."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def run(self, tasks: Sequence[ShardTask], on_rows: Callable[[int], None]) -> dict[str, float]:
        """Compute the tasks; a shard whose worker dies is tried again alone, then cut down to the row at fault."""
        seconds: dict[str, float] = {}
        broken: list[ShardTask] = []
        # Largest first, so that no worker is left with a long shard at the end.
        ordered = sorted(tasks, key=lambda task: -task.rows)
        with self._progress(on_rows):
            pool = self._workers()
            futures: dict[Future[float], ShardTask] = {}
            try:
                futures = {pool.submit(_work, task): task for task in ordered}
                for future in as_completed(futures):
                    seconds[futures[future].run_id] = future.result()
            except BrokenProcessPool:
                self.close()
                broken = [task for task in ordered if not task.done()]
        for task in broken:
            seconds[task.run_id] = self._run_alone(task)
        return seconds

    def _workers(self, count: int | None = None) -> ProcessPoolExecutor:
        if self._pool is None:
            self._queue = self._queue or self._context.Queue()
            with _environment(ONE_THREAD):
                self._pool = ProcessPoolExecutor(
                    count or self.workers, mp_context=self._context, initializer=_start, initargs=(self._queue,)
                )
        return self._pool

    @contextmanager
    def _progress(self, on_rows: Callable[[int], None]) -> Iterator[None]:
        self._queue = self._queue or self._context.Queue()
        stop = threading.Event()

        def drain() -> None:
            while not stop.is_set() or not self._queue.empty():
                try:
                    on_rows(self._queue.get(timeout=0.1))
                except queue.Empty:
                    continue

        thread = threading.Thread(target=drain, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=5)

    def _run_alone(self, task: ShardTask) -> float:
        """Recompute a shard that killed a worker, in a process of its own, and quarantine what kills it again."""
        for _ in range(_TRIES):
            try:
                return self._workers(1).submit(_work, task).result()
            except BrokenProcessPool:
                self.close()
        table = self._bisect(task, read_parquet(Path(task.input)))
        write_bytes(parquet_bytes(table), Path(task.output))
        return 0.0

    def _bisect(self, task: ShardTask, table: Any) -> Any:  # noqa: ANN401 - pyarrow tables have no useful stubs
        from onnes.crystals.schema import concat  # noqa: PLC0415 - only after a crash

        if table.num_rows == 1:
            return failed_row(task, table, "the worker process died on this crystal (out of memory?)")
        half = table.num_rows // 2
        parts = []
        for part in (table.slice(0, half), table.slice(half)):
            try:
                parts.append(self._workers(1).submit(_apply, task, part).result())
            except BrokenProcessPool:
                self.close()
                parts.append(self._bisect(task, part))
        return concat(parts)


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the children that are started meanwhile."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start(ticks: Any) -> None:  # noqa: ANN401 - a multiprocessing queue
    global _ticks  # noqa: PLW0603 - one per worker process, set once by the pool
    _ticks = ticks


def _tick(rows: int) -> None:
    if _ticks is not None:
        _ticks.put(rows)


def _work(task: ShardTask) -> float:
    return run_shard(task, _tick)


def _apply(task: ShardTask, table: Any) -> Any:  # noqa: ANN401 - pyarrow tables have no useful stubs
    return apply_checked(task, table, _tick)
