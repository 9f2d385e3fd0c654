"""The Stage protocol, its three kinds, and the registry that funnels look names up in."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class StageKind(StrEnum):
    """What a stage may do to a table."""

    MAP = "map"
    """Adds columns."""
    GATE = "gate"
    """Writes ``rejected_by`` and ``reason``."""
    EXPANDER = "expander"
    """Adds rows with a ``parent_id``."""


class StageSettings(BaseModel):
    """Base of a stage's settings: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _ignore(_: int) -> None:
    pass


@dataclass(frozen=True)
class StageContext:
    """What a stage is given besides its table and its settings.

    Attributes
    ----------
    name
        The name of this use of the stage in the funnel, written to ``rejected_by``.
    device
        ``cpu`` or ``cuda``.
    seed
        For any random operation.
    on_rows
        To be called with the number of rows done since the last call.
    work_folder
        Where unfinished work of a row may be kept under a name made of its content, so that a killed run goes on inside a
        row; None where there is no such place. It is no way to hand results on: those stand in the table.
    """

    name: str
    device: str = "cpu"
    seed: int = 0
    on_rows: Callable[[int], None] = field(default=_ignore, compare=False)
    work_folder: Path | None = None


class Stage(ABC):
    """A pure function of (table, frozen settings, model): no storage, no engine, no printing inside.

    The table that `apply` gets holds only open rows. It must hand back each of them, in order (an expander may add
    rows): a row that could not be computed with ``error``, one that a gate stops with ``rejected_by`` and ``reason``.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    kind: ClassVar[StageKind]
    title: ClassVar[str]
    writes: ClassVar[tuple[str, ...]] = ()
    whole_table: ClassVar[bool] = False
    """True when rows must be compared with each other, so that the table cannot be cut into shards."""
    in_process: ClassVar[bool] = False
    """True when the work is so light that worker processes would only delay it."""
    shard_rows: ClassVar[int | None] = None
    """Rows of a shard at most; 1 where a single row takes minutes, so that a killed run loses no finished row."""
    computed_again: ClassVar[tuple[str, str] | None] = None
    """Column and value of rows that the next run of a funnel computes again, because what stopped them may be gone."""
    settings_type: ClassVar[type[StageSettings]] = StageSettings

    def __init__(self, settings: StageSettings) -> None:
        self.settings = settings

    def headline(self) -> str:
        """What this stage does with these settings, in a few words for a person."""
        return self.title

    def fingerprints(self) -> Mapping[str, str]:
        """Sha256 of the model, potential and reference that the result depends on; part of the output's name."""
        return {}

    def chosen(self, table: pa.Table) -> NDArray[np.bool_] | None:
        """Rows that are computed, shape (n,), where that takes a look at all of them; the others pass as they are.

        None, the default, means every row.
        """
        del table
        return None

    @abstractmethod
    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Return the table with this stage's columns."""


_STAGES: dict[str, type[Stage]] = {}


def register_stage(stage: type[Stage]) -> type[Stage]:
    """Class decorator: make a stage known to funnels under its ``name``."""
    _STAGES[stage.name] = stage
    return stage


def stage_class(name: str) -> type[Stage]:
    """Look a stage up.

    Raises
    ------
    ConfigError
        When no stage of that name is registered.
    """
    if name not in _STAGES:
        raise ConfigError(f"unknown stage {name!r}; known: {', '.join(sorted(_STAGES))}")
    return _STAGES[name]


def stage_names() -> list[str]:
    """Names of the registered stages."""
    return sorted(_STAGES)


def import_stage(module: str, name: str) -> type[Stage]:
    """Import the module that registers a stage, and return it; workers find their stages so."""
    importlib.import_module(module)
    return stage_class(name)
