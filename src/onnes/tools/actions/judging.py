"""Actions that judge targets: rank them, plan the experiment on one, record what the laboratory found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from onnes.campaign.judgement import Weights
from onnes.campaign.study import Study
from onnes.campaign.value import plain_text
from onnes.crystals.schema import values
from onnes.errors import ConfigError, EvidenceError
from onnes.tools.actions.inputs import Formulas, OneCrystal, crystals_of, left_over, rows_table, sha256_of, with_extra
from onnes.tools.call import CrystalIds, Made, Names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnes.campaign.experiment import ExperimentPlan

_SHOWN = (
    "judged_rank", "score", "pareto_front", "tc_K", "tc_lo_K", "e_above_hull_eV_per_atom", "phonon_grade",
    "is_metal_probability", "in_domain", "is_novel", "exp_superconductor_probability", "exp_tc_K", "risk", "concerns",
    "unknown",
)  # fmt: skip


def rank(
    study: Study,
    crystals: CrystalIds,
    *,
    weights: Annotated[
        Names,
        Field(
            description="Weights to change, such as tc=5 or price=0; 0 leaves a criterion out. Defaults: "
            + ", ".join(f"{name}={weight:g}" for name, weight in Weights()),
        ),
    ] = (),
    predict: Annotated[bool, Field(description="Predict Tc, energy above hull, metal and domain first.")] = False,
    on_rows: Callable[[int], None] | None = None,
) -> Made:
    """Order crystals as a chemist would before making one: score 0 to 1 over Tc (K), stability, phonons, domain, hazards and price, Pareto front, and each concern with its source."""
    from onnes.tools.rank import changes
    from onnes.tools.rank import rank as run

    table = crystals_of(study, crystals, tool="rank")
    ranked = run(table, weights=changes(weights), predict=predict, device=study.device, on_rows=on_rows)
    # A list cannot be cited; one text can.
    said = {name: ["; ".join(lines) if lines else None for lines in ranked[name]] for name in ("concerns", "unknown")}
    found = with_extra(ranked.table, {name: pa.array(texts, pa.string()) for name, texts in said.items()})
    chosen = ", ".join(f"{name} {weight:g}" for name, weight in ranked.weights.model_dump().items())
    unknown = sum(text is not None for text in values(found, "unknown"))
    remarks = (
        f"weights: {chosen}",
        f"{unknown} rows lack something to judge by; it scores 0.5 and is named in unknown",
    )
    fingerprints = sha256_of(models=("experimental", *(("metal",) if predict else ())))
    return Made(
        found, shown=_SHOWN, remarks=(*left_over(table), *remarks[: 1 + bool(unknown)]), fingerprints=fingerprints
    )


def plan(
    study: Study,
    crystals: OneCrystal,
    *,
    mass_g: Annotated[float, Field(ge=0.01, le=1000, description="Mass of the sample (g).")] = 2.0,
    precursors: Annotated[
        Formulas, Field(description="Formulas to weigh; by default elements, and compounds of gases.")
    ] = (),
    radiation: Annotated[
        Literal["CuKa", "CuKa1", "MoKa", "CoKa", "CrKa", "FeKa", "AgKa"],
        Field(description="X-rays of the powder pattern."),
    ] = "CuKa",
    predict: Annotated[bool, Field(description="Predict Tc and the energy first, at the given geometry.")] = False,
) -> Made:
    """Plan the synthesis and measurement of one crystal: masses to weigh (g), route with reasons, powder lines (degrees two theta), and the transition to look for (K). Rows are what to weigh and to look for."""
    from onnes.physics.reference import Reference
    from onnes.potentials.potential import DEFAULT_POTENTIAL
    from onnes.tools.experiment import plan_experiment

    table = crystals_of(study, crystals, tool="plan")
    if table.num_rows > 1:
        first = ", ".join(f"{crystals[0]}/{one}" for one in values(table, "id")[:3])
        raise ConfigError(
            f"plan takes one crystal, and {crystals[0]} holds {table.num_rows}; name one, such as {first}"
        )
    made = plan_experiment(
        table, mass_g=mass_g, precursors=precursors or None, radiation=radiation, predict=predict, device=study.device
    )
    hashes = {name: values(table, name)[0] for name in ("crystal_hash", "geometry")}
    rows = [{**row, "planned": made.id, **hashes} for row in _planned(made)]
    said = [f"{one.text} [{one.source}]" for one in (*made.route.reasons, *made.route.warnings, *made.warnings)]
    remarks = [f"{made.route.method}: {made.route.procedure}", *said]
    remarks += made.charge.notes
    if made.charge.unused:
        remarks.append(f"not needed: {', '.join(made.charge.unused)}")
    remarks += [f"hazard, {one.element} ({one.kind}): {one.text} [{one.source}]" for one in made.hazards]
    remarks += [made.route.annealing.text] if made.route.annealing else []
    remarks += [made.transition.text, *made.transition.notes] if made.transition else []
    shown = ("kind", "mass_g", "two_theta_deg", "intensity", "hkl", "mu_star", "tc_K", "tc_lo_K", "tc_hi_K", "text")
    reference = Reference.find(None, DEFAULT_POTENTIAL)
    fingerprints = {f"reference {reference.name}": reference.sha256}
    return Made(rows_table(rows), shown=shown, remarks=tuple(remarks), fingerprints=fingerprints)


def _planned(plan: ExperimentPlan) -> Iterator[dict[str, Any]]:
    """Every number of a plan as a row that can be cited: the sample, what to weigh, lines, Tc, hazards."""
    route, same = plan.route, {"reduced_formula": plan.formula}
    found, heat, cold = route.competition, route.annealing, plan.transition
    a, b, c, alpha, beta, gamma = plan.pattern.lattice_A_deg
    yield {
        "id": "sample", "kind": "sample", **same, "method": route.method, "text": route.procedure,
        "mass_g": sum(one.mass_g for one in plan.charge.precursors),
        "molar_mass_g_per_mol": plan.charge.molar_mass_g_per_mol,
        "melting_point_spread_K": route.melting_point_spread_K,
        "anneal_below_K": heat and heat.hold_below_K, "homogenise_at_K": heat and heat.homogenise_at_K,
        "e_above_hull_eV_per_atom": found and found.e_above_hull_eV_per_atom,
        "depth_below_hull_eV_per_atom": found and found.depth_eV_per_atom,
        "measure_down_to_K": cold and cold.measure_down_to_K, "cryostat": cold and cold.cryostat,
        "wavelength_A": plan.pattern.wavelength_A, "a_A": a, "b_A": b, "c_A": c, "alpha_deg": alpha, "beta_deg": beta,
        "gamma_deg": gamma, "source": found and found.source,
    }  # fmt: skip
    for one in plan.charge.precursors:
        yield {
            "id": one.formula, "kind": one.kind, "formula": one.formula, "mass_g": one.mass_g,
            "moles_per_formula": one.moles_per_formula, "molar_mass_g_per_mol": one.molar_mass_g_per_mol,
            "source": one.source,
        }  # fmt: skip
    for i, line in enumerate(plan.pattern.peaks, 1):
        yield {"id": f"line-{i}", "kind": "line", **same, **line.model_dump(), "source": plan.pattern.source}
    for phase in plan.other_phases:
        about = {"kind": "line of another phase", "formula": phase.formula, "text": phase.why, "source": phase.source}
        for i, line in enumerate(phase.lines, 1):
            yield {"id": f"{phase.formula}:line-{i}", **about, **line.model_dump()}
    for one in cold.values if cold else ():
        yield {"id": f"tc-mu{one.mu_star:g}", "kind": "expected Tc", **same, **one.model_dump()}
    for one in plan.hazards:
        yield {
            "id": f"hazard-{one.element}-{one.kind}", "kind": "hazard", "formula": one.element, "text": one.text,
            "source": one.source,
        }  # fmt: skip


class MeasureResult(BaseModel):
    """What was written down."""

    model_config = ConfigDict(frozen=True)

    crystal: str
    formula: str | None
    measured_tc_K: float | None
    tc_criterion: str | None
    measured_no_transition_above_K: float | None
    phase: str | None
    as_planned: bool
    recorded_at: str
    n_measurements: int
    """Of the study, this one among them."""


Words = Annotated[str | None, Field(max_length=500)]
Kelvin = Annotated[float | None, Field(gt=0, le=400)]


def measure(
    study: Study,
    *,
    crystal: Annotated[str, Field(max_length=300, description="The crystal that was planned, as set_id/row id.")],
    tc_K: Annotated[Kelvin, Field(description="Measured critical temperature (K).")] = None,
    tc_criterion: Annotated[
        Literal["onset", "midpoint", "zero", "magnetic"] | None, Field(description="By what the Tc was read.")
    ] = None,
    no_transition_above_K: Annotated[
        Kelvin, Field(description="Instead of a Tc: lowest temperature reached without a transition (K).")
    ] = None,
    phase: Annotated[Words, Field(description="What was found; the planned crystal where nothing is said.")] = None,
    as_planned: Annotated[bool | None, Field(description="Whether that is the planned crystal.")] = None,
    phase_fraction: Annotated[float | None, Field(ge=0, le=1, description="Share of it in the sample, 0 to 1.")] = None,
    sample: Annotated[Words, Field(description="Name of the sample.")] = None,
    note: Annotated[Words, Field(description="Anything else.")] = None,
) -> MeasureResult:
    """Record what a laboratory measured of a crystal: its Tc (K), or the temperature down to which there was none, or the phase that formed instead. Only for real measurements that a person reports."""
    from onnes.campaign.measurements import Measurements
    from onnes.tools.experiment import record_measurement

    if "/" not in crystal:
        raise EvidenceError(f"{crystal[:80]!r} names no crystal; write set_id/row id")
    study.rows([crystal])
    words = {"phase": phase, "sample": sample, "note": note}
    kept = record_measurement(
        study.folder,
        crystal,
        tc_K=tc_K,
        tc_criterion=tc_criterion,
        no_transition_above_K=no_transition_above_K,
        as_planned=as_planned,
        phase_fraction=phase_fraction,
        **{name: None if text is None else plain_text(text) for name, text in words.items()},
    )
    return MeasureResult(
        crystal=crystal, formula=kept.reduced_formula, measured_tc_K=kept.measured_tc_K, tc_criterion=kept.tc_criterion,
        measured_no_transition_above_K=kept.measured_no_transition_above_K, phase=kept.phase, as_planned=kept.as_planned,
        recorded_at=kept.recorded_at.isoformat(), n_measurements=len(Measurements.of(study.folder).all()),
    )  # fmt: skip
