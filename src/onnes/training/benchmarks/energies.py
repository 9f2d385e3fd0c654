"""Energies of whole data sets by a potential, computed once, in pieces that survive an interruption."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.models.features import crystal_features
from onnes.potentials.reference_builder import load_piece, store_piece
from onnes.training.feature_cache import PIECE, cache_folder, piece_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from onnes.crystals.batch import CrystalBatch


def cached_energies(
    batch: CrystalBatch, potential: str, *, device: str = "cpu", on_rows: Callable[[int], None] | None = None
) -> NDArray[np.float64]:
    """Energies at the given geometry in eV/atom, shape (B,), kept on disk piece by piece; NaN where a crystal failed.

    Parameters
    ----------
    batch
        B crystals.
    potential
        Its name.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call.
    """
    folder = cache_folder() / "energies"
    folder.mkdir(parents=True, exist_ok=True)
    parts = [np.zeros(0)]
    for start in range(0, len(batch), PIECE):
        piece = batch.select(range(start, min(start + PIECE, len(batch))))
        path = folder / f"{potential}-{piece_key(piece, potential)}.npz"
        if not path.exists():
            store_piece(path, crystal_features(piece, (potential,), device=device).energies_eV_per_atom)
        parts.append(load_piece(path)[0])
        if on_rows:
            on_rows(len(piece))
    return np.concatenate(parts)
