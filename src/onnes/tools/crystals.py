"""Tools on crystals in hand: predict, relax, hull, propose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from onnes.crystals.schema import is_open, values, with_columns
from onnes.errors import ConfigError
from onnes.potentials.potential import DEFAULT_POTENTIAL
from onnes.tools.inputs import Crystals, as_table, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onnes.tools.result import CrystalTable

Progress = Any
"""Called with the number of rows done since the last call, or None."""


def predict(
    crystals: Crystals,
    *,
    relax: bool = False,
    hull: bool = True,
    model: str = "structure",
    phonons: bool = False,
    potential: str = "sevennet-0",
    reference: str | None = None,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> CrystalTable:
    """Predict superconductivity, stability, metallicity and domain.

    Parameters
    ----------
    crystals
        See `onnes.tools.inputs.as_table`.
    relax
        Relax first; otherwise every number belongs to the given geometry (column ``geometry``).
    hull
        Place the crystals on the hull as well (needs the energy of ``potential``, which the features bring along).
    model
        Superconductivity model: ``structure``, ``fast``, ``electronic`` (reads N(E_F) from the column
        ``dos_ef_states_per_eV``), or a folder with weights.
    phonons
        Shape alpha2F by the potential's phonons, seconds a crystal; otherwise the shape is an empirical one.
    potential, reference
        Who relaxes, and the reference file instead of the shipped one.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call.

    Returns
    -------
    CrystalTable
        The same rows in the same order, with columns added; a row that cannot be computed has ``error``.

    Examples
    --------
    >>> import onnes
    >>> from onnes.crystals.known import known_crystal
    >>> table = onnes.predict([known_crystal("Nb3Sn"), known_crystal("Si")])
    >>> table["tc_K"][0] > 5 and table["is_metal_probability"][1] < 0.5
    True
    """
    from onnes.models.prediction import predict_table

    table = _relaxed(as_table(crystals), potential, device, None) if relax else as_table(crystals)
    if hull and potential != DEFAULT_POTENTIAL and not relax:
        table = _with_energies(table, potential, device, None)
    table = predict_table(table, model=model, phonons=phonons, device=device, on_rows=on_rows)
    return wrap(_on_hull(table, potential, reference, strict=False) if hull else table)


def relax(
    crystals: Crystals,
    *,
    potential: str = "sevennet-0",
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
    **settings: Any,
) -> CrystalTable:
    """Relax positions and cell.

    Parameters
    ----------
    crystals
        See `onnes.tools.inputs.as_table`.
    potential
        ``sevennet-0`` (default), ``sevennet-l3i5`` or ``chgnet``.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call.
    **settings
        Fields of `onnes.potentials.relaxation.RelaxSettings`, such as ``fmax_eV_per_A`` or ``pressure_GPa``. Without a
        pressure each crystal is relaxed at its own, 0 where it has none.

    Returns
    -------
    CrystalTable
        Relaxed geometry, energy, steps; the geometry before in ``input_lattice`` and ``input_frac_coords``.
    """
    return wrap(_relaxed(as_table(crystals), potential, device, on_rows, **settings))


def hull(
    crystals: Crystals,
    *,
    relax: bool = False,
    potential: str = "sevennet-0",
    reference: str | None = None,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> CrystalTable:
    """Formation energy and energy above the convex hull.

    Parameters
    ----------
    crystals
        See `onnes.tools.inputs.as_table`. Rows that hold an energy already keep it.
    relax
        Relax first; otherwise the energy at the given geometry is used.
    potential, reference
        Whose energies, and the reference file instead of the shipped one.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call.

    Raises
    ------
    ReferenceMismatch
        When the energies come from another potential than the reference's.
    """
    table = as_table(crystals)
    table = _relaxed(table, potential, device, on_rows) if relax else _with_energies(table, potential, device, on_rows)
    return wrap(_on_hull(table, potential, reference, strict=True))


def propose(
    parents: Crystals | None = None,
    *,
    method: str | None = None,
    elements: Sequence[str] = (),
    fixed: Sequence[str] = (),
    exclude: Sequence[str] | None = None,
    max_atoms: int = 12,
    limit: int | None = None,
    seed: int = 0,
    on_rows: Callable[[int], None] | None = None,
    **settings: Any,
) -> CrystalTable:
    """Propose candidate crystals.

    Parameters
    ----------
    parents
        Crystals to start from.
    method
        One of `onnes.propose.sources.METHODS`; by default ``neighbour`` with parents, ``prototype`` with elements.
    elements
        Elements that may be put in.
    fixed
        Elements of the parents that stay.
    exclude
        Elements never put in (default: noble gases, radioactive ones).
    max_atoms
        Atoms in the primitive cell at most.
    limit, seed
        Most candidates, and the seed of all random choices.
    on_rows
        Called with the number of candidates made since the last call, by methods that take long.
    **settings
        Other fields of `onnes.propose.sources.ProposalRequest` that the method has a use for; None is the same as left out.

    Examples
    --------
    >>> import onnes
    >>> len(onnes.propose(elements=["Nb", "N"], prototypes=["B1"]))
    1
    """
    from pydantic import ValidationError

    from onnes.propose.sources import ProposalRequest
    from onnes.propose.sources import propose as run

    if method is None:
        if (parents is None) == (not elements):
            raise ConfigError(
                "give either parents to substitute in, or elements to decorate prototypes with, or a method"
            )
        method = "prototype" if parents is None else "neighbour"
    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    given |= {"method": method, "max_atoms": max_atoms, "seed": seed, "limit": limit}
    given |= {name: tuple(value) for name, value in (("elements", elements), ("fixed_elements", fixed)) if value}
    if exclude is not None:
        given["exclude_elements"] = tuple(exclude)
    if parents is not None:
        given["parents"] = as_table(parents)
    try:
        request = ProposalRequest(**given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{'.'.join(map(str, first['loc'])) or 'request'}: {first['msg']}") from error
    return wrap(run(request, on_rows=on_rows))


def _relaxed(
    table: pa.Table, potential: str, device: str, on_rows: Callable[[int], None] | None, **settings: Any
) -> pa.Table:
    from onnes.potentials.potential import load_potential
    from onnes.potentials.relaxation import RelaxSettings
    from onnes.potentials.tables import relax_at_own_pressure, relax_table

    run = relax_table if "pressure_GPa" in settings else relax_at_own_pressure
    return run(table, load_potential(potential, device=device), RelaxSettings(**settings), on_rows=on_rows)


def _with_energies(table: pa.Table, potential: str, device: str, on_rows: Callable[[int], None] | None) -> pa.Table:
    """Fill energies at the given geometry where the table holds none."""
    from onnes.potentials.potential import load_potential
    from onnes.potentials.tables import evaluate_table

    return evaluate_table(table, load_potential(potential, device=device), on_rows=on_rows)


def _on_hull(table: pa.Table, potential: str, reference: str | None, *, strict: bool) -> pa.Table:
    """Place the open rows; without ``strict`` a row that has no place keeps its other numbers."""
    from onnes.flow.stage import StageContext
    from onnes.physics.stages import HullSettings, HullStage

    rows = np.flatnonzero(is_open(table))
    stage = HullStage(HullSettings(potential=potential, reference=reference))
    placed = stage.apply(table.take(pa.array(rows)), StageContext("hull"))
    columns: dict[str, list[Any]] = {}
    for name in (*stage.writes, *(("error",) if strict else ())):
        columns[name] = values(table, name)
        for row, value in zip(rows, values(placed, name), strict=True):
            columns[name][row] = value
    return with_columns(table, columns)
