"""Build a reference: energies of known crystals by one potential, resumable piece by piece.

Every crystal is evaluated at its published geometry; those that are strained and close to the hull are then relaxed.
Crystals whose geometry is only a guess, such as decorated structure types, are all relaxed.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from ase.units import GPa
from pydantic import BaseModel, ConfigDict, Field

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import is_open, values
from onnes.physics.hull import Hull
from onnes.physics.reference import SCHEMA, Reference
from onnes.potentials.evaluation import evaluate_each
from onnes.potentials.relaxation import RelaxSettings, relax_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from onnes.potentials.potential import Potential

PIECE = 256
_RELAX_PIECE = 32


class ReferenceSettings(BaseModel):
    """How the energies are made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    relax_all: bool = Field(
        default=False,
        description="relax every crystal, because geometries are guesses; the settings of what to relax are void",
    )
    relax_above_force_eV_per_A: float = Field(default=0.3, ge=0, description="crystals with a larger force are relaxed")
    relax_above_stress_GPa: float = Field(
        default=3.0, ge=0, description="crystals with a larger stress component are relaxed"
    )
    relax_within_eV_per_atom: float = Field(
        default=0.05,
        ge=0,
        description="only the lowest crystal of a formula is relaxed, and only this close to the hull",
    )
    relax_max_atoms: int = Field(default=12, ge=1, description="larger cells keep their published geometry")
    fmax_eV_per_A: float = Field(default=0.03, gt=0, description="largest force after that relaxation (eV/A)")
    max_steps: int = Field(default=100, ge=1)
    max_volume_change: float = Field(
        default=0.3, gt=0, description="a relaxation that changes the volume by more is not used"
    )


GUESSED = ReferenceSettings(relax_all=True, fmax_eV_per_A=0.05, max_steps=60, max_volume_change=0.4)
"""Settings for decorated structure types: volumes come from atomic radii, which are too small for covalent crystals."""


