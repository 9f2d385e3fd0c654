"""Predicted against true values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.errors import ConfigError
from onnes.figure import COLOURS, clean, corner, diagonal, drawn, with_unit
from onnes.training.benchmarks.plots.columns import columns_of

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

MAX_POINTS = 1500  # beyond, single points hide each other and a density is drawn
COLOUR_MAP = "viridis"


def parity(
    path: str | Path,
    truth: ArrayLike,
    predicted: ArrayLike,
    *,
    unit: str,
    name: str,
    log: bool = False,
    spread: ArrayLike | None = None,
) -> dict[str, float]:
    """Draw predicted against true values, with the number of rows, the MAE and R2 in the corner.

    Up to `MAX_POINTS` rows are points, more are hexagons coloured by their number of rows (logarithmic).

    Parameters
    ----------
    path
        File to write, ``.svg`` or ``.png``.
    truth, predicted
        Shape (n,). Rows in which one of them is not finite are left out.
    unit
        Of both, such as ``K``; empty for a number without one.
    name
        Of the quantity, such as ``Tc``.
    log
        Logarithmic axes. Rows with a value that is not positive are counted in the corner but have no place.
    spread
        Predicted spread in the same unit, shape (n,); it then gives the colour (in hexagons its median).

    Returns
    -------
    dict
        ``n``, ``mae``, ``r2`` over all rows; R2 is NaN where the truth does not vary.

    Raises
    ------
    ConfigError
        When there is no row to draw, lengths differ, or the suffix is another.

    Examples
    --------
    >>> import tempfile
    >>> parity(tempfile.mkdtemp() + "/tc.svg", [1.0, 2.0, 3.0], [1.5, 2.0, 2.5], unit="K", name="Tc")["r2"]
    0.75
    """
    columns = columns_of(name, truth=truth, predicted=predicted, **({} if spread is None else {"spread": spread}))
    x, y = columns["truth"], columns["predicted"]
    found = {"n": float(len(x)), "mae": float(np.abs(y - x).mean()), "r2": _r2(x, y)}
    shown = (x > 0) & (y > 0) if log else np.ones(len(x), bool)
    if not shown.any():
        raise ConfigError(f"{name}: no row has two positive values; draw it without log=True")
    after = f" {unit}" if unit else ""
    lines = [f"n = {len(x)}", f"MAE = {found['mae']:.3g}{after}", f"R² = {found['r2']:.2f}"]
    if not shown.all():
        lines.append(f"{int((~shown).sum())} not above 0")
    with drawn(path) as figure:
        axes = clean(figure.add_subplot())
        if log:
            axes.set_xscale("log")
            axes.set_yscale("log")
        colour = columns.get("spread")
        _cloud(figure, axes, x[shown], y[shown], None if colour is None else colour[shown], unit, log=log)
        low = float(min(x[shown].min(), y[shown].min()))
        high = float(max(x[shown].max(), y[shown].max()))
        edge = (low / 1.15, high * 1.15) if log else _margin(low, high)
        diagonal(axes, edge)
        axes.set_xlim(*edge)
        axes.set_ylim(*edge)
        axes.set_aspect("equal")
        axes.set_xlabel(with_unit(f"true {name}", unit))
        axes.set_ylabel(with_unit(f"predicted {name}", unit))
        corner(axes, lines)
    return found


def _cloud(figure: Figure, axes: Axes, x: Floats, y: Floats, spread: Floats | None, unit: str, *, log: bool) -> None:
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


def _r2(truth: Floats, predicted: Floats) -> float:
    total = ((truth - truth.mean()) ** 2).sum()
    return float(1 - ((predicted - truth) ** 2).sum() / total) if total > 0 else float("nan")


def _margin(low: float, high: float) -> tuple[float, float]:
    pad = 0.04 * (high - low) or 0.5
    return low - pad, high + pad
