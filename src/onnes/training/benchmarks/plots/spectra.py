"""Eliashberg functions side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import ConfigError
from onnes.figure import clean, drawn, legend, styles
from onnes.training.benchmarks.plots.columns import columns_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


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


def _end(omega_meV: Floats, alpha2f: Floats) -> float:
    """Where a spectrum ends: a little beyond the last point above a thousandth of its peak."""
    high = np.flatnonzero(alpha2f > 1e-3 * alpha2f.max())
    return 1.08 * float(omega_meV[high[-1]] if len(high) else omega_meV[-1]) or 1.0
