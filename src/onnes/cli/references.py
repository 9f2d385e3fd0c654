"""Commands on references: build, info, merge, diff."""

from __future__ import annotations

import json as jsonlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from onnes.cli.options import Device, Json, Potential, Quiet, split

if TYPE_CHECKING:
    import pyarrow as pa

    from onnes.physics.reference import Reference
    from onnes.physics.reference_diff import ReferenceDiff
    from onnes.physics.reference_survey import ReferenceSurvey, SystemSurvey
    from onnes.tools.references import Source

_SHOWN = 20
_COUNTABLE = 3  # there are millions of systems of four elements and more
Out = Annotated[Path, typer.Option("--out", help="Reference file to write (.parquet).")]
Name = Annotated[str | None, typer.Option(help="Name shown in reports.")]
Either = Annotated[str, typer.Argument(help="Reference file, or sevennet-0 for the shipped one.", show_default=False)]

app = typer.Typer(help="References: known phases with energies of one potential.", no_args_is_help=True)


@app.command()
def build(
    out: Out,
    places: Annotated[list[str] | None, typer.Argument(help="Files, folders or addresses to read.")] = None,
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="What they are: files, alexandria (dumps), optimade (addresses); or mp (key in MP_API_KEY), known-phases "
            "(data files in ONNES_DATA). A file name means files.",
        ),
    ] = "files",
    prototypes: Annotated[
        str | None,
        typer.Option(help="Decorate structure types with all pairs of these elements and relax them, e.g. Nb,Hf,Be."),
    ] = None,
    ternaries: Annotated[
        bool, typer.Option("--ternaries", help="Prototypes: triples of elements too (Heusler and others).")
    ] = False,
    elements: Annotated[
        str | None, typer.Option(help="Only crystals made of these elements, e.g. Nb,Hf,Be.", show_default=False)
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(help="alexandria, mp: only crystals so close to the hull of their source (eV/atom)."),
    ] = None,
    max_atoms: Annotated[int, typer.Option(help="Atoms in the cell at most.")] = 60,
    potential: Potential = "sevennet-0",
    name: Name = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Compute the energies of known crystals by one potential; the same command again goes on where it stopped."""
    from onnes.errors import ConfigError
    from onnes.tools.progress import Bars
    from onnes.tools.references import SOURCES, gather_phases, prototype_phases, unusable
    from onnes.tools.references import build as run
    from onnes.training.phase_sources.request import PhaseRequest

    given = list(places or [])
    if source not in SOURCES:
        source, given = "files", [source, *given]
    if not given and source == "files" and prototypes is None:
        raise ConfigError("give files with known crystals, a source with --from, or elements with --prototypes")
    request = PhaseRequest(elements=tuple(split(elements)), within_eV_per_atom=within, max_atoms=max_atoms)
    folder = out.with_suffix(".pieces")
    tables: list[tuple[pa.Table, dict[str, str]]] = []
    with Bars(quiet=quiet) as bars:
        if given or source != "files":
            bars.bar("crystals", None)
            tables.append(gather_phases(cast("Source", source), given, request, folder=folder, on_rows=bars.rows_done))
        if prototypes is not None:
            tables.append((prototype_phases(split(prototypes), ternaries=ternaries, max_atoms=max_atoms), {}))
        bars.bar("energies", sum(table.num_rows for table, _ in tables))
        built = run(
            tables, potential=potential, name=name or out.stem, folder=folder, device=device, on_rows=bars.rows_done
        )
    built.save(out)
    _say_built(built, out, unusable(tables))


def _say_built(built: Reference, out: Path, faults: list[str]) -> None:
    missing = built.table["energy_eV_per_atom"].null_count
    sys.stdout.write(
        f"{built.table.num_rows} phases written to {out}; {missing} without energy, {len(faults)} rows unusable\n"
    )
    for fault in faults[:_SHOWN]:
        sys.stderr.write(f"onnes: {fault}\n")


@app.command()
def info(
    system: Annotated[str | None, typer.Argument(help="Chemical system, e.g. Nb-Hf-Be.")] = None,
    potential: Potential = "sevennet-0",
    reference: Annotated[
        str | None, typer.Option("--reference", help="Reference file instead of the shipped one.")
    ] = None,
    json: Json = False,
) -> None:
    """What a reference knows and what it lacks: in all, or in one chemical system."""
    from onnes.physics.reference import Reference
    from onnes.physics.reference_survey import survey_reference, survey_system

    known = Reference.find(reference, potential)
    head = {"name": known.name, "potential": known.potential, "sha256": known.sha256, "notes": dict(known.notes)}
    if system is not None:
        survey = survey_system(known, [part.strip() for part in system.split("-")])
        lines = _system_lines(survey)
    else:
        survey = survey_reference(known)
        lines = [*(f"{key}: {text}" for key, text in known.notes.items()), *_reference_lines(survey)]
    if json:
        sys.stdout.write(jsonlib.dumps({**head, **asdict(survey)}, indent=1) + "\n")
        return
    title = f"{known.name}: {known.table.num_rows} phases, potential {known.potential}, sha256 {known.sha256[:16]}"
    sys.stdout.write("\n".join([title, *lines]) + "\n")


@app.command()
def merge(
    references: Annotated[
        list[str],
        typer.Argument(help="Reference files, two or more; sevennet-0 is the shipped one.", show_default=False),
    ],
    out: Out,
    name: Name = None,
) -> None:
    """Make one reference of several by the same potential; of the same phase the one of lower energy stays."""
    from onnes.physics.reference import Reference
    from onnes.physics.reference_merge import merge_references

    merged = merge_references([Reference.find(file, "") for file in references], name=name or out.stem)
    merged.save(out)
    sys.stdout.write(f"{merged.table.num_rows} phases written to {out}; {len(merged.lowest)} formulas with an energy\n")


@app.command()
def diff(first: Either, second: Either, json: Json = False, quiet: Quiet = False) -> None:
    """What changes from the first reference to the second: formulas, energies, stable phases."""
    from onnes.physics.reference import Reference
    from onnes.physics.reference_diff import diff_references
    from onnes.tools.progress import Bars

    with Bars(quiet=quiet or json) as bars:
        bars.bar("phases placed", None)
        found = diff_references(Reference.find(first, ""), Reference.find(second, ""), on_rows=bars.rows_done)
    sys.stdout.write(jsonlib.dumps(asdict(found), indent=1) + "\n" if json else "\n".join(_diff_lines(found)) + "\n")


def _reference_lines(survey: ReferenceSurvey) -> list[str]:
    lines = [
        f"phases: {survey.phases}, {survey.with_energy} with an energy, {survey.hypothetical} hypothetical",
        f"formulas: {survey.formulas}, {survey.formulas_with_energy} with an energy",
        f"elements: {len(survey.elements)}: {' '.join(survey.elements)}",
    ]
    for size, count in survey.systems.items():
        possible = f" of {survey.possible_systems[size]}" if size <= _COUNTABLE else ""
        lines.append(f"systems of {size} elements with a compound: {count}{possible}")
    return lines


def _system_lines(survey: SystemSurvey) -> list[str]:
    lines: list[str] = []
    for formula in survey.formulas:
        above = formula.e_above_hull_eV_per_atom
        place = "no energy" if above is None else "stable" if formula.stable else f"{above:.3f} eV/atom above the hull"
        kind = ", hypothetical" if formula.hypothetical else ""
        lines.append(f"  {formula.formula:<12} {place:<30} {formula.phases} phases{kind}  {formula.id}")
    lines += [f"{system}: {count} compounds with an energy" for system, count in survey.subsystems.items()]
    for text, names in (
        ("elements without an energy: nothing with them can be placed", survey.missing_elements),
        ("known, but without an energy", survey.without_energy),
        ("no compound with an energy", survey.without_compounds),
    ):
        lines += [f"{text}: {', '.join(names)}"] if names else []
    return lines


def _diff_lines(found: ReferenceDiff) -> list[str]:
    change = sorted(found.energy_change_eV_per_atom.items(), key=lambda item: -abs(item[1]))
    parts = {
        "only in the first": found.only_in_first,
        "only in the second": found.only_in_second,
        "another energy (eV/atom)": [f"{formula} {delta:+.4f}" for formula, delta in change],
        "no longer stable": found.no_longer_stable,
        "newly stable": found.newly_stable,
    }
    lines: list[str] = []
    for title, names in parts.items():
        more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        lines.append(f"{title}: {len(names)}" + (f": {', '.join(names[:_SHOWN])}{more}" if names else ""))
    return lines
