"""Actions that look: known phases, rows of sets, one crystal, novelty, and how far long work has come."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from onnes.campaign.study import Study
from onnes.campaign.value import plain_text
from onnes.crystals.schema import GEOMETRY_COLUMNS, concat, floats, is_open, values, with_columns
from onnes.errors import ConfigError, EvidenceError
from onnes.tools.actions.filters import MEASURED, Wanted
from onnes.tools.actions.inputs import (
    MOST_QUICK_ROWS,
    Excluded,
    Formulas,
    MaxHull,
    Required,
    SomeCrystals,
    best_first,
    crystals_of,
    left_over,
    with_extra,
)
from onnes.tools.call import SHOWN_ROWS, CrystalIds, Elements, Made, Names, SetResult, set_result

if TYPE_CHECKING:
    import pyarrow as pa

    from onnes.crystals.known import KnownCrystal
    from onnes.physics.reference import Reference

MOST_FOUND = 500
_MOST_PLACED = 5000
_MOST_SITES = 400
_LARGEST_FIRST = ("tc_K", MEASURED, "exp_tc_K", "proposal_score", "score")
_SHOWN = (
    "space_group", "n_atoms", "structure_type", "prototype", MEASURED, "tc_K", "tc_lo_K", "tc_hi_K", "exp_tc_K",
    "e_above_hull_eV_per_atom", "is_metal_probability", "in_domain", "is_novel", "phonon_grade", "score", "rejected_by",
)  # fmt: skip

SortBy = Literal["as_found", "tc_K", "measured_tc_K", "exp_tc_K", "e_above_hull_eV_per_atom", "proposal_score", "score"]
SetId = Annotated[str, Field(max_length=40, description="Name of the set, as the call that makes it answered.")]


class Quantity(BaseModel):
    """A value of a crystal and its result id, by which it is cited."""

    model_config = ConfigDict(frozen=True)

    result_id: str
    label: str
    value: float | int | bool | str | None
    unit: str
    uncertainty: float | None


class CrystalResult(BaseModel):
    """One crystal."""

    model_config = ConfigDict(frozen=True)

    id: str
    set_id: str
    formula: str | None
    values: list[Quantity]
    structure: str | None
    """Text in the format asked for; None where the row holds no crystal."""
    format: str
    remarks: list[str]


def search(
    study: Study,
    *,
    where: Annotated[
        Literal["reference", "study"],
        Field(description="reference: known crystals and phases. study: the sets named in crystals."),
    ] = "reference",
    crystals: Annotated[SomeCrystals, Field(description="Sets of the study to search in.")] = (),
    elements: Annotated[Elements, Field(description="Elements that may occur; any by default.")] = (),
    required: Required = (),
    exclude: Excluded = (),
    formulas: Annotated[Formulas, Field(description="Compositions, such as Nb3Sn; any by default.")] = (),
    max_elements: Annotated[int | None, Field(ge=1, le=10, description="Different elements at most.")] = None,
    max_atoms: Annotated[int | None, Field(ge=1, le=400, description="Atoms in the cell at most.")] = None,
    structure_type: Annotated[
        str | None,
        Field(max_length=80, description="Structure type (A15), motif (laves) or prototype label (A3B_cP8_223_c_a)."),
    ] = None,
    superconductors: Annotated[bool, Field(description="Only crystals with a measured Tc (measured_tc_K).")] = False,
    with_structure: Annotated[
        bool,
        Field(
            description="Only crystals that other tools can compute with. False lists phases of the reference as well, of "
            "which composition, structure type and energy are known, but no coordinates."
        ),
    ] = True,
    min_tc_K: Annotated[
        float | None,
        Field(ge=0, le=400, description="Tc of at least this (K): the predicted one, else the measured one."),
    ] = None,
    max_e_above_hull_eV_per_atom: MaxHull = None,
    only_new: Annotated[bool, Field(description="Only rows that the reference does not know (is_novel).")] = False,
    only_in_domain: Annotated[bool, Field(description="Only rows where the model of Tc can be trusted.")] = False,
    only_open: Annotated[bool, Field(description="Leave out rows that were rejected or failed.")] = True,
    sort_by: Annotated[SortBy, Field(description="Best first; as_found keeps the order.")] = "as_found",
    limit: Annotated[int, Field(ge=1, le=MOST_FOUND, description="Rows at most.")] = 100,
) -> Made:
    """Find known crystals to start from (with measured Tc in K), or rows of the study's sets, by elements, formula, structure type and values."""
    wanted = Wanted(
        elements=elements, required=required, exclude=exclude, formulas=formulas, max_elements=max_elements,
        max_atoms=max_atoms, structure_type=structure_type, superconductors=superconductors, min_tc_K=min_tc_K,
        max_e_above_hull_eV_per_atom=max_e_above_hull_eV_per_atom, only_new=only_new, only_in_domain=only_in_domain,
        only_open=only_open,
    )  # fmt: skip
    remarks: list[str] = []
    if where == "study" or crystals:
        if not crystals:
            there = ", ".join(f"{one.set_id} ({one.tool}, {one.n_rows} rows)" for one in study.sets()) or "none yet"
            raise ConfigError(f"name the sets to search in with crystals; there are: {there}")
        found = wanted.with_values(wanted.of_kind(study.rows(crystals)[0]))
    else:
        found, remarks = _known_phases(wanted, with_structure=with_structure)
    if sort_by != "as_found":
        found = best_first(found, sort_by, largest=sort_by in _LARGEST_FIRST)
    if found.num_rows > limit:
        remarks.append(f"{found.num_rows} rows match; the first {limit} are kept")
    return Made(found.slice(0, limit), shown=_SHOWN, remarks=tuple(remarks))


