"""The local engine: worker processes, one thread each, that survive a crash of any of them."""

from __future__ import annotations

import multiprocessing
import os
import queue
import threading
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

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


class _Count:
    """Rows told to the observer: each once, however often its shard was tried and however late a tick arrives."""

    def __init__(self, tasks: Sequence[ShardTask], on_rows: Callable[[int], None]) -> None:
        self.started: set[str] = set()
        self._left = {task.run_id: task.rows for task in tasks}
        self._on_rows = on_rows
        self._lock = threading.Lock()

    def tick(self, run_id: str, rows: int) -> None:
        """Count rows that a worker reports; zero rows mean that it has begun."""
        with self._lock:
            self.started.add(run_id)
            rows = min(rows, self._left.get(run_id, 0))
            if rows > 0:
                self._left[run_id] -= rows
                self._on_rows(rows)

    def finish(self, run_id: str) -> None:
        """Count what is left of a shard that is done."""
        self.tick(run_id, self._left[run_id])


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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the workers."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
            self._queue = None  # a worker that was killed while it held the queue's lock would block all later ones

    def run(self, tasks: Sequence[ShardTask], on_rows: Callable[[int], None]) -> dict[str, float]:
        """Compute the tasks; a shard whose worker dies is tried again alone, then cut down to the row at fault."""
        seconds: dict[str, float] = {}
        count = _Count(tasks, on_rows)
        # Largest first, so that no worker is left with a long shard at the end.
        todo = sorted(tasks, key=lambda task: -task.rows)
        with self._progress(count):
            while todo:
                left = self._run_together(todo, seconds, count)
                suspects = [task for task in left if task.run_id in count.started] or left
                for task in suspects:
                    seconds[task.run_id] = self._run_alone(task)
                    count.finish(task.run_id)
                if suspects:
                    self.close()  # the pool of one; the next round and the next stage get all workers again
                todo = [task for task in left if task not in suspects]
        return seconds

    def _run_together(self, tasks: Sequence[ShardTask], seconds: dict[str, float], count: _Count) -> list[ShardTask]:
        """Compute tasks on all workers; returns those that are left when a worker died."""
        try:
            futures: dict[Future[float], ShardTask] = {}
            for task in tasks:
                futures[self._submit(self.workers, _work, task)] = task
            for future in as_completed(futures):
                seconds[futures[future].run_id] = future.result()
                count.finish(futures[future].run_id)
        except BrokenProcessPool:
            self.close()
        left = [task for task in tasks if not task.done()]
        for task in tasks:
            if task not in left:
                count.finish(task.run_id)
        return left

    def _submit(self, workers: int, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Hand work to the pool, which is made with so many workers when there is none."""
        if self._pool is None:
            self._queue = self._context.Queue()
            self._pool = ProcessPoolExecutor(
                workers, mp_context=self._context, initializer=_start, initargs=(self._queue,)
            )
        with _environment(ONE_THREAD):  # a worker is started when work comes in, not when the pool is made
            return self._pool.submit(function, *args)

    @contextmanager
    def _progress(self, count: _Count) -> Iterator[None]:
        stop = threading.Event()

        def drain() -> None:
            while not stop.is_set():
                ticks = self._queue
                if ticks is None:
                    stop.wait(0.1)
                    continue
                try:
                    count.tick(*ticks.get(timeout=0.1))
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
                return self._submit(1, _work, task).result()
            except BrokenProcessPool:
                self.close()
        table = self._bisect(task, read_parquet(Path(task.input)))
        write_bytes(parquet_bytes(table), Path(task.output))
        return 0.0

    def _bisect(self, task: ShardTask, table: Any) -> Any:
        from onnes.crystals.schema import concat

        if table.num_rows == 1:
            return failed_row(task, table, "the worker process died on this crystal (out of memory?)")
        half = table.num_rows // 2
        parts = []
        for part in (table.slice(0, half), table.slice(half)):
            try:
                parts.append(self._submit(1, _apply, task, part).result())
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


def _start(ticks: Any) -> None:
    global _ticks  # noqa: PLW0603 - one per worker, set once
    _ticks = ticks
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """Leave when the parent dies: a worker whose parent was killed would wait for work for ever."""
    connection.wait([sentinel])
    os._exit(1)


def _tick(run_id: str, rows: int) -> None:
    if _ticks is not None:
        _ticks.put((run_id, rows))


def _work(task: ShardTask) -> float:
    _tick(task.run_id, 0)
    return run_shard(task, partial(_tick, task.run_id))


def _apply(task: ShardTask, table: Any) -> Any:
    return apply_checked(task, table, partial(_tick, task.run_id))
