"""Actions that compute properties of crystals in sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from onnes.campaign.study import Study
from onnes.crystals.schema import values
from onnes.errors import ConfigError
from onnes.potentials.potential import DEFAULT_POTENTIAL, sibling_of
from onnes.tools.actions.inputs import (
    MOST_ROWS,
    Formulas,
    PotentialName,
    SomeCrystals,
    crystals_of,
    left_over,
    rows_table,
    sha256_of,
    with_extra,
    with_origin,
)
from onnes.tools.call import CrystalIds, Made

if TYPE_CHECKING:
    import pyarrow as pa

    from onnes.tools.explain import CrystalExplanation

OnRows = Callable[[int], None] | None
MOST_PROPERTIES, MOST_PHONONS, MOST_EXPLAINED, MOST_MIXED, MOST_ORDERED = 500, 50, 50, 50, 50

RelaxFirst = Annotated[
    bool,
    Field(
        description="Relax positions and cell first; otherwise every number belongs to the geometry that the rows have."
    ),
]
Temperature = Annotated[float, Field(gt=0, le=5000, description="Temperature of synthesis or annealing (K).")]


def relax(
    study: Study,
    crystals: CrystalIds,
    *,
    potential: PotentialName = "sevennet-0",
    fmax_eV_per_A: Annotated[float, Field(ge=0.001, le=1, description="Largest force at the end (eV/Å).")] = 0.02,
    max_steps: Annotated[
        int, Field(ge=1, le=2000, description="Steps at most; a crystal that needs more is kept, unconverged.")
    ] = 300,
    pressure_GPa: Annotated[
        float | None,
        Field(ge=-20, le=500, description="Pressure (GPa); by default that of each crystal, 0 where none is given."),
    ] = None,
    keep_symmetry: Annotated[bool, Field(description="Keep the space group of the start.")] = True,
    on_rows: OnRows = None,
) -> Made:
    """Relax positions and cell by an interatomic potential, about a second a crystal: the geometry, energy (eV/atom) and forces (eV/Å) that follow-up numbers belong to."""
    from onnes.tools.crystals import relax as run

    table = crystals_of(study, crystals, tool="relax")
    settings: dict[str, Any] = {"fmax_eV_per_A": fmax_eV_per_A, "max_steps": max_steps, "keep_symmetry": keep_symmetry}
    if pressure_GPa is not None:
        settings["pressure_GPa"] = pressure_GPa
    found = run(table, potential=potential, device=study.device, on_rows=on_rows, **settings).table
    shown = (
        "space_group",
        "n_atoms",
        "energy_eV_per_atom",
        "forces_max_eV_per_A",
        "relax_steps",
        "relax_converged",
        "pressure_GPa",
    )
    return Made(found, shown=shown, remarks=left_over(table))


def predict(
    study: Study,
    crystals: CrystalIds,
    *,
    relax: RelaxFirst = False,
    hull: Annotated[bool, Field(description="Energy above the convex hull (eV/atom) as well.")] = True,
    model: Annotated[
        Literal["structure", "fast", "electronic"],
        Field(
            description="structure: the best. fast: a tenth of the time. electronic: reads N(E_F) where rows have it."
        ),
    ] = "structure",
    phonons: Annotated[
        bool, Field(description="Shape alpha2F by phonons of the potential, seconds a crystal.")
    ] = False,
    on_rows: OnRows = None,
) -> Made:
    """Predict Tc (K, with a 90 % interval), lambda, omega_log (K), probability of being a metal, energy above hull (eV/atom) and whether the model can be trusted there (in_domain)."""
    from onnes.tools.crystals import predict as run

    table = crystals_of(study, crystals, tool="predict", at_most=MOST_PROPERTIES if phonons else MOST_ROWS)
    found = run(table, relax=relax, hull=hull, model=model, phonons=phonons, device=study.device, on_rows=on_rows).table
    shown = (
        "space_group", "tc_K", "tc_lo_K", "tc_hi_K", "lambda_", "omega_log_K", "is_metal_probability",
        "e_above_hull_eV_per_atom", "in_domain", "geometry",
    )  # fmt: skip
    return Made(found, shown=shown, remarks=left_over(table), fingerprints=sha256_of(models=("metal",)))


def hull(study: Study, crystals: CrystalIds, *, relax: RelaxFirst = False, on_rows: OnRows = None) -> Made:
    """Formation energy and energy above the convex hull of the known phases (eV/atom), what a crystal decomposes to, and how many phases of its system are known."""
    from onnes.tools.crystals import hull as run

    table = crystals_of(study, crystals, tool="hull")
    found = run(table, relax=relax, device=study.device, on_rows=on_rows).table
    shown = (
        "space_group", "energy_eV_per_atom", "formation_energy_eV_per_atom", "e_above_hull_eV_per_atom", "decomposes_to",
        "hull_coverage", "geometry",
    )  # fmt: skip
    return Made(found, shown=shown, remarks=left_over(table))


def properties(
    study: Study,
    crystals: CrystalIds,
    *,
    relax: RelaxFirst = False,
    refine: Annotated[
        bool, Field(description="Elastic moduli by a second potential as well; the differences are a spread.")
    ] = False,
    on_rows: OnRows = None,
) -> Made:
    """Density (g/cm³), bulk and shear modulus (GPa), Poisson ratio, Debye temperatures (K), probability of being a metal, and magnetic moment (μB), a second or two a crystal."""
    from onnes.tools.properties import properties as run

    table = crystals_of(study, crystals, tool="properties", at_most=MOST_PROPERTIES)
    found = run(table, relax=relax, refine=refine, device=study.device, on_rows=on_rows)
    fingerprints = sha256_of(
        models=("metal",), potentials=(DEFAULT_POTENTIAL, *((sibling_of(DEFAULT_POTENTIAL),) if refine else ()))
    )
    return Made(found.table, shown=tuple(found.headings)[2:], remarks=left_over(table), fingerprints=fingerprints)


def phonons(
    study: Study,
    crystals: CrystalIds,
    *,
    refine: Annotated[bool, Field(description="Ask a second potential as well; several times slower.")] = False,
    relax: RelaxFirst = True,
    min_length_A: Annotated[
        float, Field(ge=5, le=30, description="Shortest distance between an atom and its images in the supercell (Å).")
    ] = 10.0,
    follow: Annotated[
        bool, Field(description="Add the crystals of lower energy that unstable modes lead to, as rows with parent_id.")
    ] = False,
    on_rows: OnRows = None,
) -> Made:
    """Phonons of crystals: lowest frequency (THz, negative for an unstable mode), grade stable, doubtful or unstable, and heat capacity; seconds to minutes a crystal, so for a short list."""
    from onnes.tools.phonons import phonons as run

    table = crystals_of(study, crystals, tool="phonons", at_most=MOST_PHONONS)
    found = run(
        table,
        refine=refine,
        relax=relax,
        min_length_A=min_length_A,
        follow=follow,
        device=study.device,
        on_rows=on_rows,
    )
    shown = (*tuple(found.headings)[2:], "phonon_reason")
    fingerprints = sha256_of(potentials=(sibling_of(DEFAULT_POTENTIAL),) if refine else ())
    return Made(found.table, shown=shown, remarks=left_over(table), fingerprints=fingerprints)


def experimental(
    study: Study,
    *,
    crystals: Annotated[SomeCrystals, Field(description="Sets, or single crystals as set_id/row id.")] = (),
    formulas: Annotated[Formulas, Field(description="Formulas instead, such as La1.85Sr0.15CuO4.")] = (),
) -> Made:
    """Predict what a laboratory would measure, learned from the literature: probability of superconductivity and Tc (K) if so, doped and unconventional compounds too. Another quantity than the Tc of `predict`."""
    from onnes.tools.experimental import experimental as run
    from onnes.tools.experimental import materials_of

    if bool(crystals) == bool(formulas):
        raise ConfigError("experimental: give either crystals or formulas")
    if formulas:
        found = run(list(formulas), files=False)
        table = found.table
    else:
        rows = crystals_of(study, crystals, tool="experimental")
        found = run(materials_of(rows), files=False)
        table = with_extra(found.table, {"id": rows["id"]})
        table = with_origin(table, rows, "id")
    return Made(table, shown=tuple(found.headings)[2:], fingerprints={f"model {found.model}": found.model_sha256})


def explain(
    study: Study,
    crystals: CrystalIds,
    *,
    model: Annotated[Literal["structure", "fast"], Field(description="Model of Tc to explain.")] = "structure",
    on_rows: OnRows = None,
) -> Made:
    """Explain a predicted Tc (K): what each site adds, the known crystals most alike to the model, and the prediction with other elements in place. Rows are contributions, not crystals."""
    from onnes.tools.explain import explain as run

    rows = crystals_of(study, crystals, tool="explain", at_most=MOST_EXPLAINED)
    found = run(rows, model=model, device=study.device, on_rows=on_rows)
    pieces = [piece for one in found.crystals for piece in _reasons(one)]
    table = with_origin(rows_table(pieces), rows, "crystal_id")
    shown = (
        "kind", "about", "tc_K", "tc_contribution_K", "tc_change_K", "lambda_", "neighbour_distance", "neighbour_tc_K",
        "in_domain",
    )  # fmt: skip
    said = "contributions describe the model, over all sites they add up to tc_K - baseline_tc_K; they prove no cause"
    return Made(table, shown=shown, remarks=(said,), fingerprints={f"model {found.model}": found.model_sha256})


def _reasons(one: CrystalExplanation) -> list[dict[str, Any]]:
    """Rows of an explanation: the prediction, sites, neighbours, replacements; ids tell which."""
    same = {"crystal_id": one.id, "reduced_formula": one.formula or None}
    if one.error is not None:
        return [{"id": one.id, "kind": "prediction", **same, "error": one.error}]
    predicted = {key: value for key, value in one.predicted.items() if key != "warnings"}
    baseline = {f"baseline_{key}": value for key, value in one.baseline.items()}
    notes = "; ".join(one.notes) or None
    pieces = [{"id": one.id, "kind": "prediction", **same, **predicted, **baseline, "notes": notes}]
    for i, site in enumerate(one.sites, 1):
        about = f"{site.element} on {site.multiplicity}{site.letter}"
        contribution = {
            "tc_contribution_K": site.tc_K, "tc_contribution_error_K": site.tc_error_K,
            "ln_lambda_contribution": site.ln_lambda, "ln_omega_log_contribution": site.ln_omega_log,
        }  # fmt: skip
        pieces.append({"id": f"{one.id}:site-{i}", "kind": "site", "about": about, **same, **contribution})
    for i, known in enumerate(one.neighbours, 1):
        about = f"{known.formula}, {known.id} of {known.source}"
        values_of = {
            "neighbour_distance": known.distance,
            "neighbour_tc_K": known.tc_K,
            "neighbour_tc_kind": known.tc_kind,
        }
        pieces.append({"id": f"{one.id}:neighbour-{i}", "kind": "neighbour", "about": about, **same, **values_of})
    for other in one.replacements:
        about = f"{other.replacement} for {other.element}"
        names = ("tc_K", "lambda_", "omega_log_K", "tc_change_K", "lambda_change", "omega_log_change_K", "in_domain")
        changed = {name: getattr(other, name) for name in names}
        name = f"{one.id}:{other.element}-{other.replacement}"
        pieces.append({"id": name, "kind": "replacement", "about": about, **same, **changed})
    return pieces


def order(
    study: Study,
    crystals: CrystalIds,
    *,
    temperature_K: Annotated[
        float | None,
        Field(gt=0, le=5000, description="Temperature at which the order froze (K); a random alloy by default."),
    ] = None,
    relax: RelaxFirst = False,
    ordering: Annotated[
        Literal["enumerate", "sqs"],
        Field(description="All different ordered cells, or quasi-random ones of the largest size."),
    ] = "enumerate",
    max_cell_atoms: Annotated[int, Field(ge=1, le=40, description="Atoms in an ordered cell at most.")] = 24,
    limit: Annotated[int, Field(ge=1, le=200, description="Ordered cells of a crystal at most.")] = 20,
    on_rows: OnRows = None,
) -> Made:
    """Tc (K) of crystals with partly occupied sites: mean, spread and range over their ordered cells. For the cells themselves use `propose` with method disorder."""
    from onnes.tools.order import order as run

    rows = crystals_of(study, crystals, tool="order", at_most=MOST_ORDERED)
    found = run(
        rows, temperature_K=temperature_K, relax=relax, ordering=ordering, max_cell_atoms=max_cell_atoms, limit=limit,
        seed=study.seed, device=study.device, on_rows=on_rows,
    )  # fmt: skip
    names = [{"parent_id": "id"}.get(name, name) for name in found.table.column_names]
    table = with_origin(found.table.rename_columns(names), rows, "id")
    shown = tuple(name for name in found.headings if name not in ("parent_id", "formula"))
    used = {one for one in values(found.cells.table, "tc_model") if one}
    potentials = (DEFAULT_POTENTIAL,) if relax else ()
    return Made(table, shown=shown, fingerprints=sha256_of(models=sorted(used), potentials=potentials))


def mixing(
    study: Study,
    crystals: CrystalIds,
    *,
    temperature_K: Temperature = 1273.0,
    relax: Annotated[
        bool, Field(description="Relax the crystals with exchanged atoms; without it exchanges look too costly.")
    ] = False,
    on_rows: OnRows = None,
) -> Made:
    """Tell which sites of ordered crystals exchange atoms at the temperature of synthesis (K): energy of an exchange (eV), shares of foreign atoms, and a verdict. Rows are pairs of sites, not crystals."""
    from onnes.tools.mixing import mixing as run

    rows = crystals_of(study, crystals, tool="mixing", at_most=MOST_MIXED)
    found = run(rows, temperature_K=temperature_K, relax=relax, device=study.device, on_rows=on_rows)
    table = with_extra(found.table, {"crystal_id": found.table["id"], "id": _pair_ids(found.table)})
    shown = ("crystal_id", *(name for name in found.headings if name not in ("id", "formula")))
    table = with_origin(table, rows, "crystal_id")
    return Made(table, shown=shown, fingerprints=sha256_of(potentials=(DEFAULT_POTENTIAL,)))


def _pair_ids(pairs: pa.Table) -> pa.Array:
    """``crystal:Nb.2a-Ti.2b``; a crystal without a pair, or that failed, keeps its own id."""
    import pyarrow as pa

    columns = (values(pairs, name) for name in ("id", "element_a", "site_a", "element_b", "site_b"))
    ids: list[str] = []
    for crystal, element_a, site_a, element_b, site_b in zip(*columns, strict=True):
        name = crystal if element_a is None else f"{crystal}:{element_a}.{site_a}-{element_b}.{site_b}"
        ids.append(name if name not in ids else f"{name}.{len(ids)}")
    return pa.array(ids)
