"""Maintenance verbs: doctor, benchmark, train, reference."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from onnes.cli.options import EXIT_ENVIRONMENT, Device, Json, Potential, Quiet


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
            help="tc, classifier, experimental, jarvis, metal, spectrum, speed, predict or relax.", show_default=False
        ),
    ],
    models: Annotated[
        list[str] | None, typer.Option("--model", help="tc, classifier: recipes; speed: models; repeat for more.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="tc, jarvis: ensembles trained from different seeds.")] = 1,
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

    with Bars(quiet=quiet or json) as bars:
        bars.bar(what, None)
        result = run_benchmark(
            what, models=models, seeds=seeds, files=files, plots=plots, device=device, on_rows=bars.rows_done
        )
    if out is not None:
        out.write_text(result.markdown(), encoding="utf-8")
    sys.stdout.write(jsonlib.dumps(result.values, indent=1) + "\n" if json else result.markdown())


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Recipe: structure, fast, electronic, metal, experimental, or a TOML file.", show_default=False
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


reference_app = typer.Typer(help="References: known phases with energies of one potential.", no_args_is_help=True)


@reference_app.command("build")
def reference_build(
    out: Annotated[Path, typer.Option("--out", help="Reference file to write (.parquet).")],
    files: Annotated[list[str] | None, typer.Argument(help="Files or folders with known crystals.")] = None,
    known_phases: Annotated[
        bool,
        typer.Option("--known-phases", help="Gather the known phases of $ONNES_DATA, as the shipped reference does."),
    ] = False,
    potential: Potential = "sevennet-0",
    name: Annotated[str | None, typer.Option(help="Name shown in reports.")] = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Compute the energies of known crystals by one potential; the same command again goes on where it stopped."""
    from onnes.crystals.readers import read_crystals
    from onnes.crystals.table import identify
    from onnes.errors import ConfigError
    from onnes.potentials.potential import load_potential
    from onnes.potentials.reference_builder import build_reference
    from onnes.tools.progress import Bars

    notes: dict[str, str] = {}
    if known_phases:
        from onnes.training.reference_data import known_phases as gather

        table, notes = gather()
    elif files:
        table = identify(read_crystals(files))
    else:
        raise ConfigError("give files with known crystals, or --known-phases")
    cache = out.with_suffix(".pieces")
    with Bars(quiet=quiet) as bars:
        bars.bar("reference", table.num_rows)
        built = build_reference(
            table,
            load_potential(potential, device=device),
            name=name or out.stem,
            cache=cache,
            notes=notes,
            on_rows=bars.rows_done,
        )
    built.save(out)
    failed = table["error"].length() - table["error"].null_count
    missing = built.table["energy_eV_per_atom"].null_count
    sys.stdout.write(
        f"{built.table.num_rows} phases written to {out}; {missing} without energy, {failed} rows unusable\n"
    )


@reference_app.command("info")
def reference_info(
    system: Annotated[str | None, typer.Argument(help="Chemical system, e.g. Nb-Hf-Be.")] = None,
    potential: Potential = "sevennet-0",
    reference: Annotated[
        str | None, typer.Option("--reference", help="Reference file instead of the shipped one.")
    ] = None,
) -> None:
    """What a reference knows: in all, or in one chemical system."""
    from onnes.physics.hull import Hull
    from onnes.physics.reference import Reference

    known = Reference.find(reference, potential)
    out = [f"{known.name}: {known.table.num_rows} phases, potential {known.potential}, sha256 {known.sha256[:16]}"]
    out += [f"{name}: {text}" for name, text in known.notes.items()]
    if system:
        diagram, count = Hull(known).diagram(frozenset(system.split("-")))
        out.append(f"{system}: {count} known compounds" if diagram else f"{system}: an element has no energy here")
        for entry in sorted(diagram.all_entries, key=lambda e: e.composition.reduced_formula) if diagram else []:
            above = diagram.get_e_above_hull(entry) if diagram else None
            out.append(f"  {entry.composition.reduced_formula:<12} {above:.3f} eV/atom above hull  {entry.name}")
    sys.stdout.write("\n".join(out) + "\n")


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (doctor, benchmark, train):
        app.command()(command)
    app.add_typer(reference_app, name="reference")
