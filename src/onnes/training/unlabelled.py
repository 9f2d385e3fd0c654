"""Crystals without electron-phonon labels, on which a small model learns from a larger one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from onnes.crystals.batch import CrystalBatch
from onnes.models.composition import PROPERTIES, element_properties
from onnes.training.data import TRAINING_BUCKETS, VALIDATION_BUCKETS, bucket, buckets, read_data
from onnes.training.feature_cache import cached_features
from onnes.training.metals import METAL_GAP_EV

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

METALS, PARENTS = "mp_structures", "epc_dft_alexandria"
MAX_ATOMS = 12
SUBSTITUTED = 10_240
"""Crystals that are made by substitution."""
REPLACED_SHARE = 0.7
REACH = 6
"""How far a replacement may be from an element in Pettifor's order."""


def unlabelled_features(
    potentials: Sequence[str], *, device: str = "cpu", on_rows: Callable[[int], None] | None = None
) -> tuple[Mapping[str, NDArray[np.float32]], NDArray[np.int64]]:
    """Features and composition buckets of crystals that have no labels.

    They are the small metals of the Materials Project set, and labelled crystals in which elements are substituted;
    none is of a validation bucket.

    Returns
    -------
    features
        By the name of the potential, shape (P, F); failed crystals are left out.
    buckets
        Shape (P,).
    """
    table = read_data(PARENTS)
    parents = table.filter(np.isin(buckets(table["reduced_formula"].to_pylist()), TRAINING_BUCKETS))
    features: list[dict[str, NDArray[np.float32]]] = []
    kept: list[NDArray[np.int64]] = []
    for batch, formulas in (_metals(), substituted(parents, SUBSTITUTED)):
        found = cached_features(batch, potentials, device=device, on_rows=on_rows)
        own = buckets(formulas)
        good = ~np.isin(own, VALIDATION_BUCKETS) & np.array([error is None for error in found.errors], bool)
        features.append({name: values[good] for name, values in found.values.items()})
        kept.append(own[good])
    return {name: np.concatenate([part[name] for part in features]) for name in potentials}, np.concatenate(kept)


def _metals() -> tuple[CrystalBatch, list[str]]:
    table = read_data(METALS)
    table = table.filter(pc.field("band_gap_eV").is_valid() & ~pc.field("duplicate_id"))
    table = table.filter((pc.field("band_gap_eV") < METAL_GAP_EV) & (pc.field("n_atoms") <= MAX_ATOMS))
    return CrystalBatch.from_table(table), table["reduced_formula"].to_pylist()


def substituted(parents: pa.Table, n: int, *, seed: int = 0) -> tuple[CrystalBatch, list[str]]:
    """Crystals in which elements are replaced by neighbours in Pettifor's order, scaled to the volume of the new atoms.

    Pettifor, Solid State Commun. 51, 31 (1984): neighbours are chemically alike. The crystals are not relaxed. All their
    formulas are of the training buckets.

    Parameters
    ----------
    parents
        Crystal table; only its own elements are put in.
    n
        Number of crystals.
    seed
        Of the draws.

    Returns
    -------
    batch, formulas
        The n crystals and their reduced formulas.
    """
    from pymatgen.core import Composition

    from onnes.crystals.symbols import symbols

    rng = np.random.default_rng(seed)
    batch = CrystalBatch.from_table(parents)
    properties = element_properties()
    mendeleev, radius = (properties[:, PROPERTIES.index(name)] for name in ("mendeleev_number", "atomic_radius_A"))
    allowed = set(batch.atomic_numbers.tolist())
    order = [z for z in (np.argsort(mendeleev, kind="stable") + 1).tolist() if z in allowed]
    rank = {z: i for i, z in enumerate(order)}
    made, formulas = [], []
    while len(made) < n:
        lattice, frac, old = batch.crystal(int(rng.integers(len(batch))))
        swap: dict[int, int] = {}
        for z in np.unique(old).tolist():
            swap[z] = z
            if rng.random() < REPLACED_SHARE:
                shift = int(rng.integers(1, REACH + 1)) * int(rng.choice([-1, 1]))
                swap[z] = order[min(max(rank[z] + shift, 0), len(order) - 1)]
        if all(a == b for a, b in swap.items()) or len(set(swap.values())) < len(swap):
            continue
        new = np.array([swap[z] for z in old.tolist()])
        scale = ((radius[new - 1] ** 3).sum() / (radius[old - 1] ** 3).sum()) ** (1 / 3)
        elements, counts = np.unique(new, return_counts=True)
        composition = Composition({symbols()[z]: int(k) for z, k in zip(elements, counts, strict=True)})
        if bucket(composition.reduced_formula) not in TRAINING_BUCKETS:
            continue
        made.append((lattice * scale, frac, new))
        formulas.append(composition.reduced_formula)
    return CrystalBatch.of(made), formulas
