"""Predicted against verified: every row of a campaign that has a verdict of first principles."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from onnes.campaign.report_values import Frozen, Value, value_of
from onnes.campaign.report_verification import COMPARED, WITH_COUPLING, verified_value
from onnes.crystals.schema import COLUMNS, values
from onnes.verify.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

QUANTITIES = ("lambda_", "omega_log_K", "tc_K", "dos_ef_states_per_eV")
SPREADS = ("lambda_std", "tc_lo_K", "tc_hi_K")
DFT_SPREADS = ("dft_lambda_std", "dft_tc_lo_K", "dft_tc_hi_K")
OWN_KIND = (
    "Verified numbers are labels of a kind of their own: first-principles results of this campaign, with the level, functional "
    "and pseudopotentials that each row names. They are never mixed with predictions, nor with labels from the literature; those "
    "computed with GTH pseudopotentials or on a coarse grid of q points deserve less trust, as their rows say."
)
_NAMES = ("id", "formula", "reduced_formula", "runs", "dft_verdict", "dft_reason", "dft_confidence")


class ParityRow(Frozen):
    """One verified row."""

    id: str
    name: str
    slug: str | None
    """Of its page, where it has one."""
    verdict: str
    results: dict[str, Value]
    without: str | None
    """Why it has no verified Tc."""
    confidence: str | None


class Agreement(Frozen):
    """How far a quantity was off, over the rows that have both numbers."""

    column: str
    n: int
    mean_absolute_error: float | None
    mean_error: float | None
    """Predicted minus verified."""


class Parity(Frozen):
    """What the page of predicted against verified shows."""

    rows: list[ParityRow]
    agreement: list[Agreement]
    counts: dict[str, int]
    """Rows by verdict."""
    note: str = OWN_KIND


def parity_of(results: pa.Table, writers: Mapping[str, str], slugs: Mapping[str, str]) -> Parity | None:
    """Compare what was predicted with what was verified.

    Parameters
    ----------
    results
        All rows of the campaign, wherever they stopped.
    writers
        Column name to the stage that wrote it last.
    slugs
        Page of a row by its id.

    Returns
    -------
    Parity or None
        None where no row has a verdict. Rows in the order of the verdicts, those with numbers first.
    """
    verified = np.flatnonzero([verdict is not None for verdict in values(results, "dft_verdict")])
    if not len(verified):
        return None
    wanted = (*_NAMES, *QUANTITIES, *SPREADS, *DFT_SPREADS, *(COMPARED[name] for name in QUANTITIES))
    table = results.select([name for name in wanted if name in results.column_names]).take(pa.array(verified))
    order = {verdict.value: place for place, verdict in enumerate(Verdict)}
    raw = sorted(table.to_pylist(), key=lambda row: (order.get(row["dft_verdict"], len(order)), row["id"]))
    rows = [_row(row, writers, slugs) for row in raw]
    counts = Counter(row.verdict for row in rows)
    return Parity(rows=rows, agreement=[_agreement(rows, column) for column in QUANTITIES], counts=counts)


def is_prediction(column: str, writers: Mapping[str, str]) -> bool:
    """Whether a column holds what was said before the verification: no model writes N(E_F), the level ``dos`` does."""
    return column != "dos_ef_states_per_eV" or column not in writers


def _row(row: Mapping[str, Any], writers: Mapping[str, str], slugs: Mapping[str, str]) -> ParityRow:
    results = {}
    for column in (*QUANTITIES, *SPREADS):
        known = column in COLUMNS and is_prediction(column, writers)
        results[column] = value_of(row, writers, column) if known else Value(value=None, result_id=None)
    for column in (*(COMPARED[name] for name in QUANTITIES), *DFT_SPREADS, "dft_verdict"):
        results[column] = verified_value(row, writers, column)
    verdict = row["dft_verdict"]
    return ParityRow(
        id=row["id"],
        name=row.get("reduced_formula") or row.get("formula") or row["id"],
        slug=slugs.get(row["id"]),
        verdict=verdict,
        results=results,
        without=None if verdict in WITH_COUPLING else _why(row),
        confidence=row.get("dft_confidence"),
    )


def _why(row: Mapping[str, Any]) -> str:
    return row.get("dft_reason") or f"verdict {row['dft_verdict']}"


def _agreement(rows: list[ParityRow], column: str) -> Agreement:
    pairs = pairs_of(rows, column)
    errors = np.array([said - found for said, found, _ in pairs])
    if not len(errors):
        return Agreement(column=column, n=0, mean_absolute_error=None, mean_error=None)
    return Agreement(
        column=column, n=len(errors), mean_absolute_error=float(np.abs(errors).mean()), mean_error=float(errors.mean())
    )


def pairs_of(rows: list[ParityRow], column: str) -> list[tuple[float, float, ParityRow]]:
    """Predicted and verified value of the rows that have both."""
    found = []
    for row in rows:
        said, computed = row.results[column].value, row.results[COMPARED[column]].value
        if said is not None and computed is not None:
            found.append((float(said), float(computed), row))
    return found
