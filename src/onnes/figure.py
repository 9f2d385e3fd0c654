"""How figures of numbers look: one style for print, one column wide, the same bytes for the same numbers."""

from __future__ import annotations

import io
import itertools
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN_IN = (3.6, 3.3)  # one column of a journal
FONT_PT = 8.0
FORMATS = (".svg", ".png")
SVG_METADATA: dict[str, None] = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # left out: they vary
INK, GREY = "#222222", "#8a8a8a"
# Okabe and Ito's colours, told apart by colour-blind readers; the dashes do it on a black-and-white print.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


def style(ink: str, font_pt: float) -> dict[Any, Any]:
    """Settings of matplotlib: one ink, text that stays text in an SVG, ids that do not change from run to run."""
    return {
        "svg.hashsalt": "onnes",
        "svg.fonttype": "none",
        "font.family": ["sans-serif"],
        "font.size": font_pt,
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), ink),
    }


def check_suffix(path: str | Path) -> None:
    """Raise ConfigError unless the suffix is one of `FORMATS`."""
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise ConfigError(f"{target.name}: figures are written as {' or '.join(FORMATS)}; give one of these suffixes")


@contextmanager
def drawn(path: str | Path, size_in: tuple[float, float] = COLUMN_IN) -> Iterator[Figure]:
    """Give an empty figure, and write it when the block ends without an error.

    Parameters
    ----------
    path
        File to write, ``.svg`` (text stays text) or ``.png`` (200 dots an inch).
    size_in
        Width and height in inches.

    Raises
    ------
    ConfigError
        For another suffix.
    """
    check_suffix(path)
    with composed(size_in) as figure:
        yield figure
    save(figure, path)


@contextmanager
def composed(size_in: tuple[float, float] = COLUMN_IN) -> Iterator[Figure]:
    """Give an empty figure, and lay it out when the block ends without an error.

    Parameters
    ----------
    size_in
        Width and height in inches.
    """
    # Figure with its own canvas: pyplot would keep global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with _style():
        figure = Figure(figsize=size_in, dpi=200, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        _settle(figure)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure of `composed` as ``.svg`` or ``.png``; raises ConfigError for another suffix."""
    check_suffix(path)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    svg = target.suffix.lower() == ".svg"
    with _style():
        figure.savefig(target, metadata=SVG_METADATA if svg else {"Software": None})


def svg_text(figure: Figure) -> str:
    """Write a figure of `composed` as text in SVG, without a background."""
    out = io.StringIO()
    with _style():
        figure.savefig(out, format="svg", metadata=SVG_METADATA, transparent=True)
    return out.getvalue()


def _style() -> AbstractContextManager[None]:
    from matplotlib import rc_context

    return rc_context({**style(INK, FONT_PT), "axes.linewidth": 0.7, "lines.linewidth": 1.3})


def _settle(figure: Figure) -> None:
    """Lay the figure out once and for all: the solver's last digits change from run to run, and with them ids."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = axes.get_position(original=True).bounds
        axes.set_position((round(left, 5), round(bottom, 5), round(width, 5), round(height, 5)))


def clean(axes: Axes) -> Axes:
    """Take away the frame above and to the right."""
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def styles() -> Iterator[tuple[str, Any]]:
    """Colours with dashes, without end; the first thirty are all different."""
    for i in itertools.count():
        turn, place = divmod(i, len(COLOURS))
        yield COLOURS[place], DASHES[(place + turn) % len(DASHES)]


def diagonal(axes: Axes, edge: tuple[float, float] = (0, 1)) -> None:
    """Dash the line on which both axes are equal."""
    axes.plot(edge, edge, color=INK, linewidth=0.8, linestyle="--")


def unit_square(axes: Axes) -> None:
    """Both axes from 0 to 1."""
    clean(axes)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")


def legend(axes: Axes, place: Literal["best", "lower right", "upper left"], title: str = "") -> None:
    """Write the names of the curves; a dollar sign in one is no mathematics."""
    made = axes.legend(
        loc=place, fontsize=FONT_PT - 1, framealpha=0.85, edgecolor="none", title=title or None,
        title_fontsize=FONT_PT - 1,
    )  # fmt: skip
    for text in made.get_texts():
        text.set_parse_math(False)


def corner(axes: Axes, lines: Sequence[str]) -> None:
    """Write lines into the upper left corner."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2}
    for i, line in enumerate(lines):  # one text a line, so that each can be found in the file
        axes.annotate(
            line, (0, 1), (5, -4 - 1.35 * FONT_PT * i), xycoords="axes fraction", textcoords="offset points",
            va="top", bbox=box, parse_math=False,
        )  # fmt: skip


def with_unit(name: str, unit: str) -> str:
    """Label of an axis.

    Examples
    --------
    >>> with_unit("Tc", "K"), with_unit("lambda", "")
    ('Tc (K)', 'lambda')
    """
    return f"{name} ({unit})" if unit else name
