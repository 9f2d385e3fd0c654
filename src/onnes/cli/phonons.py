"""Command on crystals in hand: phonons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnes.cli.options import Device, Files, Json, Out, Potential, Quiet, emit


def phonons(
    files: Files,
    potential: Potential = "sevennet-0",
    refine: Annotated[bool, typer.Option(help="Ask a second potential as well; only what both say is a grade.")] = True,
    relax: Annotated[bool, typer.Option(help="Relax first, the symmetry kept, at each crystal's own pressure.")] = True,
    min_length: Annotated[
        float, typer.Option(help="Shortest distance of an atom to its images in the supercell (Å).")
    ] = 10.0,
    displacement: Annotated[
        float, typer.Option(help="Length of the displacements (Å); the second one is three times as long.")
    ] = 0.01,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Follow unstable modes of unstable and doubtful crystals to crystals of lower energy; they become rows.",
        ),
    ] = False,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Folder for figures (SVG): bands with DOS, thermal properties.")
    ] = None,
    device: Device = "cpu",
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Phonons (THz), their grade, and the heat capacity (J/K per mole of atoms) at 300 K.

    --json adds bands, density of states and thermal properties, the latter of one mole of primitive cells. The grade is
    stable, doubtful or unstable. Imaginary frequencies are printed as negative. The non-analytic correction is left out:
    polar crystals show no LO-TO splitting at q = 0.
    """
    from onnes.tools.inputs import as_table
    from onnes.tools.phonons import phonons as run
    from onnes.tools.progress import Bars

    table = as_table(files)
    with Bars(quiet=quiet or json) as bars:
        bars.bar("phonons", table.num_rows * (1 + relax))
        result = run(
            table,
            potential=potential,
            refine=refine,
            relax=relax,
            min_length_A=min_length,
            displacement_A=displacement,
            follow=follow,
            plots=plots,
            device=device,
            on_rows=bars.rows_done,
        )
    emit(result, json=json, out=out)


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(phonons)
