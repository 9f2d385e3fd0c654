"""How figures of numbers look: one style for print, one column wide, the same bytes for the same numbers."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

MAX_POINTS = 1500  # beyond, single points hide each other and a density is drawn
COLUMN_IN = (3.6, 3.3)  # one column of a journal
FONT_PT = 8.0
FORMATS = (".svg", ".png")
INK, GREY = "#222222", "#8a8a8a"
# Okabe and Ito's colours, told apart by colour-blind readers; the dashes do it on a black-and-white print.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
COLOUR_MAP = "viridis"
_CROSSES = "xP*dv^"


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
    # Figure with its own canvas: pyplot would keep global state.
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise ConfigError(f"{target.name}: figures are written as {' or '.join(FORMATS)}; give one of these suffixes")
    style: dict[Any, Any] = {
        "svg.hashsalt": "onnes",
        "svg.fonttype": "none",
        "font.family": ["sans-serif"],
        "font.size": FONT_PT,
        "axes.linewidth": 0.7,
        "lines.linewidth": 1.3,
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    }
    with rc_context(style):
        figure = Figure(figsize=size_in, dpi=200, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        _settle(figure)
        target.parent.mkdir(parents=True, exist_ok=True)
        svg = target.suffix.lower() == ".svg"
        fields = ("Creator", "Date", "Format", "Type") if svg else ("Software",)
        figure.savefig(target, metadata=dict.fromkeys(fields))


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


def crosses(axes: Axes, points: Mapping[str, tuple[float, float]] | None) -> None:
    """Mark named points, their coordinates in the legend."""
    for (name, (x, y)), marker in zip((points or {}).items(), itertools.cycle(_CROSSES), strict=False):
        axes.plot(x, y, marker, color=INK, markersize=6, linestyle="none", label=f"{name} ({x:.3g}, {y:.3g})")


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


def columns_of(what: str, **arrays: ArrayLike) -> dict[str, Floats]:
    """Bring arrays of one length to float, and drop the rows in which one of them is not finite.

    Parameters
    ----------
    what
        Named in the message of an error.
    **arrays
        Each of shape (n,).

    Raises
    ------
    ConfigError
        When lengths differ, or no row is left.
    """
    columns = {name: np.asarray(array, float).ravel() for name, array in arrays.items()}
    sizes = {name: len(array) for name, array in columns.items()}
    if len(set(sizes.values())) > 1:
        raise ConfigError(f"{what}: lengths differ ({', '.join(f'{k} {v}' for k, v in sizes.items())})")
    finite = np.logical_and.reduce([np.isfinite(array) for array in columns.values()])
    if not finite.any():
        n = next(iter(sizes.values()))
        raise ConfigError(f"{what}: nothing to draw, {n} rows and none with finite {' and '.join(columns)}")
    return {name: array[finite] for name, array in columns.items()}


def cloud(figure: Figure, axes: Axes, x: Floats, y: Floats, spread: Floats | None, unit: str, *, log: bool) -> None:
    """Draw points, or hexagons where there are more than `MAX_POINTS`, and a bar that explains their colour."""
    scale = "log" if log else "linear"
    label = with_unit("predicted spread", unit)
    if len(x) > MAX_POINTS:
        from matplotlib.colors import LogNorm

        how: dict[str, Any] = {"norm": LogNorm()} if spread is None else {"C": spread, "reduce_C_function": np.median}
        marks = axes.hexbin(
            x, y, gridsize=45, mincnt=1, xscale=scale, yscale=scale, cmap=COLOUR_MAP, linewidths=0.1, **how
        )  # fmt: skip
        label = "rows" if spread is None else f"median {label}"
    elif spread is None:
        axes.plot(x, y, "o", color=COLOURS[0], markersize=3, alpha=0.5, markeredgewidth=0)
        return
    else:
        order = np.argsort(-spread, kind="stable")  # the certain ones on top
        marks = axes.scatter(x[order], y[order], c=spread[order], s=9, cmap=COLOUR_MAP, alpha=0.8, linewidths=0)
    bar = figure.colorbar(marks, ax=axes, label=label, shrink=0.8)
    bar.outline.set_linewidth(0.5)  # pyright: ignore[reportCallIssue]
