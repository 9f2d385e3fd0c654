"""Stages of this room: identity (duplicates and novelty) and hull."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from onnes.crystals.schema import floats, values, with_columns
from onnes.flow.stage import Stage, StageContext, StageKind, StageSettings, register_stage
from onnes.physics.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa


class IdentitySettings(StageSettings):
    """What counts as the same crystal, and what happens to a known one."""

    potential: str = Field(
        default="sevennet-0", description="potential whose shipped reference lists the known crystals"
    )
    reference: str | None = Field(default=None, description="reference file instead of the shipped one")
    only_novel: bool = Field(default=False, description="reject crystals that the reference knows")
    only_new_compositions: bool = Field(
        default=False, description="reject crystals of compositions that the reference knows in any structure"
    )


@register_stage
class Identity(Stage):
    """Finds space group and prototype, drops duplicates within the campaign, marks what the reference knows.

    Two crystals are the same when they share the reduced formula and the Wyckoff prototype label and pymatgen's
    StructureMatcher agrees; novelty is judged by formula and label alone, since the reference keeps no coordinates.
    """

    name = "identity"
    version = "1"
    kind = StageKind.GATE
    title = "validate, remove duplicates, look for known crystals"
    writes = ("space_group", "prototype", "crystal_hash", "known_as", "is_novel")
    whole_table = True
    settings_type = IdentitySettings
    settings: IdentitySettings

    def fingerprints(self) -> Mapping[str, str]:
        """Sha256 of the reference."""
        return {"reference": Reference.find(self.settings.reference, self.settings.potential).sha256}

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Write the identity columns; reject duplicates."""
        from onnes.crystals.table import identify

        reference = Reference.find(self.settings.reference, self.settings.potential)
        table = identify(table)
        formulas, prototypes = values(table, "reduced_formula"), values(table, "prototype")
        known = [reference.labels.get((f, p)) for f, p in zip(formulas, prototypes, strict=True)]
        old: list[str | None] = list(known) if self.settings.only_novel else [None] * len(known)
        if self.settings.only_new_compositions:
            phases = {formula: phase for (formula, _), phase in reference.labels.items()}
            old = [phases.get(formula) for formula in formulas]
        table = with_columns(table, {"known_as": known, "is_novel": [k is None for k in known]})
        first = _first_of_each(table)
        rejected: list[str | None] = []
        reasons: list[str | None] = []
        for name, same, phase in zip(values(table, "id"), first, old, strict=True):
            duplicate = same != name
            rejected.append(context.name if duplicate or phase is not None else None)
            reasons.append(f"duplicate = {same}" if duplicate else f"known = {phase}" if phase is not None else None)
        context.on_rows(table.num_rows)
        return with_columns(table, {"rejected_by": rejected, "reason": reasons})


def _first_of_each(table: pa.Table) -> list[str]:
    """For every row the id of the first row that holds the same crystal (its own when it is the first)."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    from onnes.crystals.batch import CrystalBatch

    matcher = StructureMatcher(scale=False, attempt_supercell=False)
    names, errors = values(table, "id"), values(table, "error")
    # NaN equals nothing, itself neither; an unknown pressure means ambient.
    hashes, pressures = values(table, "crystal_hash"), np.nan_to_num(floats(table, "pressure_GPa"))
    labels = list(zip(values(table, "reduced_formula"), values(table, "prototype"), pressures, strict=True))
    seen: dict[object, list[int]] = defaultdict(list)
    by_hash: dict[tuple[str, float], int] = {}
    result: list[str] = []
    for i, name in enumerate(names):
        if errors[i] is not None:
            result.append(name)
            continue
        twin = by_hash.get((hashes[i], pressures[i]))
        if twin is None and seen[labels[i]]:
            candidates = [i, *seen[labels[i]]]
            mine, *others = CrystalBatch.from_table(table.take(candidates)).to_structures()
            twin = next((j for j, other in zip(seen[labels[i]], others, strict=True) if matcher.fit(mine, other)), None)
        if twin is None:
            seen[labels[i]].append(i)
            by_hash.setdefault((hashes[i], pressures[i]), i)
        result.append(names[i if twin is None else twin])
    return result


class HullSettings(StageSettings):
    """Which reference the energies are held against."""

    reference: str | None = Field(
        default=None, description="reference file instead of the shipped one of the potential"
    )
    potential: str = Field(default="sevennet-0", description="potential that made the energies")


@register_stage
class HullStage(Stage):
    """Formation energy and energy above hull of energies that the table already holds."""

    name = "hull"
    version = "1"
    kind = StageKind.MAP
    title = "energy above the convex hull"
    writes = (
        "formation_energy_eV_per_atom", "e_above_hull_eV_per_atom", "hull_reference", "hull_coverage", "decomposes_to",
    )  # fmt: skip
    whole_table = True
    settings_type = HullSettings
    settings: HullSettings

    def fingerprints(self) -> Mapping[str, str]:
        """Sha256 of the reference."""
        return {"reference": Reference.find(self.settings.reference, self.settings.potential).sha256}

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Write the hull columns; a row without an energy, or with an element the reference lacks, gets ``error``."""
        from onnes.physics.hull import hull_of

        reference = Reference.find(self.settings.reference, self.settings.potential)
        formulas, potentials = values(table, "formula"), values(table, "potential")
        for potential in sorted(set(potentials) - {None}):
            reference.require(potential)
        energies = np.where([p is not None for p in potentials], floats(table, "energy_eV_per_atom"), np.nan)
        places = hull_of(reference).place_all(formulas, energies, on_rows=context.on_rows)
        columns: dict[str, list[object]] = {name: [] for name in (*self.writes, "error")}
        for formula, energy, place in zip(formulas, energies, places, strict=True):
            problem = None
            if np.isnan(energy):
                problem = "no energy to place on the hull; relax first"
            elif place is None:
                problem = f"{reference.name} has no energy for an element of {formula}"
            columns["formation_energy_eV_per_atom"].append(place and place.formation_energy_eV_per_atom)
            columns["e_above_hull_eV_per_atom"].append(place and place.e_above_hull_eV_per_atom)
            columns["hull_reference"].append(reference.name if place else None)
            columns["hull_coverage"].append(place and place.coverage)
            columns["decomposes_to"].append(place and place.decomposes_to)
            columns["error"].append(problem)
        return with_columns(table, columns)
