"""Commands on campaigns: discover, screen, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onnes.cli.options import (
    EXIT_PARTIAL,
    ChargeBalanced,
    Device,
    Elements,
    Exclude,
    Files,
    Fixed,
    Formula,
    Generator,
    Guidance,
    Json,
    Keep,
    Limit,
    MaxAtoms,
    MaxCells,
    MaxSubstituted,
    Method,
    Motif,
    Parents,
    Prototypes,
    Quiet,
    Score,
    Seed,
    SpaceGroup,
    TargetTc,
    console,
    file_names,
    proposal_settings,
    split,
    split_if_given,
)

if TYPE_CHECKING:
    from onnes.tools.campaigns import CampaignResult

MinTc = Annotated[float | None, typer.Option(help="Keep candidates with Tc (K, mu* = 0.10) of at least this.")]
MaxHull = Annotated[
    float | None, typer.Option("--max-hull", help="Keep candidates within this energy above the hull (eV/atom).")
]
FunnelName = Annotated[str, typer.Option("--funnel", help="Shipped funnel, or a TOML file.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes, one thread each; default one a core.")]
Campaign = Annotated[Path, typer.Option("--out", help="Campaign folder; the same command again resumes it.")]
Top = Annotated[int, typer.Option(help="Survivors that get a page of their own.")]


def discover(
    parent: Parents = None,
    method: Method = None,
    elements: Elements = None,
    formula: Formula = None,
    min_tc: MinTc = None,
    max_hull: MaxHull = None,
    fixed: Fixed = None,
    exclude: Exclude = None,
    prototypes: Prototypes = None,
    motif: Motif = None,
    max_atoms: MaxAtoms = 12,
    max_substituted: MaxSubstituted = None,
    score: Score = None,
    max_cells: MaxCells = None,
    charge_balanced: ChargeBalanced = None,
    space_group: SpaceGroup = None,
    keep: Keep = None,
    target_tc: TargetTc = None,
    guidance: Guidance = None,
    generator: Generator = None,
    limit: Limit = None,
    funnel: FunnelName = "default",
    out: Campaign = Path("campaign"),
    workers: Workers = None,
    device: Device = "cpu",
    seed: Seed = 0,
    top: Top = 50,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Propose candidates (see `onnes propose`), screen, rank, report."""
    from onnes.tools.campaigns import discover as run
    from onnes.tools.progress import Bars

    proposal = proposal_settings(
        prototypes=prototypes, motif=motif, formula=formula, max_substituted=max_substituted, score=score,
        max_cells=max_cells, charge_balanced=charge_balanced, space_group=space_group,
        keep=keep, target_tc=target_tc, guidance=guidance, generator=generator,
    )  # fmt: skip
    with Bars(quiet=quiet or json) as bars:
        result = run(
            file_names(parent), method=method, elements=split(elements), out=out, fixed=split(fixed),
            exclude=split_if_given(exclude), max_atoms=max_atoms, limit=limit, seed=seed, proposal=proposal, funnel=funnel,
            min_tc_K=min_tc, max_e_above_hull_eV_per_atom=max_hull, workers=workers, device=device, top=top,
            observer=bars,
        )  # fmt: skip
    _emit(result, json=json)


def screen(
    files: Files,
    out: Campaign,
    min_tc: MinTc = None,
    max_hull: MaxHull = None,
    funnel: FunnelName = "default",
    workers: Workers = None,
    device: Device = "cpu",
    seed: Seed = 0,
    top: Top = 50,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the funnel over your own crystals."""
    from onnes.tools.campaigns import screen as run
    from onnes.tools.progress import Bars

    with Bars(quiet=quiet or json) as bars:
        result = run(
            files, out, funnel=funnel, min_tc_K=min_tc, max_e_above_hull_eV_per_atom=max_hull, workers=workers,
            device=device, seed=seed, top=top, observer=bars, request={"files": list(files)},
        )  # fmt: skip
    _emit(result, json=json)
    if result.n_failed:
        raise typer.Exit(EXIT_PARTIAL)


def report(
    campaign: Annotated[Path, typer.Argument(help="Campaign folder.", show_default=False)],
    open_page: Annotated[bool, typer.Option("--open", help="Open the report in the web browser.")] = False,
    top: Top = 50,
    json: Json = False,
) -> None:
    """Write the self-contained HTML report of a campaign."""
    from onnes.tools.campaigns import report as run

    result = run(campaign, top=top)
    _emit(result, json=json)
    if open_page:
        typer.launch(result.report.resolve().as_uri())


def _emit(result: CampaignResult, *, json: bool) -> None:
    """Print the ranked survivors and where the report lies."""
    if json:
        sys.stdout.write(result.data.model_dump_json(indent=1) + "\n")
        return
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for name in ("rank", "candidate", "Tc / K", "90 %", "E_hull / eV/atom", "known as", "in domain"):
        table.add_column(name, justify="left" if name in ("candidate", "known as") else "right")
    known = {c.rank: c.known_as for c in result.data.candidates}
    for s in result.data.survivors[:20]:
        table.add_row(
            str(s.rank), s.id, _number(s.tc_K, 1), f"{_number(s.tc_lo_K, 1)}–{_number(s.tc_hi_K, 1)}",
            _number(s.e_above_hull_eV_per_atom, 3), known.get(s.rank) or "–", "yes" if s.in_domain else "no",
        )  # fmt: skip
    out = console()
    out.print(result.data.summary, markup=False)
    out.print(table)
    if len(result.data.survivors) > 20:
        out.print(f"... and {len(result.data.survivors) - 20} more in the report")
    out.print(f"report: {result.report}", soft_wrap=True, markup=False)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (discover, screen, report):
        app.command()(command)
