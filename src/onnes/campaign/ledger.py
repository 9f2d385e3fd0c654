"""The ledger of a campaign: every stage run, every event, in SQLite."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Column, Float, Integer, MetaData, String, Table, create_engine, event, select
from sqlalchemy.dialects.sqlite import insert

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from onnes.flow.engine import StageRun

_META = MetaData()
_RUNS = Table(
    "stage_runs",
    _META,
    Column("run_id", String, primary_key=True),
    Column("step", String, nullable=False),
    Column("stage", String, nullable=False),
    Column("version", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("settings", String, nullable=False),
    Column("fingerprints", String, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("device", String, nullable=False),
    Column("input_sha256", String, nullable=False),
    Column("input", String, nullable=False),
    Column("output", String, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("code_version", String, nullable=False),
    Column("seconds", Float),
)
_EVENTS = Table(
    "events",
    _META,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("at", String, nullable=False),
    Column("what", String, nullable=False),
    Column("details", String, nullable=False),
)
_JSON = ("settings", "fingerprints")


class Ledger:
    """Stage runs and events of one campaign.

    Parameters
    ----------
    path
        SQLite file, made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._engine = create_engine(URL.create("sqlite", database=str(path)))

        @event.listens_for(self._engine, "connect")
        def _settings(connection: Any, _: object) -> None:
            connection.execute("PRAGMA journal_mode=WAL")

        _META.create_all(self._engine)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    def record_runs(self, runs: Sequence[StageRun], code_version: str) -> None:
        """Keep stage runs; one that is there already is left as it is, unless its time was unknown."""
        if not runs:
            return
        rows: list[dict[str, Any]] = []
        for run in runs:
            row = {column.name: getattr(run, column.name) for column in _RUNS.columns if column.name != "code_version"}
            rows.append({**row, "code_version": code_version, **{k: json.dumps(row[k], sort_keys=True) for k in _JSON}})
        with self._engine.begin() as connection:
            connection.execute(insert(_RUNS).on_conflict_do_nothing(), rows)

    def record_event(self, what: str, **details: Any) -> None:
        """Append an event."""
        row = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "what": what,
            "details": json.dumps(details, default=str),
        }
        with self._engine.begin() as connection:
            connection.execute(insert(_EVENTS), [row])

    def runs(self) -> list[dict[str, Any]]:
        """All stage runs, as dictionaries."""
        with self._engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(select(_RUNS)).mappings()]
        return [{**row, **{name: json.loads(row[name]) for name in _JSON}} for row in rows]

    def events(self) -> list[dict[str, Any]]:
        """All events, oldest first."""
        with self._engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(select(_EVENTS).order_by(_EVENTS.c.number)).mappings()]
        return [{**row, "details": json.loads(row["details"])} for row in rows]

    def trace(self, result_id: str) -> dict[str, Any]:
        """Return the stage run behind a result id ``run/row/column``; raises KeyError when there is none."""
        run_id = result_id.split("/", 1)[0]
        for row in self.runs():
            if row["run_id"] == run_id:
                return row
        raise KeyError(result_id)
