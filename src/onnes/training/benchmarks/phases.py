"""Benchmark of the shipped reference against binary systems whose phases are known by experiment."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.binary_phases import binary_systems, phase_crystals, system_table
from onnes.crystals.known import known_entry
from onnes.crystals.schema import concat, floats, values
from onnes.physics.hull import Hull, chemical_system
from onnes.physics.reference import SCHEMA, Reference
from onnes.potentials.potential import DEFAULT_POTENTIAL, load_potential
from onnes.potentials.relaxation import RelaxSettings
from onnes.potentials.tables import evaluate_table, relax_table
from onnes.training.benchmarks.report import Benchmark
from onnes.training.feature_cache import cache_folder, piece_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnes.crystals.binary_phases import BinarySystem

NEAR_eV = 0.015
"""How far above the hull a phase still counts as near it."""
MAX_VOLUME_CHANGE = 0.05
BAR = ("Nb3Sn", "MgB2", "V3Si", "TiN", "ZrRe2")
"""Phases that must be near the hull."""
_ON_HULL_eV = 1e-6
_PUBLISHED = "known:"
_PUBLISHED_FORCE = "published_forces_max_eV_per_A"
_RELAX = RelaxSettings(fmax_eV_per_A=0.03, max_steps=150)


@dataclass(frozen=True, eq=False)
class RelaxedPhases:
    """Published crystals after relaxation: table of a reference, and what became of each crystal.

    Attributes
    ----------
    table
        Columns of `onnes.physics.reference.SCHEMA`; only crystals that stayed what they were published as.
    forces_eV_per_A
        Largest force at the published geometry, by name.
    volume_change
        Relative, by name.
    lost
        What is wrong with each crystal that is not in the table, by name.
    """

    table: pa.Table
    forces_eV_per_A: dict[str, float]
    volume_change: dict[str, float]
    lost: dict[str, str]


def relax_phases(
    table: pa.Table, potential: str, *, device: str = "cpu", on_rows: Callable[[int], None] | None = None
) -> RelaxedPhases:
    """Relax published crystals, each once (they are kept on disk); one that changes its space group, or its volume by 5 % or more, is left out.

    Parameters
    ----------
    table
        Crystal table; ids are names of crystals.
    potential
        Name of the potential.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals relaxed since the last call.
    """
    names = values(table, "id")
    parts = []
    for row in range(table.num_rows):
        parts.append(_relaxed(table.slice(row, 1), potential, device))
        if on_rows:
            on_rows(1)
    relaxed = concat(parts)
    forces = dict(zip(names, floats(relaxed, _PUBLISHED_FORCE).tolist(), strict=True))
    changes = CrystalBatch.from_table(relaxed).volumes / CrystalBatch.from_table(table).volumes - 1
    change = dict(zip(names, changes.tolist(), strict=True))
    lost: dict[str, str] = {}
    rows = zip(names, values(relaxed, "error"), values(relaxed, "space_group"), strict=True)
    for name, error, group in rows:
        if error is not None:
            lost[name] = error
        elif abs(change[name]) >= MAX_VOLUME_CHANGE:
            lost[name] = f"volume changed by {change[name]:+.1%}"
        elif group != _published_group(name):
            lost[name] = f"space group {_published_group(name)} became {group}"
    kept = relaxed.filter(pa.array([name not in lost for name in names]))
    columns = {field.name: values(kept, field.name) for field in SCHEMA if field.name in kept.column_names}
    columns |= {"relaxed": [True] * kept.num_rows, "id": [f"{_PUBLISHED}{name}" for name in values(kept, "id")]}
    return RelaxedPhases(
        pa.table({n: pa.array(columns[n], SCHEMA.field(n).type) for n in SCHEMA.names}), forces, change, lost
    )


def _relaxed(row: pa.Table, potential: str, device: str) -> pa.Table:
    """Relax one crystal, or find it in the cache: its row, and the largest force at the published geometry beside it."""
    folder = cache_folder() / "phases"
    folder.mkdir(parents=True, exist_ok=True)
    settings = hashlib.sha256(_RELAX.model_dump_json().encode()).hexdigest()[:8]
    path = folder / f"{potential}-{piece_key(CrystalBatch.from_table(row), potential)}-{settings}.parquet"
    if not path.exists():
        model = load_potential(potential, device=device)
        force = floats(evaluate_table(row, model), "forces_max_eV_per_A")
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        pq.write_table(relax_table(row, model, _RELAX).append_column(_PUBLISHED_FORCE, pa.array(force)), temporary)
        temporary.replace(path)
    return pq.read_table(path)


def _published_group(name: str) -> int:
    found = phase_crystals().get(name)
    return (found or known_entry(name)).space_group


@dataclass(frozen=True)
class SystemScore:
    """Phases of one system: height above the hull (eV/atom) of each known one, None without an energy; spurious ones."""

    heights: dict[str, float | None]
    spurious: tuple[str, ...]

    @property
    def found(self) -> list[str]:
        """Known phases on the hull."""
        return [name for name, height in self.heights.items() if height is not None and height <= _ON_HULL_eV]

    @property
    def near(self) -> list[str]:
        """Known phases above the hull, but near it."""
        return [n for n, h in self.heights.items() if h is not None and _ON_HULL_eV < h <= NEAR_eV]

    @property
    def missed(self) -> list[str]:
        """Known phases further above the hull, or without an energy."""
        return [name for name in self.heights if name not in (*self.found, *self.near)]


def score_system(hull: Hull, system: BinarySystem) -> SystemScore:
    """Hold a hull against a phase diagram."""
    lowest = {
        phase.formula: phase.energy_eV_per_atom for phase in hull.phases(chemical_system(system.name.replace("-", "")))
    }

    def height(formula: str) -> float | None:
        place = hull.place(formula, lowest[formula]) if formula in lowest else None
        return None if place is None else max(place.e_above_hull_eV_per_atom, 0.0)

    heights = {formula: height(formula) for formula in system.phases}
    others = [f for f in lowest if f not in heights and len(chemical_system(f)) > 1]
    spurious = tuple(sorted(f for f in others if (h := height(f)) is not None and h <= _ON_HULL_eV))
    return SystemScore(heights, spurious)


def benchmark_phases(
    *, potential: str = DEFAULT_POTENTIAL, device: str = "cpu", on_rows: Callable[[int], None] | None = None
) -> Benchmark:
    """Count the known phases that the hull finds, those it misses, and those that nobody has made.

    The hull is that of the shipped reference together with crystals written from published parameters, relaxed by the
    potential.

    Parameters
    ----------
    potential
        With a shipped reference.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals relaxed since the last call.
    """
    shipped = Reference.shipped(potential)
    phases = relax_phases(system_table(), potential, device=device, on_rows=on_rows)
    fuller = replace(shipped, table=pa.concat_tables([shipped.table.cast(SCHEMA), phases.table]))
    alone, hull = Hull(shipped), Hull(fuller)
    rows: list[tuple[str, ...]] = []
    heights: dict[str, float] = {}
    counts: dict[str, int] = dict.fromkeys(("known", "found", "near", "missed", "spurious"), 0)
    without: list[str] = []
    other: list[str] = []
    for name, system in binary_systems().items():
        score = score_system(hull, system)
        cells = (list(system.phases), score.found, score.near, score.missed, list(score.spurious))
        rows.append((name, *(_listed(cell, score.heights) for cell in cells[1:])))
        counts = {key: counts[key] + len(cell) for key, cell in zip(counts, cells, strict=True)}
        heights |= {formula: height for formula, height in score.heights.items() if height is not None}
        other += _other_crystals(fuller, hull, score)
        without += [f for f, height in score_system(alone, system).heights.items() if height is None]
    shifts = {name: abs(x) for name, x in phases.volume_change.items() if name not in phases.lost}
    forces = {name: phases.forces_eV_per_A[name] for name in shifts}
    notes = [
        "known: compounds of the published phase diagrams (in src/onnes/crystals/data/binary_phases.toml, with citations); in "
        "brackets: meV/atom above the hull; "
        + "; ".join(f"{name}: {system.remark}" for name, system in binary_systems().items() if system.remark),
        "a phase is judged by its formula; the lowest crystal is not the published one for "
        + (", ".join(other) or "none of them"),
        f"of {counts['known']} known phases {counts['found']} are on the hull, {counts['near']} within {1e3 * NEAR_eV:.0f} "
        f"meV/atom, {counts['missed']} further up or without a crystal; {counts['spurious']} phases on the hull are unknown",
        f"reference: {shipped.name}, with {len(shifts)} crystals of published parameters relaxed by {potential} (largest force "
        f"before {_largest(forces)} eV/A, largest change of volume {_largest(shifts)}); without them it has no energy of "
        + (", ".join(without) or "none of the phases"),
        "left out: " + ("; ".join(f"{n} ({why})" for n, why in phases.lost.items()) or "no crystal"),
        "must be near the hull: " + ", ".join(f"{name} {_meV(heights.get(name))}" for name in BAR),
    ]  # fmt: skip
    numbers = {
        **{key: float(x) for key, x in counts.items()},
        **{f"{n}: eV/atom above hull": h for n, h in heights.items()},
    }
    columns = ("system", "found", f"within {1e3 * NEAR_eV:.0f} meV/atom", "missed", "spurious")
    return Benchmark("Known binary phases", columns, rows, notes, numbers)


def _other_crystals(reference: Reference, hull: Hull, score: SystemScore) -> list[str]:
    """Known phases whose lowest crystal has another prototype label than the published ones, with its id."""
    labels = dict(zip(values(reference.table, "id"), values(reference.table, "prototype"), strict=True))
    published: dict[str, set[str | None]] = {}
    for name, formula in zip(values(reference.table, "id"), values(reference.table, "reduced_formula"), strict=True):
        if name.startswith(_PUBLISHED):
            published.setdefault(formula, set()).add(labels[name])
    lowest = {f: hull.reference.lowest[f][1] for f, height in score.heights.items() if height is not None}
    return [f"{f} ({i})" for f, i in lowest.items() if f in published and labels[i] not in published[f]]


def _listed(formulas: list[str], heights: dict[str, float | None]) -> str:
    def text(formula: str) -> str:
        height = heights.get(formula, 0.0)
        if height is None:
            return f"{formula} (no crystal)"
        return formula if height <= _ON_HULL_eV else f"{formula} ({1e3 * height:.0f})"

    return ", ".join(map(text, formulas)) or "–"


def _meV(height: float | None) -> str:
    return "without an energy" if height is None else f"{1e3 * height:.1f} meV/atom"


def _largest(numbers: dict[str, float]) -> str:
    if not numbers:
        return "–"
    name = max(numbers, key=lambda n: numbers[n])
    return f"{numbers[name]:.2f} ({name})"
