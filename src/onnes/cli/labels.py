"""Command on verified labels: labels."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated

import typer

from onnes.cli.options import Json, console


def labels(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="CAMPAIGN|FOLDER", help="Campaigns, or folders of verifications.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", help="Table to write (.parquet).")],
    json: Json = False,
) -> None:
    """Write verified crystals as labels of their own kind, for training the spectrum model.

    One row a crystal, at the geometry that was computed, with functional, pseudopotentials and level. Only the verdicts
    superconductor and no_superconductivity have spectra; unstable crystals are labels of stability.
    """
    from onnes.tools.labels import export_labels

    summary = export_labels(folders, out).summary()
    if json:
        sys.stdout.write(json_module.dumps(summary, indent=1) + "\n")
        return
    page = console()
    verdicts = ", ".join(f"{n} {verdict.replace('_', ' ')}" for verdict, n in summary["verdicts"].items())
    page.print(f"{summary['rows']} verified crystals ({verdicts}) written to {out}", soft_wrap=True, markup=False)
    splits = ", ".join(f"{n} {split}" for split, n in sorted(summary["spectra_by_split"].items())) or "none"
    page.print(f"with a spectrum: {splits}", markup=False)
    for problem in summary["problems"]:
        sys.stderr.write(f"{problem}\n")


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(labels)
