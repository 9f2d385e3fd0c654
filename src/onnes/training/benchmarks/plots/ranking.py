"""How well a score ranks positives before negatives: ROC and precision-recall curves."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from onnes.errors import ConfigError
from onnes.figure import GREY, INK, drawn, legend, styles, unit_square
from onnes.training.benchmarks.plots.columns import columns_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Curves = Mapping[str, tuple[ArrayLike, ArrayLike]]
    Points = Mapping[str, tuple[float, float]] | None

_CROSSES = "xP*dv^"


def roc(
    path: str | Path,
    curves: Curves,
    *,
    mark: float | None = None,
    points: Points = None,
) -> dict[str, float]:
    """Draw true-positive against false-positive rate, with the area under each curve in the legend.

    Parameters
    ----------
    path
        File to write, ``.svg`` or ``.png``.
    curves
        By name: truth (booleans) and score, both of shape (n,). A row with a score that is not finite is left out.
    mark
        Score from which a row counts as positive; its place on each curve is marked.
    points
        By name: published (false-positive rate, true-positive rate), each drawn as a cross.

    Returns
    -------
    dict
        Area under each curve, by name.

    Raises
    ------
    ConfigError
        When a curve has no row, or only one class.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    found: dict[str, float] = {}
    with _rates(path, ("false-positive rate", "true-positive rate"), "lower right", mark, points) as axes:
        for name, truth, score, (colour, dash) in _classes(curves):
            false, true, _ = roc_curve(truth, score, drop_intermediate=True)
            found[name] = float(roc_auc_score(truth, score))
            axes.plot(false, true, color=colour, linestyle=dash, label=f"{name} (AUC {found[name]:.3f})")
            if mark is not None:
                said = score >= mark
                axes.plot(said[~truth].mean(), said[truth].mean(), "o", color=colour, markersize=5)
        axes.plot((0, 1), (0, 1), color=GREY, linewidth=0.8, linestyle=":")
    return found


def precision_recall(
    path: str | Path,
    curves: Curves,
    *,
    prevalence: bool = True,
    mark: float | None = None,
    points: Points = None,
) -> dict[str, float]:
    """Draw precision against recall, with the average precision of each curve in the legend.

    Parameters
    ----------
    path
        File to write, ``.svg`` or ``.png``.
    curves
        As for `roc`.
    prevalence
        Draw the share of positives, which is the precision of a random choice: one line for each share that occurs.
    mark
        Score from which a row counts as positive; its place on each curve is marked.
    points
        By name: published (recall, precision), each drawn as a cross.

    Returns
    -------
    dict
        Average precision of each curve, by name.

    Raises
    ------
    ConfigError
        When a curve has no row, or only one class.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    found: dict[str, float] = {}
    shares: list[float] = []
    with _rates(path, ("recall", "precision"), "best", mark, points) as axes:
        for name, truth, score, (colour, dash) in _classes(curves):
            precision, recall, _ = precision_recall_curve(truth, score, drop_intermediate=True)
            found[name] = float(average_precision_score(truth, score))
            shares.append(float(truth.mean()))
            text = f"{name} (AP {found[name]:.3f})"
            axes.plot(recall, precision, color=colour, linestyle=dash, drawstyle="steps-pre", label=text)
            said = np.zeros(len(score), bool) if mark is None else score >= mark
            if said.any():
                axes.plot(said[truth].mean(), truth[said].mean(), "o", color=colour, markersize=5)
        for share in sorted({round(s, 3) for s in shares}) if prevalence else ():
            axes.axhline(share, color=GREY, linewidth=0.8, linestyle=":", label=f"prevalence {share:.3f}")
    return found


def _classes(curves: Curves) -> Iterator[tuple[str, NDArray[np.bool_], Floats, tuple[str, Any]]]:
    """Name, truth, score, and the colour and dash of each curve."""
    if not curves:
        raise ConfigError("no curve to draw: give truth and score by name")
    for (name, (truth, score)), look in zip(curves.items(), styles(), strict=False):
        columns = columns_of(name, truth=truth, score=score)
        positive = columns["truth"] > 0
        if positive.all() or not positive.any():
            raise ConfigError(f"{name}: all {len(positive)} rows are of one class; a curve needs both")
        yield name, positive, columns["score"], look


@contextmanager
def _rates(
    path: str | Path,
    names: tuple[str, str],
    place: Literal["best", "lower right"],
    mark: float | None,
    points: Points,
) -> Iterator[Axes]:
    """Give axes for two rates; when the block ends, add the published points, the names and the legend, and write."""
    with drawn(path) as figure:
        axes = figure.add_subplot()
        yield axes
        _crosses(axes, points)
        unit_square(axes)
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])
        legend(axes, place, "" if mark is None else f"circle: score ≥ {mark:g}")


def _crosses(axes: Axes, points: Points) -> None:
    """Mark named points, their coordinates in the legend."""
    for (name, (x, y)), marker in zip((points or {}).items(), itertools.cycle(_CROSSES), strict=False):
        axes.plot(x, y, marker, color=INK, markersize=6, linestyle="none", label=f"{name} ({x:.3g}, {y:.3g})")
