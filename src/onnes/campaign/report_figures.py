"""Figures of first principles for the pages of a report, as SVG that follows the colours of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnes.campaign.parity import DFT_SPREADS, QUANTITIES, SPREADS, pairs_of
from onnes.campaign.plots import inline
from onnes.campaign.report_text import COLUMN_TEXT
from onnes.campaign.report_verification import WITH_COUPLING, read_verification
from onnes.figure import COLOURS, FONT_PT, INK, clean, composed, diagonal, svg_text, with_unit
from onnes.verify.figure import ALPHA2F, BANDS, DOS, LAMBDA_SIGMA, PHONONS, alpha2f_figure, verification_figures

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from onnes.campaign.parity import Parity, ParityRow
    from onnes.campaign.report_data import Candidate

TITLES = {
    LAMBDA_SIGMA: "λ against the smearing of the Fermi level. A result is given only where there is a plateau.",
    ALPHA2F: "Eliashberg function in bins of 2 meV, smoothed over 10 meV, and λ as it accumulates.",
    PHONONS: "Phonons at the computed q points; the area of a mark grows with λ of the mode.",
    DOS: "Electronic density of states; every state has a Gaussian width of 0.3 eV.",
    BANDS: "Electronic bands along the path of high symmetry.",
}
_SIZE_IN = (7.4, 6.4)
_LABELLED = 12
_PAGE_PT = 7


def verification_drawings(candidate: Candidate, row: Mapping[str, Any], folder: Path) -> list[tuple[str, str, str]]:
    """Draw the verification of a candidate.

    Parameters
    ----------
    candidate
        Of the report.
    row
        Its row of the campaign's results, for the spectra.
    folder
        The campaign.

    Returns
    -------
    list
        Name, text below, ``<svg>`` element. Without the folder of the verification only the spectrum of the table is drawn.
    """
    part = candidate.verification
    if part is None:
        return []
    figures: dict[str, Figure | None] = {}
    if part.details is not None:
        place = (folder / part.details.file).parent
        found = read_verification(place.parent, place.name)
        figures |= {} if found is None else verification_figures(found, place, row)
    elif row.get("dft_alpha2f") is not None and part.verdict in WITH_COUPLING:
        figures[ALPHA2F] = alpha2f_figure({"verified": row["dft_alpha2f"]}, row.get("alpha2f"))
    return [
        (name, TITLES[name], inline(svg_text(figure), TITLES[name], ink=INK, prefix=name))
        for name, figure in figures.items()
        if figure is not None
    ]


def parity_drawing(parity: Parity) -> str:
    """Draw predicted against verified, one panel a quantity; empty where no row has both numbers of any."""
    columns = [column for column in QUANTITIES if pairs_of(parity.rows, column)]
    if not columns:
        return ""
    n_columns = min(2, len(columns))
    n_rows = -(-len(columns) // n_columns)
    size = (_SIZE_IN[0] * n_columns / 2, _SIZE_IN[1] * n_rows / 2)
    with composed(size) as figure:
        for i, column in enumerate(columns, 1):
            _panel(clean(figure.add_subplot(n_rows, n_columns, i)), parity, column)
    return inline(svg_text(figure), "predicted against verified", ink=INK, prefix="parity")


def _panel(axes: Axes, parity: Parity, column: str) -> None:
    pairs = pairs_of(parity.rows, column)
    for lower, colour, name in ((False, COLOURS[0], "verified"), (True, COLOURS[1], "verified, lower confidence")):
        chosen = [pair for pair in pairs if is_lower(pair[2]) == lower]
        if chosen:
            said, found, rows = zip(*chosen, strict=True)
            axes.errorbar(
                said, found, xerr=_bars(rows, column, said, SPREADS), yerr=_bars(rows, column, found, DFT_SPREADS), fmt="o",
                color=colour, ecolor=(colour, 0.4), elinewidth=0.8, markersize=4, label=name,
            )  # fmt: skip
    for said, found, row in pairs if len(pairs) <= _LABELLED else []:
        axes.annotate(row.name, (said, found), (4, 4), textcoords="offset points", fontsize=_PAGE_PT, parse_math=False)
    ends = [row.results[name].value for *_, row in pairs for name in ("tc_hi_K", "dft_tc_hi_K") if column == "tc_K"]
    top = 1.2 * max(*(max(pair[:2]) for pair in pairs), *(float(end) for end in ends if end is not None), 0.0)
    diagonal(axes, (0, top or 1.0))
    axes.set_xlim(0, top or 1.0)
    axes.set_ylim(0, top or 1.0)
    axes.set_aspect("equal")
    label = with_unit(COLUMN_TEXT[column].label, COLUMN_TEXT[column].unit)
    axes.set_xlabel(f"predicted {label}", parse_math=False)
    axes.set_ylabel("verified")
    axes.legend(frameon=False, fontsize=FONT_PT - 1, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def is_lower(row: ParityRow) -> bool:
    """Whether the verification of a row says itself that it deserves less trust."""
    return bool(row.confidence) and not str(row.confidence).startswith("normal")


def _bars(
    rows: tuple[ParityRow, ...], column: str, centre: tuple[float, ...], spreads: tuple[str, str, str]
) -> list[list[float]] | None:
    """Lengths of the bars below and above, shape (2, n); None for a quantity without spread."""
    std, low, high = spreads

    def known(row: ParityRow, name: str, otherwise: float) -> float:
        value = row.results[name].value
        return otherwise if value is None else float(value)

    if column == "lambda_":
        lengths = [known(row, std, 0.0) for row in rows]
        return [lengths, lengths]
    if column == "tc_K":
        below = [max(0.0, x - known(row, low, x)) for row, x in zip(rows, centre, strict=True)]
        return [below, [max(0.0, known(row, high, x) - x) for row, x in zip(rows, centre, strict=True)]]
    return None