def _known_phases(wanted: Wanted, *, with_structure: bool) -> tuple[pa.Table, list[str]]:
    """Crystals with published coordinates, and phases of the reference where they are asked for."""
    from onnes.physics.reference import HYPOTHETICAL, Reference
    from onnes.potentials.potential import DEFAULT_POTENTIAL

    known = wanted.of_kind(known_crystals())
    reference = Reference.find(None, DEFAULT_POTENTIAL)
    phases = wanted.of_kind(reference.table)
    phases = phases.filter(np.array([source != HYPOTHETICAL for source in values(phases, "source")], bool))
    crystals = wanted.with_values(known)
    if not with_structure:
        crystals = concat([crystals, wanted.with_values(_placed(phases, reference))])
        return crystals, [
            f"rows without a space group are phases of {reference.name}: their energies are those at the published or "
            "relaxed geometry, and they hold no coordinates to compute with"
        ]
    labels = set(zip(values(known, "reduced_formula"), values(known, "prototype"), strict=True))
    others = sum(
        pair not in labels for pair in zip(values(phases, "reduced_formula"), values(phases, "prototype"), strict=True)
    )
    said = f"the reference knows {others} more phases like these, without coordinates: with_structure=false lists them"
    return crystals, [said] if others else []


@lru_cache(maxsize=1)
def known_crystals() -> pa.Table:
    """Crystals with published coordinates; measured Tc (K), structure type and citations beside them."""
    import pyarrow as pa

    from onnes.crystals.binary_phases import known_phases_table, phase_crystals
    from onnes.crystals.known import known_entry, known_names, known_table

    entries: list[KnownCrystal] = [known_entry(name) for name in known_names()] + list(phase_crystals().values())
    table = concat([known_table(), known_phases_table()])
    return with_extra(table, {
        MEASURED: pa.array([one.tc_K for one in entries], pa.float64()),
        "structure_type": pa.array([one.structure_type for one in entries]),
        "citation": pa.array([one.citation for one in entries]),
        "tc_citation": pa.array([one.tc_citation for one in entries], pa.string()),
    })  # fmt: skip


def _placed(phases: pa.Table, reference: Reference) -> pa.Table:
    """Rows of the reference as rows of a crystal table without coordinates, on the hull where their energy is known."""
    from onnes.crystals.table import complete
    from onnes.physics.hull import hull_of

    if phases.num_rows > _MOST_PLACED:
        raise ConfigError(f"{phases.num_rows} phases match; ask for fewer: name elements, formulas or a structure_type")
    energies, formulas = floats(phases, "energy_eV_per_atom"), values(phases, "reduced_formula")
    places = hull_of(reference).place_all(formulas, energies)
    table = complete(phases.select(["id", "source", "reduced_formula", "prototype"]))
    return with_columns(table, {
        "n_atoms": values(phases, "n_atoms"),
        "energy_eV_per_atom": energies,
        "potential": [None if np.isnan(energy) else reference.potential for energy in energies],
        "formation_energy_eV_per_atom": [place and place.formation_energy_eV_per_atom for place in places],
        "e_above_hull_eV_per_atom": [place and place.e_above_hull_eV_per_atom for place in places],
        "hull_coverage": [place and place.coverage for place in places],
        "hull_reference": [place and reference.name for place in places],
        "is_novel": [False] * phases.num_rows,
        "known_as": values(phases, "id"),
    })  # fmt: skip


