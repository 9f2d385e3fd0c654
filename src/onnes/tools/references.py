"""Build a reference: gather known crystals from anywhere, compute their energies by one potential."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa

from onnes.crystals.readers import read_crystals
from onnes.crystals.schema import concat, values, with_columns
from onnes.crystals.table import identify
from onnes.errors import ConfigError
from onnes.physics.reference import HYPOTHETICAL, Reference
from onnes.physics.reference_merge import merge_references
from onnes.training.phase_sources.request import PhaseRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Source = Literal["files", "alexandria", "optimade", "mp", "known-phases"]
SOURCES: tuple[str, ...] = get_args(Source)


def gather_phases(
    source: Source,
    places: Sequence[str],
    request: PhaseRequest,
    *,
    folder: Path,
    on_rows: Callable[[int], None] | None = None,
) -> tuple[pa.Table, dict[str, str]]:
    """Known crystals with formula and prototype, and notes on where they come from.

    Parameters
    ----------
    source
        ``files`` (anything that onnes reads), ``alexandria`` (dumps of that database), ``optimade`` (addresses of
        databases), ``mp`` (the Materials Project, with a key in the environment) or ``known-phases`` (the data files
        behind the shipped reference).
    places
        Files or addresses; none for ``mp`` and ``known-phases``.
    request
        Which crystals; ``files`` and ``known-phases`` know no energy above hull.
    folder
        Where fetched crystals are kept, so that the same request is not made twice.
    on_rows
        Called with the number of crystals fetched since the last call.

    Raises
    ------
    ConfigError
        When the source lacks something or does not answer.
    """
    if bool(places) == (source in ("mp", "known-phases")):
        said = f"the source {source} takes no files" if places else f"name what to read from the source {source}"
        raise ConfigError(said)
    if source in ("files", "known-phases") and request.within_eV_per_atom is not None:
        raise ConfigError(f"the source {source} says nothing of an energy above hull; leave --within out")
    if source == "known-phases":
        from onnes.training.reference_data import known_phases

        table, notes = known_phases(max_atoms=request.max_atoms)
        if request.elements:  # the coverage is that of all elements
            del notes["coverage"]
        return _wanted(table, request), notes
    if source == "files":
        return identify(_wanted(read_crystals(list(places), max_atoms=request.max_atoms), request)), {}
    parts: list[pa.Table] = []
    for place in places or [""]:
        file = folder / f"phases-{_digest(source, place, request)}.jsonl"
        if not file.exists():
            _keep(_fetched(source, place, request), file, on_rows)
        if file.stat().st_size:
            parts.append(read_crystals([file], max_atoms=request.max_atoms))
    title = {"alexandria": "Alexandria", "mp": "Materials Project"}.get(source, ", ".join(places))
    if not parts:
        raise ConfigError(f"{title} has no crystal of this kind; widen --elements, --within or --max-atoms")
    table = concat(parts)
    return identify(with_columns(table, {"source": [title] * table.num_rows})), {"sources": title}


def prototype_phases(elements: Sequence[str], *, ternaries: bool = False, max_atoms: int) -> pa.Table:
    """Structure types decorated with all pairs of elements, and all triples if asked for: hypothetical competitors.

    Examples
    --------
    >>> table = prototype_phases(["Nb", "Be"], max_atoms=2)
    >>> table["id"].to_pylist()[:2]
    ['prototype:B1:Be-Nb', 'prototype:B2:Be-Nb']
    """
    from onnes.propose.prototypes import prototype, prototype_candidates, prototype_names

    sizes = (2, 3) if ternaries else (2,)
    if len(set(elements)) < min(sizes):
        raise ConfigError("structure types are decorated with two elements or more; name them as in Nb,Hf,Be")
    names = [name for name in prototype_names(["general"]) if len(prototype(name).species) in sizes]
    table = prototype_candidates(elements, prototypes=names, max_atoms=max_atoms)
    ids: list[str] = []
    for how in values(table, "how"):
        operation = json.loads(how)
        ids.append(f"{HYPOTHETICAL}:{operation['prototype']}:{'-'.join(operation['elements'].values())}")
    return with_columns(table, {"id": ids, "source": [HYPOTHETICAL] * len(ids)})


def build(
    tables: Sequence[tuple[pa.Table, dict[str, str]]],
    *,
    potential: str,
    name: str,
    folder: Path,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Reference:
    """Compute the energies of gathered crystals; reported ones as published, hypothetical ones relaxed.

    Parameters
    ----------
    tables
        What `gather_phases` and `prototype_phases` gave, with notes.
    potential, device
        Whose energies, and where it runs.
    name
        Of the reference.
    folder
        For finished pieces; the same call again goes on where this one stopped.
    on_rows
        Called with the number of crystals done since the last call.

    Raises
    ------
    ConfigError
        When there is no crystal.
    """
    from onnes.potentials.potential import load_potential
    from onnes.potentials.reference_builder import GUESSED, build_reference

    loaded = load_potential(potential, device=device)
    notes: dict[str, str] = {key: text for _, found in tables for key, text in found.items()}
    table = concat([table for table, _ in tables])
    if not table.num_rows:
        raise ConfigError("no crystal is left to compute; widen --elements")
    guessed = np.array([source == HYPOTHETICAL for source in values(table, "source")])
    parts = (name, ~guessed, None), (f"{name}: structure types", guessed, GUESSED)
    built: list[Reference] = []
    for title, chosen, settings in parts:
        if (rows := table.filter(pa.array(chosen))).num_rows:
            built.append(
                build_reference(rows, loaded, name=title, cache=folder, settings=settings, notes=notes, on_rows=on_rows)
            )
    if len(built) == 1:
        return replace(built[0], name=name)
    return merge_references(built, name=name)


def unusable(tables: Iterable[tuple[pa.Table, dict[str, str]]]) -> list[str]:
    """What is wrong with the rows that cannot be used."""
    return [error for table, _ in tables for error in values(table, "error") if error is not None]


def _wanted(table: pa.Table, request: PhaseRequest) -> pa.Table:
    """Rows made of the wanted elements, and those that could not be read."""
    if not request.elements:
        return table
    from pymatgen.core import Element

    numbers = {Element(symbol).Z for symbol in request.elements}
    rows = zip(values(table, "atomic_numbers"), values(table, "error"), strict=True)
    return table.filter(pa.array([error is not None or set(atoms) <= numbers for atoms, error in rows], pa.bool_()))


def _fetched(source: Source, place: str, request: PhaseRequest) -> Iterator[dict[str, Any]]:
    if source == "alexandria":
        from onnes.training.phase_sources.alexandria import alexandria_phases

        return alexandria_phases(Path(place), request)
    if source == "optimade":
        from onnes.training.phase_sources.optimade import optimade_phases

        return optimade_phases(place, request)
    from onnes.training.phase_sources.materials_project import materials_project_phases

    return materials_project_phases(request)


def _digest(source: str, place: str, request: PhaseRequest) -> str:
    """Name of a request; a dump counts as changed when its size or date does."""
    stamp = ""
    if source == "alexandria":
        try:
            state = Path(place).stat()
        except OSError as error:
            raise ConfigError(f"{place}: {error.strerror}; check the path") from error
        stamp = f"{state.st_size} {state.st_mtime_ns}"
    return hashlib.sha256(f"{source} {place} {stamp} {request.model_dump_json()}".encode()).hexdigest()[:24]


def _keep(objects: Iterable[dict[str, Any]], file: Path, on_rows: Callable[[int], None] | None) -> None:
    """Write one JSON object a line, under the final name only when all are there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as out:
            for item in objects:
                out.write(json.dumps(item, default=str) + "\n")
                if on_rows:
                    on_rows(1)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
