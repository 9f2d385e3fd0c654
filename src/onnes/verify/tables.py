"""Verification of the rows of a crystal table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.schema import floats, is_open, values, with_columns
from onnes.flow.shards import key_sha256
from onnes.verify.chain import Crystal, verify
from onnes.verify.columns import DFT_COLUMNS, DOS_COLUMN, columns_of, failed_columns
from onnes.verify.watcher import programs_end_with_us

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa

    from onnes.verify.result import Verification
    from onnes.verify.settings import RunSettings, VerifySettings
    from onnes.verify.steps import StepState

_LEAST_HOURS = 1e-6


def verify_table(
    table: pa.Table,
    settings: VerifySettings,
    run: RunSettings,
    folder: Path,
    *,
    on_step: Callable[[str, StepState], None] = lambda _row, _state: None,
    on_rows: Callable[[int], None] | None = None,
    receive: Callable[[str, Verification, Path], None] = lambda _row, _found, _folder: None,
) -> pa.Table:
    """Verify every open row, one after the other, and fill the columns of `onnes.verify.columns`.

    Parameters
    ----------
    table
        Crystal table; each row is computed at its geometry and, where the level relaxes, its ``pressure_GPa``.
    settings, run
        What is computed, and how programs are run. ``hours`` of the latter are those of all rows of ``table`` together; a
        stage of a funnel hands over one row at a time, hence there they hold for each row.
    folder
        Where the work lies: in ``folder/<formula>-<hash of the geometry>/<key>`` of each row. The same call goes on there.
    on_step
        Called with the id of a row and the state of its step, whenever that changes.
    on_rows
        Called with the number of rows done since the last call.
    receive
        Called with the id of a row, its verification and the folder of its work.

    Returns
    -------
    pyarrow.Table
        The same rows. Nothing becomes an ``error``: a row that cannot be verified says so in ``dft_verdict``.

    Raises
    ------
    ConfigError
        When settings contradict each other.
    """
    settings.of_level()
    names = [*DFT_COLUMNS, DOS_COLUMN]
    columns = {name: values(table, name) for name in names}
    pressures, ids = floats(table, "pressure_GPa"), values(table, "id")
    end = None if run.hours is None else time.monotonic() + 3600 * run.hours
    with programs_end_with_us():
        for row in np.flatnonzero(is_open(table)).tolist():
            crystal = _crystal(table, row, pressures[row])
            found = _row_columns(crystal, settings, _left(run, end), folder, ids[row], on_step=on_step, receive=receive)
            for name, value in found.items():
                columns[name][row] = value
            if on_rows is not None:
                on_rows(1)
    return with_columns(table, {name: columns[name] for name in names})


def place_of(crystal: Crystal) -> str:
    """Name of the folder that holds every verification of a crystal: its formula and the hash of its geometry.

    Examples
    --------
    >>> place_of(Crystal([[0, 2, 2], [2, 0, 2], [2, 2, 0]], [[0, 0, 0]], [13]))
    'Al-d93d62816c3f'
    """
    from ase.symbols import Symbols

    lattice, frac, numbers = (
        np.asarray(part) for part in (crystal.lattice, crystal.frac_coords, crystal.atomic_numbers)
    )
    digest = key_sha256(
        lattice=lattice.astype(float).round(6).ravel().tolist(), frac=frac.astype(float).round(6).ravel().tolist(),
        numbers=numbers.tolist(),
    )  # fmt: skip
    return f"{Symbols(numbers).get_chemical_formula(mode='metal', empirical=True)}-{digest[:12]}"


def crystal_of(table: pa.Table, row: int) -> Crystal:
    """Crystal of a row, at its geometry and pressure."""
    return _crystal(table, row, floats(table, "pressure_GPa")[row])


def _crystal(table: pa.Table, row: int, pressure_GPa: float) -> Crystal:
    lattice, frac, numbers = (table[name][row].as_py() for name in ("lattice", "frac_coords", "atomic_numbers"))
    return Crystal(
        np.reshape(lattice, (3, 3)), np.reshape(frac, (-1, 3)), numbers, 0.0 if np.isnan(pressure_GPa) else pressure_GPa
    )


def _left(run: RunSettings, end: float | None) -> RunSettings:
    """The same with the time that is left."""
    if end is None:
        return run
    return run.model_copy(update={"hours": max((end - time.monotonic()) / 3600, _LEAST_HOURS)})


def _row_columns(
    crystal: Crystal,
    settings: VerifySettings,
    run: RunSettings,
    folder: Path,
    row_id: str,
    *,
    on_step: Callable[[str, StepState], None],
    receive: Callable[[str, Verification, Path], None],
) -> dict[str, Any]:
    place = place_of(crystal)
    try:
        found = verify(crystal, settings, folder / place, run=run, on_step=lambda state: on_step(row_id, state))
    except Exception as error:  # noqa: BLE001 - what hours of other rows found must not be lost to a fault of one
        return failed_columns(settings.level, str(error) or type(error).__name__)
    receive(row_id, found, folder / place / found.key)
    return columns_of(found, len(np.ravel(crystal.atomic_numbers)), f"{place}/{found.key}" if found.key else None)
