"""The figure of an explained crystal: site contributions, other elements in their place, nearest known crystals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnes.figure import COLOURS, FONT_PT, GREY, INK, clean, drawn

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from onnes.models.replacement import Replacement
    from onnes.tools.explain import CrystalExplanation

MAX_SITES = 16
"""Sites beyond these, the largest, are drawn as one bar."""
_WIDTH_IN = 7.2
_BAR_IN, _MAP_ROW_IN, _LINE_IN = 0.24, 0.5, 0.16  # height of a site, of an element, of a neighbour
_FRAME_IN = 1.5  # titles and labels of the three parts
_PARTS = (("tc_K", "contribution to Tc (K)"), ("ln_lambda", "to ln λ"), ("ln_omega_log", "to ln ω_log"))
_CHANGES = "RdBu_r"
_TITLE: dict[str, Any] = {"fontsize": FONT_PT, "loc": "left"}
_DARK = 0.6  # from this share of the colour range on, text is white


def draw_explanation(path: str | Path, crystal: CrystalExplanation) -> None:
    """Draw one crystal, the same bytes for the same explanation.

    Parameters
    ----------
    path
        File to write, ``.svg`` or ``.png``.
    crystal
        Explained without an error.

    Raises
    ------
    ConfigError
        For another suffix.
    """
    elements = _elements(crystal)
    bars = min(len(crystal.sites), MAX_SITES + 1)
    near = max(1, len(crystal.neighbours))
    heights = (_BAR_IN * (bars + 1), _MAP_ROW_IN * max(1, len(elements)), _LINE_IN * near)
    with drawn(path, (_WIDTH_IN, _FRAME_IN + sum(heights))) as figure:
        figure.suptitle(_title(crystal), fontsize=FONT_PT + 1, parse_math=False)
        parts = figure.add_gridspec(3, 1, height_ratios=[h + _FRAME_IN / 3 for h in heights])
        columns = parts[0].subgridspec(1, 3, width_ratios=(2, 1, 1))
        _draw_sites([figure.add_subplot(columns[k]) for k in range(3)], crystal)
        _draw_replacements(figure.add_subplot(parts[1]), crystal, elements)
        _write_neighbours(figure.add_subplot(parts[2]), crystal)


def _title(crystal: CrystalExplanation) -> str:
    said = crystal.predicted
    group = f", space group {crystal.space_group}" if crystal.space_group else ""
    domain = "" if said["in_domain"] else ", outside the domain of the model"
    return (
        f"{crystal.formula}{group}: Tc {said['tc_K']:.1f} K ({said['tc_lo_K']:.1f} to {said['tc_hi_K']:.1f}), "
        f"λ {said['lambda_']:.2f}, ω_log {said['omega_log_K']:.0f} K{domain}"
    )


def _draw_sites(panels: list[Axes], crystal: CrystalExplanation) -> None:
    shown, rest = crystal.sites[:MAX_SITES], crystal.sites[MAX_SITES:]
    names = [f"{site.element} {site.multiplicity}{site.letter}" for site in shown]
    names += [f"{len(rest)} more"] if rest else []
    for axes, (part, label) in zip(map(clean, panels), _PARTS, strict=True):
        lengths = [getattr(site, part) for site in shown]
        lengths += [sum(getattr(site, part) for site in rest)] if rest else []
        colours = [COLOURS[1] if length > 0 else COLOURS[0] for length in lengths]
        axes.barh(range(len(lengths)), lengths, 0.7, color=colours)
        axes.axvline(0, color=INK, linewidth=0.7)
        for i, length in enumerate(lengths):
            place, side = ((3, 0), "left") if length > 0 else ((-3, 0), "right")
            text = f"{length:+.1f}" if part == "tc_K" else f"{length:+.2f}"
            axes.annotate(text, (length, i), place, textcoords="offset points", ha=side, va="center")
        axes.set_yticks(range(len(names)) if part == "tc_K" else [], names if part == "tc_K" else [])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel(label)
        axes.margins(x=0.25 if part == "tc_K" else 0.5)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    if any(site.tc_error_K for site in crystal.sites):
        error = [site.tc_error_K for site in shown]
        panels[0].errorbar([s.tc_K for s in shown], range(len(shown)), xerr=error, fmt="none", ecolor=INK, elinewidth=1)
    base, tc = crystal.baseline["tc_K"], crystal.predicted["tc_K"]
    sign = "+" if tc >= base else "−"
    panels[0].set_title(f"average training crystal {base:.1f} {sign} {abs(tc - base):.1f} = {tc:.1f} K", **_TITLE)


def _elements(crystal: CrystalExplanation) -> list[str]:
    return list(dict.fromkeys(row.element for row in crystal.replacements))


def _draw_replacements(axes: Axes, crystal: CrystalExplanation, elements: list[str]) -> None:
    """One row an element, one cell a replacement; the colour is the change of Tc."""
    axes.set_axis_off()
    if not elements:
        axes.text(0, 0.5, "; ".join(crystal.notes) or "no element was replaced", wrap=True, parse_math=False)
        return
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    changes = [abs(row.tc_change_K) for row in crystal.replacements if row.tc_change_K is not None]
    limit = max([*changes, 0.1])
    norm = Normalize(-limit, limit)
    widest = 0
    for i, element in enumerate(elements):
        rows = [row for row in crystal.replacements if row.element == element]
        widest = max(widest, len(rows))
        axes.text(-0.6, i, f"{element} →", ha="right", va="center", fontsize=FONT_PT + 1)
        for k, row in enumerate(rows):
            change = row.tc_change_K
            colour = "white" if change is None else colormaps[_CHANGES](norm(change))
            _draw_cell(axes, (k, i), row, colour, dark=abs(change or 0) > _DARK * limit)
    axes.set_xlim(-1.2, max(widest, 8) - 0.45)
    axes.set_ylim(len(elements) - 0.45, -0.55)
    axes.set_title("Tc (K) with another element in its place, unrelaxed (hatched: outside the domain)", **_TITLE)
    bar = axes.figure.colorbar(ScalarMappable(norm, _CHANGES), ax=axes, label="change of Tc (K)", pad=0.01)
    bar.outline.set_linewidth(0.5)  # pyright: ignore[reportCallIssue]


def _draw_cell(axes: Axes, centre: tuple[int, int], row: Replacement, colour: object, *, dark: bool) -> None:
    from matplotlib.patches import Rectangle

    x, y = centre
    hatch = "////" if row.in_domain is False else None
    axes.add_patch(
        Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=colour, edgecolor=GREY, linewidth=0.5, hatch=hatch)
    )
    value = "–" if row.tc_K is None else f"{row.tc_K:.1f}"
    box = {"facecolor": colour, "edgecolor": "none", "pad": 1}  # keeps the hatching off the text
    for dy, text in ((-0.2, row.replacement), (0.2, value)):
        axes.text(x, y + dy, text, ha="center", va="center", color="white" if dark else INK, bbox=box)


def _write_neighbours(axes: Axes, crystal: CrystalExplanation) -> None:
    axes.set_axis_off()
    near = crystal.neighbours
    if near:
        axes.set_title("nearest known crystals (distance: 1 is the edge of the domain)", **_TITLE)
    for i, one in enumerate(near):
        tc = "no Tc listed" if one.tc_K is None else f"Tc {one.tc_K:.1f} K, {one.tc_kind}"
        y = 1 - (i + 0.5) / len(near)
        for x, text in ((0.0, one.formula), (0.2, f"{one.distance:.2f}"), (0.3, tc), (0.55, f"{one.id}, {one.source}")):
            axes.text(x, y, text, va="center", transform=axes.transAxes, parse_math=False)
