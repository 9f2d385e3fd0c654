"""Crystals without electron-phonon labels, on which a small model learns from a larger one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from onnes.crystals.batch import CrystalBatch
from onnes.training.data import VALIDATION_BUCKETS, buckets, read_data
from onnes.training.feature_cache import cached_features
from onnes.training.metals import METAL_GAP_EV

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

DATA = "mp_structures"
MAX_ATOMS = 12


def unlabelled_features(
    potentials: Sequence[str], *, device: str = "cpu", on_rows: Callable[[int], None] | None = None
) -> tuple[Mapping[str, NDArray[np.float32]], NDArray[np.int64]]:
    """Features and composition buckets of the small metals of the Materials Project set.

    Returns
    -------
    features
        By the name of the potential, shape (P, F); crystals of the validation buckets and failed ones are left out.
    buckets
        Shape (P,).
    """
    table = read_data(DATA)
    table = table.filter(pc.field("band_gap_eV").is_valid() & ~pc.field("duplicate_id"))
    table = table.filter((pc.field("band_gap_eV") < METAL_GAP_EV) & (pc.field("n_atoms") <= MAX_ATOMS))
    found = cached_features(CrystalBatch.from_table(table), potentials, device=device, on_rows=on_rows)
    own = buckets(table["reduced_formula"].to_pylist())
    good = ~np.isin(own, VALIDATION_BUCKETS) & np.array([error is None for error in found.errors])
    return {name: values[good] for name, values in found.values.items()}, own[good]
