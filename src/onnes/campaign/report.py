"""Write a campaign's report: self-contained pages without scripts, and the same numbers as JSON."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from onnes.campaign.drawing import draw_cell
from onnes.campaign.periodic_table import periodic_table
from onnes.campaign.plots import drawable, tc_against_hull
from onnes.campaign.report_text import COLUMN_TEXT, format_value
from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import values
from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from onnes.campaign.report_data import Candidate, ReportData, StageCount

MAX_STOPPED_ROWS = 200  # per stage; report.json holds them all
MAX_REASONS = 6
_PAGE_NAME = re.compile(r"\d{4,}-[0-9a-f]{8}\.html")
_SPREADS = {text.spread for text in COLUMN_TEXT.values()}
_QUANTITIES = [name for name in COLUMN_TEXT if name not in _SPREADS]


def write_report(folder: Path, data: ReportData, results: pa.Table) -> Path:
    """Write ``report/index.html``, ``report/candidates/<slug>.html`` and ``report/report.json``.

    The same input gives the same bytes. Pages of an earlier report whose candidates are gone are removed.

    Parameters
    ----------
    folder
        The campaign folder.
    data
        Every number of the pages.
    results
        The table that ``data`` was made from; its geometry is drawn and written as CIF.

    Returns
    -------
    Path
        The index page.

    Raises
    ------
    ConfigError
        When ``results`` lacks a candidate of ``data``.

    Examples
    --------
    >>> index = write_report(folder, report_data(table, counts, meta, writers), table)  # doctest: +SKIP
    """
    report, pages = folder / "report", folder / "report" / "candidates"
    pages.mkdir(parents=True, exist_ok=True)
    environment = _environment()
    crystals = _crystals(data, results)
    page = environment.get_template("candidate.html.j2")
    slugs = {candidate.id: candidate.slug for candidate in data.candidates}
    for place, candidate in enumerate(data.candidates):
        neighbours = {
            "previous": data.candidates[place - 1] if place else None,
            "following": data.candidates[place + 1] if place + 1 < len(data.candidates) else None,
            "parent_slug": slugs.get(candidate.parent_id or ""),
        }
        drawing, cif = _drawing_and_cif(crystals, place)
        text = page.render(data=data, c=candidate, drawing=drawing, cif=cif, **neighbours, **_quantities(candidate))
        _write(pages / f"{candidate.slug}.html", text)
    for old in pages.iterdir():
        if _PAGE_NAME.fullmatch(old.name) and old.stem not in slugs.values():
            old.unlink()
    _write(report / "report.json", data.model_dump_json(indent=1))
    index = report / "index.html"
    _write(index, environment.get_template("index.html.j2").render(data=data, **_index_parts(data)))
    return index


def _environment() -> Environment:
    templates = files("onnes.campaign") / "templates"
    environment = Environment(
        loader=FunctionLoader(lambda name: (templates / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (templates / "style.css").read_text(encoding="utf-8")
    environment.globals.update(style=Markup(style), column_text=COLUMN_TEXT)
    environment.filters.update(text=format_value, formula=_formula, value=_value)
    return environment


def _formula(text: str | None) -> Markup:
    """Set the numbers of a formula low, everything else escaped."""
    escaped = str(escape(format_value(text)))
    return Markup(re.sub(r"(?<=[A-Za-z)\]])(\d+(?:\.\d+)?)", r"<sub>\1</sub>", escaped))


def _value(candidate: Candidate, column: str) -> Markup:
    """Show one result; the full number and its result id stay in the markup."""
    found = candidate.results[column]
    shown = format_value(found.value, column)
    if found.value is None:
        return escape(shown)
    raw = repr(found.value) if isinstance(found.value, float) else str(found.value)
    origin = Markup(' title="{}"').format(found.result_id) if found.result_id else ""
    return Markup('<data data-column="{}" value="{}"{}>{}</data>').format(column, raw, origin, shown)


def _quantities(candidate: Candidate) -> dict[str, list[str]]:
    known = [name for name in _QUANTITIES if candidate.results[name].value is not None]
    absent = [COLUMN_TEXT[name].label for name in _QUANTITIES if name not in known]
    return {"quantities": known, "absent": absent}


def _index_parts(data: ReportData) -> dict[str, Any]:
    return {
        "funnel": [_funnel_row(count, data.stages) for count in data.stages],
        "stopped_groups": _stopped_groups(data),
        "plot": Markup(tc_against_hull(data.survivors, mu_star=data.mu_star)),  # escaped there
        "n_drawn": len(drawable(data.survivors)),
        "periodic": Markup(periodic_table(data.elements)) if data.elements else "",
        "max_rows": MAX_STOPPED_ROWS,
    }


def _funnel_row(count: StageCount, stages: Iterable[StageCount]) -> dict[str, Any]:
    """Shares in percent of the widest stage, and the reasons, most frequent first."""
    widest = max(1, *(stage.entered for stage in stages))
    reasons = sorted(count.reasons.items(), key=lambda item: (-item[1], item[0]))
    shares = {kind: f"{100 * getattr(count, kind) / widest:.2f}" for kind in ("passed", "rejected", "failed")}
    return {
        "count": count,
        "shares": shares,
        "reasons": reasons[:MAX_REASONS],
        "n_more": sum(n for _, n in reasons[MAX_REASONS:]),
    }


def _stopped_groups(data: ReportData) -> list[dict[str, Any]]:
    groups = defaultdict(list)
    for row in data.stopped:
        groups[row.stage, row.kind].append(row)
    titles = {count.stage: count.title for count in data.stages}
    rank = {stage: place for place, stage in enumerate(titles)}
    order = sorted(groups, key=lambda key: (rank.get(key[0], math.inf), key[0], key[1]))
    return [
        {
            "title": titles.get(stage, stage.capitalize()),
            "kind": kind,
            "rows": groups[stage, kind],
            "id": f"stopped-{place}",
        }
        for place, (stage, kind) in enumerate(order, 1)
    ]


def _crystals(data: ReportData, results: pa.Table) -> CrystalBatch:
    places = {row: i for i, row in enumerate(values(results, "id"))}
    missing = [c.id for c in data.candidates if c.id not in places]
    if missing:
        raise ConfigError(
            f"the results lack {len(missing)} candidates of the report, first {missing[0]!r}: "
            "make the report data from the same table"
        )
    return CrystalBatch.from_table(results.take(pa.array([places[c.id] for c in data.candidates], pa.int64())))


def _drawing_and_cif(crystals: CrystalBatch, place: int) -> tuple[Markup, str]:
    from pymatgen.io.cif import CifWriter

    drawing = draw_cell(*crystals.crystal(place))
    structure = crystals.select([place]).to_structures()[0]
    return Markup(drawing), str(CifWriter(structure))


def _write(path: Path, text: str) -> None:
    """Write all or nothing, so that a reader never meets half a page."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    partial.replace(path)
