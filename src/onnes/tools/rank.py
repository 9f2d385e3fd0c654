"""The tool ``rank``: order crystals by all that matters before somebody makes them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from onnes.campaign.folder import SETTINGS, Campaign
from onnes.campaign.judgement import Weights, judge
from onnes.crystals.schema import GEOMETRY_COLUMNS, is_open
from onnes.errors import ConfigError
from onnes.tools.inputs import Crystals, as_table
from onnes.tools.result import CrystalTable, PlainTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.table import Table

_HEADINGS = {
    "judged_rank": ("rank", "{}"),
    "id": ("id", "{}"),
    "reduced_formula": ("formula", "{}"),
    "score": ("score", "{:.2f}"),
    "pareto_front": ("front", "{}"),
    "tc_K": ("Tc / K", "{:.1f}"),
    "tc_lo_K": ("at least", "{:.1f}"),
    "exp_superconductor_probability": ("P(lit.)", "{:.2f}"),
    "e_above_hull_eV_per_atom": ("E_hull / eV/atom", "{:.3f}"),
    "phonon_grade": ("phonons", "{}"),
    "is_metal_probability": ("P(metal)", "{:.2f}"),
    "in_domain": ("in domain", "{}"),
    "is_novel": ("novel", "{}"),
    "risk": ("risk", "{:.2f}"),
}
_REASON_HEADINGS = {
    "judged_rank": ("rank", "{}"),
    "formula": ("formula", "{}"),
    "criterion": ("criterion", "{}"),
    "score": ("score", "{:.2f}"),
    "weight": ("weight", "{:g}"),
    "said": ("why", "{}"),
    "source": ("source", "{}"),
}
_REASONS = pa.schema([
    ("judged_rank", pa.int64()),
    ("id", pa.string()),
    ("formula", pa.string()),
    ("criterion", pa.string()),
    ("score", pa.float64()),
    ("weight", pa.float64()),
    ("known", pa.bool_()),
    ("said", pa.string()),
    ("source", pa.string()),
    ("error", pa.string()),
])  # fmt: skip
LITERATURE = ("exp_superconductor_probability", "exp_tc_K", "exp_tc_lo_K", "exp_tc_hi_K")
_LEFT_OUT = (*GEOMETRY_COLUMNS, "input_lattice", "input_frac_coords", "alpha2f", "elastic_tensor_GPa", "runs")


class ReasonTable(PlainTable):
    """One row a reason: what lowers a crystal's score, or is not known, with the weight of the criterion and the source."""

    headings = _REASON_HEADINGS

    def rich(self, *, max_rows: int = 200) -> Table:
        """Make a rich table; what is unknown of every crystal stands once, below."""
        from rich.markup import escape
        from rich.table import Table

        everywhere = self._unknown_everywhere()
        view = Table(box=None, header_style="bold")
        for name, (title, _) in self.headings.items():
            justify = "right" if name in ("judged_rank", "score", "weight") else "left"
            view.add_column(title, justify=justify, overflow="fold", ratio=1 if name in ("said", "source") else None)
        rows = [row for row in self.table.to_pylist() if row["known"] or row["criterion"] not in everywhere]
        for row in rows[:max_rows]:
            cells = [
                form.format(row[name]) if row[name] is not None else "" for name, (_, form) in self.headings.items()
            ]
            view.add_row(*map(escape, cells))
        notes = [f"... and {len(rows) - max_rows} more reasons"] if len(rows) > max_rows else []
        notes += [f"unknown of every crystal: {', '.join(everywhere)}"] if everywhere else []
        view.caption, view.caption_justify = "; ".join(notes) or None, "left"
        return view

    def _unknown_everywhere(self) -> list[str]:
        """Criteria of which every crystal lacks the data."""
        crystals = len(set(self["judged_rank"]))
        missing = [c for c, known in zip(self["criterion"], self["known"], strict=True) if not known]
        return [name for name, count in Counter(missing).items() if count == crystals > 1]


