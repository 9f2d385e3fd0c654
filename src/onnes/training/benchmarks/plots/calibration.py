"""How honest predicted uncertainties are: coverage of intervals, reliability of probabilities, error by spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import ConfigError
from onnes.figure import (
    COLOURS,
    GREY,
    INK,
    clean,
    corner,
    diagonal,
    drawn,
    legend,
    styles,
    unit_square,
    with_unit,
)
from onnes.training.benchmarks.plots.columns import columns_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


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
        diagonal(axes)
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
        diagonal(axes)
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


def _wilson(share: Floats, n: NDArray[np.int64], z: float = 1.96) -> tuple[Floats, Floats]:
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return centre - half, centre + half
