"""Crystal features of whole data sets, computed once, in pieces that survive an interruption."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnes.models.features import CrystalFeatures, crystal_features
from onnes.potentials.fingerprints import potential_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onnes.crystals.batch import CrystalBatch

PIECE = 256
_VERSION = "2"  # changes when the same crystals get other features


def cache_folder() -> Path:
    """Folder for what can be computed again: ``$ONNES_CACHE``, by default ``~/.cache/onnes``."""
    return Path(os.environ.get("ONNES_CACHE", Path.home() / ".cache" / "onnes"))


def piece_key(batch: CrystalBatch, potential: str) -> str:
    """Name of a piece: hash of the crystals, of the potential's weights and of the version of the features."""
    digest = hashlib.sha256(f"{potential_sha256(potential)} {_VERSION}".encode())
    for array in (batch.lattices, batch.frac_coords, batch.atomic_numbers, batch.offsets):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:24]


def cached_features(
    batch: CrystalBatch,
    potentials: Sequence[str],
    *,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> CrystalFeatures:
    """Like `onnes.models.features.crystal_features`, but kept on disk potential by potential, piece by piece."""
    folder = cache_folder() / "features"
    folder.mkdir(parents=True, exist_ok=True)
    if not len(batch):
        return crystal_features(batch, potentials, device=device)
    parts: list[list[dict[str, np.ndarray]]] = []
    for start in range(0, len(batch), PIECE):
        piece = batch.select(range(start, min(start + PIECE, len(batch))))
        parts.append([_piece(folder, piece, potential, device) for potential in potentials])
        if on_rows:
            on_rows(len(piece))
    joined = [{k: np.concatenate([part[p][k] for part in parts]) for k in parts[0][p]} for p in range(len(potentials))]
    moments = [part["magmom_max_muB"] for part in joined]
    errors = [next((str(e) for e in row if e), None) for row in zip(*(part["errors"] for part in joined), strict=True)]
    return CrystalFeatures(
        {name: part["values"] for name, part in zip(potentials, joined, strict=True)},
        joined[0]["energies_eV_per_atom"],
        np.fmax.reduce(moments),  # NaN from potentials that know no moments
        errors,
    )


def _piece(folder: Path, batch: CrystalBatch, potential: str, device: str) -> dict[str, np.ndarray]:
    path = folder / f"{potential}-{piece_key(batch, potential)}.npz"
    if not path.exists():
        features = crystal_features(batch, (potential,), device=device)
        store_piece(path, features)
    with np.load(path) as data:
        return {name: data[name] for name in data.files}


def store_piece(path: Path, features: CrystalFeatures) -> None:
    """Write one piece under its final name only when it is whole."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(
            file,
            values=next(iter(features.values.values())),
            energies_eV_per_atom=features.energies_eV_per_atom,
            magmom_max_muB=features.magmom_max_muB,
            errors=np.array([e or "" for e in features.errors]),
        )
    temporary.replace(path)
