"""Command: properties."""

from __future__ import annotations

from typing import Annotated

import typer

from onnes.cli.options import Device, Files, Json, Out, Potential, Quiet, emit


def properties(
    files: Files,
    relax: Annotated[
        bool, typer.Option("--relax", help="Relax first; otherwise the properties of the given geometry.")
    ] = False,
    refine: Annotated[
        bool,
        typer.Option("--refine", help="Compute the moduli by a second potential as well, for their spread (slow)."),
    ] = False,
    potential: Potential = "sevennet-0",
    device: Device = "cpu",
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Density (g/cm³), moduli (GPa), Debye temperatures (K), P(metal) and magnetic moment of crystals."""
    from onnes.tools.inputs import as_table
    from onnes.tools.progress import Bars
    from onnes.tools.properties import properties as run

    table = as_table(files)
    with Bars(quiet=quiet or json) as bars:
        bars.bar("properties", table.num_rows * (2 + relax))
        result = run(table, relax=relax, refine=refine, potential=potential, device=device, on_rows=bars.rows_done)
    emit(result, json=json, out=out)


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(properties)
