"""Command on formulas and crystals in hand: experimental."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnes.cli.options import Json, emit


def experimental(
    materials: Annotated[
        list[str],
        typer.Argument(
            metavar="FORMULA_OR_FILE...",
            help="Materials: formulas (La1.85Sr0.15CuO4), or files with a crystal (CIF, POSCAR ...), partly occupied or not.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str, typer.Option(help="Model of measured superconductivity: experimental, or a folder with weights.")
    ] = "experimental",
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the rows to this file (.csv, .parquet or .json).")
    ] = None,
    json: Json = False,
) -> None:
    """Predict what is measured: probability of superconductivity, and the measured Tc (K) with a 90 % interval.

    Learned from what the literature reports, not from computed coupling: not the Tc of onnes predict. The probability
    ranks candidates; it is not the share of them that superconducts. A crystal structure is used where a file gives one. Exit code
    3 when a formula or file cannot be read.
    """
    from onnes.tools.experimental import experimental as run
    from onnes.tools.result import check_suffix

    if out is not None:
        check_suffix(out)
    emit(run(materials, model=model), json=json, out=out)


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(experimental)
