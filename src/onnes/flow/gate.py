"""The one gate: a column, bounds, and what to do with rows where it is missing."""

from __future__ import annotations

import pyarrow as pa
from pydantic import Field, model_validator

from onnes.crystals.schema import COLUMNS, values, with_columns
from onnes.flow.stage import Stage, StageContext, StageKind, StageSettings, register_stage


class GateSettings(StageSettings):
    """Which rows pass."""

    column: str = Field(description="column of the crystal table that is judged")
    min: float | None = Field(default=None, description="rows below are rejected")
    max: float | None = Field(default=None, description="rows above are rejected")
    equals: bool | str | None = Field(default=None, description="rows with another value are rejected")
    missing: str = Field(
        default="reject", pattern="^(reject|pass)$", description="what happens to a row without a value"
    )

    @model_validator(mode="after")
    def _sensible(self) -> GateSettings:
        if self.column not in COLUMNS:
            raise ValueError(f"column {self.column!r} is not in the crystal table")
        if self.min is None and self.max is None and self.equals is None:
            raise ValueError("a gate needs min, max or equals")
        kind = COLUMNS[self.column]
        numbers = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
        if self.equals is None and not numbers:
            raise ValueError(f"column {self.column!r} holds no numbers; use equals")
        return self


@register_stage
class Gate(Stage):
    """Rejects the rows whose column lies outside the bounds, and says why."""

    name = "gate"
    version = "1"
    kind = StageKind.GATE
    title = "gate"
    in_process = True
    settings_type = GateSettings
    settings: GateSettings

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Write ``rejected_by`` and ``reason``."""
        reasons = [self._reason(value) for value in values(table, self.settings.column)]
        context.on_rows(table.num_rows)
        return with_columns(
            table, {"rejected_by": [context.name if reason else None for reason in reasons], "reason": reasons}
        )

    def headline(self) -> str:
        """Return the condition, such as ``tc_K at least 5``."""
        s = self.settings
        parts = [f"{word} {bound:g}" for word, bound in (("at least", s.min), ("at most", s.max)) if bound is not None]
        parts += [] if s.equals is None else [f"equal to {s.equals}"]
        return f"keep {s.column} {' and '.join(parts)}"

    def _reason(self, value: float | str | bool | None) -> str | None:
        s = self.settings
        if value is None or value != value:  # noqa: PLR0124 - NaN
            return f"{s.column} is missing" if s.missing == "reject" else None
        if s.equals is not None:
            return None if value == s.equals else f"{s.column} = {value}, wanted {s.equals}"
        number = float(value)
        if s.min is not None and number < s.min:
            return f"{s.column} = {number:.4g} < {s.min:g}"
        if s.max is not None and number > s.max:
            return f"{s.column} = {number:.4g} > {s.max:g}"
        return None
