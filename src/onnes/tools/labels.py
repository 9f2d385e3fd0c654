"""The tool behind ``onnes labels``: verified crystals as training data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.campaign.verified import verified_labels
from onnes.crystals.schema import values
from onnes.errors import ConfigError
from onnes.flow.shards import parquet_bytes, write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class ExportedLabels:
    """Labels that were written.

    Attributes
    ----------
    path
        The Parquet file.
    table
        Its content, see `onnes.campaign.verified.verified_labels`.
    problems
        One message for each verification without a label.
    """

    path: Path
    table: pa.Table
    problems: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """Count rows by verdict, and spectra by the part of the data that they belong to."""
        spectra = np.array([one is not None for one in values(self.table, "alpha2f")], bool)
        splits = Counter(split for split, has in zip(values(self.table, "split"), spectra, strict=True) if has)
        return {
            "file": str(self.path),
            "rows": self.table.num_rows,
            "verdicts": dict(Counter(values(self.table, "verdict"))),
            "spectra": int(spectra.sum()),
            "spectra_by_split": dict(splits),
            "problems": list(self.problems),
        }


def export_labels(sources: Sequence[str | Path], out: str | Path) -> ExportedLabels:
    """Write what was verified as a table of labels that `onnes train` reads for the model ``spectrum``.

    Parameters
    ----------
    sources
        Campaigns, or folders of verifications.
    out
        ``.parquet``.

    Raises
    ------
    ConfigError
        When a source is no folder, there is nothing to write, or the file has another suffix.

    Examples
    --------
    >>> export_labels(["campaign"], "labels.csv")
    Traceback (most recent call last):
    onnes.errors.ConfigError: labels.csv: labels are written as .parquet, not '.csv'
    """
    path = Path(out)
    if path.suffix.lower() != ".parquet":
        raise ConfigError(f"{path.name}: labels are written as .parquet, not {path.suffix or 'without a suffix'!r}")
    problems: list[str] = []
    table = verified_labels(*sources, on_problem=problems.append)
    write_bytes(parquet_bytes(table), path)
    return ExportedLabels(path, table, tuple(problems))
