"""One value of a report, and the result that it came from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping


class Frozen(BaseModel):
    """Part of a report."""

    model_config = ConfigDict(frozen=True)


class Value(Frozen):
    """A value of the table and the id of the result it came from ("run/row/column")."""

    value: bool | int | float | str | None
    result_id: str | None


def number(value: Any) -> Any:
    """NaN and infinities become null, as everywhere in the table."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def result_id(row: Mapping[str, Any], writers: Mapping[str, str], column: str) -> str | None:
    """Id of a row's value: the run of the stage that wrote the column last; None where no run of the row did.

    Examples
    --------
    >>> result_id({"id": "Nb", "runs": ["tc:r1"]}, {"tc_K": "tc"}, "tc_K")
    'r1/Nb/tc_K'
    """
    runs = dict(run.split(":", 1) for run in row.get("runs") or ())
    run = runs.get(writers.get(column, ""))
    return f"{run}/{row['id']}/{column}" if run else None


def value_of(row: Mapping[str, Any], writers: Mapping[str, str], column: str) -> Value:
    """Value of a row with the id of its result; without an id where there is no value."""
    value = number(row.get(column))
    return Value(value=value, result_id=None if value is None else result_id(row, writers, column))
