"""Maintenance verbs: doctor, benchmark, train; and reference, a group of its own."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from onnes.cli import references
from onnes.cli.options import EXIT_ENVIRONMENT, Device, Json, Quiet


def doctor(json: Json = False) -> None:
    """Versions, weights and their sha256, potentials available, threads; exit code 4 when something is wrong."""
    from onnes.tools.doctor import examine

    found = examine()
    if json:
        sys.stdout.write(jsonlib.dumps(found, indent=1) + "\n")
    else:
        from rich.console import Console
        from rich.markup import escape

        console = Console(soft_wrap=True, highlight=False)
        for name, value in found.items():
            if isinstance(value, dict):
                console.print(f"[bold]{name}[/bold]")
                for key, text in value.items():
                    console.print(f"  {key:<16} {escape(str(text))}")
            elif name != "faults":
                console.print(f"[bold]{name}[/bold] {escape(str(value))}")
        for fault in found["faults"]:
            console.print(f"[red]fault[/red] {escape(fault)}")
        console.print("everything is in place" if not found["faults"] else f"{len(found['faults'])} fault(s)")
    if found["faults"]:
        raise typer.Exit(EXIT_ENVIRONMENT)


def benchmark(
    what: Annotated[
        str,
        typer.Argument(
            help="tc, classifier, experimental, jarvis, metal, spectrum, speed, predict, relax, hull, elasticity, unrelaxed, "
            "substitution, proposals, search, csp, perov-5, generation, guidance, stability, phases, phonons, dynamic, "
            "heat-capacity, gates, dos or agent.",
            show_default=False,
        ),
    ],
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="tc, classifier: recipes; speed: models; elasticity: potentials; search: formulas; csp, perov-5, generation, "
            "guidance: generator; repeat.",
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            help="tc, jarvis: ensembles trained from different seeds; search: searches; csp, perov-5: samples."
        ),
    ] = 1,
    count: Annotated[
        int | None,
        typer.Option(
            "-n", help="csp, perov-5: crystals predicted; generation, guidance: crystals drawn; dos: crystals computed."
        ),
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option("--on", help="predict, speed: crystals; default the Alexandria training table."),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Folder for figures (SVG), where there are any.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the Markdown table to this file as well.")] = None,
    device: Device = "cpu",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure accuracy or speed against a baseline of the same run, and print a Markdown table."""
    from onnes.tools.benchmarks import run_benchmark
    from onnes.tools.progress import Bars

    if what == "agent":
        _with_language_model()
    with Bars(quiet=quiet or json) as bars:
        bars.bar(what, None)
        result = run_benchmark(
            what,
            models=models,
            seeds=seeds,
            count=count,
            files=files,
            plots=plots,
            device=device,
            on_rows=bars.rows_done,
        )
    if out is not None:
        out.write_text(result.markdown(), encoding="utf-8")
    sys.stdout.write(jsonlib.dumps(result.values, indent=1) + "\n" if json else result.markdown())


def _with_language_model() -> None:
    """Let the language model of the environment take part in the benchmark of planners."""
    from onnes.agent.endpoint import Endpoint
    from onnes.agent.model_order import model_order
    from onnes.tools.agent_benchmark import PLANNERS

    if Endpoint.is_set():
        PLANNERS["llm planner"] = model_order(Endpoint.of())


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Recipe: structure, fast, electronic, metal, experimental, formation, generator, generator-superconductors, "
            "perov-5, or a TOML file.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for weights, configuration and model card.")],
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Train a model: score it on the validation buckets, train it again on all rows, write the weights."""
    from onnes.tools.progress import Bars
    from onnes.training.shipping import train_model

    with Bars(quiet=quiet) as bars:
        bars.bar("crystals", None)
        epochs = 0

        def on_epoch() -> None:
            nonlocal epochs
            if not epochs:
                bars.bar("epochs", None)
            epochs += 1
            bars.rows_done(1)

        config = train_model(recipe, out, device=device, on_rows=bars.rows_done, on_epoch=on_epoch)
    sys.stdout.write(jsonlib.dumps({"folder": str(out), "validation": config["validation"]}, indent=1) + "\n")


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (doctor, benchmark, train):
        app.command()(command)
    app.add_typer(references.app, name="reference")
