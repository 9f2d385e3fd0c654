"""Commands of first-principles verification: verify, pseudos."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onnes.cli.options import EXIT_ENVIRONMENT, EXIT_PARTIAL, Json, Quiet, console, split

if TYPE_CHECKING:
    import pyarrow as pa

    from onnes.tools.verify import VerificationTable
    from onnes.verify.settings import RunSettings, VerifySettings

_GRID = "three numbers, such as 2,2,2"
_SLURM = "SLURM"


def verify(
    crystals: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES|CAMPAIGN",
            help="Files of crystals, or a campaign folder: its best survivor.",
            show_default=False,
        ),
    ],
    row: Annotated[
        list[str] | None, typer.Option("--id", help="Row of the files or the campaign; may be repeated.")
    ] = None,
    level: Annotated[
        str, typer.Option(help="How much is computed: dos, smoke (the coarsest grids), screen or final.")
    ] = "smoke",
    pseudos: Annotated[
        Path | None, typer.Option(help="Folder of pseudopotentials, listed by `onnes pseudos`.", show_default=False)
    ] = None,
    functional: Annotated[
        str | None, typer.Option(help="PBE, PBEsol or LDA; that of the folder by default, else PBE.")
    ] = None,
    q_grid: Annotated[str | None, typer.Option(help=f"Grid of phonon wave vectors, {_GRID}.")] = None,
    k_grid: Annotated[
        str | None, typer.Option(help=f"Coarse grid of k points, {_GRID}; a multiple of the q grid.")
    ] = None,
    dense_k_grid: Annotated[
        str | None, typer.Option(help=f"Dense grid of k points, {_GRID}; a multiple of the coarse one.")
    ] = None,
    relax: Annotated[
        bool | None,
        typer.Option("--relax/--no-relax", help="Relax atoms and cell first; by default as the level says."),
    ] = None,
    interpolate: Annotated[
        bool | None,
        typer.Option("--interpolate/--no-interpolate", help="Fourier interpolation of the phonons as well."),
    ] = None,
    bands: Annotated[bool | None, typer.Option("--bands/--no-bands", help="Bands along the path as well.")] = None,
    pressure: Annotated[
        float | None, typer.Option(help="Target of the relaxation (GPa); by default that of each crystal, or 0.")
    ] = None,
    mu_star: Annotated[
        list[float] | None,
        typer.Option(help="Coulomb pseudopotential (0 to 0.45), once for each; 0.10, 0.13 and 0.16 by default."),
    ] = None,
    max_atoms: Annotated[int, typer.Option(min=1, help="Larger primitive cells are not begun.")] = 12,
    ranks: Annotated[int, typer.Option(min=1, help="MPI processes of a program.")] = 1,
    launcher: Annotated[
        str | None, typer.Option(help="What starts programs with several ranks, such as 'mpirun -np {ranks}'.")
    ] = None,
    hours: Annotated[
        float | None, typer.Option(help="Stop cleanly after so long (h); the same command goes on later.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder of the work; `verification` by default, in the campaign where there is one."
        ),
    ] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="Folder for figures (SVG).")] = None,
    slurm: Annotated[
        bool,
        typer.Option("--slurm", help="Write one job script a crystal instead of computing.", rich_help_panel=_SLURM),
    ] = False,
    submit: Annotated[
        bool,
        typer.Option("--submit/--no-submit", help="Submit what is not done and not queued.", rich_help_panel=_SLURM),
    ] = True,
    partition: Annotated[str | None, typer.Option(help="Partition of the jobs.", rich_help_panel=_SLURM)] = None,
    account: Annotated[str | None, typer.Option(help="Account of the jobs.", rich_help_panel=_SLURM)] = None,
    time: Annotated[
        str, typer.Option(help="Walltime of a job: 90 (minutes), 12:00:00 or 2-00.", rich_help_panel=_SLURM)
    ] = "24:00:00",
    nodes: Annotated[int, typer.Option(min=1, help="Nodes of a job.", rich_help_panel=_SLURM)] = 1,
    ntasks: Annotated[int, typer.Option(min=1, help="MPI processes of a job.", rich_help_panel=_SLURM)] = 1,
    sbatch_option: Annotated[
        list[str] | None, typer.Option(help="Another option of sbatch, such as --mem=8G.", rich_help_panel=_SLURM)
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Verify crystals by first principles with Quantum ESPRESSO: verdict, lambda, Tc (K) with its range, phonons, N(E_F).

    Minutes to hours a crystal. Work is kept step by step: the same command goes on where the last one ended. The exit code is 3
    when a crystal has no answer, 4 when none has because programs or pseudopotentials are missing.
    """
    from onnes.tools.verify import checked_settings
    from onnes.verify.slurm import LAUNCHER

    settings: dict[str, Any] = {
        "level": level, "pseudos": None if pseudos is None else str(pseudos), "functional": functional, "relax": relax,
        "q_grid": _grid(q_grid), "k_grid": _grid(k_grid), "dense_k_grid": _grid(dense_k_grid), "interpolate": interpolate,
        "bands": bands, "mu_stars": tuple(mu_star) if mu_star else None, "max_atoms": max_atoms,
    }  # fmt: skip
    checked = checked_settings(**settings)
    launched = launcher or (LAUNCHER if slurm else None)
    run = _run_settings(ranks=ntasks if slurm else ranks, hours=hours, launcher=launched)
    if slurm:
        header = {
            "partition": partition, "account": account, "time": time, "nodes": nodes, "ntasks": ntasks,
            "options": tuple(sbatch_option or ()),
        }  # fmt: skip
        _slurm(crystals, row, checked, run, header, out, pressure=pressure, submit=submit, json=json)
        return
    from onnes.tools.progress import Steps
    from onnes.tools.verify import verify as compute

    with Steps(quiet=quiet or json) as steps:
        found = compute(
            crystals, **settings, pressure_GPa=pressure, out=out, ids=row, plots=plots, run=run, on_step=steps.on_step
        )
    _show(found, json=json)


