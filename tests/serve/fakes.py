"""Tools that misbehave, to be put into the registry of a test."""

from __future__ import annotations

import threading
import time
from typing import Annotated

from pydantic import BaseModel, Field

from onnes.campaign.study import Study
from onnes.tools.registry import ToolSpec


class Said(BaseModel):
    """What these tools answer."""

    text: str


busy = threading.Semaphore(1)
overlapped: list[str] = []
entered = threading.Event()
leave = threading.Event()


def broken(study: Study) -> Said:
    """Fail as no tool should."""
    return Said(text=list(study.settings)[99])


def exclusive(study: Study, *, number: int = 0) -> Said:
    """Notice when it runs twice at a time."""
    if not busy.acquire(blocking=False):
        overlapped.append(str(number))
        return Said(text="overlapped")
    time.sleep(0.05)
    busy.release()
    return Said(text=f"{study.seed} {number}")


def held(study: Study) -> Said:
    """Stay until somebody lets it go."""
    entered.set()
    assert leave.wait(20)
    return Said(text=study.settings["title"])


def erase(study: Study, *, what: Annotated[str, Field(max_length=20)]) -> Said:
    """Write something."""
    return Said(text=f"{study.seed} {what}")


FAKES = {
    name: ToolSpec(name, f"{__name__}:{name}", effect, "instant", f"{name} it", makes_set=False)
    for name, effect in {"broken": "compute", "exclusive": "compute", "held": "compute", "erase": "write"}.items()
}
