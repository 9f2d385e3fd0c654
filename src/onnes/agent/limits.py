"""What a run may spend, and what it has spent."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from onnes.errors import BudgetSpent
from onnes.tools.processor_time import own_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from onnes.agent.record import Event


class Limits(BaseModel):
    """Upper bounds of a run; None is no bound."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu_seconds: float | None = Field(default=None, gt=0)
    calls: int = Field(default=200, ge=1)
    tokens: int | None = Field(default=1_000_000, ge=1)
    requests: int = Field(default=60, ge=1)
    """Requests to a language model."""


@dataclass
class Spent:
    """What a run has used up."""

    cpu_seconds: float = 0.0
    calls: int = 0
    tokens: int = 0
    requests: int = 0

    @classmethod
    def of(cls, events: Iterable[Event]) -> Spent:
        """Sum over the events of a record."""
        spent = cls()
        for event in events:
            spent.cpu_seconds += event.times.cpu_seconds or 0.0
            spent.calls += event.kind == "call" and counts_as_call(event.body)
            if event.kind == "words":
                spent.tokens += int(event.body.get("tokens", 0))
                spent.requests += int(event.body.get("requests", 0))
        return spent


def counts_as_call(body: Mapping[str, Any]) -> bool:
    """Whether a recorded call was made: one that the limits refused was not."""
    return body.get("kind") != BudgetSpent.__name__


class Clock:
    """Wall time and processor time, with that of worker processes that have ended."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), own_seconds()

    def seconds(self) -> float:
        """Wall time since it was made."""
        return time.monotonic() - self._wall

    def cpu_seconds(self) -> float:
        """Processor time since it was made."""
        return own_seconds() - self._cpu
