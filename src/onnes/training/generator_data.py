"""Crystals that the generator learns from, written in free parameters."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.electronegativity import electronegativity_places
from onnes.crystals.free_parameters import FreeParameters, free_parameters, lattice_parameters, plain_template
from onnes.crystals.schema import floats, values
from onnes.errors import CrystalError
from onnes.models.generation.elements import N_ELEMENTS
from onnes.training.data import TRAINING_BUCKETS, read_data

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

SOURCES = (
    "mp_structures",
    "epc_dft_alexandria",
    "elasticity_binaries",
    "phonon_dos_jarvis",
    "epc_dft_jarvis3d",
    "wbm_equilibrium_sample",
    "matbench_phonons",
    "phonon_heat_capacity_binaries",
)
"""Data files whose crystals are used, in order; a crystal of an earlier one is not taken again from a later one."""
CONDITIONS = ("ln_tc", "formation_energy_eV_per_atom")
"""Properties that generation can be asked for: ln(1 + Tc / K) as computed, and the formation energy."""
_MAX_VOLUME_A3 = 120.0  # an atom; beyond are molecules and gases in boxes


@dataclass(frozen=True, eq=False)
class GeneratorData:
    """Crystals in free parameters with what is known of them.

    Attributes
    ----------
    crystals
        P crystals in primitive cells.
    ids, formulas
        Name of data file and id, and reduced formula; length P.
    conditions
        Values of `CONDITIONS`, NaN where unknown, shape (P, 2).
    failed
        Crystals that could not be written in free parameters.
    """

    crystals: tuple[FreeParameters, ...]
    ids: tuple[str, ...]
    formulas: tuple[str, ...]
    conditions: np.ndarray
    failed: int

    def __len__(self) -> int:
        """Return the number of crystals."""
        return len(self.crystals)

    def take(self, rows: Sequence[int] | np.ndarray) -> GeneratorData:
        """Select crystals."""
        index = np.asarray(rows, np.int64).tolist()
        return GeneratorData(
            tuple(self.crystals[i] for i in index),
            tuple(self.ids[i] for i in index),
            tuple(self.formulas[i] for i in index),
            self.conditions[index],
            self.failed,
        )


def generator_data(
    buckets: Collection[int] = TRAINING_BUCKETS,
    *,
    sources: Sequence[str] = SOURCES,
    max_atoms: int = 12,
    part: str | None = None,
    in_order: bool = True,
    rows: int | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> GeneratorData:
    """Read the crystals of some composition buckets.

    Parameters
    ----------
    buckets
        See data/README of the training data: 0-79 are for training.
    sources
        Data files.
    max_atoms
        Largest cell, as written in the file.
    part
        The rows of this part of the file's published split (``train``, ``val``, ``test``) instead of the buckets.
    in_order
        See `onnes.crystals.free_parameters.free_parameters`.
    rows
        The first so many of each file only.
    on_rows
        Called with the number of crystals done since the last call.
    """
    crystals: list[FreeParameters] = []
    ids: list[str] = []
    formulas: list[str] = []
    conditions: list[tuple[float, float]] = []
    seen: dict[str, int] = {}
    failed = 0
    for name in sources:
        table = _usable(_part(read_data(name), buckets, part), max_atoms).slice(0, rows)
        batch, known = CrystalBatch.from_table(table), _known(table)
        for i, (own, formula) in enumerate(zip(values(table, "id"), values(table, "reduced_formula"), strict=True)):
            try:
                found = free_parameters(*batch.crystal(i), in_order=in_order)
            except CrystalError:
                failed += 1
                continue
            key = _key(found)
            if key in seen:
                # The same crystal again, perhaps with a property that the first file does not have.
                first = seen[key]
                conditions[first] = tuple(np.where(np.isnan(conditions[first]), known[i], conditions[first]).tolist())
            elif found.elements.max() < N_ELEMENTS:
                seen[key] = len(crystals)
                crystals.append(found)
                ids.append(f"{name}:{own}")
                formulas.append(formula)
                conditions.append(known[i])
            if on_rows:
                on_rows(1)
    return GeneratorData(
        tuple(crystals), tuple(ids), tuple(formulas), np.array(conditions, float).reshape(-1, 2), failed
    )


def _part(table: pa.Table, buckets: Collection[int], part: str | None) -> pa.Table:
    if part is not None:
        return table.filter(pc.field("source_split") == part)
    return table.filter(pa.array(np.isin(table["md5_bucket"].to_numpy(), list(buckets))))


def _usable(table: pa.Table, max_atoms: int) -> pa.Table:
    table = table.filter(pc.field("lattice").is_valid())  # some files have rows without a crystal
    batch = CrystalBatch.from_table(table)
    return table.filter(pa.array((batch.n_atoms <= max_atoms) & (batch.volumes / batch.n_atoms < _MAX_VOLUME_A3)))


def _known(table: pa.Table) -> list[tuple[float, float]]:
    n = table.num_rows
    tc = floats(table, "tc_K") if "tc_K" in table.column_names else np.full(n, np.nan)
    name = "formation_energy_eV_per_atom"
    energy = floats(table, name) if name in table.column_names else np.full(n, np.nan)
    return list(zip(np.log1p(tc).tolist(), energy.tolist(), strict=True))


def _key(found: FreeParameters) -> str:
    """Equal for the same crystal in two data files: template, elements, and volume in steps of a sixth."""
    pairs = sorted(zip(found.template.positions, found.elements.tolist(), strict=True))
    return hashlib.sha256(
        f"{found.template.space_group} {pairs} {found.lattice_parameters[5]:.1f}".encode()
    ).hexdigest()


def without_symmetry(one: FreeParameters) -> FreeParameters:
    """The same crystal in space group P1: six lattice parameters, three coordinates an atom."""
    import moyopy

    lattice, frac, numbers = one.crystal()
    cell = np.array(moyopy.niggli_reduce(lattice.tolist())[0])
    moved = (frac @ lattice @ np.linalg.inv(cell)) % 1.0
    # As with orbits: the order of like atoms is that of their coordinates.
    order = np.lexsort((*(moved.round(4) % 1.0).T[::-1], electronegativity_places()[numbers]))
    moved, numbers = moved[order], numbers[order]
    return FreeParameters(plain_template(len(numbers)), numbers, lattice_parameters(cell), moved)


def in_units(data: GeneratorData, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Conditions in units of their spread, NaN where unknown, shape (P, C)."""
    return (torch.tensor(data.conditions, dtype=torch.float32) - mean) / std
