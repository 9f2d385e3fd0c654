"""Figure of an experiment's plan: the expected powder pattern, and the strongest lines of other phases below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnes.figure import FONT_PT, GREY, INK, clean, drawn, styles

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from onnes.campaign.experiment import ExperimentPlan
    from onnes.campaign.powder_lines import ExpectedPattern, PhaseLines

_WIDTH_IN = 6.6
_PATTERN_IN, _ROW_IN = 2.8, 0.22
_NAMED = 10
_APART = 0.025  # of the range of angles, between two labels


def draw_plan(path: str | Path, plan: ExperimentPlan) -> None:
    """Draw the pattern as sticks with the indices of the strongest lines, and a row of ticks for each other phase.

    Parameters
    ----------
    path
        File to write, .svg or .png.
    plan
        What is drawn; phases without lines are left out. A tick under a line of the crystal is drawn thin.

    Raises
    ------
    ConfigError
        For another suffix.
    """
    others = [phase for phase in plan.other_phases if phase.lines]
    rows_in = _ROW_IN * len(others) + 0.15
    with drawn(path, (_WIDTH_IN, _PATTERN_IN + rows_in)) as figure:
        top, below = figure.subplots(2, 1, sharex=True, height_ratios=(_PATTERN_IN, rows_in))
        _sticks(clean(top), plan.pattern)
        top.set_title(f"{plan.formula}, {plan.pattern.space_group}", loc="left", fontsize=FONT_PT, parse_math=False)
        _ticks(clean(below), others)
        below.set_xlabel(f"2θ (degrees), {plan.pattern.radiation} {plan.pattern.wavelength_A:g} Å")


def _sticks(axes: Axes, pattern: ExpectedPattern) -> None:
    angles = [peak.two_theta_deg for peak in pattern.peaks]
    axes.vlines(angles, 0, [peak.intensity for peak in pattern.peaks], color=INK, linewidth=1.1)
    axes.set_ylim(0, 118)
    axes.set_ylabel("intensity")
    width = max(angles) - min(angles) or 1.0
    named: list[float] = []
    for peak in sorted(pattern.peaks, key=lambda peak: -peak.intensity)[:_NAMED]:
        if all(abs(peak.two_theta_deg - other) > _APART * width for other in named):
            named.append(peak.two_theta_deg)
            axes.annotate(
                peak.hkl.split(" + ")[0], (peak.two_theta_deg, peak.intensity), (0, 2), textcoords="offset points",
                ha="center", va="bottom", fontsize=FONT_PT - 1.5, parse_math=False,
            )  # fmt: skip


def _ticks(axes: Axes, others: list[PhaseLines]) -> None:
    for row, (phase, (colour, _)) in enumerate(zip(others, styles(), strict=False)):
        for line in phase.lines:
            axes.vlines(line.two_theta_deg, row - 0.36, row + 0.36, color=colour, linewidth=1.4 if line.clear else 0.5)
    axes.set_yticks(range(len(others)), [phase.formula for phase in others])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_ylim(len(others) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    if not others:
        axes.annotate("no structure of another phase at hand", (0.5, 0.5), xycoords="axes fraction", ha="center",
                      va="center", color=GREY)  # fmt: skip
