"""A periodic table as SVG, coloured by the number of survivors that contain each element."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from onnes.campaign.report_text import format_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnes.campaign.report_data import ElementHits

MAX_Z = 118
_NOBLE = (0, 2, 10, 18, 36, 54, 86, 118)
_CELL_PX = 40
# From pale to deep in even steps of lightness; all of it stands out on light and on dark pages.
_RAMP = np.array([[254, 240, 200], [252, 205, 120], [245, 146, 62], [217, 75, 50], [152, 22, 66]], float)


def periodic_table(hits: Sequence[ElementHits]) -> str:
    """Draw the map; the title of a square gives its count and the mean Tc.

    Returns
    -------
    str
        One ``<svg>`` element, the same bytes for the same input.

    Examples
    --------
    >>> from onnes.campaign.report_data import ElementHits
    >>> svg = periodic_table([ElementHits(symbol="Nb", n_survivors=3, mean_tc_K=8.25)])
    >>> "Nb: 3 survivors, mean Tc 8.25 K" in svg
    True
    """
    by_symbol = {hit.symbol: hit for hit in hits}
    largest = max((hit.n_survivors for hit in hits), default=0)
    squares = "".join(_square(z, by_symbol.get(chemical_symbols[z]), largest) for z in range(1, MAX_Z + 1))
    width, height = 18 * _CELL_PX, 380
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" class="periodic" font-family="sans-serif" text-anchor="middle">'
        f"<title>Survivors by element</title>{squares}{_scale(largest)}</svg>"
    )


def position(atomic_number: int) -> tuple[int, int]:
    """Row and column of an element, from 0; lanthanides and actinides stand below, in rows 8 and 9 of 10.

    Examples
    --------
    >>> position(1), position(41), position(57), position(72)
    ((0, 0), (4, 4), (7, 2), (5, 3))
    """
    period = next(k for k, last in enumerate(_NOBLE[1:]) if atomic_number <= last)
    first, last = _NOBLE[period] + 1, _NOBLE[period + 1]
    place, from_end = atomic_number - first, last - atomic_number
    if place < 2 and atomic_number != 2:  # helium stands over neon
        return period, place
    if from_end < 6:  # the p block
        return period, 17 - from_end
    if last - first < 31:  # no f block in this period
        return period, place
    return (period + 2, place) if place < 17 else (period, place - 14)


def _square(z: int, hit: ElementHits | None, largest: int) -> str:
    row, column = position(z)
    y = (row + 0.4 if row >= 7 else row) * _CELL_PX  # a gap over the f block
    x, side, symbol = column * _CELL_PX, _CELL_PX - 3, chemical_symbols[z]
    middle = x + side / 2
    if hit is None:
        return (
            f'<g opacity=".55"><rect x="{x + 0.5}" y="{y + 0.5:.1f}" width="{side - 1}" height="{side - 1}" rx="4" '
            f'fill="none" stroke="currentColor" stroke-opacity=".35"/><text x="{middle}" y="{y + 23:.1f}" '
            f'font-size="13" fill="currentColor">{symbol}</text></g>'
        )
    colour = _colour(hit.n_survivors, largest)
    ink = "#fff" if _luminance(colour) < 0.45 else "#111"
    noun = "survivor" if hit.n_survivors == 1 else "survivors"
    mean = "" if hit.mean_tc_K is None else f", mean Tc {format_value(hit.mean_tc_K, 'tc_K')} K"
    return (
        f'<g class="hit"><title>{symbol}: {hit.n_survivors} {noun}{mean}</title>'
        f'<rect x="{x}" y="{y:.1f}" width="{side}" height="{side}" rx="4" fill="{_hex(colour)}"/>'
        f'<text x="{middle}" y="{y + 18:.1f}" font-size="14" font-weight="600" fill="{ink}">{symbol}</text>'
        f'<text x="{middle}" y="{y + 31:.1f}" font-size="10" fill="{ink}">{hit.n_survivors}</text></g>'
    )


def _scale(largest: int) -> str:
    if not largest:
        return ""
    steps = sorted({round(part) for part in np.linspace(1, largest, min(largest, 6))})
    x, y, side = 3 * _CELL_PX, 0.35 * _CELL_PX, 0.55 * _CELL_PX
    title = f'<text x="{x}" y="{y - 3:.1f}" font-size="11" text-anchor="start" fill="currentColor">'
    parts = [f"{title}survivors with the element</text>"]
    for k, count in enumerate(steps):
        left = x + k * 1.05 * _CELL_PX
        parts.append(
            f'<rect x="{left:.1f}" y="{y + 4:.1f}" width="{_CELL_PX}" height="{side:.1f}" rx="3" '
            f'fill="{_hex(_colour(count, largest))}"/><text x="{left + _CELL_PX / 2:.1f}" y="{y + side + 17:.1f}" '
            f'font-size="11" fill="currentColor">{count}</text>'
        )
    return "".join(parts)


def _colour(count: int, largest: int) -> np.ndarray:
    """Colour of a count, shape (3,), 0 to 255; the square root keeps rare elements apart."""
    place = 1.0 if largest <= 1 else ((count - 1) / (largest - 1)) ** 0.5
    stops = np.linspace(0, 1, len(_RAMP))
    return np.array([np.interp(place, stops, channel) for channel in _RAMP.T])


def _luminance(colour: np.ndarray) -> float:
    return float(colour @ (0.2126, 0.7152, 0.0722)) / 255


def _hex(colour: np.ndarray) -> str:
    return "#" + "".join(f"{round(float(part)):02x}" for part in colour)
