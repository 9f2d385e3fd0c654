"""The judgement of targets: many criteria, one desirability, a rank, the Pareto front, and the concerns in words."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from onnes.campaign.criteria import CRITERIA, criterion_names, findings, known_hull_eV, lower_tc_K, source_of
from onnes.crystals.schema import is_open, values
from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnes.campaign.finding import Finding

FLOOR = 0.01
"""No score counts for less, so that one bad one does not make all others meaningless."""
_TIE = 12  # decimals to which two desirabilities must agree to be a tie

COLUMNS = {
    "score": pa.float64(),
    **{f"score_{name}": pa.float64() for name in criterion_names()},
    "risk": pa.float64(),
    "pareto_front": pa.bool_(),
    "concerns": pa.list_(pa.string()),
    "unknown": pa.list_(pa.string()),
    "judged_rank": pa.int64(),
}
"""Columns that `judge` adds, with their types."""

_Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Weights(BaseModel):
    """How much each criterion counts; 0 leaves it out.

    Examples
    --------
    >>> Weights(price=0).changed({"tc": 5}).tc
    5.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tc: _Weight = 3.0
    literature: _Weight = 2.0
    hull: _Weight = 3.0
    phonons: _Weight = 2.0
    metal: _Weight = 2.0
    domain: _Weight = 1.0
    novelty: _Weight = 0.5
    mixing: _Weight = 0.5
    toxicity: _Weight = 1.0
    radioactivity: _Weight = 2.0
    volatility: _Weight = 0.5
    air: _Weight = 0.5
    price: _Weight = 0.5
    melting: _Weight = 0.25

    @model_validator(mode="after")
    def _something_counts(self) -> Weights:
        if not any(self.model_dump().values()):
            raise ValueError("at least one weight must be above 0")
        return self

    @classmethod
    def of(cls, weights: Mapping[str, Any]) -> Weights:
        """Make weights of names and numbers, the others at their default.

        Raises
        ------
        ConfigError
            For an unknown name, a value that is no number or negative, or when nothing counts.
        """
        if foreign := [name for name in weights if name not in cls.model_fields]:
            raise ConfigError(f"no criterion is called {foreign[0]!r}; known: {', '.join(cls.model_fields)}")
        try:
            return cls(**weights)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'weights'}: {e['msg']}" for e in error.errors())
            raise ConfigError(f"weights of the judgement: {problems}") from error

    @classmethod
    def from_file(cls, path: str | Path) -> Weights:
        """Read a TOML file with one ``name = number`` a line; raises ConfigError."""
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is no TOML file: {error}") from error
        return cls.of(data)

    def changed(self, changes: Mapping[str, Any]) -> Weights:
        """Replace some weights; raises ConfigError as `of` does."""
        return Weights.of(self.model_dump() | dict(changes))


