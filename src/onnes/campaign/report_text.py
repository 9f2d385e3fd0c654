"""The words of a report: names and formats of columns, the summary, the list of limits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnes.crystals.schema import values
from onnes.models.superconductivity import MAGNETIC_MUB

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from onnes.campaign.report_data import Candidate, StageCount

MISSING = "–"


@dataclass(frozen=True)
class ColumnText:
    """How a column is called and written on a page."""

    label: str
    unit: str = ""
    decimals: int = 2
    spread: str | None = None  # the column with the spread of this one


COLUMN_TEXT: dict[str, ColumnText] = {
    "tc_K": ColumnText("Tc", "K", 2, "tc_K_std"),
    "tc_mu016_K": ColumnText("Tc at μ* = 0.16", "K"),
    "tc_lo_K": ColumnText("Tc, lower end of the 90 % interval", "K"),
    "tc_hi_K": ColumnText("Tc, upper end of the 90 % interval", "K"),
    "mu_star": ColumnText("μ*"),
    "lambda_": ColumnText("λ", "", 3, "lambda_std"),
    "omega_log_K": ColumnText("ω_log", "K", 1, "omega_log_K_std"),
    "omega2_K": ColumnText("ω₂", "K", 1, "omega2_K_std"),
    "e_above_hull_eV_per_atom": ColumnText("energy above hull", "eV/atom", 3),
    "hull_coverage": ColumnText("known compounds in this system"),
    "decomposes_to": ColumnText("decomposes to"),
    "formation_energy_eV_per_atom": ColumnText("formation energy", "eV/atom", 3),
    "energy_eV_per_atom": ColumnText("energy", "eV/atom", 4),
    "is_metal_probability": ColumnText("probability of being a metal"),
    "band_gap_eV": ColumnText("band gap", "eV"),
    "magnetic_probability": ColumnText("probability of being magnetic"),
    "magmom_max_muB": ColumnText("largest magnetic moment", "μB"),
    "dos_ef_states_per_eV": ColumnText("N(E_F), both spins, per cell", "states/eV"),
    "min_phonon_THz": ColumnText("lowest phonon frequency", "THz"),
    "phonon_grade": ColumnText("phonon grade"),
    "in_domain": ColumnText("inside the domain of the model"),
    "domain_distance": ColumnText("distance to the training data", "", 3),
    "forces_max_eV_per_A": ColumnText("largest force", "eV/Å", 4),
    "relax_steps": ColumnText("relaxation steps"),
    "relax_converged": ColumnText("relaxation converged"),
    "pressure_GPa": ColumnText("pressure", "GPa", 1),
    "potential": ColumnText("potential"),
    "hull_reference": ColumnText("hull reference"),
    "tc_K_std": ColumnText("spread of Tc", "K"),
    "lambda_std": ColumnText("spread of λ", "", 3),
    "omega_log_K_std": ColumnText("spread of ω_log", "K", 1),
    "omega2_K_std": ColumnText("spread of ω₂", "K", 1),
    "electronic_tc_K": ColumnText("Tc by the model that reads N(E_F)", "K"),
    "electronic_tc_lo_K": ColumnText("the same, lower end of the 90 % interval", "K"),
    "electronic_tc_hi_K": ColumnText("the same, upper end of the 90 % interval", "K"),
    "dft_verdict": ColumnText("verdict of first principles"),
    "dft_reason": ColumnText("reason of the verdict"),
    "dft_level": ColumnText("level of the verification"),
    "dft_method": ColumnText("method of the verification"),
    "dft_confidence": ColumnText("confidence in the verification"),
    "dft_tc_K": ColumnText("verified Tc", "K"),
    "dft_tc_lo_K": ColumnText("verified Tc, lowest", "K"),
    "dft_tc_hi_K": ColumnText("verified Tc, highest", "K"),
    "dft_lambda": ColumnText("verified λ", "", 3, "dft_lambda_std"),
    "dft_lambda_std": ColumnText("half the range of λ over the plateau", "", 3),
    "dft_omega_log_K": ColumnText("verified ω_log", "K", 1),
    "dft_omega2_K": ColumnText("verified ω₂", "K", 1),
    "dft_dos_ef_states_per_eV": ColumnText("verified N(E_F), both spins, per cell", "states/eV"),
    "dft_min_phonon_THz": ColumnText("verified lowest phonon frequency", "THz"),
    "dft_energy_eV_per_atom": ColumnText("total energy of first principles", "eV/atom", 4),
    "dft_key": ColumnText("folder of the verification"),
}


def format_value(value: bool | float | str | None, column: str = "", *, decimals: int = 2) -> str:
    """Write a value as the pages do; the unit stands in the header.

    Examples
    --------
    >>> format_value(6.1234, "tc_K"), format_value(0.04849, "e_above_hull_eV_per_atom"), format_value(None)
    ('6.12', '0.048', '–')
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        digits = COLUMN_TEXT[column].decimals if column in COLUMN_TEXT else decimals
        return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0 turns -0.00 into 0.00
    return str(value)


