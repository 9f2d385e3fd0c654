"""Commands on order and disorder: order, mixing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from onnes.cli.options import Device, Files, Json, Model, Potential, Quiet, Seed, emit

Rows = Annotated[Path | None, typer.Option("--out", help="Write the rows to this file (.csv, .parquet or .json).")]


def order(
    files: Files,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="Weigh the cells by Boltzmann factors at this temperature (K); by default as in a random alloy."
        ),
    ] = None,
    relax: Annotated[
        bool, typer.Option("--relax", help="Relax the cells first; otherwise at the average lattice.")
    ] = False,
    ordering: Annotated[
        str, typer.Option(help="Ordered cells: enumerate (all different ones) or sqs (quasi-random).")
    ] = "enumerate",
    rank: Annotated[
        str, typer.Option(help="Which cells are kept where there are too many: auto, ewald, energy, size.")
    ] = "auto",
    max_cell_atoms: Annotated[int, typer.Option(help="Atoms in an ordered cell at most.")] = 24,
    limit: Annotated[int, typer.Option("--limit", "-n", help="Most cells of one crystal.")] = 20,
    model: Model = "structure",
    potential: Potential = "sevennet-0",
    device: Device = "cpu",
    seed: Seed = 0,
    cells_out: Annotated[
        Path | None,
        typer.Option(help="Write the ordered cells with their predictions to this file (.parquet, .extxyz ...)."),
    ] = None,
    out: Rows = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tc (K) of crystals with partly occupied sites: mean, spread and range over their ordered cells.

    The spread is what order does; the uncertainty of the model stands beside it. --json adds the cells.
    """
    from onnes.tools.order import order as run
    from onnes.tools.progress import Bars
    from onnes.tools.result import check_suffix

    if out is not None:
        check_suffix(out)
    cells: dict[str, Any] = {"ordering": ordering, "rank": rank, "max_cell_atoms": max_cell_atoms, "limit": limit}
    with Bars(quiet=quiet or json) as bars:
        bars.bar("order", None)
        result = run(
            files, temperature_K=temperature, relax=relax, model=model, potential=potential, seed=seed, device=device,
            on_rows=bars.rows_done, **cells,
        )  # fmt: skip
    if cells_out is not None:
        result.cells.write(cells_out)
    emit(result, json=json, out=out)


def mixing(
    files: Files,
    temperature: Annotated[
        float, typer.Option(help="Temperature at which the crystal is made or annealed (K).")
    ] = 1273.0,
    relax: Annotated[
        bool,
        typer.Option("--relax", help="Relax the crystals with exchanged atoms; unrelaxed ones cost too much energy."),
    ] = False,
    max_radius_ratio: Annotated[
        float, typer.Option(help="Elements that differ more in size do not mix (a factor).")
    ] = 1.15,
    min_atoms: Annotated[int, typer.Option(help="Atoms in the supercell at least.")] = 20,
    potential: Potential = "sevennet-0",
    device: Device = "cpu",
    out: Rows = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Which sites of ordered crystals are likely to mix: energy of an exchange (eV), shares of foreign atoms, verdict."""
    from onnes.tools.inputs import as_table
    from onnes.tools.mixing import mixing as run
    from onnes.tools.progress import Bars
    from onnes.tools.result import check_suffix

    if out is not None:
        check_suffix(out)
    table = as_table(files)
    with Bars(quiet=quiet or json) as bars:
        bars.bar("mixing", table.num_rows)
        result = run(
            table, temperature_K=temperature, relax=relax, max_radius_ratio=max_radius_ratio, min_atoms=min_atoms,
            potential=potential, device=device, on_rows=bars.rows_done,
        )  # fmt: skip
    emit(result, json=json, out=out)


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (order, mixing):
        app.command()(command)
