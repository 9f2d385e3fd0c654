"""What the laboratory found: one line a measurement, added at the end of a file and never changed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from onnes.crystals.schema import ordered, values
from onnes.errors import ConfigError
from onnes.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = "measurements.jsonl"
MAX_K = 400.0
"""No temperature of a measurement lies above this."""
_CLOSE = 5
_KEPT = (
    "crystal_hash", "lattice", "frac_coords", "atomic_numbers", "site_occupancies", "geometry", "pressure_GPa", "formula",
    "reduced_formula", "n_atoms", "space_group", "prototype",
)  # fmt: skip
_NUMBERS = ("measured_tc_K", "measured_no_transition_above_K", "phase_fraction")
LABELS = {
    "measured_tc_K": pa.float64(),
    "measured_no_transition_above_K": pa.float64(),
    "tc_kind": pa.string(),
    "measured_tc_criterion": pa.string(),
    "measured_phase": pa.string(),
    "measured_phase_fraction": pa.float64(),
    "measured_sample": pa.string(),
    "measured_note": pa.string(),
    "measured_at": pa.string(),
}
"""Columns of a label; no other kind of Tc stands beside them."""

Criterion = Literal["onset", "midpoint", "zero", "magnetic"]
Temperature = Field(default=None, gt=0, le=MAX_K, allow_inf_nan=False)


class Measurement(BaseModel):
    """One sample of one crystal, and what was found.

    Attributes
    ----------
    id
        Row of the campaign, or ``set_id/row id`` in a study.
    reduced_formula, crystal_hash
        Of that row: the crystal that was planned.
    sample
        Name that the laboratory gave it.
    phase
        What was found, in words or as a formula; the planned crystal where nothing is said.
    as_planned
        Whether that is the planned crystal. Only then does the label belong to its geometry.
    measured_tc_K, tc_criterion
        Measured critical temperature, and by what it was read: onset, midpoint or end (zero) of the resistive transition, or
        onset of the diamagnetic one (magnetic).
    measured_no_transition_above_K
        Lowest temperature reached without a transition: an upper bound on Tc.
    phase_fraction
        Share of the phase in the sample, 0 to 1.
    note
        Anything else.
    recorded_at, onnes
        When it was written down (UTC), and by which version.
    tc_kind
        Always ``measured``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    reduced_formula: str | None = None
    crystal_hash: str | None = None
    sample: str | None = None
    phase: str | None = None
    as_planned: bool = True
    measured_tc_K: float | None = Temperature
    tc_criterion: Criterion | None = None
    measured_no_transition_above_K: float | None = Temperature
    phase_fraction: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    note: str | None = None
    recorded_at: datetime
    onnes: str = __version__
    tc_kind: Literal["measured"] = "measured"

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.measured_tc_K is not None and self.measured_no_transition_above_K is not None:
            raise ValueError("a sample has a Tc or an upper bound, not both; add a line for each sample")
        if self.measured_tc_K is None and self.measured_no_transition_above_K is None and self.phase is None:
            raise ValueError("nothing was found: give a Tc, the temperature above which there is none, or a phase")
        if (self.measured_tc_K is None) != (self.tc_criterion is None):
            raise ValueError("a Tc needs its criterion (onset, midpoint, zero or magnetic), and a criterion its Tc")
        return self


