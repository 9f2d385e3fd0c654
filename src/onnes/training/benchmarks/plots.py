"""Figures of benchmarks: parity, ranking, calibration and spectra, for print, the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import ConfigError
from onnes.training.benchmarks.figure import (
    COLOURS,
    GREY,
    INK,
    clean,
    cloud,
    columns_of,
    corner,
    crosses,
    drawn,
    legend,
    styles,
    unit_square,
    with_unit,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Curves = Mapping[str, tuple[ArrayLike, ArrayLike]]


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

    Up to `onnes.training.benchmarks.figure.MAX_POINTS` rows are points, more are hexagons coloured by their number of rows (logarithmic).

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
        cloud(figure, axes, x[shown], y[shown], None if colour is None else colour[shown], unit, log=log)
        low = float(min(x[shown].min(), y[shown].min()))
        high = float(max(x[shown].max(), y[shown].max()))
        edge = (low / 1.15, high * 1.15) if log else _margin(low, high)
        axes.plot(edge, edge, color=INK, linewidth=0.8, linestyle="--")
        axes.set_xlim(*edge)
        axes.set_ylim(*edge)
        axes.set_aspect("equal")
        axes.set_xlabel(with_unit(f"true {name}", unit))
        axes.set_ylabel(with_unit(f"predicted {name}", unit))
        corner(axes, lines)
    return found


def roc(
    path: str | Path,
    curves: Curves,
    *,
    mark: float | None = None,
    points: Mapping[str, tuple[float, float]] | None = None,
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
    with drawn(path) as figure:
        axes = figure.add_subplot()
        for (name, truth, score), (colour, dash) in zip(_classes(curves), styles(), strict=False):
            false, true, _ = roc_curve(truth, score, drop_intermediate=True)
            found[name] = float(roc_auc_score(truth, score))
            axes.plot(false, true, color=colour, linestyle=dash, label=f"{name} (AUC {found[name]:.3f})")
            if mark is not None:
                said = score >= mark
                axes.plot(said[~truth].mean(), said[truth].mean(), "o", color=colour, markersize=5)
        axes.plot((0, 1), (0, 1), color=GREY, linewidth=0.8, linestyle=":")
        crosses(axes, points)
        unit_square(axes)
        axes.set_xlabel("false-positive rate")
        axes.set_ylabel("true-positive rate")
        legend(axes, "lower right", _circle(mark))
    return found


def precision_recall(
    path: str | Path,
    curves: Curves,
    *,
    prevalence: bool = True,
    mark: float | None = None,
    points: Mapping[str, tuple[float, float]] | None = None,
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
    with drawn(path) as figure:
        axes = figure.add_subplot()
        for (name, truth, score), (colour, dash) in zip(_classes(curves), styles(), strict=False):
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
        crosses(axes, points)
        unit_square(axes)
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")
        legend(axes, "best", _circle(mark))
    return found


def calibration(
    path: str | Path,
    levels: ArrayLike,
    covered: ArrayLike | Mapping[str, ArrayLike],
    *,
    name: str = "observed",
    n: int | None = None,
) -> dict[str, float]:
    """Draw the observed against the nominal coverage of prediction intervals.

    Parameters
    ----------
    path
        File to write, ``.svg`` or ``.png``.
    levels
        Nominal coverage of the intervals, between 0 and 1, shape (k,).
    covered
        Share of the rows inside them, shape (k,); several such curves by name.
    name
        Of a single curve.
    n
        Rows behind each share; then the range in which 95 % of honest intervals would fall is shaded (binomial).

    Returns
    -------
    dict
        Mean absolute difference of observed and nominal coverage, by name.

    Raises
    ------
    ConfigError
        When there is no level, or a share lies outside 0 to 1.
    """
    curves = covered if isinstance(covered, Mapping) else {name: covered}
    found: dict[str, float] = {}
    with drawn(path) as figure:
        axes = figure.add_subplot()
        for (key, shares), (colour, dash) in zip(curves.items(), styles(), strict=False):
            columns = columns_of(key, levels=levels, covered=shares)
            x, y = columns["levels"], columns["covered"]
            if min(x.min(), y.min()) < 0 or max(x.max(), y.max()) > 1:
                raise ConfigError(f"{key}: coverage lies between 0 and 1; give shares, not percent")
            found[key] = float(np.abs(y - x).mean())
            text = f"{key} (mean gap {found[key]:.3f})"
            axes.plot(x, y, color=colour, linestyle=dash, marker="o", markersize=3, label=text)
        if not found:
            raise ConfigError("no curve to draw: give covered shares by name")
        axes.plot((0, 1), (0, 1), color=INK, linewidth=0.8, linestyle="--")
        if n is not None:
            from scipy.stats import binom

            grid = np.linspace(0, 1, 201)
            low, high = (binom.ppf(q, n, grid) / n for q in (0.025, 0.975))
            axes.fill_between(grid, low, high, color=GREY, alpha=0.2, linewidth=0, label=f"95 % for n = {n}")
        unit_square(axes)
        axes.set_xlabel("nominal coverage")
        axes.set_ylabel("observed coverage")
        legend(axes, "upper left")
    return found


def reliability(path: str | Path, probability: ArrayLike, truth: ArrayLike, *, n_bins: int = 10) -> dict[str, float]:
    """Draw the observed share of positives against the predicted probability, over a histogram of the probabilities.

    Parameters
    ----------
    path
        File to write, ``.svg`` or ``.png``.
    probability
        Between 0 and 1, shape (n,); rows that are not finite are left out.
    truth
        Booleans, shape (n,).
    n_bins
        Bins of equal width; empty ones are not drawn. Bars are 95 % intervals (Wilson, J. Am. Stat. Assoc. 22, 209
        (1927)).

    Returns
    -------
    dict
        ``brier``, the mean squared error, and ``ece``, the difference of observed share and mean probability averaged
        over rows (Guo et al., ICML 2017, equation 3).

    Raises
    ------
    ConfigError
        When there is no row, or a probability lies outside 0 to 1.
    """
    columns = columns_of("probability", probability=probability, truth=truth)
    p, y = columns["probability"], columns["truth"] > 0
    if p.min() < 0 or p.max() > 1:
        raise ConfigError("a probability lies outside 0 to 1; give probabilities, not scores")
    bins = np.minimum((p * n_bins).astype(int), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    used = np.flatnonzero(counts)
    said, seen = (np.bincount(bins, v, n_bins)[used] / counts[used] for v in (p, y))
    found = {"brier": float(((p - y) ** 2).mean()), "ece": float((np.abs(seen - said) * counts[used]).sum() / len(p))}
    low, high = _wilson(seen, counts[used])
    with drawn(path) as figure:
        axes, below = map(clean, figure.subplots(2, 1, sharex=True, height_ratios=(4, 1)))
        axes.plot((0, 1), (0, 1), color=INK, linewidth=0.8, linestyle="--")
        bars = np.clip([seen - low, high - seen], 0, None)
        axes.errorbar(said, seen, yerr=bars, color=COLOURS[0], marker="o", markersize=4, elinewidth=0.8, capsize=2)
        axes.set_ylim(-0.02, 1.02)
        axes.set_ylabel("observed share")
        corner(axes, [f"n = {len(p)}", f"Brier = {found['brier']:.3f}", f"ECE = {found['ece']:.3f}"])
        below.bar((np.arange(n_bins) + 0.5) / n_bins, counts, 0.9 / n_bins, color=GREY)
        below.set_yscale("symlog", linthresh=1)
        below.set_xlim(-0.02, 1.02)
        below.set_ylabel("rows")
        below.set_xlabel("predicted probability")
    return found


def error_by_spread(
    path: str | Path, error: ArrayLike, spread: ArrayLike, *, n_bins: int = 5, unit: str = "", name: str = "error"
) -> dict[str, float]:
    """Draw the median absolute error in bins of the predicted spread: an honest spread makes it rise.

    Parameters
    ----------
    path
        File to write, ``.svg`` or ``.png``.
    error
        Predicted minus true value, shape (n,); its sign does not matter.
    spread
        Predicted spread, same unit, shape (n,).
    n_bins
        Bins of equal numbers of rows; 5 gives quintiles.
    unit, name
        Of the error.

    Returns
    -------
    dict
        ``median_error_1``, ``median_error_2`` ... of the bins, lowest spread first, and ``spearman``, the rank
        correlation of absolute error and spread (NaN where one of them does not vary).

    Raises
    ------
    ConfigError
        When there are fewer rows than bins.
    """
    from scipy.stats import rankdata

    columns = columns_of(name, error=error, spread=spread)
    size, width = np.abs(columns["error"]), columns["spread"]
    if not 1 <= n_bins <= len(size):
        raise ConfigError(f"{name}: {len(size)} rows cannot fill {n_bins} bins; give fewer bins")
    parts = np.array_split(np.argsort(width, kind="stable"), n_bins)
    medians = [float(np.median(size[part])) for part in parts]
    varied = len(size) > 1 and np.ptp(size) > 0 and np.ptp(width) > 0
    rho = float(np.corrcoef(rankdata(size), rankdata(width))[0, 1]) if varied else float("nan")
    with drawn(path) as figure:
        axes = clean(figure.add_subplot())
        quartiles = np.array([np.quantile(size[part], (0.25, 0.75)) for part in parts]).T
        bars = np.clip([np.array(medians) - quartiles[0], quartiles[1] - np.array(medians)], 0, None)
        axes.bar(range(n_bins), medians, 0.7, color=COLOURS[0], alpha=0.85)
        axes.errorbar(range(n_bins), medians, yerr=bars, fmt="none", ecolor=INK, elinewidth=0.8, capsize=3)
        for i, median in enumerate(medians):
            axes.annotate(f"{median:.3g}", (i, quartiles[1, i]), (0, 3), textcoords="offset points", ha="center")
        axes.set_ylim(0, 1.2 * float(quartiles.max()) or 1.0)
        axes.set_xticks(range(n_bins), [f"{width[part].min():.2g}–\n{width[part].max():.2g}" for part in parts])
        axes.set_xlabel(with_unit("predicted spread, equal numbers of rows", unit))
        axes.set_ylabel(with_unit(f"median |{name}|", unit))
        corner(axes, [f"n = {len(size)}", f"Spearman = {rho:.2f}", "bars: quartiles"])
    return {**{f"median_error_{i}": median for i, median in enumerate(medians, start=1)}, "spearman": rho}


def spectra(path: str | Path, curves: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str = "") -> None:
    """Draw Eliashberg functions.

    Parameters
    ----------
    path
        File to write, ``.svg`` or ``.png``.
    curves
        By name: energies in meV and alpha2F (a number without unit), both of shape (k,).
    title
        Above the figure.

    Raises
    ------
    ConfigError
        When there is no curve, or one without points.
    """
    if not curves:
        raise ConfigError("no spectrum to draw: give energies and alpha2F by name")
    with drawn(path) as figure:
        axes = clean(figure.add_subplot())
        furthest = 0.0
        for (name, (omega_meV, alpha2f)), (colour, dash) in zip(curves.items(), styles(), strict=False):
            columns = columns_of(name, omega_meV=omega_meV, alpha2f=alpha2f)
            axes.plot(columns["omega_meV"], columns["alpha2f"], color=colour, linestyle=dash, label=name)
            furthest = max(furthest, _end(columns["omega_meV"], columns["alpha2f"]))
        axes.set_xlim(0, furthest)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("energy ω (meV)")
        axes.set_ylabel("α²F(ω)")
        if title:
            axes.set_title(title, parse_math=False)
        legend(axes, "best")


def _classes(curves: Curves) -> Iterator[tuple[str, NDArray[np.bool_], Floats]]:
    if not curves:
        raise ConfigError("no curve to draw: give truth and score by name")
    for name, (truth, score) in curves.items():
        columns = columns_of(name, truth=truth, score=score)
        positive = columns["truth"] > 0
        if positive.all() or not positive.any():
            raise ConfigError(f"{name}: all {len(positive)} rows are of one class; a curve needs both")
        yield name, positive, columns["score"]


def _circle(mark: float | None) -> str:
    return "" if mark is None else f"circle: score ≥ {mark:g}"


def _r2(truth: Floats, predicted: Floats) -> float:
    total = ((truth - truth.mean()) ** 2).sum()
    return float(1 - ((predicted - truth) ** 2).sum() / total) if total > 0 else float("nan")


def _wilson(share: Floats, n: NDArray[np.int64], z: float = 1.96) -> tuple[Floats, Floats]:
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return centre - half, centre + half


def _end(omega_meV: Floats, alpha2f: Floats) -> float:
    """Where a spectrum ends: a little beyond the last point above a thousandth of its peak."""
    high = np.flatnonzero(alpha2f > 1e-3 * alpha2f.max())
    return 1.08 * float(omega_meV[high[-1]] if len(high) else omega_meV[-1]) or 1.0


def _margin(low: float, high: float) -> tuple[float, float]:
    pad = 0.04 * (high - low) or 0.5
    return low - pad, high + pad