def crystal(
    study: Study,
    *,
    crystal: Annotated[str, Field(max_length=300, description="One crystal, as set_id/row id.")],
    format: Annotated[Literal["cif", "poscar"], Field(description="Of the structure text.")] = "cif",  # noqa: A002
) -> CrystalResult:
    """Look at one crystal: all its values with units and result ids to cite, and its structure as CIF or POSCAR text."""
    set_id, _, row = crystal.partition("/")
    if not row:
        raise EvidenceError(f"{crystal[:80]!r} names no crystal; write set_id/row id, or use `result` for a set")
    found = study.row_values(set_id, row)
    table = study.rows([crystal])[0]
    structure, remarks = _structure_text(table, format)
    said = [values(table, name)[0] for name in ("error", "reason", "warnings", "notes")]
    formula = values(table, "reduced_formula")[0] or values(table, "formula")[0]
    return CrystalResult(
        id=row, set_id=set_id, formula=formula, structure=structure, format=format,
        values=[Quantity(**one.model_dump(include=set(Quantity.model_fields))) for one in found],
        remarks=[*remarks, *(plain_text(text) for text in said if text)],
    )  # fmt: skip


def _structure_text(row: pa.Table, form: str) -> tuple[str | None, list[str]]:
    """Text of the crystal, written from its numbers alone: nothing that an author or a program wrote beside them."""
    from onnes.crystals.writers import write_crystals

    if any(values(row, name)[0] is None for name in GEOMETRY_COLUMNS):
        return None, ["this row holds no coordinates"]
    if form == "poscar" and values(row, "site_occupancies")[0] is not None:
        return None, ["partly occupied sites cannot be written as poscar; ask for cif"]
    if len(values(row, "atomic_numbers")[0]) > _MOST_SITES:
        return None, [f"the cell has more than {_MOST_SITES} atoms and is not written out"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("crystal.cif" if form == "cif" else "POSCAR")
        write_crystals(row, path)
        return path.read_text(encoding="utf-8"), []


def novelty(study: Study, crystals: CrystalIds, *, on_rows: Callable[[int], None] | None = None) -> Made:
    """Tell whether the reference knows a crystal (same composition and structure type) or its composition at all, and under which name; repeats are rejected."""
    import pyarrow as pa

    from onnes.flow.stage import StageContext
    from onnes.physics.reference import Reference
    from onnes.physics.stages import Identity, IdentitySettings
    from onnes.tools.inputs import as_table

    table = as_table(crystals_of(study, crystals, tool="novelty", at_most=MOST_QUICK_ROWS))
    reference = Reference.find(None, IdentitySettings().potential)
    stage, rows, closed = Identity(IdentitySettings()), np.flatnonzero(is_open(table)), left_over(table)
    told = on_rows or (lambda _: None)
    found = stage.apply(table.take(rows), StageContext("novelty", study.device, study.seed, told))
    columns = {name: values(table, name) for name in (*stage.writes, "error", "rejected_by", "reason")}
    for name, column in columns.items():
        for row, value in zip(rows, values(found, name), strict=True):
            column[row] = value
    table = with_columns(table, columns)
    phases = Counter(formula for formula, _ in reference.labels)
    counts = [phases[formula] if formula else None for formula in values(table, "reduced_formula")]
    extra = {"composition_known": [None if n is None else n > 0 for n in counts], "n_known_phases": counts}
    table = with_extra(table, {name: pa.array(column) for name, column in extra.items()})
    shown = ("space_group", "prototype", "is_novel", "known_as", *extra, "rejected_by")
    said = f"known is what {reference.name} lists, judged by reduced formula and prototype label"
    fingerprints = {f"reference {reference.name}": reference.sha256}
    return Made(table, shown=shown, remarks=(said, *closed), fingerprints=fingerprints)


def status(
    study: Study,
    *,
    set_id: SetId,
    wait_s: Annotated[float, Field(ge=0, le=60, description="Wait so long for the end (s).")] = 0.0,
) -> SetResult:
    """Tell how far long work has come: running, done (with the first rows), failed (with the reason) or cancelled."""
    from onnes.tools import jobs

    return jobs.wait(study, set_id, wait_s)


def result(
    study: Study,
    *,
    set_id: SetId,
    first: Annotated[int, Field(ge=0, le=1_000_000, description="Row to begin with, counted from 0.")] = 0,
    count: Annotated[int, Field(ge=1, le=200, description="Rows at most.")] = SHOWN_ROWS,
    columns: Annotated[Names, Field(description="Columns to show, such as tc_K; those worth showing by default.")] = (),
) -> SetResult:
    """Show rows of a set, page by page, with the columns asked for; a value is cited as set_id/row id/column."""
    from onnes.tools import jobs

    if not study.has(set_id):
        return jobs.state(study, set_id)
    info = study.info(set_id)
    if columns:
        there = study.columns(set_id)
        unknown = [name for name in columns if name not in there]
        if unknown:
            raise ConfigError(f"set {set_id} has no column {unknown[0][:40]!r}; it has {', '.join(there)}")
        info = info.model_copy(update={"shown": tuple(columns)})
    return set_result(study, info, first=first, count=count)


def cancel(study: Study, *, set_id: SetId) -> SetResult:
    """Stop long work; what a screening has computed stays, and the same call goes on from there."""
    from onnes.tools import jobs

    return jobs.stop(study, set_id)