def build_reference(
    table: pa.Table,
    potential: Potential,
    *,
    name: str,
    cache: Path,
    settings: ReferenceSettings | None = None,
    notes: Mapping[str, str] | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> Reference:
    """Compute a reference from a crystal table.

    Parameters
    ----------
    table
        Known crystals with formula and prototype (`onnes.crystals.table.identify`); rows with ``error`` are left out.
    potential
        Whose energies.
    name
        Of the reference, shown in reports.
    cache
        Folder for finished pieces; a later call with the same crystals goes on where this one stopped.
    settings
        Defaults to `ReferenceSettings`.
    notes
        Written into the file (coverage, sources).
    on_rows
        Called with the number of rows done since the last call.

    Returns
    -------
    Reference
        A crystal that the potential cannot compute stays in it without an energy: known, but no competitor.
    """
    settings = settings or ReferenceSettings()
    table = table.filter(pa.array(is_open(table)))
    batch = CrystalBatch.from_table(table)
    cache.mkdir(parents=True, exist_ok=True)
    if settings.relax_all:
        energies, forces, relaxed = _relax_all(batch, potential, settings, cache, on_rows)
        geometry = f"guessed and relaxed with the space group kept; {int(relaxed.sum())} converged"
    else:
        energies, forces, stresses = _evaluate(batch, potential, cache, on_rows)
        relaxed = np.zeros(len(batch), bool)
        unrelaxed = _reference(table, potential, name, {}, energies, forces, relaxed)
        rows = _to_relax(unrelaxed, batch, values(table, "reduced_formula"), energies, forces, stresses, settings)
        for start in range(0, len(rows), _RELAX_PIECE):
            part = rows[start : start + _RELAX_PIECE]
            lower, force, converged, volumes = _relax_piece(batch.select(part), potential, settings, cache, on_rows)
            good = converged & (np.abs(volumes - 1) < settings.max_volume_change) & (lower < energies[part])
            energies[part[good]], forces[part[good]], relaxed[part[good]] = lower[good], force[good], True
        geometry = (
            f"as published; {int(relaxed.sum())} crystals within {settings.relax_within_eV_per_atom} eV/atom of the "
            f"hull and of up to {settings.relax_max_atoms} atoms relaxed, whose forces exceeded "
            f"{settings.relax_above_force_eV_per_A} eV/A or whose stress exceeded {settings.relax_above_stress_GPa} GPa"
        )
    count = f"{int(np.isfinite(energies).sum())} of {len(batch)} phases; the others are known, but do not compete"
    all_notes = {**(notes or {}), "energies": count, "geometry": geometry}
    return _reference(table, potential, name, all_notes, energies, forces, relaxed)


def _reference(
    table: pa.Table,
    potential: Potential,
    name: str,
    notes: Mapping[str, str],
    energies: np.ndarray,
    forces: np.ndarray,
    relaxed: np.ndarray,
) -> Reference:
    columns = {name: values(table, name) for name in ("id", "source", "reduced_formula", "n_atoms", "prototype")}
    numbers = {
        "energy_eV_per_atom": pa.array(energies, mask=np.isnan(energies)),
        "forces_max_eV_per_A": pa.array(forces, mask=np.isnan(forces)),
        "relaxed": relaxed.tolist(),
    }
    rows = pa.table({**columns, **numbers}).cast(SCHEMA)
    rows = rows.sort_by([("reduced_formula", "ascending"), ("id", "ascending")])
    return Reference(name, potential.name, potential.sha256, potential.energy_scheme, rows, "", notes)


def _evaluate(
    batch: CrystalBatch, potential: Potential, cache: Path, on_rows: Callable[[int], None] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts: list[tuple[np.ndarray, ...]] = []
    for start in range(0, len(batch), PIECE):
        piece = batch.select(range(start, min(start + PIECE, len(batch))))
        path = cache / f"energies-{piece_key(piece, potential.sha256)}.npz"
        if not path.exists():
            store_piece(path, *evaluate_piece(piece, potential))
        parts.append(load_piece(path))
        if on_rows:
            on_rows(len(piece))
    if not parts:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    energies, forces, stresses = (np.concatenate(column) for column in zip(*parts, strict=True))
    return energies, forces, stresses


def _relax_all(
    batch: CrystalBatch,
    potential: Potential,
    settings: ReferenceSettings,
    cache: Path,
    on_rows: Callable[[int], None] | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energy (eV/atom), largest force (eV/A) and convergence of every crystal.

    An energy counts where the relaxation nearly came to rest: a crystal of that composition has at most this energy.
    Elsewhere there is none, since potentials have holes: atoms that fall into each other gain a million eV.
    """
    energies, forces = np.full(len(batch), np.nan), np.full(len(batch), np.nan)
    relaxed = np.zeros(len(batch), bool)
    for start in range(0, len(batch), _RELAX_PIECE):
        rows = np.arange(start, min(start + _RELAX_PIECE, len(batch)))
        lower, force, converged, volumes = _relax_piece(batch.select(rows), potential, settings, cache, on_rows)
        good = (force < settings.relax_above_force_eV_per_A) & (volumes > 1 - settings.max_volume_change)
        energies[rows[good]], forces[rows[good]] = lower[good], force[good]
        relaxed[rows] = converged & good
    return energies, forces, relaxed


def _to_relax(
    reference: Reference,
    batch: CrystalBatch,
    formulas: list[str],
    energies: np.ndarray,
    forces: np.ndarray,
    stresses: np.ndarray,
    settings: ReferenceSettings,
) -> np.ndarray:
    """Rows to relax: strained, the lowest of their formula, and not far above the hull of the unrelaxed energies."""
    with np.errstate(invalid="ignore"):
        strained = (forces > settings.relax_above_force_eV_per_A) | (stresses > settings.relax_above_stress_GPa)
    strained &= batch.n_atoms <= settings.relax_max_atoms
    lowest = [row for row in np.flatnonzero(strained) if energies[row] <= reference.lowest[formulas[row]][0]]
    places = Hull(reference).place_all([formulas[row] for row in lowest], energies[lowest])
    chosen = [
        row
        for row, place in zip(lowest, places, strict=True)
        if place is not None and place.e_above_hull_eV_per_atom < settings.relax_within_eV_per_atom
    ]
    return np.array(chosen, dtype=np.int64)


def _relax_piece(
    batch: CrystalBatch,
    potential: Potential,
    settings: ReferenceSettings,
    cache: Path,
    on_rows: Callable[[int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Energy (eV/atom) and largest force after relaxation, convergence, and volume in units of that before."""
    path = cache / f"relaxation-{piece_key(batch, potential.sha256 + settings.model_dump_json())}.npz"
    if path.exists():
        if on_rows:
            on_rows(len(batch))
    else:
        steps = RelaxSettings(fmax_eV_per_A=settings.fmax_eV_per_A, max_steps=settings.max_steps)
        result = relax_batch(batch, potential, steps, on_done=on_rows)
        volumes = result.batch.volumes / batch.volumes
        store_piece(path, result.energies_eV / batch.n_atoms, result.forces_max_eV_per_A, result.converged, volumes)
    energies, forces, converged, volumes = load_piece(path)
    return energies, forces, converged.astype(bool), volumes


def piece_key(batch: CrystalBatch, method: str) -> str:
    """Name of a piece: hash of the crystals and of what computes them."""
    digest = hashlib.sha256(method.encode())
    for array in (batch.lattices, batch.frac_coords, batch.atomic_numbers, batch.offsets):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:24]


def evaluate_piece(batch: CrystalBatch, potential: Potential) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energy (eV/atom), largest force (eV/A) and largest stress component (GPa) of each crystal, shape (B,) each.

    NaN for a crystal that the potential cannot compute.
    """
    result, _ = evaluate_each(batch, potential)
    if result.forces_eV_per_A is None or result.stresses_eV_per_A3 is None:
        raise TypeError(f"potential {potential.name} gives no forces or no stresses")
    norms = np.linalg.norm(result.forces_eV_per_A, axis=1)
    forces = np.maximum.reduceat(norms, batch.offsets[:-1]) if len(batch) else np.zeros(0)
    return result.energies_eV / batch.n_atoms, forces, np.abs(result.stresses_eV_per_A3).max((1, 2)) / GPa


def store_piece(path: Path, *arrays: np.ndarray) -> None:
    """Write a piece under its final name only when it is whole."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, *arrays)
    temporary.replace(path)


def load_piece(path: Path) -> tuple[np.ndarray, ...]:
    """Read what `store_piece` wrote."""
    with np.load(path) as data:
        return tuple(data[f"arr_{i}"] for i in range(len(data.files)))
