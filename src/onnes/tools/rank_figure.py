"""The figure of a ranking: Tc against the energy above hull, coloured by risk, with the Pareto front."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.schema import floats, values
from onnes.errors import ConfigError
from onnes.figure import FONT_PT, GREY, INK, clean, drawn

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox
    from numpy.typing import NDArray

MAX_LABELS = 12
"""Rows on the front beyond these, the best, have no name in the figure."""
_SIZE_IN = (6.0, 4.0)


def draw_ranking(path: str | Path, judged: pa.Table) -> None:
    """Draw the ranked rows that have a Tc and an energy above hull, the same bytes for the same table.

    A dot lies at the lower end of the interval of Tc, with a bar up to Tc; its colour is the risk. Rings mark the Pareto
    front of Tc, energy above hull and risk, with rank and formula; the dashed stairs are the front of the first two alone.

    Parameters
    ----------
    path
        File to write, ``.svg`` or ``.png``.
    judged
        Table of `onnes.campaign.judgement.judge`.

    Raises
    ------
    ConfigError
        For another suffix, or when no row has both numbers.
    """
    tc, low = floats(judged, "tc_K"), floats(judged, "tc_lo_K")
    low = np.where(np.isnan(low), tc, np.minimum(low, tc))
    hull, risk = floats(judged, "e_above_hull_eV_per_atom"), floats(judged, "risk")
    rows = np.flatnonzero(np.isfinite(tc) & np.isfinite(hull) & np.isfinite(risk))
    if not len(rows):
        raise ConfigError("no ranked row has both a Tc and an energy above hull to draw; predict them first")
    front = np.array([bool(on) for on in values(judged, "pareto_front")])
    with drawn(path, _SIZE_IN) as figure:
        axes = clean(figure.add_subplot())
        axes.vlines(hull[rows], low[rows], tc[rows], color=GREY, linewidth=0.6, alpha=0.6, zorder=1)
        dots = axes.scatter(hull[rows], low[rows], c=risk[rows], cmap="cividis", vmin=0, vmax=1, s=22, zorder=2)
        figure.colorbar(dots, ax=axes, label="risk in making it")
        ringed = rows[front[rows]]
        axes.scatter(hull[ringed], low[ringed], s=64, facecolors="none", edgecolors=INK, linewidths=0.9, zorder=3)
        _stairs(axes, hull[rows], low[rows])
        axes.set_xlabel("energy above hull (eV/atom)")
        axes.set_ylabel("Tc (K), lower end of the 90 % interval")
        axes.margins(0.08)
        axes.set_ylim(bottom=0)
        figure.draw_without_rendering()  # fixes the layout, so that labels know how large they are
        _names(axes, judged, ringed, hull, low)


def _stairs(axes: Axes, hull: NDArray[np.float64], tc: NDArray[np.float64]) -> None:
    """Join the rows that no other row beats in both numbers."""
    xs: list[float] = []
    ys: list[float] = []
    for i in np.lexsort((-tc, hull)):
        if not ys or tc[i] > ys[-1]:
            xs.append(float(hull[i]))
            ys.append(float(tc[i]))
    xs.append(float(hull.max()))
    ys.append(ys[-1])
    axes.step(xs, ys, where="post", color=INK, linewidth=0.8, linestyle="--", zorder=1)


def _names(
    axes: Axes, judged: pa.Table, rows: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> None:
    """Write rank and formula beside each row, moved up or down until they lie on no other."""
    ranks, formulas, ids = (values(judged, name) for name in ("judged_rank", "reduced_formula", "id"))
    taken: list[Bbox] = []
    for row in sorted(rows.tolist(), key=lambda i: ranks[i])[:MAX_LABELS]:
        label = axes.annotate(
            f"{ranks[row]} {formulas[row] or ids[row]}", (x[row], y[row]), (7, 0), textcoords="offset points", va="center",
            fontsize=FONT_PT - 1, parse_math=False,
        )  # fmt: skip
        for step in sorted(range(-MAX_LABELS, MAX_LABELS + 1), key=lambda step: abs(step - 0.6)):  # above first
            label.set_position((7, step * FONT_PT))
            box = label.get_window_extent()
            if box.y0 > axes.bbox.y0 and not any(box.overlaps(other) for other in taken):
                break
        taken.append(label.get_window_extent())
