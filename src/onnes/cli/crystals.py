"""Commands on crystals in hand: predict, relax, hull, propose."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from onnes.cli.options import Device, Files, Json, Model, Out, Potential, Quiet, ReferenceFile, emit
from onnes.cli.proposals import ProposalOptions, with_proposal_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def _bar(name: str, total: int | None, *, quiet: bool) -> Iterator[Callable[[int], None]]:
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
    pressure: Annotated[
        float | None, typer.Option(help="Target pressure (GPa); by default the one that each crystal comes with, or 0.")
    ] = None,
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
    target = {} if pressure is None else {"pressure_GPa": pressure}
    with _bar("relax", table.num_rows, quiet=quiet or json) as on_rows:
        result = run(
            table, potential=potential, device=device, on_rows=on_rows, fmax_eV_per_A=fmax, max_steps=max_steps,
            optimizer=optimizer, keep_symmetry=keep_symmetry, **target,
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


@with_proposal_options
def propose(asked: ProposalOptions, out: Out = None, json: Json = False, quiet: Quiet = False) -> None:
    """Propose candidate crystals: from parents, elements, compositions, or drawn by the generator."""
    from onnes.tools.crystals import propose as run

    # The others take a second, and a fault of the request shall be one line.
    with _bar("propose", asked.total, quiet=quiet or json or not asked.slow) as on_rows:
        result = run(on_rows=on_rows, **asked.request())
    emit(result, json=json, out=out)


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (predict, relax, hull, propose):
        app.command()(command)
