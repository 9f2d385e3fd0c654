"""Two references made one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from onnes.physics.reference import HYPOTHETICAL, Reference

if TYPE_CHECKING:
    from collections.abc import Sequence


def merge_references(references: Sequence[Reference], *, name: str) -> Reference:
    """Gather the phases of several references of the same potential.

    Of phases with the same formula and prototype label the one of lowest energy stays. A phase that is only known gives
    way to one with an energy. A hypothetical phase never takes the place of a reported one: both stay, and the lower
    competes.

    Parameters
    ----------
    references
        At least one; energies of the same weights and scheme.
    name
        Of the result, for reports.

    Returns
    -------
    Reference
        Without sha256 until it is saved and loaded.

    Raises
    ------
    ReferenceMismatch
        When the energies are of different origin.
    """
    first = references[0]
    for other in references[1:]:
        first.require_same_origin(other)
    table = pa.concat_tables([reference.table for reference in references])
    columns = [table[column].to_pylist() for column in ("reduced_formula", "prototype", "id", "source")]
    energies = table["energy_eV_per_atom"].to_numpy(zero_copy_only=False).astype(float)
    best: dict[tuple[str, str, bool], int] = {}
    for row, (formula, prototype, own, source) in enumerate(zip(*columns, strict=True)):
        key = (formula, prototype or f"id {own}", source == HYPOTHETICAL)
        kept = best.setdefault(key, row)
        if np.isnan(energies[kept]) or energies[row] < energies[kept]:
            best[key] = row if not np.isnan(energies[row]) else kept
    rows = table.take(pa.array(sorted(best.values()), pa.int64()))
    rows = rows.sort_by([("reduced_formula", "ascending"), ("id", "ascending")])
    return Reference(
        name, first.potential, first.potential_sha256, first.energy_scheme, rows, "", _notes(references, rows)
    )


def _notes(references: Sequence[Reference], rows: pa.Table) -> dict[str, str]:
    parts: list[str] = []
    for reference in references:
        saved = f", sha256 {reference.sha256[:16]}" if reference.sha256 else ""
        parts.append(f"{reference.name} ({reference.table.num_rows} phases{saved})")
    notes = {"merged": " + ".join(parts)}
    for key in ("sources", "geometry"):
        texts = dict.fromkeys(reference.notes[key] for reference in references if key in reference.notes)
        notes |= {key: "; ".join(texts)} if texts else {}
    computed = rows.num_rows - rows["energy_eV_per_atom"].null_count
    return {**notes, "energies": f"{computed} of {rows.num_rows} phases; the others are known, but do not compete"}
