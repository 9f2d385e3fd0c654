"""The tables that users get back: print well, become a pandas frame, an Arrow table, JSON or a file."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from onnes.crystals.schema import is_open, values
from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    import pyarrow as pa
    from rich.table import Table

PAGE_WIDTH = 150
"""Width of a printed table where there is no terminal to ask."""

_CRYSTAL_HEADINGS = {
    "id": ("id", "{}"),
    "reduced_formula": ("formula", "{}"),
    "space_group": ("SG", "{}"),
    "tc_K": ("Tc / K", "{:.1f}"),
    "tc_K_std": ("±", "{:.1f}"),
    "tc_mu016_K": ("Tc(0.16) / K", "{:.1f}"),
    "lambda_": ("λ", "{:.2f}"),
    "omega_log_K": ("ω_log / K", "{:.0f}"),
    "energy_eV_per_atom": ("E / eV/atom", "{:.3f}"),
    "formation_energy_eV_per_atom": ("E_form / eV/atom", "{:.3f}"),
    "e_above_hull_eV_per_atom": ("E_hull / eV/atom", "{:.3f}"),
    "hull_coverage": ("known phases", "{}"),
    "decomposes_to": ("decomposes to", "{}"),
    "is_metal_probability": ("P(metal)", "{:.2f}"),
    "in_domain": ("in domain", "{}"),
    "relax_steps": ("steps", "{}"),
    "geometry": ("geometry", "{}"),
    "pattern_similarity": ("like the pattern", "{:.3f}"),
    "how": ("how", "{}"),
}
_PLAIN_FORMATS = (".csv", ".parquet", ".json")
_TEXT = ("id", "parent_id", "formula", "reduced_formula", "decomposes_to", "exp_family", "verdict")
_DETAILS = {
    "space_group", "energy_eV_per_atom", "formation_energy_eV_per_atom", "hull_coverage", "decomposes_to", "relax_steps", "how",
}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class ResultTable(ABC):
    """Rows with a face; a row that could not be computed has ``error``.

    Attributes
    ----------
    table
        The Arrow table behind it.
    headings
        Title and format of the columns that can be shown, in their order.
    """

    table: pa.Table
    headings: ClassVar[Mapping[str, tuple[str, str]]]

    def __len__(self) -> int:
        return self.table.num_rows

    def __getitem__(self, column: str) -> list[Any]:
        """Values of a column; null where the table lacks it."""
        return values(self.table, column)

    def __repr__(self) -> str:
        from rich.console import Console

        console = Console(width=PAGE_WIDTH, no_color=True, highlight=False)
        with console.capture() as capture:
            console.print(self.rich())
        return capture.get()

    def _repr_html_(self) -> str:
        return self.to_pandas().to_html(index=False)

    @abstractmethod
    def write(self, path: str | Path) -> None:
        """Write every column to a file; the suffix decides the format."""

    def shown(self) -> list[str]:
        """Columns worth showing."""
        return list(self.headings)

    def remarks(self) -> list[str | None]:
        """What is to be said of each row."""
        return self["error"]

    def rich(self, *, max_rows: int = 60) -> Table:
        """Make a rich table; errors and other remarks stand in its last column."""
        from rich.markup import escape
        from rich.table import Table

        view = Table(box=None, header_style="bold")
        names, remarks = self.shown(), self.remarks()
        for name in names:
            justify = "left" if name in _TEXT else "right"
            view.add_column(self.headings[name][0], justify=justify, no_wrap=name != "how")
        if any(remarks):
            view.add_column("remarks", overflow="fold")
        columns = [self[name] for name in names]
        failed = [e is not None for e in self["error"]]
        for i, row in enumerate(zip(*columns, strict=True)):
            if i == max_rows:
                view.caption = f"... and {len(self) - max_rows} more rows"
                break
            cells = [_cell(value, self.headings[name][1]) for name, value in zip(names, row, strict=True)]
            cells += [remarks[i] or ""] if any(remarks) else []
            view.add_row(*map(escape, cells), style="red" if failed[i] else None)
        return view

    def to_pandas(self) -> pd.DataFrame:
        """Return a pandas frame with every column."""
        return self.table.to_pandas()

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dictionary a row, without the columns that are null in it."""
        return [{k: v for k, v in row.items() if v is not None} for row in self.table.to_pylist()]

    def to_json(self, columns: Sequence[str] | None = None) -> str:
        """Return JSON, a list with one object a row."""
        rows = self.to_dicts()
        if columns is not None:
            rows = [{k: row[k] for k in columns if k in row} for row in rows]
        return json.dumps(rows, indent=1)

    @property
    def n_failed(self) -> int:
        """Rows with an error."""
        return sum(error is not None for error in self["error"])


@dataclass(frozen=True, eq=False, repr=False)
class PlainTable(ResultTable):
    """A table that holds no crystals, with a face; written as .csv, .parquet or .json."""

    def write(self, path: str | Path) -> None:
        """Write all columns; raises ConfigError for another suffix."""
        check_suffix(path)
        suffix = Path(path).suffix.lower()
        if suffix == ".json":
            Path(path).write_text(self.to_json() + "\n", encoding="utf-8")
        elif suffix == ".csv":
            from pyarrow.csv import write_csv

            write_csv(self.table, path)
        else:
            from pyarrow.parquet import write_table

            write_table(self.table, path)


def check_suffix(path: str | Path) -> None:
    """Raise ConfigError unless the suffix is one that `PlainTable.write` knows."""
    if Path(path).suffix.lower() not in _PLAIN_FORMATS:
        raise ConfigError(f"cannot write {path}: give a file that ends in {', '.join(_PLAIN_FORMATS)}")


@dataclass(frozen=True, eq=False, repr=False)
class CrystalTable(ResultTable):
    """A crystal table with a face.

    Examples
    --------
    >>> import onnes
    >>> from onnes.crystals.known import known_crystal
    >>> onnes.predict(known_crystal("NaCl"), hull=False).to_pandas()["is_metal_probability"].round(1).tolist()
    [0.0]
    """

    headings = _CRYSTAL_HEADINGS

    def _repr_html_(self) -> str:
        return self.to_pandas()[self.shown()].to_html(index=False)

    def write(self, path: str | Path) -> None:
        """Write a file of crystals; see `onnes.crystals.writers.write_crystals`."""
        from onnes.crystals.writers import write_crystals

        write_crystals(self.table, path)

    def shown(self) -> list[str]:
        """Columns worth showing: those of the short list that hold anything, the details only without a Tc."""
        present = [name for name in self.headings if name in self.table.column_names]
        filled = [name for name in present if self.table[name].null_count < self.table.num_rows]
        return [c for c in filled if c not in _DETAILS] if "tc_K" in filled else filled

    def remarks(self) -> list[str | None]:
        """Error, reason of a rejection, or notes and warnings of each row."""
        said = zip(self["error"], self["reason"], self["notes"], self["warnings"], strict=True)
        return [error or reason or "; ".join(filter(None, rest)) for error, reason, *rest in said]

    @property
    def n_open(self) -> int:
        """Rows without an error that were not rejected."""
        return int(is_open(self.table).sum())


def _cell(value: Any, form: str) -> str:
    if value is None:
        return "–"
    return ("yes" if value else "no") if isinstance(value, bool) else form.format(value)
