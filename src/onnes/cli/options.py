"""Options that several commands share, with their units, and how results are printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from onnes.tools.result import ResultTable

EXIT_USAGE, EXIT_PARTIAL, EXIT_ENVIRONMENT, EXIT_STOPPED = 2, 3, 4, 130

Files = Annotated[
    list[str],
    typer.Argument(help="CIF, POSCAR, extxyz, Parquet, JSON files, folders or patterns.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of a table.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Write the rows with all columns to this file (.parquet, .extxyz, .jsonl ...)."),
]
Device = Annotated[str, typer.Option(help="Where models run: cpu or cuda.")]
Model = Annotated[
    str, typer.Option(help="Superconductivity model: structure, fast, electronic, or a folder with weights.")
]
Potential = Annotated[str, typer.Option(help="Interatomic potential: sevennet-0, sevennet-l3i5 or chgnet.")]
ReferenceFile = Annotated[
    str | None, typer.Option("--reference", help="Reference file for the hull instead of the shipped one.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]
Seed = Annotated[int, typer.Option(help="Seed of every random operation.")]
MaxAtoms = Annotated[int, typer.Option(help="Atoms in the primitive cell at most.")]
Parents = Annotated[list[Path] | None, typer.Option(help="Parent crystal (file); repeat for more.")]
Fixed = Annotated[str | None, typer.Option(help="Elements of the parents that stay, e.g. Be,B.")]
Exclude = Annotated[str | None, typer.Option(help="Elements never put in, e.g. Tl,Cd.")]
Prototypes = Annotated[str | None, typer.Option(help="Structure types to decorate, e.g. A15,B1.")]
MaxSubstituted = Annotated[int | None, typer.Option(help="Wyckoff orbits changed at once at most.")]
Limit = Annotated[int | None, typer.Option(help="Screen a random sample of this many candidates.")]


def split(text: str | None) -> list[str]:
    """Split a comma-separated option."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def split_if_given(text: str | None) -> list[str] | None:
    """Split a comma-separated option; None, the default of what it sets, when it was not given."""
    return None if text is None else split(text)


def file_names(paths: list[Path] | None) -> list[str] | None:
    """Names of the files of an option that can be repeated; None when it was not given."""
    return [str(path) for path in paths] if paths else None


def console() -> Console:
    """Console for standard output; wide enough for a table when it is no terminal."""
    from rich.console import Console

    from onnes.tools.result import PAGE_WIDTH

    return Console(width=None if sys.stdout.isatty() else PAGE_WIDTH)


def emit(result: ResultTable, *, json: bool, out: Path | None) -> None:
    """Print a result, write it where asked, and leave with code 3 when some rows failed."""
    if out is not None:
        result.write(out)
    if json:
        sys.stdout.write(result.to_json() + "\n")
    elif out is None:
        console().print(result.rich())
    else:
        sys.stderr.write(f"{len(result)} rows written to {out}, {result.n_failed} of them with an error\n")
    if result.n_failed:
        raise typer.Exit(EXIT_PARTIAL)