@dataclass(frozen=True)
class Measurements:
    """Measurements of a campaign or a study.

    Attributes
    ----------
    folder
        Of the campaign or study; the file lies in it.

    Examples
    --------
    >>> import tempfile
    >>> Measurements(Path(tempfile.mkdtemp())).all()
    []
    """

    folder: Path

    @classmethod
    def of(cls, folder: str | Path) -> Measurements:
        """Measurements of an existing campaign or study; raises ConfigError when the folder holds neither."""
        from onnes.campaign import folder as campaigns
        from onnes.campaign import study as studies

        path = Path(folder)
        if not any((path / name).is_file() for name in (campaigns.SETTINGS, studies.SETTINGS)):
            raise ConfigError(
                f"{path} is no campaign or study: it has no {campaigns.SETTINGS} or {studies.SETTINGS}; make one with `onnes screen`"
            )
        return cls(path)

    @property
    def file(self) -> Path:
        """Where they lie."""
        return self.folder / FILE

    def all(self) -> list[Measurement]:
        """Read every line; raises ConfigError for a broken one, and says which."""
        if not self.file.is_file():
            return []
        return [
            self._parsed(line, number)
            for number, line in enumerate(self.file.read_bytes().split(b"\n"), 1)
            if line.strip()
        ]

    def _parsed(self, line: bytes, number: int) -> Measurement:
        try:
            return Measurement.model_validate_json(line)
        except ValidationError as error:
            raise ConfigError(
                f"{self.file}, line {number} is broken: {_reason(error)}; mend or remove that line"
            ) from error

    def add(self, id: str, **found: Any) -> Measurement:  # noqa: A002 - the name of the column
        """Write one measurement behind the others.

        Parameters
        ----------
        id
            Row of the campaign, or ``set_id/row id`` in a study.
        **found
            Fields of `Measurement`. ``as_planned`` is worked out from ``phase`` unless it is given: the planned formula or the
            id of the row is the planned crystal, anything else is not.

        Raises
        ------
        ConfigError
            For an unknown row, values that make no sense, or a broken line in the file.
        """
        row = self.row(id)
        self.all()
        known = {"reduced_formula": row.get("reduced_formula"), "crystal_hash": row.get("crystal_hash")}
        given = {name: value for name, value in found.items() if value is not None}
        given.setdefault("as_planned", _is_planned(given.get("phase"), id, row))
        given.setdefault("recorded_at", datetime.now(UTC).replace(microsecond=0))
        try:
            measurement = Measurement(id=id, **known, **given)
        except ValidationError as error:
            raise ConfigError(f"measurement of {id}: {_reason(error)}") from error
        self._append(measurement)
        return measurement

    def _append(self, measurement: Measurement) -> None:
        """Write the line in one piece, behind a line end that a hand may have forgotten."""
        data = measurement.model_dump_json(exclude_none=True).encode() + b"\n"
        with self.file.open("ab") as file:
            if file.tell() and not self.file.read_bytes().endswith(b"\n"):
                data = b"\n" + data
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def row(self, id: str) -> dict[str, Any]:  # noqa: A002 - the name of the column
        """Row of the campaign or study that was measured; raises ConfigError with the names that look like it."""
        set_id, name = self._place(id)
        return self._row(self._table(set_id), name)

    def _row(self, table: pa.Table, name: str) -> dict[str, Any]:
        ids = [str(one) for one in values(table, "id")]
        if name not in ids:
            close = get_close_matches(name, ids, n=_CLOSE, cutoff=0.4)
            hint = f"did you mean {', '.join(close)}?" if close else f"its first rows: {', '.join(ids[:_CLOSE])}"
            raise ConfigError(f"{self.folder} has no row {name!r}; {hint}")
        return table.slice(ids.index(name), 1).to_pylist()[0]

    def _place(self, id: str) -> tuple[str, str]:  # noqa: A002 - the name of the column
        """Set of the study, empty for a campaign, and the row in it."""
        from onnes.campaign.folder import SETTINGS

        if (self.folder / SETTINGS).is_file():
            return "", id
        set_id, _, name = id.partition("/")
        return set_id, name

    def _table(self, set_id: str) -> pa.Table:
        """Results of the campaign, or a set of the study."""
        from onnes.campaign.folder import Campaign
        from onnes.campaign.study import Study

        if not set_id:
            return Campaign.open(self.folder).results
        study = Study.open(self.folder)
        if not study.has(set_id):
            known = ", ".join(info.set_id for info in study.sets()) or "none yet"
            raise ConfigError(f"{set_id!r} is no set of the study {self.folder}; write set_id/row id, sets: {known}")
        return study.table(set_id)

    def labels(self) -> tuple[pa.Table, list[str]]:
        """Make a crystal table of the measurements that label a crystal.

        Returns
        -------
        table
            One row a measurement, with the geometry that was planned, ``parent_id`` the row of the campaign, and the columns
            `LABELS`; nothing that was computed.
        left_out
            Why each other measurement is missing.
        """
        rows, left_out = [], []
        read = cache(self._table)  # not once for each measurement
        for number, one in enumerate(self.all(), 1):
            reason = _without_label(one)
            set_id, name = self._place(one.id)
            row = {} if reason else self._row(read(set_id), name)
            if not reason and row.get("lattice") is None:
                reason = "the row has no geometry"
            if not reason and one.crystal_hash and row.get("crystal_hash") != one.crystal_hash:
                reason = "the row holds another crystal than when it was measured"
            if reason:
                left_out.append(f"measurement {number} of {one.id}: {reason}")
                continue
            kept = {name: row.get(name) for name in _KEPT}
            about = {"id": f"{one.id}.m{number}", "source": "measured", "parent_id": one.id}
            rows.append(about | kept | _label(one))
        return _table(rows), left_out


def measurement_rows(found: Sequence[Measurement]) -> pa.Table:
    """Arrow table of measurements, one row each: what `Measurement` holds."""
    kinds = {
        "as_planned": pa.bool_(),
        **dict.fromkeys(_NUMBERS, pa.float64()),
    }
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in Measurement.model_fields])
    return pa.Table.from_pylist([json.loads(one.model_dump_json()) for one in found], schema=schema)


def _label(one: Measurement) -> dict[str, Any]:
    return {
        "measured_tc_K": one.measured_tc_K,
        "measured_no_transition_above_K": one.measured_no_transition_above_K,
        "tc_kind": one.tc_kind,
        "measured_tc_criterion": one.tc_criterion,
        "measured_phase": one.phase,
        "measured_phase_fraction": one.phase_fraction,
        "measured_sample": one.sample,
        "measured_note": one.note,
        "measured_at": one.recorded_at.isoformat(),
    }


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    from onnes.crystals.schema import COLUMNS

    names = ("id", "source", "parent_id", *_KEPT)
    schema = pa.schema([(name, COLUMNS[name]) for name in names] + list(LABELS.items()))
    return ordered(pa.Table.from_pylist(rows, schema=schema))


def _without_label(one: Measurement) -> str | None:
    if one.measured_tc_K is None and one.measured_no_transition_above_K is None:
        return "neither a Tc nor a bound"
    return None if one.as_planned else f"another phase was found ({one.phase or 'not named'})"


def _is_planned(phase: str | None, id: str, row: dict[str, Any]) -> bool:  # noqa: A002 - the name of the column
    """Whether a phase named by a person is the planned crystal."""
    from onnes.campaign.element_melting import composition_of
    from onnes.errors import CrystalError

    if phase is None or phase in (id, row.get("id"), row.get("prototype"), row.get("formula")):
        return True
    try:
        return composition_of(phase).reduced_formula == row.get("reduced_formula")
    except CrystalError:
        return False


def _reason(error: ValidationError) -> str:
    """Say what pydantic found, in one line."""
    said = []
    for fault in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in fault["loc"])
        text = fault["msg"].removeprefix("Value error, ")
        said.append(f"{where}: {text}" if where else text)
    return "; ".join(said)
