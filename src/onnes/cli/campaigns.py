"""Commands on campaigns: discover, screen, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onnes.cli.options import EXIT_PARTIAL, Device, Files, Json, Quiet, Seed, console
from onnes.cli.proposals import ProposalOptions, with_proposal_options

if TYPE_CHECKING:
    from onnes.tools.campaigns import CampaignResult

MinTc = Annotated[float | None, typer.Option(help="Keep candidates with Tc (K, mu* = 0.10) of at least this.")]
MaxHull = Annotated[
    float | None, typer.Option("--max-hull", help="Keep candidates within this energy above the hull (eV/atom).")
]
FunnelName = Annotated[str, typer.Option("--funnel", help="Shipped funnel, or a TOML file.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes, one thread each; default one a core.")]
Campaign = Annotated[Path, typer.Option("--out", help="Campaign folder; the same command again resumes it.")]
New = Annotated[
    str | None,
    typer.Option(
        help="Keep only crystals, or only compositions, that the reference does not know: crystals, compositions."
    ),
]
Verify = Annotated[
    str | None,
    typer.Option(
        "--verify",
        help="First-principles verification of the best survivors with Quantum ESPRESSO: dos, smoke, screen or final; minutes to "
        "hours a crystal.",
        metavar="LEVEL",
    ),
]
VerifyTop = Annotated[int, typer.Option(min=1, help="Survivors that are verified: those of the highest Tc.")]
VerifyId = Annotated[
    list[str] | None,
    typer.Option(help="Candidate that is verified instead of the best; may be repeated.", show_default=False),
]
Pseudos = Annotated[
    Path | None, typer.Option(help="Folder of pseudopotentials for --verify; see `onnes pseudos`.", show_default=False)
]
Top = Annotated[int, typer.Option(help="Survivors that get a page of their own.")]
_NAMED = ("parents", "method", "elements", "fixed", "exclude", "max_atoms", "limit", "seed")


@with_proposal_options
def discover(
    asked: ProposalOptions,
    min_tc: MinTc = None,
    max_hull: MaxHull = None,
    new: New = None,
    verify: Verify = None,
    verify_top: VerifyTop = 10,
    verify_id: VerifyId = None,
    pseudos: Pseudos = None,
    funnel: FunnelName = "default",
    out: Campaign = Path("campaign"),
    workers: Workers = None,
    device: Device = "cpu",
    top: Top = 50,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Propose candidates (see `onnes propose`), screen, rank, report."""
    from onnes.tools.campaigns import discover as run
    from onnes.tools.progress import Bars

    request = asked.request()
    named = {name: request.pop(name) for name in _NAMED}
    with Bars(quiet=quiet or json) as bars:
        if asked.slow:
            bars.bar("propose", asked.total)
        result = run(
            **named, proposal=request, out=out, funnel=funnel, min_tc_K=min_tc, max_e_above_hull_eV_per_atom=max_hull,
            new=new, verify=verify, verify_top=verify_top, verify_ids=verify_id, pseudos=pseudos, workers=workers, device=device, top=top,
            observer=bars, on_rows=bars.rows_done,
        )  # fmt: skip
    _emit(result, json=json)


def screen(
    files: Files,
    out: Campaign,
    min_tc: MinTc = None,
    max_hull: MaxHull = None,
    new: New = None,
    verify: Verify = None,
    verify_top: VerifyTop = 10,
    verify_id: VerifyId = None,
    pseudos: Pseudos = None,
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
            files, out, funnel=funnel, min_tc_K=min_tc, max_e_above_hull_eV_per_atom=max_hull, new=new,
            verify=verify, verify_top=verify_top, verify_ids=verify_id, pseudos=pseudos, workers=workers, device=device, seed=seed, top=top, observer=bars, request={"files": list(files)},
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