@dataclass(frozen=True, eq=False, repr=False)
class RankTable(CrystalTable):
    """Judged crystals, the best first, those out of the race last.

    Attributes
    ----------
    weights
        Of the criteria.
    """

    weights: Weights
    headings = _HEADINGS

    def shown(self) -> list[str]:
        """Columns that hold anything."""
        present = [name for name in self.headings if name in self.table.column_names]
        return [name for name in present if self.table[name].null_count < len(self)]

    def remarks(self) -> list[str | None]:
        """Error or reason of a rejection; else the criteria with a concern, and those without data."""
        said = zip(self["error"], self["reason"], self["concerns"], self["unknown"], strict=True)
        return [error or reason or _brief(concerns, unknown) for error, reason, concerns, unknown in said]

    def head(self, n: int) -> RankTable:
        """Keep the first ``n`` rows, the best."""
        return RankTable(self.table.slice(0, n), self.weights)

    @property
    def front(self) -> list[str]:
        """Ids of the rows on the Pareto front, the best first."""
        return [name for name, front in zip(self["id"], self["pareto_front"], strict=True) if front]

    def reasons(self) -> ReasonTable:
        """Say why: each concern and each missing datum of the ranked rows, with its source."""
        from onnes.campaign.criteria import findings, source_of

        rows = []
        for row in self.table.to_pylist():
            if row["judged_rank"] is None:
                continue
            known = {name: row[name] for name in ("judged_rank", "id")} | {"formula": row.get("reduced_formula")}
            for name, found in findings(row).items():
                weight = getattr(self.weights, name)
                if found.said is not None:
                    about = {"criterion": name, "score": found.score, "weight": weight, "known": found.known}
                    rows.append(known | about | {"said": found.said, "source": source_of(name, found)})
        return ReasonTable(pa.Table.from_pylist(rows, schema=_REASONS))

    def to_json(self, columns: Sequence[str] | None = None) -> str:
        """Return JSON, a list with one object a row; without ``columns`` all but the geometry and the spectra."""
        names = columns or [name for name in self.table.column_names if name not in _LEFT_OUT]
        return super().to_json(names)

    def write(self, path: str | Path) -> None:
        """Write a file of crystals as `CrystalTable` does, or a .csv without their geometry."""
        if Path(path).suffix.lower() != ".csv":
            super().write(path)
            return
        from pyarrow.csv import write_csv

        flat = self.table.select([n for n in self.table.column_names if n not in (*_LEFT_OUT, "site_occupancies")])
        for name in ("concerns", "unknown"):
            joined = [None if lines is None else "; ".join(lines) for lines in self[name]]
            flat = flat.set_column(flat.schema.get_field_index(name), name, pa.array(joined, pa.string()))
        write_csv(flat, path)

    def plot(self, path: str | Path) -> None:
        """Draw Tc against the energy above hull, coloured by risk, with the Pareto front; .svg or .png."""
        from onnes.tools.rank_figure import draw_ranking

        draw_ranking(path, self.table)


def rank(
    crystals: Crystals,
    *,
    weights: Weights | Mapping[str, float] | str | Path | None = None,
    predict: bool = False,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> RankTable:
    """Order crystals as a chemist would before making one: by promise, hazards, feasibility and price.

    Parameters
    ----------
    crystals
        See `onnes.tools.inputs.as_table`, best with columns that `onnes.predict`, a campaign, or `onnes.phonons` wrote; or
        a campaign folder, whose survivors are judged.
    weights
        Of the criteria: `onnes.campaign.judgement.Weights`, a mapping with those to change, or a TOML file.
    predict
        Predict Tc, energy above hull, metal probability and domain first, at the given geometry.
    device
        ``cpu`` or ``cuda``, for ``predict``.
    on_rows
        Called with the number of crystals predicted since the last call.

    Returns
    -------
    RankTable
        The columns of `onnes.campaign.judgement.judge`, the best row first; ``reasons()`` says why.

    Raises
    ------
    ConfigError
        For an unknown criterion or a bad weight, naming the known ones.

    Examples
    --------
    >>> import onnes
    >>> from onnes.crystals.known import known_table
    >>> ranked = onnes.rank(known_table(["Pb", "Nb"]))
    >>> ranked["id"], [line.partition(":")[0] for line in ranked["concerns"][1]]
    (['Nb', 'Pb'], ['toxicity'])
    """
    chosen = _weights(weights)
    table = _survivors(crystals) if _is_campaign(crystals) else as_table(crystals)
    if predict:
        from onnes.tools.crystals import predict as run

        table = run(table, device=device, on_rows=on_rows).table
    judged = judge(with_literature(table), chosen)
    ranks = judged["judged_rank"].to_numpy(zero_copy_only=False)
    return RankTable(judged.take(pa.array(np.argsort(ranks, kind="stable"))), chosen)


def with_literature(table: pa.Table) -> pa.Table:
    """Add what the model of the literature says of the rows, unless the table holds it: columns ``exp_``."""
    from onnes.tools.experimental import experimental, materials_of

    if LITERATURE[0] in table.column_names or not table.num_rows:
        return table
    found = experimental(materials_of(table), files=False).table
    for name in LITERATURE:
        table = table.append_column(name, found[name])
    return table


def _weights(weights: Weights | Mapping[str, float] | str | Path | None) -> Weights:
    if weights is None or isinstance(weights, Weights):
        return weights or Weights()
    return Weights.from_file(weights) if isinstance(weights, str | Path) else Weights.of(weights)


def _is_campaign(crystals: Any) -> bool:
    if isinstance(crystals, list) and len(crystals) == 1:
        return _is_campaign(crystals[0])
    return isinstance(crystals, str | Path) and (Path(crystals) / SETTINGS).is_file()


def _survivors(crystals: Any) -> pa.Table:
    folder = crystals[0] if isinstance(crystals, list) else crystals
    results = Campaign.open(folder).results
    kept = results.filter(pa.array(is_open(results)))
    if not kept.num_rows:
        raise ConfigError(f"{folder} has no survivor to rank; its results.parquet says why")
    return kept


def _brief(concerns: list[str] | None, unknown: list[str] | None) -> str:
    parts = [", ".join(line.partition(":")[0] for line in concerns or ())]
    missing = ", ".join(line.partition(":")[0] for line in unknown or ())
    parts += [f"unknown: {missing}"] if missing else []
    return "; ".join(filter(None, parts))


def changes(words: Sequence[str]) -> dict[str, float]:
    """Read ``name=number`` words; raises ConfigError for another form.

    Examples
    --------
    >>> changes(["tc=5", "price=0"])
    {'tc': 5.0, 'price': 0.0}
    """
    found: dict[str, float] = {}
    for word in words:
        name, equals, value = word.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise ConfigError(f"weight {word!r} is not of the form name=number, such as tc=5; see docs/judgement.md")
    return found
