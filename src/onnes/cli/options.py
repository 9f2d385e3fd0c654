"""Options that several commands share, with their units, and how results are printed."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
Limit = Annotated[
    int | None, typer.Option("--limit", "-n", help="Most candidates: a random sample, or how many to draw.")
]
Method = Annotated[
    str | None,
    typer.Option(
        help="How to propose: neighbour, ionic, saps, like (need --parent), prototype (--elements), composition (--elements or "
        "--formula), diffusion, disorder (--parent). Default: neighbour with --parent, prototype with --elements."
    ),
]
Elements = Annotated[str | None, typer.Option(help="Elements that may be put in, e.g. Nb,Zr,Hf,N,C.")]
Formula = Annotated[str | None, typer.Option(help="Compositions, e.g. Nb3Sn,MgB2 (composition, diffusion).")]
Motif = Annotated[str | None, typer.Option(help="Family of structure types, e.g. laves (prototype).")]
Score = Annotated[
    str | None,
    typer.Option(help="Probability of replacements: observed, ionic, metallic, auto, neighbour (ionic, saps)."),
]
MaxCells = Annotated[int | None, typer.Option(help="Primitive cells in which atoms are told apart, at most (saps).")]
ChargeBalanced = Annotated[
    bool | None, typer.Option("--charge-balanced", help="Only compositions whose oxidation states balance (saps).")
]
SpaceGroup = Annotated[int | None, typer.Option(help="Space group of the crystals, 1 to 230 (diffusion).")]
Keep = Annotated[
    str | None,
    typer.Option(help="What stays of the parent: Wyckoff positions such as 4h, lattice, elements (diffusion)."),
]
TargetTc = Annotated[float | None, typer.Option(help="Ask the generator for crystals of this Tc (K; diffusion).")]
Guidance = Annotated[
    float | None, typer.Option(help="How strongly to ask (a factor: 1 as learned, more exaggerates; diffusion).")
]
Generator = Annotated[str | None, typer.Option(help="Generator: a shipped name, or a folder (diffusion).")]


def split(text: str | None) -> list[str]:
    """Split a comma-separated option."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def split_if_given(text: str | None) -> list[str] | None:
    """Split a comma-separated option; None, the default of what it sets, when it was not given."""
    return None if text is None else split(text)


def proposal_settings(
    *,
    prototypes: str | None,
    motif: str | None,
    formula: str | None,
    max_substituted: int | None,
    score: str | None,
    max_cells: int | None,
    charge_balanced: bool | None,
    space_group: int | None,
    keep: str | None,
    target_tc: float | None,
    guidance: float | None,
    generator: str | None,
) -> dict[str, Any]:
    """Fields of a proposal request from the options that only some methods have a use for; None where not given."""
    lists = {"prototypes": prototypes, "formulas": formula, "keep": keep}
    given: dict[str, Any] = {name: None if text is None else tuple(split(text)) for name, text in lists.items()}
    given |= {"motif": motif, "max_substituted": max_substituted, "space_group": space_group}
    given |= {"score": score, "max_cells": max_cells, "charge_balanced": charge_balanced}
    given |= {"guidance": guidance, "generator": generator}
    given["conditions"] = None if target_tc is None else {"ln_tc": math.log1p(target_tc)}
    return given


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
