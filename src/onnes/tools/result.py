"""The table that users get back: prints well, becomes a pandas frame, an Arrow table, or JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onnes.crystals.schema import is_open, values

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import pyarrow as pa
    from rich.table import Table

PAGE_WIDTH = 150
"""Width of a printed table where there is no terminal to ask."""

_SHOWN: dict[str, tuple[str, str]] = {
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
    "how": ("how", "{}"),
}
_DETAILS = {
    "space_group", "energy_eV_per_atom", "formation_energy_eV_per_atom", "hull_coverage", "decomposes_to", "relax_steps", "how",
}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class CrystalTable:
    """A crystal table with a face.

    Attributes
    ----------
    table
        The Arrow table behind it.

    Examples
    --------
    >>> import onnes
    >>> from onnes.crystals.known import known_crystal
    >>> onnes.predict(known_crystal("NaCl"), hull=False).to_pandas()["is_metal_probability"].round(1).tolist()
    [0.0]
    """

    table: pa.Table

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
        return self.to_pandas()[self.shown()].to_html(index=False)

    def shown(self) -> list[str]:
        """Columns worth showing: those of the short list that hold anything, the details only without a Tc."""
        filled = [c for c in _SHOWN if c in self.table.column_names and self.table[c].null_count < self.table.num_rows]
        return [c for c in filled if c not in _DETAILS] if "tc_K" in filled else filled

    def rich(self, *, max_rows: int = 60) -> Table:
        """Make a rich table; errors, reasons and warnings stand in its last column."""
        from rich.markup import escape
        from rich.table import Table

        view = Table(box=None, header_style="bold")
        names = self.shown()
        said = zip(self["error"], self["reason"], self["notes"], self["warnings"], strict=True)
        remarks = [error or reason or "; ".join(filter(None, rest)) for error, reason, *rest in said]
        for name in names:
            text = name in ("id", "reduced_formula", "decomposes_to")
            view.add_column(_SHOWN[name][0], justify="left" if text else "right", no_wrap=name != "how")
        if any(remarks):
            view.add_column("remarks", overflow="fold")
        columns = [self[name] for name in names]
        failed = [e is not None for e in self["error"]]
        for i, row in enumerate(zip(*columns, strict=True)):
            if i == max_rows:
                view.caption = f"... and {len(self) - max_rows} more rows"
                break
            cells = ["–" if v is None else escape(_format(n, v)) for n, v in zip(names, row, strict=True)]
            view.add_row(
                *cells, *([escape(remarks[i] or "")] if any(remarks) else []), style="red" if failed[i] else None
            )
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

    @property
    def n_open(self) -> int:
        """Rows without an error that were not rejected."""
        return int(is_open(self.table).sum())


def _format(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _SHOWN[name][1].format(value)
