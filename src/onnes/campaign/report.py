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
from onnes.campaign.report_figures import parity_drawing, verification_drawings
from onnes.campaign.report_text import COLUMN_TEXT, format_value
from onnes.campaign.report_verification import COMPARED
from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import values
from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from onnes.campaign.parity import ParityRow
    from onnes.campaign.report_data import Candidate, ReportData, StageCount

MAX_STOPPED_ROWS = 200  # per stage; report.json holds them all
MAX_REASONS = 6
_PAGE_NAME = re.compile(r"\d{4,}-[0-9a-f]{8}\.html")
_SPREADS = {text.spread for text in COLUMN_TEXT.values()}
_QUANTITIES = [name for name in COLUMN_TEXT if name not in _SPREADS and not name.startswith("dft_")]
_VERDICT_CLASSES = {
    "superconductor": "good", "metallic": "good", "unstable": "warn", "not_converged": "warn", "failed": "warn",
}  # fmt: skip


def write_report(folder: Path, data: ReportData, results: pa.Table) -> Path:
    """Write ``report/index.html``, ``report/candidates/<slug>.html`` and ``report/report.json``.

    Where a row was verified by first principles, ``report/parity.html`` compares prediction and verification. The same input gives the same bytes. Pages of an earlier report whose candidates are gone are removed.

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
    rows = _rows(data, results)
    crystals = CrystalBatch.from_table(rows)
    spectra = [values(rows, name) for name in ("alpha2f", "dft_alpha2f")]
    page = environment.get_template("candidate.html.j2")
    slugs = {candidate.id: candidate.slug for candidate in data.candidates}
    for place, candidate in enumerate(data.candidates):
        neighbours = {
            "previous": data.candidates[place - 1] if place else None,
            "following": data.candidates[place + 1] if place + 1 < len(data.candidates) else None,
            "parent_slug": slugs.get(candidate.parent_id or ""),
        }
        drawing, cif = _drawing_and_cif(crystals, place)
        row = {
            "lambda_": candidate.results["lambda_"].value,
            "alpha2f": spectra[0][place],
            "dft_alpha2f": spectra[1][place],
        }
        text = page.render(
            data=data, c=candidate, drawing=drawing, cif=cif, **neighbours, **_quantities(candidate),
            **_verification(candidate, row, folder),
        )  # fmt: skip
        _write(pages / f"{candidate.slug}.html", text)
    for old in pages.iterdir():
        if _PAGE_NAME.fullmatch(old.name) and old.stem not in slugs.values():
            old.unlink()
    _write_parity(report / "parity.html", environment, data)
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
    environment.filters.update(text=format_value, formula=_formula, value=_value, verdict_class=_verdict_class)
    return environment


def _formula(text: str | None) -> Markup:
    """Set the numbers of a formula low, everything else escaped."""
    escaped = str(escape(format_value(text)))
    return Markup(re.sub(r"(?<=[A-Za-z)\]])(\d+(?:\.\d+)?)", r"<sub>\1</sub>", escaped))


def _verdict_class(verdict: str) -> str:
    return _VERDICT_CLASSES.get(verdict, "")


def _value(candidate: Candidate | ParityRow, column: str) -> Markup:
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


def _verification(candidate: Candidate, row: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Pairs of columns to be compared, and figures."""
    drawings = [(name, text, Markup(svg)) for name, text, svg in verification_drawings(candidate, row, folder)]
    compared = []
    for model, dft in COMPARED.items():
        said = candidate.results[model]
        # no model writes N(E_F): a stage that did was one of first principles
        shown = said.value is not None and not (model == "dos_ef_states_per_eV" and said.result_id)
        if shown or candidate.results[dft].value is not None:
            bounds = ("tc_lo_K", "tc_hi_K") if model == "tc_K" else (None, None)
            dft_bounds = ("dft_tc_lo_K", "dft_tc_hi_K") if model == "tc_K" else (None, None)
            ranges = dict(zip(("low", "high", "dft_low", "dft_high"), (*bounds, *dft_bounds), strict=True))
            compared.append({"model": model, "dft": dft, "shown": shown, **ranges})
    return {"compared": compared, "drawings": drawings}


def _write_parity(path: Path, environment: Environment, data: ReportData) -> None:
    """Write the page of predicted against verified, or take an old one away."""
    if data.parity is None:
        path.unlink(missing_ok=True)
        return
    text = environment.get_template("parity.html.j2").render(
        data=data, parity=data.parity, compared=COMPARED, drawing=Markup(parity_drawing(data.parity)),
        without=[row for row in data.parity.rows if row.without],
    )  # fmt: skip
    _write(path, text)


def _index_parts(data: ReportData) -> dict[str, Any]:
    return {
        "funnel": [_funnel_row(count, data.stages) for count in data.stages],
        "stopped_groups": _stopped_groups(data),
        "plot": Markup(tc_against_hull(data.survivors, mu_star=data.mu_star)),  # escaped there
        "n_drawn": len(drawable(data.survivors)),
        "periodic": Markup(periodic_table(data.elements)) if data.elements else "",
        "max_rows": MAX_STOPPED_ROWS,
        "verified": any(candidate.verification for candidate in data.candidates),
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


def _rows(data: ReportData, results: pa.Table) -> pa.Table:
    places = {row: i for i, row in enumerate(values(results, "id"))}
    missing = [c.id for c in data.candidates if c.id not in places]
    if missing:
        raise ConfigError(
            f"the results lack {len(missing)} candidates of the report, first {missing[0]!r}: "
            "make the report data from the same table"
        )
    return results.take(pa.array([places[c.id] for c in data.candidates], pa.int64()))


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
