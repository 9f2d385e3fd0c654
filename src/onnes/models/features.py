"""Crystal features: the atoms' features of pretrained potentials, pooled over each crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnes.potentials.potential import load_potential

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from onnes.crystals.batch import CrystalBatch
    from onnes.potentials.potential import Potential

_MAX_CRYSTALS = {"cpu": 16, "cuda": 512}
_MAX_ATOMS = {"cpu": 96, "cuda": 4096}
POOLS = ("mean", "std")


@dataclass(frozen=True, eq=False)
class CrystalFeatures:
    """Features of B crystals and what came along with them.

    Attributes
    ----------
    values
        By the name of the potential, shape (B, F): mean and standard deviation over the atoms. NaN rows where a
        crystal failed.
    energies_eV_per_atom
        By the first potential, at the given geometry, shape (B,).
    magmom_max_muB
        Largest magnetic moment of an atom by CHGNet, shape (B,); NaN when CHGNet was not among the potentials.
    errors
        Message for each failed crystal, None otherwise, length B.
    """

    values: Mapping[str, NDArray[np.float32]]
    energies_eV_per_atom: NDArray[np.float64]
    magmom_max_muB: NDArray[np.float64]
    errors: list[str | None]

    def of(self, potentials: Sequence[str]) -> NDArray[np.float32]:
        """Features of some of the potentials side by side, shape (B, sum of F)."""
        return np.concatenate([self.values[name] for name in potentials], axis=1)


def pooled(features: NDArray[np.float32], offsets: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
    """Pool per-atom features to the mean and the standard deviation over the atoms of each crystal.

    Parameters
    ----------
    features
        Shape (N, F).
    offsets
        Crystal ``i`` owns the atoms ``offsets[i]:offsets[i + 1]``, shape (B + 1,); None for one crystal.

    Returns
    -------
    numpy.ndarray
        Shape (B, 2 F), or (2 F,) without offsets.

    Examples
    --------
    >>> import numpy as np
    >>> pooled(np.array([[1.0, 10.0], [3.0, 10.0]], np.float32)).tolist()
    [2.0, 10.0, 1.0, 0.0]
    """
    if offsets is None:
        return np.concatenate([features.mean(0), features.std(0)])
    counts = np.diff(offsets)
    mean = np.add.reduceat(features, offsets[:-1], axis=0) / counts[:, None]
    squares = (features - np.repeat(mean, counts, axis=0)) ** 2
    variance = np.add.reduceat(squares, offsets[:-1], axis=0) / counts[:, None]
    return np.concatenate([mean, np.sqrt(variance)], axis=1).astype(np.float32)


def crystal_features(
    batch: CrystalBatch,
    potentials: Sequence[str],
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
        Names of the potentials; the energies of the first one are kept.
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
    values = {p.name: np.full((n, p.n_features * len(POOLS)), np.nan, np.float32) for p in loaded}
    out = CrystalFeatures(values, np.full(n, np.nan), np.full(n, np.nan), [None] * n)
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
    out.energies_eV_per_atom[rows] = evaluations[0].energies_eV / batch.n_atoms
    finite = np.ones(len(rows), bool)
    for potential, evaluation in zip(potentials, evaluations, strict=True):
        if evaluation.features is None:
            raise TypeError(f"{potential.name} gave no features")
        found = pooled(evaluation.features, batch.offsets)
        out.values[potential.name][rows] = found
        finite &= np.isfinite(found).all(axis=1)
        if evaluation.magmoms_muB is not None:
            out.magmom_max_muB[rows] = np.maximum.reduceat(evaluation.magmoms_muB, batch.offsets[:-1])
    for row in np.asarray(rows)[~finite]:
        out.errors[row] = "features are not finite; atoms may be far too close or too far apart"
