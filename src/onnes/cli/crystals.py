"""Commands on crystals in hand: predict, relax, hull, propose."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from onnes.cli.options import (
    Device,
    Exclude,
    Files,
    Fixed,
    Json,
    Limit,
    MaxAtoms,
    MaxSubstituted,
    Model,
    Out,
    Parents,
    Potential,
    Prototypes,
    Quiet,
    ReferenceFile,
    Seed,
    emit,
    file_names,
    split,
    split_if_given,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def _bar(name: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    from onnes.tools.progress import Bars

    with Bars(quiet=quiet) as bars:
        bars.bar(name, total)
        yield bars.rows_done


def predict(
    files: Files,
    relax: Annotated[
        bool, typer.Option("--relax", help="Relax first; otherwise predict at the given geometry.")
    ] = False,
    hull: Annotated[bool, typer.Option(help="Place the crystals on the convex hull as well.")] = True,
    model: Model = "structure",
    phonons: Annotated[
        bool, typer.Option("--phonons", help="Shape alpha2F by the potential's phonons (seconds a crystal).")
    ] = False,
    potential: Potential = "sevennet-0",
    reference: ReferenceFile = None,
    device: Device = "cpu",
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict Tc (K), lambda, omega_log (K), their spread, E above hull (eV/atom), P(metal) and domain of crystals."""
    from onnes.tools.crystals import predict as run
    from onnes.tools.inputs import as_table

    table = as_table(files)
    with _bar("predict", table.num_rows, quiet=quiet or json) as on_rows:
        result = run(
            table,
            relax=relax,
            hull=hull,
            model=model,
            phonons=phonons,
            potential=potential,
            reference=reference,
            device=device,
            on_rows=on_rows,
        )
    emit(result, json=json, out=out)


def relax(
    files: Files,
    potential: Potential = "sevennet-0",
    fmax: Annotated[float, typer.Option(help="Largest force at the end (eV/Å).")] = 0.02,
    max_steps: Annotated[int, typer.Option(help="Largest number of steps.")] = 300,
    pressure: Annotated[float, typer.Option(help="Target pressure (GPa).")] = 0.0,
    optimizer: Annotated[str, typer.Option(help="bfgs, lbfgs or fire.")] = "bfgs",
    keep_symmetry: Annotated[bool, typer.Option(help="Keep the space group of the start.")] = True,
    device: Device = "cpu",
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Relax positions and cell of crystals."""
    from onnes.tools.crystals import relax as run
    from onnes.tools.inputs import as_table

    table = as_table(files)
    with _bar("relax", table.num_rows, quiet=quiet or json) as on_rows:
        result = run(
            table, potential=potential, device=device, on_rows=on_rows, fmax_eV_per_A=fmax, max_steps=max_steps,
            pressure_GPa=pressure, optimizer=optimizer, keep_symmetry=keep_symmetry,
        )  # fmt: skip
    emit(result, json=json, out=out)


def hull(
    files: Files,
    relax: Annotated[bool, typer.Option("--relax", help="Relax first; otherwise use the given geometry.")] = False,
    potential: Potential = "sevennet-0",
    reference: ReferenceFile = None,
    device: Device = "cpu",
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Formation energy and energy above the convex hull (eV/atom) of crystals."""
    from onnes.tools.crystals import hull as run
    from onnes.tools.inputs import as_table

    table = as_table(files)
    with _bar("hull", table.num_rows, quiet=quiet or json) as on_rows:
        result = run(table, relax=relax, potential=potential, reference=reference, device=device, on_rows=on_rows)
    emit(result, json=json, out=out)


def propose(
    parent: Parents = None,
    elements: Annotated[str | None, typer.Option(help="Elements that decorate prototypes, e.g. Nb,Zr,N.")] = None,
    fixed: Fixed = None,
    exclude: Exclude = None,
    prototypes: Prototypes = None,
    max_atoms: MaxAtoms = 12,
    max_substituted: MaxSubstituted = None,
    limit: Limit = None,
    seed: Seed = 0,
    out: Out = None,
    json: Json = False,
) -> None:
    """Propose candidate crystals from parents or elements."""
    from onnes.tools.crystals import propose as run

    result = run(
        file_names(parent), elements=split(elements), fixed=split(fixed),
        exclude=split_if_given(exclude), prototypes=split_if_given(prototypes),
        max_atoms=max_atoms, max_substituted=max_substituted, limit=limit, seed=seed,
    )  # fmt: skip
    emit(result, json=json, out=out)


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (predict, relax, hull, propose):
        app.command()(command)
