"""What a criterion finds about a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
"""Columns of one row of the crystal table."""

NEUTRAL = 0.5
"""Score of what is not known."""


@dataclass(frozen=True)
class Finding:
    """A score and what is to be said about it.

    Attributes
    ----------
    score
        0 (as bad as can be) to 1.
    said
        A concern, or what is missing; None where there is nothing to say.
    source
        Of what is said; None where it is that of the criterion.
    known
        Whether there were data to judge by; otherwise the score is `NEUTRAL` (or less).
    """

    score: float
    said: str | None = None
    source: str | None = None
    known: bool = True


def unknown(said: str, source: str | None = None, *, at_most: float = 1.0) -> Finding:
    """Make the finding of missing data: the neutral score, or less where even that is too good."""
    return Finding(min(NEUTRAL, at_most), said, source, known=False)


def number(row: Row, name: str) -> float | None:
    """Return a number of the row; None where it is missing or not finite."""
    value = row.get(name)
    return None if value is None or not math.isfinite(value) else float(value)
