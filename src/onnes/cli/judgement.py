"""Command on judged targets: rank."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnes.cli.options import EXIT_PARTIAL, Device, Json, Quiet, console, emit


def rank(
    crystals: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES|CAMPAIGN",
            help="Files of crystals with their predictions (.parquet ...), or a campaign folder: its survivors.",
            show_default=False,
        ),
    ],
    weights: Annotated[Path | None, typer.Option(help="TOML file with weights of the criteria.")] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            help="Weight of one criterion, such as tc=5; may be repeated; 0 leaves it out.", show_default=False
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Print the best n rows only.")] = 20,
    predict: Annotated[
        bool, typer.Option("--predict", help="Predict Tc, energy above hull, metal probability and domain first.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw Tc against energy above hull with the Pareto front (.svg or .png).")
    ] = None,
    device: Device = "cpu",
    out: Annotated[
        Path | None, typer.Option("--out", help="Write all rows to this file (.csv, .parquet, .extxyz, .jsonl ...).")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Order targets as a chemist would: promise, hazards, feasibility, price; each concern with its source.

    Scores go from 0 to 1; what is not known scores 0.5 and is named. The column front marks the Pareto front of Tc (lower
    end of its interval), energy above hull and risk.
    """
    from onnes.campaign.judgement import Weights
    from onnes.figure import check_suffix
    from onnes.tools.progress import Bars
    from onnes.tools.rank import changes
    from onnes.tools.rank import rank as run

    chosen = (Weights.from_file(weights) if weights else Weights()).changed(changes(weight or ()))
    if plot is not None:
        check_suffix(plot)
    with Bars(quiet=quiet or json) as bars:
        if predict:
            bars.bar("predict", None)
        result = run(crystals, weights=chosen, predict=predict, device=device, on_rows=bars.rows_done)
    if plot is not None:
        result.plot(plot)
    if out is not None:
        emit(result, json=json, out=out)
        return
    best = result.head(limit)
    if json:
        emit(best, json=True, out=None)
    else:
        page = console()
        page.print(best.rich())
        page.print(best.reasons().rich())
    if result.n_failed:
        raise typer.Exit(EXIT_PARTIAL)


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(rank)
