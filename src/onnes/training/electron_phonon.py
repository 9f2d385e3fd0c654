"""The electron-phonon labels: lambda and omega_log of two sets of DFT calculations, with features and split.

The sets are Alexandria's and JARVIS's; Tc is recomputed from lambda and omega_log with one formula and one mu*. Scores are
those on Alexandria alone, so that they compare with published ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import floats
from onnes.models.superconductivity import electronic_features
from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.training.data import TRAINING_BUCKETS, VALIDATION_BUCKETS, buckets, read_data
from onnes.training.feature_cache import cached_features
from onnes.training.unlabelled import unlabelled_features

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

DATA = "epc_dft_alexandria"
MORE_DATA = "epc_dft_jarvis3d"


@dataclass(frozen=True, eq=False)
class ElectronPhononData:
    """Features and labels of P crystals.

    Attributes
    ----------
    features
        By the name of the potential, shape (P, F).
    electronic
        What N(E_F) says, `onnes.models.superconductivity.electronic_features`, shape (P, 3); NaN where it is unknown.
    targets
        `onnes.models.superconductivity.TARGETS`, shape (P, 5); NaN where a label is missing.
    tc_K
        Labels, shape (P,); Allen-Dynes with f1 (and f2 where the source has it) at mu* = 0.10.
    buckets
        Composition buckets, shape (P,).
    groups
        Composition group, shape (P,).
    scored
        Rows of the set that scores are given for, shape (P,).
    elements
        Atomic numbers that occur.
    unlabelled, unlabelled_buckets
        Features and composition buckets of crystals without labels, for recipes with a teacher.
    """

    features: Mapping[str, NDArray[np.float32]]
    electronic: NDArray[np.float32]
    targets: Floats
    tc_K: Floats
    buckets: NDArray[np.int64]
    groups: NDArray[np.int64]
    scored: Mask
    elements: frozenset[int]
    unlabelled: Mapping[str, NDArray[np.float32]] | None = None
    unlabelled_buckets: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.tc_K)

    @property
    def lambda_(self) -> Floats:
        """Labels of lambda, shape (P,)."""
        return np.exp(self.targets[:, 0])

    @property
    def omega_log_K(self) -> Floats:
        """Labels of omega_log (K), shape (P,)."""
        return np.exp(self.targets[:, 1])

    @property
    def training(self) -> Mask:
        """Rows of the training buckets, of both sets."""
        return np.isin(self.buckets, TRAINING_BUCKETS)

    @property
    def validation(self) -> Mask:
        """Rows of the validation buckets that scores are given for."""
        return self.scored_in(VALIDATION_BUCKETS)

    @property
    def has_dos(self) -> Mask:
        """Rows with N(E_F)."""
        return np.isfinite(self.electronic[:, 0])

    def scored_in(self, buckets: range) -> Mask:
        """Rows of some buckets that scores are given for."""
        return np.isin(self.buckets, buckets) & self.scored

    def inputs(self, potentials: Sequence[str], *, electronic: bool) -> NDArray[np.float32]:
        """What a model of these potentials reads, shape (P, F), N(E_F) last where the model knows it."""
        blocks = [self.features[name] for name in potentials]
        return np.concatenate([*blocks, self.electronic] if electronic else blocks, axis=1)


def load_electron_phonon(
    potentials: Sequence[str],
    *,
    unlabelled: bool = False,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> ElectronPhononData:
    """Read the labels and compute (or find) the features; raises ConfigError without the data.

    ``unlabelled`` adds crystals without labels, see `onnes.training.unlabelled`.

    JARVIS rows are those of its leaderboard benchmark: dynamically stable, with physical labels.
    """
    main, more = read_data(DATA), read_data(MORE_DATA)
    more = more.filter(pc.field("in_leaderboard_tc_benchmark") & pc.field("label_physical"))
    found, electronic, targets, formulas, elements = [], [], [], [], set()
    for table in (main, more):
        batch = CrystalBatch.from_table(table)
        found.append(cached_features(batch, potentials, device=device, on_rows=on_rows).values)
        electronic.append(electronic_features(floats(table, "dos_ef_states_per_eV"), batch))
        targets.append(_targets(table, batch.n_atoms))
        formulas += table["reduced_formula"].to_pylist()
        elements |= set(batch.atomic_numbers.tolist())
    scored = np.arange(len(formulas)) < main.num_rows
    labels = np.concatenate(targets)
    tc = allen_dynes_tc_K(np.exp(labels[:, 0]), np.exp(labels[:, 1]))
    tc[scored] = floats(main, "tc_K")
    features = {name: np.concatenate([part[name] for part in found]) for name in potentials}
    # a crystal without features is no training row
    good = np.logical_and.reduce([np.isfinite(block).all(axis=1) for block in features.values()])
    extra = unlabelled_features(potentials, device=device, on_rows=on_rows) if unlabelled else (None, None)
    return ElectronPhononData(
        {name: block[good] for name, block in features.items()},
        np.concatenate(electronic)[good],
        labels[good],
        tc[good],
        buckets(formulas)[good],
        np.unique(formulas, return_inverse=True)[1][good],
        scored[good],
        frozenset(elements),
        *extra,
    )


def _targets(table: pa.Table, n_atoms: NDArray[np.int64]) -> Floats:
    """`TARGETS` of a data file, shape (P, 5); what the file lacks, or what has no logarithm, is NaN."""
    names = ("lambda_", "omega_log_K", "omega2_inferred_K", "dos_ef_states_per_eV", "debye_K")
    lam, log_K, omega2, dos, debye = (floats(table, name) for name in names)
    with np.errstate(divide="ignore", invalid="ignore"):
        targets = np.log(np.stack([lam, log_K, omega2 / log_K, dos / n_atoms, debye], axis=1))
    targets[~np.isfinite(targets)] = np.nan
    return targets
