"""The tools ``plan`` and ``measure``: plan an experiment on a crystal, record what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnes.campaign.expected_transition import MU_STARS
from onnes.crystals.schema import is_open, values
from onnes.errors import ConfigError, CrystalError
from onnes.potentials.potential import DEFAULT_POTENTIAL
from onnes.tools.inputs import Crystals, as_table
from onnes.tools.result import PlainTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from pymatgen.core import Structure

    from onnes.campaign.experiment import ExperimentPlan
    from onnes.campaign.measurements import Measurement

_NAMED = 8


_HEADINGS = {
    "id": ("id", "{}"),
    "reduced_formula": ("planned", "{}"),
    "sample": ("sample", "{}"),
    "phase": ("found", "{}"),
    "as_planned": ("as planned", "{}"),
    "phase_fraction": ("fraction", "{:.2f}"),
    "measured_tc_K": ("measured Tc / K", "{:.2f}"),
    "tc_criterion": ("by", "{}"),
    "measured_no_transition_above_K": ("none above / K", "{:.2f}"),
    "recorded_at": ("recorded", "{}"),
    "note": ("note", "{}"),
}


class MeasurementTable(PlainTable):
    """One row a measurement, fields of `onnes.campaign.measurements.Measurement`."""

    headings = _HEADINGS


def plan_experiment(
    crystal: Crystals,
    *,
    id: str | None = None,  # noqa: A002 - the name of the column
    mass_g: float = 2.0,
    precursors: Sequence[str] | None = None,
    radiation: str = "CuKa",
    mu_stars: Sequence[float] = MU_STARS,
    predict: bool = False,
    phases: Crystals | None = None,
    potential: str = DEFAULT_POTENTIAL,
    reference: str | None = None,
    device: str = "cpu",
    plot: str | Path | None = None,
) -> ExperimentPlan:
    """Plan the synthesis and the measurement of one crystal.

    Parameters
    ----------
    crystal
        One crystal, see `onnes.tools.inputs.as_table`, or the folder of a campaign. Its columns count: an energy of ``potential``
        places it on the hull, ``tc_K`` and its companions say what to expect. A column ``disorder`` of ``onnes mixing`` warns.
    id
        Which row, where there are several; in a campaign the best survivor by default.
    mass_g
        Mass of the sample.
    precursors
        Formulas to use. By default the elements, and a compound where one of them is a gas.
    radiation
        ``CuKa``, ``MoKa`` ... or a wavelength in angstrom.
    mu_stars
        Coulomb pseudopotentials for Tc.
    predict
        Predict Tc and the energy first, at the given geometry.
    phases
        Crystals of other phases, for their powder lines.
    potential, reference
        Whose energies, and the reference file instead of the shipped one.
    device
        ``cpu`` or ``cuda``, for the prediction.
    plot
        File for a figure of the pattern, .svg or .png.

    Returns
    -------
    ExperimentPlan
        See `onnes.campaign.experiment.ExperimentPlan`; its ``markdown`` is a page.

    Raises
    ------
    ConfigError
        For an unknown row, an impossible set of precursors, an unknown radiation, a mass or mu* out of range.
    CrystalError
        When the crystal cannot be used.

    Examples
    --------
    >>> import onnes
    >>> from onnes.crystals.known import known_crystal
    >>> plan = onnes.plan_experiment(known_crystal("Nb3Sn"), mass_g=1.0)
    >>> [(one.formula, round(one.mass_g, 3)) for one in plan.charge.precursors], plan.route.method
    ([('Nb', 0.701), ('Sn', 0.299)], 'arc melting')
    """
    from onnes.campaign.experiment import make_plan, require_geometry
    from onnes.crystals.table import to_structures
    from onnes.figure import check_suffix
    from onnes.physics.hull import hull_of
    from onnes.physics.reference import Reference

    if plot is not None:
        check_suffix(plot)
    table, origin = _one_row(crystal, id)
    row, structure = table.to_pylist()[0], to_structures(table)[0]
    structure = require_geometry(row, structure)
    if predict and structure.is_ordered:
        row = _predicted(table, potential, reference, device)
    plan = make_plan(
        row,
        structure,
        hull_of(Reference.find(reference, potential)),
        mass_g=mass_g,
        precursors=precursors,
        radiation=radiation,
        mu_stars=mu_stars,
        phases=_structures(phases),
        origin=origin,
    )
    if plot is not None:
        from onnes.tools.experiment_figure import draw_plan

        draw_plan(plot, plan)
    return plan


def _one_row(crystal: Crystals, name: str | None) -> tuple[pa.Table, str]:
    """Row that is meant, and what it was read from."""
    from onnes.campaign.folder import SETTINGS, Campaign

    origin = str(crystal) if isinstance(crystal, str | Path) else "python"
    if isinstance(crystal, str | Path) and (Path(crystal) / SETTINGS).is_file():
        campaign = Campaign.open(crystal)
        table = campaign.results
        if name is None:
            best = campaign.report_data(top=1).survivors
            if not best:
                raise ConfigError(f"campaign {crystal} has no survivor; name a row with --id: {_names(table)}")
            name = best[0].id
    else:
        table = as_table(crystal)
    if not table.num_rows:
        raise CrystalError(f"{origin}: there is no crystal")
    if name is None and table.num_rows > 1:
        raise ConfigError(f"{origin} holds {table.num_rows} crystals; name one with --id: {_names(table)}")
    ids = values(table, "id")
    if name is not None and name not in ids:
        raise ConfigError(f"{origin} has no row {name!r}; it has {_names(table)}")
    return table.slice(ids.index(name) if name is not None else 0, 1), origin


def _names(table: pa.Table) -> str:
    ids = [str(one) for one in values(table, "id")]
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return ", ".join(ids[:_NAMED]) + more


def _predicted(table: pa.Table, potential: str, reference: str | None, device: str) -> dict[str, Any]:
    """Row with prediction and place on the hull; raises CrystalError when it cannot be computed."""
    from onnes.tools.crystals import predict

    found = predict(table, potential=potential, reference=reference, device=device)
    if not is_open(found.table)[0] and found["error"][0] is not None:
        raise CrystalError(f"{found['id'][0]}: {found['error'][0]}")
    return found.table.to_pylist()[0]


def _structures(phases: Crystals | None) -> list[tuple[Structure, str]]:
    """Crystals of other phases; raises CrystalError for one that cannot be read."""
    from onnes.campaign.experiment import require_geometry
    from onnes.crystals.table import to_structures

    if phases is None or (isinstance(phases, list | tuple) and not phases):
        return []
    table = as_table(phases)
    rows = zip(table.to_pylist(), to_structures(table), strict=True)
    return [(require_geometry(row, structure), f"given, {row['id']}") for row, structure in rows]


def record_measurement(
    folder: str | Path,
    id: str,  # noqa: A002 - the name of the column
    *,
    tc_K: float | None = None,
    tc_criterion: str | None = None,
    no_transition_above_K: float | None = None,
    phase: str | None = None,
    as_planned: bool | None = None,
    phase_fraction: float | None = None,
    sample: str | None = None,
    note: str | None = None,
) -> Measurement:
    """Record what the laboratory found, at the end of ``measurements.jsonl`` in the folder.

    Parameters
    ----------
    folder
        Campaign or study.
    id
        Row of the campaign, or ``set_id/row id`` in a study.
    tc_K, tc_criterion
        Measured critical temperature, and by what it was read: onset, midpoint, zero or magnetic.
    no_transition_above_K
        Lowest temperature reached without a transition; instead of a Tc.
    phase
        What was found; the planned crystal where nothing is said.
    as_planned
        Whether that is the planned crystal; by default when ``phase`` is its formula or id.
    phase_fraction
        Share of it in the sample, 0 to 1.
    sample, note
        Name of the sample, and anything else.

    Returns
    -------
    Measurement
        What was written.

    Raises
    ------
    ConfigError
        For a folder or row that is none, values that make no sense, or a broken line in the file.
    """
    from onnes.campaign.measurements import Measurements

    return Measurements.of(folder).add(
        id, measured_tc_K=tc_K, tc_criterion=tc_criterion, measured_no_transition_above_K=no_transition_above_K, phase=phase,
        as_planned=as_planned, phase_fraction=phase_fraction, sample=sample, note=note,
    )  # fmt: skip


def measurements(folder: str | Path) -> MeasurementTable:
    """Measurements of a campaign or study, in the order in which they were recorded.

    Parameters
    ----------
    folder
        Campaign or study.

    Raises
    ------
    ConfigError
        For a folder that is neither, or a broken line in the file.
    """
    from onnes.campaign.measurements import Measurements, measurement_rows

    return MeasurementTable(measurement_rows(Measurements.of(folder).all()))


def export_measurements(folder: str | Path, out: str | Path) -> tuple[int, list[str]]:
    """Write the measurements that label a crystal as a crystal table.

    Parameters
    ----------
    folder
        Campaign or study.
    out
        File that ends in ``.parquet``; no other format holds every column.

    Returns
    -------
    written
        Rows: one a measurement, with the planned geometry and the columns `onnes.campaign.measurements.LABELS`.
    left_out
        Why each other measurement is missing.

    Raises
    ------
    ConfigError
        For another suffix, a folder that is neither, or a broken line in the file.
    """
    from onnes.campaign.measurements import Measurements
    from onnes.crystals.writers import write_crystals

    if Path(out).suffix.lower() != ".parquet":
        raise ConfigError(f"cannot write {out}: measurements are exported to a file that ends in .parquet")
    table, left_out = Measurements.of(folder).labels()
    write_crystals(table, out)
    return table.num_rows, left_out
