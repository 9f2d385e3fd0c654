"""Benchmark of phonons on matbench_phonons: the highest peak of the density of states, computed and corrected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import floats
from onnes.errors import ConfigError
from onnes.potentials.potential import DEFAULT_POTENTIAL
from onnes.training.benchmarks.plots.parity import parity
from onnes.training.benchmarks.report import Benchmark
from onnes.training.data import read_data
from onnes.training.feature_cache import cached_features
from onnes.training.phonon_data import ForceSettings, PhononSummary, cached_summaries
from onnes.training.phonon_peaks import PeakSettings, nested_predictions, physical_features

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DATA = "matbench_phonons"
FOLDS, FOLD_SEED = 5, 18012019
"""The official folds of Matbench v0.1: shuffled, with this seed, over the order of the file."""
PUBLISHED_MAE_PER_CM = (("MegNet", 28.8), ("ALIGNN", 29.5), ("CGCNN", 57.8))
"""Scores on the Matbench leaderboard on the same folds, trained on the structures alone."""
_COMPUTED, _CORRECTED = "potential, highest peak", "potential, highest peak, learned correction"


def benchmark_phonons(
    *,
    crystals: int | None = None,
    potential: str = DEFAULT_POTENTIAL,
    settings: PeakSettings | None = None,
    forces: ForceSettings | None = None,
    plots: Path | None = None,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Highest peak of the phonon density of states by a potential, and with a learned correction.

    The phonons are computed at the published geometry. Forces, summaries and features are kept in the cache folder, so an
    interrupted run goes on where it stopped; all 1,265 crystals take one to two hours on one core.

    Parameters
    ----------
    crystals
        The first so many rows only; the folds are then no longer the official ones, and the report says so.
    potential
        Whose phonons, and whose features.
    settings
        Of the correction; defaults to `PeakSettings`.
    forces
        Supercells and displacements; defaults to `ForceSettings`.
    plots
        Folder for parity plots.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call, and with 1 after each fit of the correction.

    Raises
    ------
    ConfigError
        Without the data, or with fewer crystals than folds.

    Examples
    --------
    >>> print(benchmark_phonons().markdown())  # doctest: +SKIP
    """
    from sklearn.model_selection import KFold

    data = read_data(DATA)
    total = data.num_rows
    data = data.slice(0, crystals or total)
    if data.num_rows < 2 * FOLDS:
        raise ConfigError(f"{data.num_rows} crystals cannot be cut into {FOLDS} folds; take at least {2 * FOLDS}")
    batch, labels = CrystalBatch.from_table(data), floats(data, "last_phdos_peak_per_cm")
    found = cached_summaries(batch, potential, forces, device=device, on_rows=on_rows)
    sound = np.array([isinstance(one, PhononSummary) for one in found])
    summaries = [one for one in found if isinstance(one, PhononSummary)]
    kept = np.flatnonzero(sound)
    features = _features(batch.select(kept), summaries, potential, device)
    official = KFold(FOLDS, shuffle=True, random_state=FOLD_SEED).split(labels)
    folds = list(official)
    place = np.cumsum(sound) - 1  # of each row among the sound ones
    inside = [tuple(place[rows[sound[rows]]] for rows in fold) for fold in folds]
    peaks = np.array([one.peak_per_cm for one in summaries])
    tops = np.array([one.highest_per_cm for one in summaries])
    predicted, chosen = nested_predictions(features, peaks, labels[kept], inside, settings, on_fold=on_rows)  # pyright: ignore[reportArgumentType]
    columns = _predictions(labels, sound, folds, peaks, tops, predicted["blend"])
    if plots is not None:
        plots.mkdir(parents=True, exist_ok=True)
        for name, file in ((_COMPUTED, "computed"), (_CORRECTED, "corrected")):
            path = plots / f"phonon-peak-{file}.svg"
            parity(path, labels, columns[name], unit="1/cm", name="highest peak", log=True)
    notes = _notes(total, summaries, sound, chosen, potential, forces or ForceSettings())
    notes += [_alone(predicted, labels[kept])]
    return _report(columns, labels, folds, notes, official=data.num_rows == total)


def _features(batch: CrystalBatch, summaries: Sequence[PhononSummary], potential: str, device: str) -> Floats:
    pooled = cached_features(batch, (potential,), device=device)
    values = pooled.values[potential].astype(float)
    # A crystal whose features fail has had phonons, so this does not happen; zeros would be a guess all the same.
    if not np.isfinite(values).all():
        raise ConfigError(f"{potential} gives no features for a crystal whose phonons it computed")
    return np.concatenate([values, physical_features(batch, summaries)], axis=1)


