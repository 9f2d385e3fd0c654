"""Prototype labels of whole data sets, computed once, in pieces that survive an interruption."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.symmetry import SYMPREC_A, prototype_of
from onnes.errors import CrystalError
from onnes.training.feature_cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from onnes.crystals.batch import CrystalBatch

_PIECE = 2048
_VERSION = "1"  # changes when the same crystals get other labels


def cached_labels(batch: CrystalBatch, *, on_rows: Callable[[int], None] | None = None) -> list[str | None]:
    """Prototype label with elements of each crystal, None where no symmetry is found; kept on disk piece by piece.

    Parameters
    ----------
    batch
        B crystals; about 1 ms each where nothing is kept.
    on_rows
        Called with the number of crystals done since the last call.
    """
    folder = cache_folder() / "prototypes"
    folder.mkdir(parents=True, exist_ok=True)
    labels: list[str | None] = []
    for start in range(0, len(batch), _PIECE):
        piece = batch.select(range(start, min(start + _PIECE, len(batch))))
        labels += _piece(folder, piece)
        if on_rows:
            on_rows(len(piece))
    return labels


def _piece(folder: Path, batch: CrystalBatch) -> list[str | None]:
    digest = hashlib.sha256(f"{SYMPREC_A} {_VERSION}".encode())
    for array in (batch.lattices, batch.frac_coords, batch.atomic_numbers, batch.offsets):
        digest.update(np.ascontiguousarray(array).tobytes())
    path = folder / f"{digest.hexdigest()[:24]}.json"
    if not path.exists():
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps([_label(*crystal) for crystal in batch]), encoding="utf-8")
        temporary.replace(path)
    return json.loads(path.read_text(encoding="utf-8"))


def _label(lattice: np.ndarray, frac: np.ndarray, numbers: np.ndarray) -> str | None:
    try:
        return prototype_of(lattice, frac, numbers)
    except CrystalError:
        return None
