"""Neighbour lists of a batch of periodic crystals (vesin)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from vesin import NeighborList

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from onnes.crystals.batch import CrystalBatch


def neighbour_edges(
    batch: CrystalBatch, cutoff_A: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """All pairs within a cutoff, every periodic image counted.

    Parameters
    ----------
    batch
        B crystals, N atoms in all.
    cutoff_A
        Radius in angstrom; may exceed the cell.

    Returns
    -------
    pairs
        Source and target atom of each edge, indices into the batch, shape (2, E). Both directions are listed.
    vectors
        From source to target, shape (E, 3), angstrom.
    owners
        Crystal of each edge, shape (E,).
    """
    search = NeighborList(cutoff=cutoff_A, full_list=True)
    pairs, vectors, counts = [], [], []
    for i, (lattice, frac, _) in enumerate(batch):
        source, target, vector = search.compute(
            points=frac @ lattice, box=lattice, periodic=True, quantities="ijD", copy=True
        )
        pairs.append(np.stack([source, target]).astype(np.int64) + batch.offsets[i])
        vectors.append(vector)
        counts.append(len(source))
    if not pairs:
        return np.zeros((2, 0), np.int64), np.zeros((0, 3)), np.zeros(0, np.int64)
    return np.concatenate(pairs, axis=1), np.concatenate(vectors), np.repeat(np.arange(len(batch)), counts)
