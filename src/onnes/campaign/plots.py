"""Tc against the energy above hull as an SVG that follows the colours of the page."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

from onnes.campaign.report_text import format_value
from onnes.figure import SVG_METADATA, clean, style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from onnes.campaign.report_data import Survivor

MAX_POINTS = 1000  # more cannot be told apart and would swell the page
_INK = "#010203"  # stands for the text colour of the page until the SVG is written
_NOVEL, _KNOWN = "#2f7fc1", "#d9822b"
_SIZE_IN = (9.4, 5.0)
_CROWD = 60  # from so many points on, the bars step back
_FONT_PT = 9.0
_Box = tuple[float, float, float, float]


class _Point(NamedTuple):
    """A mark of the figure: hull energy, Tc, length of the bar below and above, and how it is drawn."""

    text: str
    x: float
    y: float
    below: float
    above: float
    known: bool
    trusted: bool


def tc_against_hull(survivors: Sequence[Survivor], *, mu_star: float | None = None, n_labels: int = 10) -> str:
    """Draw Tc with its 90 % interval against the energy above hull; the first ``n_labels`` carry their names.

    Parameters
    ----------
    survivors
        In the order of their rank. Those without a Tc or an energy above hull are left out, and so are those
        beyond the first `MAX_POINTS`.
    mu_star
        Named on the axis.
    n_labels
        How many points are labelled.

    Returns
    -------
    str
        One ``<svg>`` element, the same bytes for the same input; empty when there is no point to draw.
    """
    points = [_point(row) for row in drawable(survivors)]
    if not points:
        return ""
    # Figure with its own canvas: pyplot would keep global state.
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context(style(_INK, _FONT_PT)):
        figure = Figure(figsize=_SIZE_IN, dpi=72, layout="constrained")  # 72: a pixel is a point, as in the SVG
        canvas = FigureCanvasSVG(figure)
        figure.patch.set_alpha(0)
        axes = clean(figure.add_subplot())
        axes.patch.set_alpha(0)
        axes.grid(color="#888888", alpha=0.25, linewidth=0.6)
        _scatter(axes, points)
        axes.set_xlabel("energy above hull (eV/atom)")
        axes.set_ylabel("Tc (K)" if mu_star is None else f"Tc (K) at μ* = {format_value(mu_star)}")
        axes.margins(x=0.1, y=0.08)
        axes.set_ylim(bottom=0)
        figure.draw_without_rendering()  # fixes the layout, so that labels know their neighbours in pixels
        _label(axes, points, n_labels)
        out = io.StringIO()
        canvas.print_svg(out, metadata=SVG_METADATA)
    return inline(out.getvalue(), "Tc against energy above hull of the survivors")


def drawable(survivors: Sequence[Survivor]) -> list[Survivor]:
    """Return the survivors that the figure shows."""
    both = [row for row in survivors if row.tc_K is not None and row.e_above_hull_eV_per_atom is not None]
    return both[:MAX_POINTS]


def _point(row: Survivor) -> _Point:
    tc, hull = float(row.tc_K or 0.0), float(row.e_above_hull_eV_per_atom or 0.0)
    low = tc if row.tc_lo_K is None else row.tc_lo_K
    high = tc if row.tc_hi_K is None else row.tc_hi_K
    bar = max(0.0, tc - low), max(0.0, high - tc)
    return _Point(f"{row.rank} {row.name}", hull, tc, *bar, row.is_novel is False, row.in_domain is not False)


def _scatter(axes: Axes, points: list[_Point]) -> None:
    for known, name, colour, marker in ((False, "novel", _NOVEL, "o"), (True, "known", _KNOWN, "s")):
        for trusted in (True, False):
            rows = [p for p in points if (p.known, p.trusted) == (known, trusted)]
            if not rows:
                continue
            axes.errorbar(
                [p.x for p in rows],
                [p.y for p in rows],
                yerr=[[p.below for p in rows], [p.above for p in rows]],
                fmt=marker,
                markersize=5,
                color=colour,
                markerfacecolor=colour if trusted else "none",
                ecolor=(colour, 0.45 if len(points) < _CROWD else 0.2),
                elinewidth=1,
                capsize=2,
                label=name if trusted else f"{name}, outside the domain of the model",
            )
    axes.legend(frameon=False, loc="upper right", fontsize=_FONT_PT - 1)


def _box(artist: Artist) -> _Box:
    x0, y0, x1, y1 = artist.get_window_extent().extents
    return float(x0), float(y0), float(x1), float(y1)


def _label(axes: Axes, points: list[_Point], n_labels: int) -> None:
    """Put each name at the nearest free place around its point, best first."""
    spots = [axes.transData.transform((p.x, p.y)) for p in points]
    taken: list[_Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in spots]
    legend = axes.get_legend()
    if legend is not None:
        taken.append(_box(legend))
    frame = _box(axes)
    for point, (x, y) in list(zip(points, spots, strict=True))[:n_labels]:
        dx, dy, box = _free_place(x, y, (0.6 * _FONT_PT * len(point.text), 1.25 * _FONT_PT), taken, frame)
        taken.append(box)
        axes.annotate(
            point.text,
            (point.x, point.y),
            xytext=(dx, dy),
            textcoords="offset points",
            fontsize=_FONT_PT - 0.5,
            va="center",
            parse_math=False,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": _INK, "alpha": 0.35, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3},
        )


def _free_place(
    x: float, y: float, size: tuple[float, float], taken: list[_Box], frame: _Box
) -> tuple[float, float, _Box]:
    """Offset of a label (left edge, centre line) in points and its box: the nearest free one, level ones first."""
    width, height = size
    places = []
    for ring in range(1, 9):
        for dx in (8.0 * ring, -8.0 * ring - width):
            for step in sorted(range(-ring, ring + 1), key=abs):
                dy = 0.8 * height * step
                places.append((dx, dy, (x + dx, y + dy - height / 2, x + dx + width, y + dy + height / 2)))
    inside = [p for p in places if frame[0] <= p[2][0] and p[2][2] <= frame[2] and frame[1] <= p[2][1]]
    free = [p for p in inside if not any(_overlap(p[2], other) for other in taken)]
    return (free or inside or places)[0]


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def inline(svg: str, title: str, *, ink: str = _INK, prefix: str = "") -> str:
    """Make matplotlib's SVG part of a page.

    Parameters
    ----------
    svg
        A whole file.
    title
        For those who cannot see it.
    ink
        Colour that becomes the text colour of the page.
    prefix
        Put before every id, so that several figures can stand on one page.

    Returns
    -------
    str
        One ``<svg>`` element without the header of the file and the page-wide style of matplotlib.
    """
    svg = svg[svg.index("<svg") :].rstrip()
    start, end = svg.index("<style"), svg.index("</style>") + len("</style>")
    svg = svg[:start] + svg[end:]
    named = f"<title>{escape(title)}</title>"
    svg = svg.replace(">", f' role="img" stroke-linejoin="round" stroke-linecap="butt">{named}', 1)
    if prefix:
        svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    return svg.replace(ink, "currentColor")
