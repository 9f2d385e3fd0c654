"""Phonons of the rows of a crystal table, and rows for the children of their soft modes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import concat, floats, is_open, values, with_columns
from onnes.crystals.table import crystal_table
from onnes.physics.thermal import heat_capacity_J_per_mol_cell_K
from onnes.potentials.phonon_grades import GradedPhonons, grade_phonons
from onnes.potentials.phonon_settings import PHONON_COLUMNS, FollowSettings, GradeSettings
from onnes.potentials.potential import load_potential
from onnes.potentials.soft_mode_children import SoftModeChild, follow_soft_modes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SOURCE = "soft mode"
NOT_FOLLOWED = "soft modes not followed"

_CHUNK = 8  # force constants of so many crystals are held at once


def phonon_table(
    table: pa.Table,
    settings: GradeSettings | None = None,
    *,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
    receive: Callable[[int, GradedPhonons], None] | None = None,
) -> pa.Table:
    """Compute and grade the phonons of every open row; the geometry of the rows stays as it is.

    Parameters
    ----------
    table
        Crystal table; a row is relaxed, where the settings say so, at its ``pressure_GPa``.
    settings
        Defaults to `onnes.potentials.phonon_settings.GradeSettings`.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of rows done since the last call.
    receive
        Called with the index of a row and its phonons, which are not kept. What it raises becomes the row's ``error``.

    Returns
    -------
    pyarrow.Table
        With `PHONON_COLUMNS`; a row whose phonons fail gets ``error``.
    """
    rows = np.flatnonzero(is_open(table))
    pressures = floats(table, "pressure_GPa")
    columns = {name: values(table, name) for name in (*PHONON_COLUMNS, "error")}
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        batch = CrystalBatch.from_table(table.take(pa.array(chunk)))
        found = grade_phonons(batch, settings, pressures_GPa=pressures[chunk], device=device, on_done=on_rows)
        for row, one in zip(chunk.tolist(), found, strict=True):
            if isinstance(one, str):
                columns["error"][row] = one
                continue
            try:
                for name, value in _row(one).items():
                    columns[name][row] = value
                if receive is not None:
                    receive(row, one)
            except Exception as error:  # noqa: BLE001 - the row boundary
                columns["error"][row] = f"phonons failed: {type(error).__name__}: {error}"
    return with_columns(table, columns)


def _row(found: GradedPhonons) -> dict[str, Any]:
    """Columns of one crystal."""
    first = found.checks[0]
    return {
        "min_phonon_THz": found.min_THz,
        "phonon_grade": found.grade,
        "phonon_reason": found.reason,
        "phonon_supercell": first.supercell,
        "max_phonon_THz": first.highest_THz,
        "heat_capacity_300K_J_per_mol_K": (
            heat_capacity_J_per_mol_cell_K(found.phonons) / len(found.phonons.displaced.cell[2])
        ),
    }


def with_soft_mode_children(
    table: pa.Table,
    follow: FollowSettings | None = None,
    phonons: GradeSettings | None = None,
    *,
    grades: Sequence[str] = ("unstable",),
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """Follow the soft modes of the open rows with one of the ``grades``; each child comes right behind its parent.

    Parameters
    ----------
    table
        Crystal table with ``phonon_grade``.
    follow, phonons
        How modes are followed, and how they are found: the phonons are computed once more, by one potential and one
        displacement.
    grades
        Whose modes are followed.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of rows done since the last call.

    Returns
    -------
    pyarrow.Table
        All rows, and the children: ``how`` holds the operation, ``notes`` the gain in energy and the space groups at a
        tolerance of 0.01 angstrom. A parent whose modes cannot be followed, or lead nowhere, has the reason in its
        ``notes``.
    """
    follow = follow or FollowSettings()
    once = (phonons or GradeSettings()).model_copy(update={"refine": "never", "second_displacement_A": None})
    wanted = is_open(table) & np.isin(np.array(values(table, "phonon_grade"), dtype=object), list(grades))
    pressures = np.nan_to_num(floats(table, "pressure_GPa"))
    pieces: list[pa.Table] = []
    for row in range(table.num_rows):
        pieces.append(table.slice(row, 1))
        if wanted[row]:
            batch = CrystalBatch.from_table(pieces[-1])
            [found] = grade_phonons(batch, once, pressures_GPa=pressures[row], device=device)
            if isinstance(found, str):
                children, remark = [], f"{NOT_FOLLOWED}: {found}"
            else:
                children, remark = children_of(pieces[-1], found, follow, once.potential, device=device)
            if remark is not None:
                said = [*filter(None, values(pieces[-1], "notes")), remark]
                pieces[-1] = with_columns(pieces[-1], {"notes": ["; ".join(said)]})
            pieces += children
        if on_rows:
            on_rows(1)
    return concat(pieces) if pieces else table


def children_of(
    parent: pa.Table, found: GradedPhonons, follow: FollowSettings, potential: str, *, device: str = "cpu"
) -> tuple[list[pa.Table], str | None]:
    """Rows of the children of one row, a list of no or one table; and what is to be said of its modes."""
    pressure = float(np.nan_to_num(floats(parent, "pressure_GPa"))[0])
    loaded = load_potential(potential, device=device)
    try:
        followed = follow_soft_modes(found.phonons, loaded, follow, pressure_GPa=pressure)
        made = followed.children
        rows = [_child_rows(values(parent, "id")[0], made, potential, pressure)] if made else []
    except Exception as error:  # noqa: BLE001 - the row boundary
        return [], f"{NOT_FOLLOWED}: {type(error).__name__}: {error}"
    return rows, followed.remark


def _child_rows(parent_id: str, children: Sequence[SoftModeChild], potential: str, pressure_GPa: float) -> pa.Table:
    n = len(children)
    table = crystal_table(
        CrystalBatch.of(child.crystal for child in children),
        ids=[f"{parent_id}-soft-{k}" for k in range(1, n + 1)],
        source=SOURCE,
        parent_ids=[parent_id] * n,
        how=[child.how for child in children],
        geometry=potential,
    )
    more: dict[str, list[Any]] = {
        "notes": [child.words for child in children],
        "potential": [potential] * n,
        "energy_eV_per_atom": [child.energy_eV_per_atom for child in children],
        "forces_max_eV_per_A": [child.forces_max_eV_per_A for child in children],
        "relax_steps": [child.steps for child in children],
        "relax_converged": [True] * n,
        "pressure_GPa": [pressure_GPa] * n,
    }
    return with_columns(table, more)