def _predictions(
    labels: Floats,
    sound: NDArray[np.bool_],
    folds: Sequence[tuple[NDArray[np.integer], NDArray[np.integer]]],
    peaks: Floats,
    tops: Floats,
    corrected: Floats,
) -> dict[str, Floats]:
    """Predictions of all rows by each method; a crystal without phonons gets the median label of its training rows."""
    median = np.empty(len(labels))
    scaled = np.full(len(labels), np.nan)
    computed = np.full(len(labels), np.nan)
    computed[sound] = peaks
    for train, test in folds:
        median[test] = np.median(labels[train])
        scaled[test] = computed[test] * np.nanmedian(labels[train] / computed[train])

    def filled(values: Floats) -> Floats:
        whole = np.full(len(labels), np.nan)
        whole[sound] = values
        return np.where(np.isnan(whole), median, whole)

    return {
        "median of the training rows": median,
        "potential, highest mode": filled(tops),
        _COMPUTED: filled(peaks),
        "potential, highest peak times one factor": filled(scaled[sound]),
        _CORRECTED: filled(corrected),
    }


def _report(
    columns: dict[str, Floats],
    labels: Floats,
    folds: Sequence[tuple[NDArray[np.integer], NDArray[np.integer]]],
    notes: list[str],
    *,
    official: bool,
) -> Benchmark:
    where = "official folds" if official else "5 shuffled folds of these rows, not the official ones"
    rows: list[tuple[str, ...]] = [
        (f"{name}, published", f"{mae:.1f}", "", "", "") for name, mae in PUBLISHED_MAE_PER_CM
    ]
    numbers: dict[str, float] = {"n": float(len(labels))}
    for name, values in columns.items():
        error = values - labels
        each = np.array([np.abs(error[test]).mean() for _, test in folds])
        rows.append(
            (name, f"{each.mean():.1f}", f"{each.std():.1f}", f"{error.mean():+.1f}", f"{np.median(np.abs(error)):.1f}")
        )
        numbers |= {f"{name}: mae_per_cm": float(each.mean()), f"{name}: mae_std_per_cm": float(each.std())}
    return Benchmark(
        f"Highest peak of the phonon density of states, {len(labels)} crystals of matbench_phonons",
        ("method", "MAE / 1/cm (mean of the folds)", "spread over folds", "bias", "median error"),
        rows,
        [f"{where}: KFold({FOLDS}, shuffle, seed {FOLD_SEED}) over the order of the file", *notes],
        numbers,
    )


def _notes(
    total: int,
    summaries: Sequence[PhononSummary],
    sound: NDArray[np.bool_],
    chosen: Sequence[tuple[str, ...]],
    potential: str,
    forces: ForceSettings,
) -> list[str]:
    imaginary = sum(one.min_per_cm < -10 for one in summaries)
    short = sum(one.length_A < forces.min_length_A - 1e-6 for one in summaries)
    return [
        "labels: DFPT with PBEsol and with the non-analytic correction (Petretto et al., Sci. Data 5, 180065 (2018)); "
        f"{potential} speaks PBE, without that correction, at the published geometry",
        f"{int((~sound).sum())} of {len(sound)} crystals failed and count with the median of their training rows; "
        f"{imaginary} have a mode below -10 1/cm (all are stable in the data, or nearly so)",
        f"supercells of at least {forces.min_length_A:g} A and at most {forces.max_supercell_atoms} atoms; {short} had to "
        f"be shorter; displacements of {forces.displacement_A:g} A",
        "the potential saw these crystals in training (energies, forces, stresses), never a phonon label",
        f"correction: logarithm of label over computed peak, from the pooled features of {potential} and the phonons; the "
        "blend is chosen in inner folds of the training rows: " + "; ".join(" + ".join(names) for names in chosen),
        f"published scores: Matbench v0.1, the same folds, all {total} crystals, trained on structures alone",
    ]


def _alone(predicted: dict[str, Floats], labels: Floats) -> str:
    words = [f"{name} {np.abs(values - labels).mean():.1f}" for name, values in predicted.items() if name != "blend"]
    return "each model of the correction alone, MAE / 1/cm over the rows with phonons: " + ", ".join(words)