def summary(
    n_candidates: int, n_survivors: int, n_rejected: int, n_failed: int, best: Candidate | None, mu_star: float | None
) -> str:
    """Say in one paragraph what came out."""
    text = (
        f"Of {_count(n_candidates, 'candidate')}, {n_survivors} passed every stage of the funnel; "
        f"{n_rejected} {_were(n_rejected)} rejected and {n_failed} could not be computed."
    )
    if best is None:
        return text
    symbol = f" ({best.space_group_symbol}, No. {best.space_group})" if best.space_group_symbol else ""
    tc = best.results["tc_K"].value
    if tc is None:
        return f"{text} None of the survivors has a Tc; the first is {best.name}{symbol}."

    def show(column: str) -> str:
        return format_value(best.results[column].value, column)

    text += f" The best is {best.name}{symbol} with Tc = {show('tc_K')}"
    if best.results["tc_K_std"].value is not None:
        text += f" ± {show('tc_K_std')}"
    text += " K"
    if best.results["tc_lo_K"].value is not None and best.results["tc_hi_K"].value is not None:
        text += f" (90\u00a0% interval {show('tc_lo_K')} to {show('tc_hi_K')} K)"
    text += f" at μ* = {format_value(mu_star)}" if mu_star is not None else ""
    if best.results["e_above_hull_eV_per_atom"].value is not None:
        text += f", {show('e_above_hull_eV_per_atom')} eV/atom above the hull"
    return f"{text}.{_novelty(best)}"


def _novelty(best: Candidate) -> str:
    if best.is_novel is None:
        return ""
    if best.is_novel:
        return " No crystal of its composition and prototype is in the reference."
    return f" It is known{' as ' + best.known_as if best.known_as else ''}."


def caveats(ranked: pa.Table, counts: Sequence[StageCount], mu_star: float | None) -> list[str]:
    """List the limits of the numbers of the survivors ``ranked``, from what was and was not computed."""
    n = ranked.num_rows
    at = f"μ* = {format_value(mu_star)}" if mu_star is not None else "the μ* listed for each candidate"
    model_note = (
        f"Tc follows from predicted λ and ω_log by the Allen–Dynes formula at {at}. It is an estimate that orders "
        "candidates, not a measurement or a first-principles result; the spread is that of the models."
    )
    notes = [model_note]
    grades = [grade for grade in values(ranked, "phonon_grade") if grade is not None]
    if not grades and not any("phonon" in count.stage for count in counts):
        notes.append("No phonon stage has run: dynamical stability is unknown.")
    elif n:
        kinds = ", ".join(f"{grades.count(kind)} {kind}" for kind in ("stable", "doubtful", "unstable"))
        notes.append(f"Phonon grades of the {_count(n, 'survivor')}: {kinds}, {n - len(grades)} without a grade.")
    lone = sum(coverage == 0 for coverage in values(ranked, "hull_coverage"))
    if lone:
        notes.append(
            f"{_count(lone, 'survivor')} {'lies' if lone == 1 else 'lie'} in a chemical system of which the reference "
            "knows no compound: the energy above hull is then only that against simpler compounds and the elements."
        )
    notes.append(
        "The energy above hull counts only the competing phases in the reference, at zero temperature and pressure; "
        "a phase that is not there can lower the hull."
    )
    facts: list[tuple[int, str]] = [
        (values(ranked, "e_above_hull_eV_per_atom").count(None), "no energy above hull"),
        (values(ranked, "in_domain").count(False), "outside the domain of the model, distrust the Tc"),
        (
            sum(m is not None and m > MAGNETIC_MUB for m in values(ranked, "magmom_max_muB")),
            "probably magnetic, where Tc by phonons alone means little",
        ),
        (values(ranked, "relax_converged").count(False), "relaxation did not converge"),
        (values(ranked, "geometry").count("input"), "geometry as given, not relaxed"),
        (values(ranked, "is_novel").count(False), "known already (same reduced formula and prototype)"),
    ]
    notes += [f"{count} of {_count(n, 'survivor')}: {text}." for count, text in facts if count]
    verdicts = [verdict for verdict in values(ranked, "dft_verdict") if verdict is not None]
    if verdicts:
        kinds = ", ".join(f"{verdicts.count(v)} {v.replace('_', ' ')}" for v in dict.fromkeys(sorted(verdicts)))
        notes.append(
            f"First-principles verification of {_count(len(verdicts), 'survivor')}: {kinds}. Verified numbers stand beside the "
            "predicted ones and never replace them; the ranking is by the prediction."
        )
    return notes


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _were(n: int) -> str:
    return "was" if n == 1 else "were"
