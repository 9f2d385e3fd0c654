"""The plan of an experiment as a page, its sources numbered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnes.campaign.report_text import MISSING, format_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from onnes.campaign.experiment import ExperimentPlan
    from onnes.campaign.powder_lines import PhaseLines
    from onnes.campaign.synthesis import Reason

_STRONGEST = 12


class _Sources:
    """Numbers of the sources, in the order in which they are first named."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, source: str) -> str:
        return f"[{self._numbers.setdefault(source, len(self._numbers) + 1)}]"

    def lines(self) -> Iterator[str]:
        for source, number in self._numbers.items():
            yield f"{number}. {_plain(source)}"


def page(plan: ExperimentPlan) -> str:
    """Write a plan in Markdown.

    Parameters
    ----------
    plan
        See `onnes.campaign.experiment.make_plan`.
    """
    sources = _Sources()
    parts = [
        [f"# Plan: {_plain(plan.formula)}", "", _head(plan), ""],
        _weigh(plan, sources),
        _make(plan, sources),
        _check(plan, sources),
        _measure(plan, sources),
        _reasons("Doubts", plan.warnings, sources),
        _hazards(plan, sources),
        ["## Sources", "", *sources.lines(), ""],
    ]
    return "\n".join(line for part in parts for line in part)


def _head(plan: ExperimentPlan) -> str:
    known = f" The reference knows it as {plan.known_as}." if plan.known_as else ""
    pressure = f", {plan.pressure_GPa:g} GPa" if plan.pressure_GPa else ""
    return _plain(
        f"Crystal {plan.id} from {plan.origin}; {plan.pattern.space_group}, geometry {plan.geometry}{pressure}; onnes {plan.onnes}.{known}"
    )


def _weigh(plan: ExperimentPlan, sources: _Sources) -> list[str]:
    charge = plan.charge
    rows = [
        (p.formula, f"{p.mass_g:.4f}", f"{p.molar_mass_g_per_mol:.3f}", "not weighed" if p.kind == "gas" else p.kind)
        for p in charge.precursors
    ]
    head = f"For {charge.mass_g:g} g of {charge.formula} ({charge.molar_mass_g_per_mol:.3f} g/mol) {sources.mark(charge.source)}:"
    notes = [f"- {_plain(note)}" for note in charge.notes]
    return [
        "## Weigh", "", _plain(head, keep="[]"), "", *_table(("precursor", "mass / g", "g/mol", "kind"), rows), *notes, "",
    ]  # fmt: skip


def _make(plan: ExperimentPlan, sources: _Sources) -> list[str]:
    route = plan.route
    lines = ["## Make", "", f"**{route.method}.** {_plain(route.procedure)}", ""]
    if route.annealing is not None:
        lines += [f"Annealing: {_plain(route.annealing.text)} {sources.mark(route.annealing.source)}", ""]
    lines += ["Why:", "", *_bullets(route.reasons, sources), ""]
    if route.warnings:
        lines += ["Against it:", "", *_bullets(route.warnings, sources), ""]
    others = [f"- {other.method}, {other.when}" for other in route.alternatives]
    return lines + (["Otherwise:", "", *others, ""] if others else [])


def _check(plan: ExperimentPlan, sources: _Sources) -> list[str]:
    pattern = plan.pattern
    a, b, c, *angles = pattern.lattice_A_deg
    cell = f"a, b, c = {a:.3f}, {b:.3f}, {c:.3f} Å; " + ", ".join(f"{angle:.1f}" for angle in angles) + "°"
    rows = [
        (f"{peak.two_theta_deg:.2f}", f"{peak.d_A:.4f}", f"{peak.intensity:.0f}", peak.hkl)
        for peak in pattern.strongest(_STRONGEST)
    ]
    lines = [
        "## Check by X-rays", "",
        f"{pattern.radiation}, {pattern.wavelength_A:g} Å; {cell} {sources.mark(pattern.source)}. {_plain(pattern.note)} "
        f"The strongest {len(rows)} of {len(pattern.peaks)} lines:", "",
        *_table(("2θ / °", "d / Å", "intensity", "hkl"), rows), "",
    ]  # fmt: skip
    shown = [phase for phase in plan.other_phases if phase.lines]
    if shown:
        rows = [(phase.formula, phase.why, _angles(phase), sources.mark(phase.source)) for phase in shown]
        lines += ["Strongest lines of other phases (2θ / °; those in brackets lie under a line of the crystal):", ""]
        lines += [*_table(("phase", "why", "lines", "structure"), rows), ""]
    if without := [phase.formula for phase in plan.other_phases if not phase.lines]:
        lines += [f"No structure at hand for {', '.join(without)}: give files with --phase to see their lines.", ""]
    return lines


def _angles(phase: PhaseLines) -> str:
    return ", ".join(f"{x.two_theta_deg:.2f}" if x.clear else f"({x.two_theta_deg:.2f})" for x in phase.lines)


def _measure(plan: ExperimentPlan, sources: _Sources) -> list[str]:
    found = plan.transition
    if found is None:
        text = "The table holds no Tc; `onnes plan --predict` predicts one. Measure to 1.8 K: below that it is only a limit."
        return ["## Measure", "", text, ""]
    rows = []
    for value in found.values:
        ends = [value.tc_lo_K, value.tc_hi_K]
        interval = " to ".join(format_value(end, decimals=1) for end in ends) if None not in ends else MISSING
        rows.append((f"{value.mu_star:.2f}", f"{value.tc_K:.1f}", interval, sources.mark(value.source)))
    return [
        "## Measure", "", *_table(("μ*", "Tc / K", "90 % interval / K", "source"), rows), "", f"{_plain(found.text)} {sources.mark(found.source)}", "",
        *(f"- {_plain(note)}" for note in found.notes), *([""] if found.notes else []),
    ]  # fmt: skip


def _hazards(plan: ExperimentPlan, sources: _Sources) -> list[str]:
    if not plan.hazards:
        return []
    lines = [f"- **{hazard.element}**: {_plain(hazard.text)} {sources.mark(hazard.source)}" for hazard in plan.hazards]
    head = "Of the elements, of what is weighed, and of the method; the compound may behave otherwise. This list replaces no safety data sheet."
    return ["## Handle with care", "", head, "", *lines, ""]


def _reasons(title: str, reasons: Iterable[Reason], sources: _Sources) -> list[str]:
    lines = list(_bullets(reasons, sources))
    return [f"## {title}", "", *lines, ""] if lines else []


def _bullets(reasons: Iterable[Reason], sources: _Sources) -> Iterator[str]:
    for reason in reasons:
        yield f"- {_plain(reason.text)} {sources.mark(reason.source)}"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return lines + [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]


def _plain(text: str, keep: str = "") -> str:
    """Names and remarks from files are text, never markup: escape what Markdown would read."""
    line = " ".join(text.split())
    return "".join(f"\\{sign}" if sign in "\\*_<>#[]`" and sign not in keep else sign for sign in line)
