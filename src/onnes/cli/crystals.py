"""Commands on crystals in hand: predict, relax, hull, propose."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from onnes.cli.options import (
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
    Model,
    Motif,
    Out,
    Parents,
    Potential,
    Prototypes,
    Quiet,
    ReferenceFile,
    Score,
    Seed,
    SpaceGroup,
    TargetTc,
    emit,
    file_names,
    proposal_settings,
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


def propose(
    parent: Parents = None,
    method: Method = None,
    elements: Elements = None,
    formula: Formula = None,
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
    seed: Seed = 0,
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Propose candidate crystals: from parents, elements, compositions, or drawn by the generator."""
    from onnes.tools.crystals import propose as run

    settings = proposal_settings(
        prototypes=prototypes, motif=motif, formula=formula, max_substituted=max_substituted, score=score,
        max_cells=max_cells, charge_balanced=charge_balanced, space_group=space_group,
        keep=keep, target_tc=target_tc, guidance=guidance, generator=generator,
    )  # fmt: skip
    # The others take a second, and a fault of the request shall be one line.
    slow = method in {"composition", "diffusion"}
    with _bar("propose", limit or 0, quiet=quiet or json or not slow) as on_rows:
        result = run(
            file_names(parent), method=method, elements=split(elements), fixed=split(fixed),
            exclude=split_if_given(exclude), max_atoms=max_atoms, limit=limit, seed=seed, on_rows=on_rows, **settings,
        )  # fmt: skip
    emit(result, json=json, out=out)


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (predict, relax, hull, propose):
        app.command()(command)