def judge(table: pa.Table, weights: Weights | None = None) -> pa.Table:
    """Judge every crystal that is still in the race by all criteria.

    The desirability of a crystal is the weighted geometric mean of its scores (Derringer and Suich, J. Qual. Technol.
    12, 214 (1980)), none counted below `FLOOR`: a target must do passably in everything that weighs. What is not known
    scores `onnes.campaign.finding.NEUTRAL`, and is named. Scores are absolute: they do not depend on the other rows.

    Parameters
    ----------
    table
        Crystal table; only ``id`` is needed, what else is there is used.
    weights
        Of the criteria.

    Returns
    -------
    pa.Table
        The rows in their order, with `COLUMNS`: ``score`` (the desirability) and ``score_<criterion>``, 0 to 1; ``risk``,
        one minus the desirability by the criteria of practice alone; ``pareto_front``, whether no other row has a Tc (lower
        end of the interval) at least as high, an energy above hull at least as low and a risk at least as low, and one of
        them better (false throughout where no row has a Tc or an energy above hull); ``concerns`` and ``unknown``, each
        entry as "criterion: what [source]", a datum that is merely missing without a source; ``judged_rank``, from 1, by
        falling score, ties by ``id``. Rows with ``error`` or ``rejected_by`` have nulls.

    Examples
    --------
    >>> table = pa.table({"id": ["a", "b"], "tc_K": [9.0, 9.0], "phonon_grade": ["unstable", "stable"]})
    >>> judge(table)["judged_rank"].to_pylist()
    [2, 1]
    """
    weights = weights or Weights()
    rows = np.flatnonzero(is_open(table)).tolist()
    judged = [_judged(row, weights) for row in table.take(pa.array(rows, pa.int64())).to_pylist()]
    ids = [str(values(table, "id")[row]) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: (-round(judged[i]["score"], _TIE), ids[i], i))
    for rank, i in enumerate(order, 1):
        judged[i]["judged_rank"] = rank
    objectives = [one["objectives"] for one in judged]
    promising = any(value is not None for row in objectives for value in row[:2])
    fronts = pareto_front(objectives) if promising else [False] * len(judged)
    for one, front in zip(judged, fronts, strict=True):
        one["pareto_front"] = front
    blank: dict[str, Any] = {}
    by_row = dict(zip(rows, judged, strict=True))
    kept = table.select([name for name in table.column_names if name not in COLUMNS])
    for name, kind in COLUMNS.items():
        column = [by_row.get(row, blank).get(name) for row in range(table.num_rows)]
        kept = kept.append_column(name, pa.array(column, kind))
    return kept


def _judged(row: dict[str, Any], weights: Weights) -> dict[str, Any]:
    found = findings(row)
    practice = [criterion.name for criterion in CRITERIA if criterion.part == "practice"]
    risk = 1 - _desirability(found, weights, practice)
    return {
        "score": _desirability(found, weights, criterion_names()),
        **{f"score_{name}": finding.score for name, finding in found.items()},
        "risk": risk,
        "objectives": (_negative(lower_tc_K(row)), known_hull_eV(row), risk),
        "concerns": [_line(name, one) for name, one in found.items() if one.known and one.said],
        "unknown": [_line(name, one) for name, one in found.items() if not one.known],
    }


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _line(name: str, finding: Finding) -> str:
    source = source_of(name, finding)
    return f"{name}: {finding.said} [{source}]" if source else f"{name}: {finding.said}"


def _desirability(found: Mapping[str, Finding], weights: Weights, names: Sequence[str]) -> float:
    """Weighted geometric mean of the scores; 1 where nothing weighs."""
    own = {name: getattr(weights, name) for name in names}
    total = sum(own.values())
    if not total:
        return 1.0
    return math.exp(sum(weight * math.log(max(FLOOR, found[name].score)) for name, weight in own.items()) / total)


def pareto_front(objectives: Sequence[Sequence[float | None]]) -> list[bool]:
    """Tell which rows no other row beats.

    Parameters
    ----------
    objectives
        Numbers to be small, one tuple a row. One that is missing in every row is left out; a row that lacks another is
        not on the front, for it cannot be compared.

    Returns
    -------
    list of bool
        True where no row is at least as small in everything and smaller in something. Equal rows stay together.

    Examples
    --------
    >>> pareto_front([(1.0, 3.0), (2.0, 2.0), (2.0, 4.0), (0.0, None)])
    [True, True, False, False]
    """
    if not objectives:
        return []
    costs = np.array([[math.nan if v is None else v for v in row] for row in objectives], float)
    costs = costs[:, np.isfinite(costs).any(axis=0)]
    if not costs.shape[1]:
        return [False] * len(costs)
    front = np.asarray(np.isfinite(costs).all(axis=1))
    left = np.lexsort(costs.T[::-1])
    left = left[front[left]]
    while len(left):
        # The first in lexical order of those not yet compared is beaten by none of them: it takes out all that it beats.
        first = costs[left[0]]
        equal = (costs[left] == first).all(axis=1)
        beaten = (costs[left] >= first).all(axis=1) & ~equal
        front[left[beaten]] = False
        left = left[~beaten & ~equal]
    return front.tolist()
