"""Observers of a funnel: silent, or with progress bars on standard error; and of the steps of verifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from onnes.flow.engine import StageRun, StepOutcome
    from onnes.verify.steps import StepState


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


class Steps:
    """One line a step of a verification on standard error, with its time; use as a context manager."""

    def __init__(self, *, quiet: bool = False) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._progress: Progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._shown = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_step(self, row: str, state: StepState) -> None:
        """Show a step that runs, and print a line for one that has ended."""
        name = f"{row:<24} {state.name:<22}"
        if state.state == "running":
            if self._task is None or self._shown != name:
                self._close()
                self._task, self._shown = self._progress.add_task(name, total=None), name
            return
        self._close()
        last = state.tries[-1] if state.tries else None
        words = [f"{name} {state.state:<8} {state.wall_s:8.1f} s"]
        words += [f"{len(state.tries)} tries"] if len(state.tries) > 1 else []
        words += [last.message] if last and last.message and state.state == "failed" else []
        self._console.print("  ".join(words), markup=False, soft_wrap=True)

    def _close(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
