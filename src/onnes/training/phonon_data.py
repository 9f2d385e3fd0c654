"""Phonons of whole data sets: the forces on the displaced supercells are kept on disk, crystal by crystal."""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from onnes.crystals.batch import CrystalBatch
from onnes.physics.phonon_bands import PER_CM_PER_THZ, highest_peak_per_cm
from onnes.physics.phonons import (
    DISPLACEMENT_A,
    MIN_LENGTH_A,
    Phonons,
    displaced_supercells,
    phonon_dos,
    standard_primitive,
)
from onnes.physics.thermal import heat_capacity_J_per_mol_cell_K
from onnes.potentials.force_constants import phonons_of
from onnes.potentials.potential import DEFAULT_POTENTIAL, load_potential
from onnes.training.feature_cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from onnes.physics.phonons import Crystal
    from onnes.potentials.potential import Potential

_VERSION = "1"  # changes when the same crystals and settings get other forces
_SUMMARY_VERSION = "1"  # changes when the same forces get other numbers
_PIECE = 16
_SUMMARY_MESH_LENGTH = 30.0


class ForceSettings(BaseModel):
    """What the forces depend on besides the crystal and the potential."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_length_A: float = Field(
        default=MIN_LENGTH_A, gt=0, description="shortest distance between an atom and its images in the supercell (A)"
    )
    max_supercell_atoms: int = Field(
        default=160, ge=1, description="atoms in the supercell at most; a larger one is made shorter, down to the cell"
    )
    displacement_A: float = Field(default=DISPLACEMENT_A, gt=0, description="length of the displacements (A)")
    symprec_A: float = Field(default=0.01, gt=0, description="tolerance within which the crystal is made symmetric (A)")


@dataclass(frozen=True)
class PhononSummary:
    """The numbers of one crystal that benchmarks need.

    Attributes
    ----------
    peak_per_cm
        `onnes.physics.phonon_bands.highest_peak_per_cm`.
    highest_per_cm, mean_per_cm, min_per_cm
        Highest mode, mean of all modes with imaginary ones as 0, and lowest mode of the mesh, negative where imaginary.
    heat_capacity_J_per_mol_K
        At 300 K, of one mole of primitive cells.
    n_atoms
        Atoms in the primitive cell.
    supercell, length_A, n_displacements
        The calculation.
    """

    peak_per_cm: float
    highest_per_cm: float
    mean_per_cm: float
    min_per_cm: float
    heat_capacity_J_per_mol_K: float
    n_atoms: int
    supercell: str
    length_A: float
    n_displacements: int


def cached_summaries(
    batch: CrystalBatch,
    potential: str = DEFAULT_POTENTIAL,
    settings: ForceSettings | None = None,
    *,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> list[PhononSummary | str]:
    """Summaries of the phonons of many crystals; parameters as those of `cached_phonons`.

    Returns
    -------
    list
        One entry a crystal, or a message saying why there is none. Summaries are kept on disk beside the forces.
    """
    settings = settings or ForceSettings()
    sha256 = load_potential(potential, device=device).sha256
    folder = _folder()
    paths = [
        folder / f"{potential}-{_key(crystal, sha256, settings)}-summary-{_SUMMARY_VERSION}.json" for crystal in batch
    ]
    missing = [i for i, path in enumerate(paths) if not path.exists()]
    if on_rows and len(missing) < len(batch):
        on_rows(len(batch) - len(missing))
    errors: dict[int, str] = {}
    found = cached_phonons(
        batch.select(missing), potential, settings, mesh_length=_SUMMARY_MESH_LENGTH, device=device, on_rows=on_rows
    )
    for i, one in zip(missing, found, strict=True):
        if isinstance(one, str):
            errors[i] = one
        else:
            _replace(paths[i], json.dumps(asdict(summarised(one))).encode())
    return [
        errors[i] if i in errors else PhononSummary(**json.loads(path.read_text(encoding="utf-8")))
        for i, path in enumerate(paths)
    ]


def summarised(phonons: Phonons) -> PhononSummary:
    """Summary of phonons that are on a mesh."""
    displaced = phonons.displaced
    mesh: Any = displaced.phonopy.mesh
    real = np.maximum(mesh.frequencies, 0).mean(1)
    return PhononSummary(
        highest_peak_per_cm(phonons),
        float(mesh.frequencies.max()) * PER_CM_PER_THZ,
        float(mesh.weights @ real / mesh.weights.sum()) * PER_CM_PER_THZ,
        float(mesh.frequencies.min()) * PER_CM_PER_THZ,
        heat_capacity_J_per_mol_cell_K(phonons),
        len(displaced.phonopy.primitive),
        displaced.label,
        displaced.length_A,
        len(displaced.supercells),
    )


def cached_phonons(
    batch: CrystalBatch,
    potential: str = DEFAULT_POTENTIAL,
    settings: ForceSettings | None = None,
    *,
    mesh_length: float = 60.0,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Iterator[Phonons | str]:
    """Phonons of many crystals at the geometry given, one after the other, in the order of the batch.

    The crystals are brought to their primitive cells. Forces that were computed once are read from
    ``$ONNES_CACHE/phonons``; a run that was interrupted goes on where it stopped. A crystal that fails is tried again the
    next time.

    Parameters
    ----------
    batch
        B crystals.
    potential
        Name of the potential.
    settings
        Defaults to `ForceSettings`.
    mesh_length
        See `onnes.physics.phonons.phonon_dos`.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call.

    Yields
    ------
    Phonons or str
        The phonons, or a message saying why there are none.
    """
    settings = settings or ForceSettings()
    folder = _folder()
    loaded = load_potential(potential, device=device)
    for start in range(0, len(batch), _PIECE):
        piece = [batch.crystal(i) for i in range(start, min(start + _PIECE, len(batch)))]
        paths = [folder / f"{potential}-{_key(crystal, loaded.sha256, settings)}.npz" for crystal in piece]
        small = CrystalBatch.of(standard_primitive(*crystal, symprec=settings.symprec_A) for crystal in piece)
        missing = [i for i, path in enumerate(paths) if not path.exists()]
        computed = dict(zip(missing, _computed(small.select(missing), loaded, settings, mesh_length), strict=True))
        for i, found in computed.items():
            if not isinstance(found, str):
                _store(paths[i], small.crystal(i), found)
        for i, path in enumerate(paths):
            yield computed[i] if i in computed else _read(path, settings, mesh_length)
            if on_rows:
                on_rows(1)


def _computed(
    batch: CrystalBatch, potential: Potential, settings: ForceSettings, mesh_length: float
) -> list[Phonons | str]:
    return phonons_of(
        batch,
        potential,
        min_length_A=settings.min_length_A,
        displacement_A=settings.displacement_A,
        max_supercell_atoms=settings.max_supercell_atoms,
        shorten=True,
        mesh_length=mesh_length,
    )


def _store(path: Path, crystal: Crystal, phonons: Phonons) -> None:
    """Write the forces, and the cell exactly as it was given: the order of the atoms in a supercell depends on it."""
    content = io.BytesIO()
    lattice, frac, numbers = crystal
    np.savez_compressed(
        content,
        lattice=lattice,
        frac_coords=frac,
        atomic_numbers=numbers,
        forces_eV_per_A=np.asarray(phonons.displaced.phonopy.forces, np.float32),
    )
    _replace(path, content.getvalue())


def _replace(path: Path, content: bytes) -> None:
    """Give a file its final name only when it is whole."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _folder() -> Path:
    folder = cache_folder() / "phonons"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _read(path: Path, settings: ForceSettings, mesh_length: float) -> Phonons | str:
    try:
        with np.load(path) as data:
            crystal = data["lattice"], data["frac_coords"], data["atomic_numbers"]
            forces = data["forces_eV_per_A"].astype(float)
        displaced = displaced_supercells(
            *crystal,
            min_length_A=settings.min_length_A,
            displacement_A=settings.displacement_A,
            max_atoms=settings.max_supercell_atoms,
            shorten=True,
        )
        return phonon_dos(displaced, list(forces), mesh_length=mesh_length)
    except Exception as error:  # noqa: BLE001 - the row boundary
        return f"phonons failed: {type(error).__name__}: {error}"


def _key(crystal: Crystal, sha256: str, settings: ForceSettings) -> str:
    """Name of a file: hash of the crystal, of the potential's weights and of the settings."""
    digest = hashlib.sha256(f"{sha256} {_VERSION} ".encode())
    digest.update(json.dumps(settings.model_dump(), sort_keys=True).encode())
    for array, kind in zip(crystal, (float, float, np.int64), strict=True):
        digest.update(np.ascontiguousarray(array, kind).tobytes())
    return digest.hexdigest()[:24]
