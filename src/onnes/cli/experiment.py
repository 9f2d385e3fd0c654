"""Commands: plan; and measure, a group of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from onnes.cli.options import Device, Json, Potential, Quiet, ReferenceFile, console, emit

_Campaign = Annotated[Path, typer.Argument(help="Campaign or study folder.", show_default=False)]

app = typer.Typer(help="What the laboratory found: recorded, listed, exported.", no_args_is_help=True)


def plan(
    source: Annotated[
        str,
        typer.Argument(metavar="FILE|CAMPAIGN", help="File with a crystal, or campaign folder.", show_default=False),
    ],
    row: Annotated[
        str | None,
        typer.Option("--id", help="Row of the file or campaign; in a campaign the best survivor by default."),
    ] = None,
    mass_g: Annotated[float, typer.Option(help="Mass of the sample (g).")] = 2.0,
    precursor: Annotated[
        list[str] | None,
        typer.Option(
            "--precursor", help="Formula of a precursor, once for each; by default elements and common powders."
        ),
    ] = None,
    radiation: Annotated[str, typer.Option(help="X-rays: CuKa, MoKa ..., or a wavelength in angstrom.")] = "CuKa",
    mu_star: Annotated[
        list[float] | None,
        typer.Option(help="Coulomb pseudopotential (0 to 0.5), once for each; 0.10 and 0.16 by default."),
    ] = None,
    predict: Annotated[
        bool, typer.Option("--predict", help="Predict Tc and energy first, at the geometry of the file.")
    ] = False,
    phase: Annotated[
        list[str] | None, typer.Option("--phase", help="File with the crystal of another phase, for its powder lines.")
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the expected pattern (.svg or .png).")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the plan to this file (.md or .json).")] = None,
    potential: Potential = "sevennet-0",
    reference: ReferenceFile = None,
    device: Device = "cpu",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Plan an experiment: masses (g), route, powder pattern, expected Tc (K), hazards; every number with its source.

    The route is suggested from the phases of the reference and from properties of the elements, by rules of thumb. A hull at 0 K
    says nothing certain about melting. Read the plan as a proposal to someone who knows the laboratory.
    """
    from onnes.errors import ConfigError
    from onnes.tools.experiment import plan_experiment
    from onnes.tools.progress import Bars

    if out is not None and out.suffix.lower() not in (".md", ".json"):
        raise ConfigError(f"cannot write {out}: give a file that ends in .md or .json")
    with Bars(quiet=quiet or json or not predict) as bars:
        bars.bar("plan", 1)
        found = plan_experiment(
            source, id=row, mass_g=mass_g, precursors=precursor, radiation=radiation, predict=predict, phases=phase,
            potential=potential, reference=reference, device=device, plot=plot, **({"mu_stars": mu_star} if mu_star else {}),
        )  # fmt: skip
        bars.rows_done(1)
    if out is not None:
        text = found.markdown() if out.suffix.lower() == ".md" else found.model_dump_json(indent=1) + "\n"
        out.write_text(text, encoding="utf-8")
    if json:
        sys.stdout.write(found.model_dump_json(indent=1) + "\n")
    elif out is not None:
        sys.stderr.write(f"plan written to {out}\n")
    else:
        from rich.markdown import Markdown

        console().print(Markdown(found.markdown()))


@app.command("add")
def add(
    campaign: _Campaign,
    row: Annotated[
        str, typer.Option("--id", help="Row of the campaign, or set_id/row id in a study.", show_default=False)
    ],
    tc: Annotated[float | None, typer.Option("--tc", help="Measured critical temperature (K).")] = None,
    criterion: Annotated[
        str | None, typer.Option("--tc-criterion", help="By what it was read: onset, midpoint, zero or magnetic.")
    ] = None,
    none_above: Annotated[
        float | None,
        typer.Option(
            "--no-transition-above", help="Lowest temperature reached without a transition (K); instead of a Tc."
        ),
    ] = None,
    phase: Annotated[
        str | None, typer.Option("--phase", help="What was found; the planned crystal where nothing is said.")
    ] = None,
    as_planned: Annotated[
        bool | None,
        typer.Option(
            "--as-planned/--not-as-planned",
            help="Whether that is the planned crystal; by default when --phase is its formula or id.",
        ),
    ] = None,
    phase_fraction: Annotated[float | None, typer.Option(help="Share of it in the sample (0 to 1).")] = None,
    sample: Annotated[str | None, typer.Option(help="Name of the sample.")] = None,
    note: Annotated[str | None, typer.Option(help="Anything else.")] = None,
    json: Json = False,
) -> None:
    """Record one sample: a measured Tc (K), or the temperature above which there is none, or what phase it was.

    The line goes to the end of measurements.jsonl in the folder. Nothing is ever changed there.
    """
    from onnes.tools.experiment import record_measurement

    found = record_measurement(
        campaign, row, tc_K=tc, tc_criterion=criterion, no_transition_above_K=none_above, phase=phase, as_planned=as_planned,
        phase_fraction=phase_fraction, sample=sample, note=note,
    )  # fmt: skip
    if json:
        sys.stdout.write(found.model_dump_json(indent=1) + "\n")
    else:
        label = "" if found.as_planned else "; not the planned crystal, so no label of its geometry"
        sys.stdout.write(f"recorded: {row}{label}\n")


@app.command("list")
def list_all(campaign: _Campaign, json: Json = False) -> None:
    """Show what was recorded."""
    from onnes.tools.experiment import measurements

    emit(measurements(campaign), json=json, out=None)


@app.command("export")
def export(
    campaign: _Campaign, out: Annotated[Path, typer.Option("--out", help="Crystal table to write (.parquet).")]
) -> None:
    """Write measured labels with the geometry they belong to, as a crystal table; nothing computed is in it."""
    from onnes.tools.experiment import export_measurements

    written, left_out = export_measurements(campaign, out)
    sys.stderr.write(f"{written} rows written to {out}\n")
    for reason in left_out:
        sys.stderr.write(f"left out: {reason}\n")


def add_commands(main: typer.Typer) -> None:
    """Register the commands."""
    main.command()(plan)
    main.add_typer(app, name="measure")