def _show(found: VerificationTable, *, json: bool) -> None:
    if json:
        sys.stdout.write(found.to_json() + "\n")
    else:
        page = console()
        page.print(found.rich())
        for name, folder in found.folders.items():
            page.print(f"{name}: {folder}", soft_wrap=True, markup=False, highlight=False)
            for path in found.figures.get(name, ()):
                page.print(f"  figure: {path}", soft_wrap=True, markup=False, highlight=False)
    if set(found["dft_verdict"]) == {"not_available"}:
        raise typer.Exit(EXIT_ENVIRONMENT)
    if found.n_failed or found.n_undone:
        raise typer.Exit(EXIT_PARTIAL)


def _slurm(
    crystals: list[str],
    ids: list[str] | None,
    settings: VerifySettings,
    run: RunSettings,
    header: dict[str, Any],
    out: Path | None,
    *,
    pressure: float | None,
    submit: bool,
    json: bool,
) -> None:
    """Write and submit the scripts, and say what became of each crystal."""
    from pydantic import ValidationError

    from onnes.errors import ConfigError
    from onnes.tools.verify import rows_of
    from onnes.verify.slurm import SlurmSettings, slurm_jobs

    try:
        asked = SlurmSettings(**header)
    except ValidationError as error:
        raise ConfigError("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from error
    table, folder = rows_of(crystals, ids, out, pressure_GPa=pressure)
    jobs = slurm_jobs(table, settings, _arguments(settings, run), asked, folder, submit=submit)
    if json:
        sys.stdout.write(jsonlib.dumps([job.model_dump(mode="json") for job in jobs], indent=1) + "\n")
    else:
        page = console()
        for job in jobs:
            page.print(
                f"{job.id}: {job.state} {job.job_id or ''} {job.script}", soft_wrap=True, markup=False, highlight=False
            )
        if not submit:
            page.print("submit them with sbatch, or with the same command and --submit")
    _tell_errors(table)


def _tell_errors(table: pa.Table) -> None:
    from onnes.crystals.schema import values

    failed = [(name, error) for name, error in zip(values(table, "id"), values(table, "error"), strict=True) if error]
    for name, error in failed:
        sys.stderr.write(f"{name}: {error}\n")
    if failed:
        raise typer.Exit(EXIT_PARTIAL)


def _arguments(settings: VerifySettings, run: RunSettings) -> list[str]:
    """Options of this command that give these settings."""
    from onnes.verify.settings import VerifySettings as Defaults

    words = [f"--level={settings.level}"]
    if settings.pseudos is not None:
        words.append(f"--pseudos={Path(settings.pseudos).expanduser().resolve()}")
    if settings.functional is not None:
        words.append(f"--functional={settings.functional}")
    grids = {name.replace("_", "-"): getattr(settings, name) for name in ("q_grid", "k_grid", "dense_k_grid")}
    words += [f"--{name}={','.join(map(str, grid))}" for name, grid in grids.items() if grid is not None]
    switches = {name: getattr(settings, name) for name in ("relax", "interpolate", "bands")}
    words += [f"--{name}" if on else f"--no-{name}" for name, on in switches.items() if on is not None]
    if settings.mu_stars != Defaults().mu_stars:
        words += [f"--mu-star={value:g}" for value in settings.mu_stars]
    return [
        *words,
        f"--max-atoms={settings.max_atoms}",
        f"--ranks={run.ranks}",
        f"--launcher={run.launcher}",
    ]


def _run_settings(*, ranks: int, hours: float | None, launcher: str | None) -> RunSettings:
    from pydantic import ValidationError

    from onnes.errors import ConfigError
    from onnes.verify.settings import RunSettings

    given = {"ranks": ranks, "hours": hours, "launcher": launcher}
    try:
        return RunSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise ConfigError("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from error


def _grid(text: str | None) -> tuple[int, ...] | None:
    from onnes.errors import ConfigError

    if text is None:
        return None
    parts = split(text.replace("x", ","))
    if len(parts) != 3 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f"{text!r} is no grid; give {_GRID}")
    return tuple(map(int, parts))


def pseudos(
    folder: Annotated[Path, typer.Argument(help="Folder with *.UPF, *.upf or *.gth files.", show_default=False)],
    hint: Annotated[str, typer.Option(help="Which hint of PseudoDojo's reports: low, normal or high.")] = "high",
    json: Json = False,
) -> None:
    """List a folder of pseudopotentials in its manifest: file, sha256, functional and cut-offs (Ry) of each element.

    What a person wrote into an earlier manifest stays as long as the file has not changed.
    """
    from onnes.errors import ConfigError
    from onnes.verify.manifest import make_manifest, read_manifest

    if hint not in ("low", "normal", "high"):
        raise ConfigError(f"hint {hint!r} is not known; one of low, normal, high")
    path = make_manifest(folder, hint=hint)
    entries = read_manifest(folder)
    if json:
        sys.stdout.write(jsonlib.dumps({e: one.model_dump(mode="json") for e, one in entries.items()}, indent=1) + "\n")
        return
    from rich.table import Table

    view = Table(box=None, header_style="bold")
    for title in ("element", "file", "functional", "wave functions / Ry", "density / Ry", "sha256"):
        view.add_column(title, justify="right" if "Ry" in title else "left")
    for element, one in entries.items():
        cutoffs = [f"{value:g}" if value else "missing" for value in (one.ecutwfc_Ry, one.ecutrho_Ry)]
        view.add_row(element, one.file, one.functional, *cutoffs, one.sha256[:12])
    page = console()
    page.print(view)
    page.print(f"manifest: {path}", soft_wrap=True, markup=False, highlight=False)
    if missing := [element for element, one in entries.items() if one.ecutwfc_Ry is None]:
        page.print(f"add ecutwfc_Ry below {', '.join(f'[{one}]' for one in missing)}", markup=False, highlight=False)


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (verify, pseudos):
        app.command()(command)
