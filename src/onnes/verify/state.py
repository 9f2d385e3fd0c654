"""How far a verification has come, from its folder: while it runs, after it was interrupted, and at its end."""

from __future__ import annotations

import fcntl
import time
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from onnes.verify.chain import REQUEST, RESULT
from onnes.verify.result import Verification
from onnes.verify.settings import VerifySettings
from onnes.verify.steps import LOCK, STATUS, STEPS, StepState, read_state

if TYPE_CHECKING:
    from pathlib import Path


class StepProgress(BaseModel):
    """One step as it stands now."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: Literal["running", "done", "failed", "interrupted"]
    tries: int
    wall_s: float
    """Of all tries; of a running step up to now."""
    message: str = ""
    """What went wrong in the last try."""
    change: str = ""
    """What was changed for the last try."""


class VerificationState(BaseModel):
    """One verification as it stands now."""

    model_config = ConfigDict(frozen=True)

    key: str
    settings: VerifySettings
    state: Literal["running", "done", "interrupted"]
    steps: tuple[StepProgress, ...]
    result: Verification | None
    """None before the end; that of the last run where another one runs now."""


def verification_states(folder: Path) -> list[VerificationState]:
    """States of all verifications in the folder of a crystal, the one that was worked on last comes first.

    Parameters
    ----------
    folder
        ``<folder of the work>/<place of the crystal>``, see `onnes.verify.tables.place_of`.
    """
    places = sorted(folder.glob(f"*/{REQUEST}"), key=_touched, reverse=True)
    found = (verification_state(place.parent) for place in places)
    return [state for state in found if state is not None]


def verification_state(folder: Path) -> VerificationState | None:
    """State of one verification; None where the folder holds none that can be read."""
    try:
        settings = VerifySettings.model_validate_json((folder / REQUEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    running = is_running(folder)
    try:
        result = Verification.model_validate_json((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        result = None
    paths = sorted((folder / STEPS).glob(f"*/{STATUS}"), key=_begun)
    steps = [(state, path) for path in paths if (state := read_state(path.parent)) is not None]
    return VerificationState(
        key=folder.name, settings=settings, state="running" if running else "done" if result else "interrupted",
        steps=tuple(_progress(state, path, running=running) for state, path in steps), result=result,
    )  # fmt: skip


def is_running(folder: Path) -> bool:
    """Whether a process holds the lock of a verification."""
    try:
        with (folder / LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _progress(state: StepState, path: Path, *, running: bool) -> StepProgress:
    open_ended = state.state == "running"
    last = state.tries[-1] if state.tries else None
    wall_s = state.wall_s
    if open_ended and running and last is not None and last.exit_code is None:
        wall_s += max(time.time() - path.stat().st_mtime, 0.0)  # written when the try began
    return StepProgress(
        name=state.name, state="interrupted" if open_ended and not running else state.state, tries=len(state.tries),
        wall_s=round(wall_s, 1), message=last.message if last else "", change=last.change if last else "",
    )  # fmt: skip


def _begun(status: Path) -> float:
    first = status.parent / "try-1.in"
    return (first if first.is_file() else status).stat().st_mtime


def _touched(request: Path) -> float:
    """When a verification was last worked on."""
    lock = request.parent / LOCK
    return max(path.stat().st_mtime for path in (request, lock) if path.exists())
