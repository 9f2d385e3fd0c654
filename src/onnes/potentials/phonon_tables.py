"""Phonons of the rows of a crystal table, and rows for the children of their soft modes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import concat, floats, is_open, values, with_columns
from onnes.crystals.table import crystal_table
from onnes.errors import OnnesError
from onnes.physics.thermal import heat_capacity_J_per_mol_K
from onnes.potentials.phonon_grades import GradedPhonons, grade_phonons
from onnes.potentials.phonon_settings import PHONON_COLUMNS, FollowSettings, GradeSettings
from onnes.potentials.potential import load_potential
from onnes.potentials.soft_mode_children import SoftModeChild, follow_soft_modes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SOURCE = "soft mode"

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
        Called with the index of a row and its phonons, which are not kept.

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
            columns["min_phonon_THz"][row] = one.min_THz
            columns["phonon_grade"][row] = one.grade
            columns["phonon_reason"][row] = one.reason
            columns["phonon_supercell"][row] = one.checks[0].supercell
            columns["max_phonon_THz"][row] = one.checks[0].highest_THz
            n_atoms = len(one.phonons.displaced.phonopy.primitive)
            columns["heat_capacity_300K_J_per_mol_K"][row] = heat_capacity_J_per_mol_K(one.phonons) / n_atoms
            if receive is not None:
                receive(row, one)
    return with_columns(table, columns)


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
        tolerance of 0.01 angstrom. A parent whose modes cannot be followed has the reason in its ``notes``.
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
            trouble = found if isinstance(found, str) else None
            try:
                if isinstance(found, GradedPhonons):
                    pieces += children_of(pieces[-1], found, follow, once.potential, device=device)
            except OnnesError as error:
                trouble = str(error)
            if trouble is not None:
                said = [*filter(None, values(pieces[-1], "notes")), f"soft modes not followed: {trouble}"]
                pieces[-1] = with_columns(pieces[-1], {"notes": ["; ".join(said)]})
        if on_rows:
            on_rows(1)
    return concat(pieces) if pieces else table


def children_of(
    parent: pa.Table, found: GradedPhonons, follow: FollowSettings, potential: str, *, device: str = "cpu"
) -> list[pa.Table]:
    """Rows of the children of one row; a list of no or one table."""
    pressure = float(np.nan_to_num(floats(parent, "pressure_GPa"))[0])
    loaded = load_potential(potential, device=device)
    children = follow_soft_modes(found.phonons, loaded, follow, pressure_GPa=pressure)
    return [_rows(values(parent, "id")[0], children, potential, pressure)] if children else []


def _rows(parent_id: str, children: Sequence[SoftModeChild], potential: str, pressure_GPa: float) -> pa.Table:
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
