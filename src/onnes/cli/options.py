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


def split(text: str | None) -> list[str]:
    """Split a comma-separated option."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


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
