"""Crystal features: the atoms' features of pretrained potentials, pooled over each crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnes.potentials.potential import load_potential

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from onnes.crystals.batch import CrystalBatch
    from onnes.potentials.potential import Evaluation, Potential

FEATURE_POTENTIALS = ("sevennet-0", "chgnet")
"""The energies of the first one are kept: they place a crystal on the hull at no extra cost."""

_MAX_CRYSTALS = {"cpu": 16, "cuda": 512}
_MAX_ATOMS = {"cpu": 96, "cuda": 4096}
POOLS = ("mean", "std", "max", "min")


@dataclass(frozen=True, eq=False)
class CrystalFeatures:
    """Features of B crystals and what came along with them.

    Attributes
    ----------
    values
        Shape (B, F): for each potential the mean, standard deviation, maximum and minimum over the atoms. NaN rows
        where a crystal failed.
    energies_eV_per_atom
        By the first potential, at the given geometry, shape (B,).
    magmom_max_muB
        Largest magnetic moment of an atom by CHGNet, shape (B,); NaN when CHGNet was not among the potentials.
    errors
        Message for each failed crystal, None otherwise, length B.
    """

    values: NDArray[np.float32]
    energies_eV_per_atom: NDArray[np.float64]
    magmom_max_muB: NDArray[np.float64]
    errors: list[str | None]


def pooled(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pool per-atom features (n, F) into (4 F,): mean, standard deviation, maximum, minimum."""
    return np.concatenate([features.mean(0), features.std(0), features.max(0), features.min(0)])


def crystal_features(
    batch: CrystalBatch,
    potentials: Sequence[str] = FEATURE_POTENTIALS,
    *,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> CrystalFeatures:
    """Compute the pooled features of every crystal of a batch, a few crystals of similar size at a time.

    Parameters
    ----------
    batch
        B crystals.
    potentials
        Names of the potentials whose features are joined.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call.

    Raises
    ------
    ModelError
        When a potential cannot be loaded. A crystal that fails is reported in ``errors`` instead.
    """
    loaded = [load_potential(name, device=device) for name in potentials]
    n = len(batch)
    width = sum(p.n_features * len(POOLS) for p in loaded)
    out = CrystalFeatures(np.full((n, width), np.nan, np.float32), np.full(n, np.nan), np.full(n, np.nan), [None] * n)
    usable: list[int] = []
    for i in range(n):
        foreign = set(batch.crystal(i)[2].tolist()) - frozenset.intersection(*(p.elements for p in loaded))
        if foreign:
            out.errors[i] = f"no potential knows the element Z = {min(foreign)}"
        else:
            usable.append(i)
    if on_rows and len(usable) < n:
        on_rows(n - len(usable))
    kind = device.partition(":")[0]
    subset = batch.select(usable)
    for chunk in subset.batches(_MAX_ATOMS[kind], _MAX_CRYSTALS[kind]):
        rows = [usable[int(j)] for j in chunk]
        _fill(out, rows, subset.select(chunk), loaded)
        if on_rows:
            on_rows(len(rows))
    return out


def _fill(out: CrystalFeatures, rows: list[int], batch: CrystalBatch, potentials: Sequence[Potential]) -> None:
    """Compute one chunk; when it fails, each crystal alone, so that one bad crystal spoils only itself."""
    try:
        evaluations = [p.evaluate(batch, forces=False, features=True) for p in potentials]
    except Exception as error:  # noqa: BLE001 - the row boundary
        if len(rows) == 1:
            out.errors[rows[0]] = f"features failed: {type(error).__name__}: {error}"
            return
        for j, row in enumerate(rows):
            _fill(out, [row], batch.select([j]), potentials)
        return
    for j, row in enumerate(rows):
        atoms = slice(batch.offsets[j], batch.offsets[j + 1])
        out.values[row] = np.concatenate([pooled(_features(e)[atoms]) for e in evaluations])
        out.energies_eV_per_atom[row] = evaluations[0].energies_eV[j] / batch.n_atoms[j]
        for evaluation in evaluations:
            if evaluation.magmoms_muB is not None:
                out.magmom_max_muB[row] = evaluation.magmoms_muB[atoms].max()
        if not np.isfinite(out.values[row]).all():
            out.errors[row] = "features are not finite; atoms may be far too close or too far apart"


def _features(evaluation: Evaluation) -> NDArray[np.float32]:
    if evaluation.features is None:
        raise TypeError("a feature potential gave no features")
    return evaluation.features
