"""Observers of a funnel: silent, or with progress bars on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from onnes.flow.engine import StageRun, StepOutcome


class Silent:
    """Tells nobody."""

    def step_started(self, step: str, title: str, rows: int) -> None:
        """Ignore."""

    def rows_done(self, rows: int) -> None:
        """Ignore."""

    def step_finished(self, outcome: StepOutcome, runs: list[StageRun]) -> None:
        """Ignore."""


class Bars:
    """Progress bars with rate and time left, one a step; use as a context manager."""

    def __init__(self, *, quiet: bool = False) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._progress: Progress = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[outcome]}"),
            console=Console(stderr=True),
            disable=quiet,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step_started(self, step: str, title: str, rows: int) -> None:  # noqa: ARG002 - the name is short enough
        """Open a bar."""
        self._task = self._progress.add_task(step, total=rows, rate="", outcome="")

    def rows_done(self, rows: int) -> None:
        """Advance it."""
        if self._task is not None:
            self._progress.advance(self._task, rows)
            speed = self._progress.tasks[self._task].speed
            if speed:
                self._progress.update(self._task, rate=f"{speed:.1f}/s")

    def step_finished(self, outcome: StepOutcome, runs: list[StageRun]) -> None:
        """Close it with the counts."""
        if self._task is None:
            return
        words = [f"{outcome.passed} pass"]
        words += [f"{outcome.rejected} rejected"] if outcome.rejected else []
        words += [f"{outcome.failed} failed"] if outcome.failed else []
        words += ["reused"] if runs and outcome.reused == len(runs) else []
        self._progress.update(self._task, completed=outcome.entered, outcome=", ".join(words))

    def bar(self, name: str, total: int | None) -> None:
        """Open a bar for work outside a funnel."""
        self._task = self._progress.add_task(name, total=total, rate="", outcome="")
