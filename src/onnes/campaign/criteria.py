"""The criteria by which a target is judged: each a score from 0 to 1, what to say about it, and a source."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from onnes.campaign import element_criteria as elements
from onnes.campaign.finding import Finding, Row, number, unknown

if TYPE_CHECKING:
    from collections.abc import Callable

TC_HALF_K = 10.0
"""A Tc of this scores one half."""
TC_CAUTION = 0.5
"""How far from Tc to the lower end of its interval the Tc that is scored lies."""
TC_LOW_K = 1.0
"""Below this a cryostat with pumped helium does not reach."""
HULL_HALF_EV = 0.067
"""Nine in ten of the metastable crystals that are known lie no higher above the hull; scores one half."""
PHONON_SCORES = {"stable": 1.0, "doubtful": 0.5, "unstable": 0.1}
OTHER_WARNING = 0.5
"""What another warning of the model than its distance multiplies the score of the domain with."""
_FAR = "unlike the training crystals"


@dataclass(frozen=True)
class Criterion:
    """One thing that matters about a target.

    Attributes
    ----------
    name
        Of its weight, and of its column ``score_<name>``.
    meaning
        What it asks.
    source
        Of the formula or of the facts.
    part
        ``promise``: what the crystal promises; ``practice``: what stands in the way of making it.
    find
        From a row of the crystal table to a score with what is to be said.
    """

    name: str
    meaning: str
    source: str
    part: Literal["promise", "practice"]
    find: Callable[[Row], Finding]


def cautious_tc_K(row: Row) -> float | None:
    """Tc that is counted on: between Tc and the lower end of its 90 % interval (see `TC_CAUTION`), in kelvin.

    Examples
    --------
    >>> cautious_tc_K({"tc_K": 12.0, "tc_lo_K": 8.0})
    10.0
    """
    tc, low = number(row, "tc_K"), lower_tc_K(row)
    return None if tc is None or low is None else tc - TC_CAUTION * (tc - low)


def lower_tc_K(row: Row) -> float | None:
    """Lower end of the interval of Tc, or Tc where there is none, in kelvin."""
    tc, low = number(row, "tc_K"), number(row, "tc_lo_K")
    return tc if tc is None or low is None else min(tc, low)


def known_hull_eV(row: Row) -> float | None:
    """Energy above hull in eV/atom; None where the reference knows no compound of the chemical system."""
    return None if _lone(row) else number(row, "e_above_hull_eV_per_atom")


def _lone(row: Row) -> bool:
    """Whether the hull has nothing between the elements; an element by itself has no compounds to miss."""
    return row.get("hull_coverage") == 0 and len(set(row.get("atomic_numbers") or ())) != 1


def _tc(row: Row) -> Finding:
    tc, low, counted = number(row, "tc_K"), lower_tc_K(row), cautious_tc_K(row)
    if tc is None or low is None or counted is None:
        return unknown("no Tc")
    score = max(0.0, counted) / (max(0.0, counted) + TC_HALF_K)
    model = f"model {row['tc_model']}" if row.get("tc_model") else None
    if number(row, "tc_lo_K") is None:
        return Finding(score, f"Tc {tc:.1f} K without an interval", model)
    said = f"Tc {tc:.1f} K, may be as low as {low:.1f} K" if low < TC_LOW_K else None
    return Finding(score, said, model)


def _literature(row: Row) -> Finding:
    probability = number(row, "exp_superconductor_probability")
    if probability is None:
        return unknown("the model of the literature was not asked")
    said = (
        f"probability {probability:.2f} that it superconducts, as far as the literature goes"
        if probability < 0.5
        else None
    )
    return Finding(min(1.0, max(0.0, probability)), said)


def _hull(row: Row) -> Finding:
    energy, reference = number(row, "e_above_hull_eV_per_atom"), row.get("hull_reference")
    if energy is None:
        return unknown("no energy above hull")
    score = 0.5 ** (max(0.0, energy) / HULL_HALF_EV)
    source = f"reference {reference}" if reference else None
    if _lone(row):
        said = f"{energy:.3f} eV/atom above a hull without a known compound of this system"
        return unknown(said, source, at_most=score)
    into = f", decomposes to {row['decomposes_to']}" if row.get("decomposes_to") else ""
    said = f"{energy:.3f} eV/atom above the hull{into}" if energy > HULL_HALF_EV else None
    return Finding(score, said, source)


def _phonons(row: Row) -> Finding:
    grade, lowest = row.get("phonon_grade"), number(row, "min_phonon_THz")
    if grade not in PHONON_SCORES:
        return unknown("no phonon grade")
    mode = "" if lowest is None else f", lowest mode {lowest:.2f} THz"
    said = None if grade == "stable" else f"phonons {grade}{mode}"
    return Finding(PHONON_SCORES[grade], said, row.get("phonon_reason"))


def _metal(row: Row) -> Finding:
    probability = number(row, "is_metal_probability")
    if probability is None:
        return unknown("no metal probability")
    probability = min(1.0, max(0.0, probability))
    return Finding(probability, f"probability of a metal {probability:.2f}" if probability < 0.5 else None)


def _domain(row: Row) -> Finding:
    distance, inside = number(row, "domain_distance"), row.get("in_domain")
    if distance is None and inside is None:
        return unknown("not known whether the model may be trusted here")
    warnings = [said for said in (row.get("warnings") or "").split("; ") if said]
    score = 1 / (1 + max(0.0, distance) ** 4) if distance is not None else 1.0 if inside else 0.0
    if any(not said.startswith(_FAR) for said in warnings):
        score *= OTHER_WARNING
    said = "; ".join(warnings) or "outside the domain of the model"
    return Finding(score, None if inside and not warnings else said)


def _novelty(row: Row) -> Finding:
    novel, name = row.get("is_novel"), row.get("known_as")
    if novel is None:
        return unknown("not compared with known crystals")
    reference = f"reference {row['hull_reference']}" if row.get("hull_reference") else None
    return Finding(1.0) if novel else Finding(0.0, f"known{f' as {name}' if name else ''}", reference)


_BY_ELEMENT = "element_facts.toml of this package, each fact with its citation"
CRITERIA = (
    Criterion(
        "tc", "how high Tc is, counting its uncertainty",
        f"ours: T/(T + {TC_HALF_K:g} K), T midway between Tc and the lower end of its interval", "promise", _tc,
    ),
    Criterion(
        "literature", "whether compounds like it were measured to superconduct",
        "model experimental, which has learned from reports of measurements", "promise", _literature,
    ),
    Criterion(
        "hull", "whether it decomposes into other phases",
        "ours, on the scale of Sun et al., Sci. Adv. 2, e1600225 (2016)", "promise", _hull,
    ),
    Criterion(
        "phonons", "whether the lattice is stable",
        "onnes.physics.phonon_grade; an unstable grade of a potential is no proof", "promise", _phonons,
    ),
    Criterion("metal", "whether it conducts", "probability of the metal model", "promise", _metal),
    Criterion(
        "domain", "whether the model of Tc may be trusted here",
        "distance to the training crystals, edge at 1, and warnings of the model", "promise", _domain,
    ),
    Criterion(
        "novelty", "whether the reference does not know it", "composition and prototype label", "promise", _novelty
    ),
    Criterion(
        "mixing", "whether atoms are likely to exchange sites",
        "onnes.propose.similarity, after Darken and Gurry, Physical Chemistry of Metals (1953)", "practice", elements.mixing,
    ),
    Criterion("toxicity", "hazards for health of the elements", _BY_ELEMENT, "practice", elements.toxicity),
    Criterion("radioactivity", "elements without a stable isotope", _BY_ELEMENT, "practice", elements.radioactivity),
    Criterion(
        "volatility", "whether an element boils off before another melts",
        "Trouton, Phil. Mag. 18, 54 (1884), for the vapour pressure", "practice", elements.volatility,
    ),
    Criterion("air", "whether the elements must be handled under inert gas", _BY_ELEMENT, "practice", elements.air),
    Criterion("price", "price of the elements by mass", _BY_ELEMENT, "practice", elements.price),
    Criterion(
        "melting", "how far the melting points of the elements lie apart", elements.PERIODIC_TABLE, "practice",
        elements.melting,
    ),
)  # fmt: skip
"""All criteria, in the order in which they are shown."""


def criterion_names() -> list[str]:
    """Names of the criteria, in their order.

    Examples
    --------
    >>> criterion_names()[:3]
    ['tc', 'literature', 'hull']
    """
    return [criterion.name for criterion in CRITERIA]


def findings(row: Row) -> dict[str, Finding]:
    """Judge one row of a crystal table by every criterion.

    Parameters
    ----------
    row
        Columns of the crystal table; what is missing, null or not finite is unknown.

    Examples
    --------
    >>> found = findings({"tc_K": 9.2, "tc_lo_K": 7.0, "atomic_numbers": [41], "phonon_grade": "stable"})
    >>> found["phonons"].score, found["hull"].known, found["hull"].score
    (1.0, False, 0.5)
    """
    clean = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }
    return {criterion.name: criterion.find(clean) for criterion in CRITERIA}


def source_of(name: str, finding: Finding) -> str | None:
    """Source of what a finding says: its own, or that of the criterion; data that are merely missing have none."""
    if finding.source or not finding.known:
        return finding.source
    return next(criterion.source for criterion in CRITERIA if criterion.name == name)
