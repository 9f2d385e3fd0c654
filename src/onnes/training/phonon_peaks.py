"""Learned correction of the highest peak of the phonon density of states, on top of a potential's phonons."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_masses
from pydantic import BaseModel, ConfigDict, Field

from onnes.training.trainer import TrainSettings, fit_heads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from onnes.crystals.batch import CrystalBatch
    from onnes.training.phonon_data import PhononSummary

    Floats = NDArray[np.float64]
    Rows = NDArray[np.integer]

_MODELS = ("ridge", "trees", "networks")


class PeakSettings(BaseModel):
    """Settings of the models that are blended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trees: int = Field(default=200, ge=1, description="extremely randomized trees")
    max_features: float = Field(default=0.1, gt=0, le=1, description="share of the features tried at a node")
    min_samples_leaf: int = Field(default=2, ge=1)
    ridge_penalties: tuple[float, ...] = Field(default=(30.0, 100.0, 300.0, 1000.0, 3000.0), min_length=1)
    heads: TrainSettings = Field(default=TrainSettings(members=6, epochs=80, dropout=0.2, noise=0.1))
    inner_folds: int = Field(default=3, ge=2, description="folds in which the blend is chosen")
    seed: int = 0


def physical_features(batch: CrystalBatch, summaries: Sequence[PhononSummary]) -> Floats:
    """What the phonons, the masses and the volume say of each crystal.

    Parameters
    ----------
    batch
        B crystals.
    summaries
        Their phonons.

    Returns
    -------
    numpy.ndarray
        Logarithms of peak, highest and mean frequency, and of their ratios; lowest frequency over mean; logarithms of
        mean, lowest and highest mass, their spread; logarithm of the volume per atom; atoms in the cell. Shape (B, 12).
    """
    rows = []
    for (lattice, _, numbers), one in zip(batch, summaries, strict=True):
        mass = np.log(atomic_masses[numbers])
        peak, top, mean = (np.log(v) for v in (one.peak_per_cm, one.highest_per_cm, one.mean_per_cm))
        volume = np.log(abs(np.linalg.det(lattice)) / len(numbers))
        low = one.min_per_cm / one.mean_per_cm
        rows.append(
            [peak, top, mean, top - peak, peak - mean, low, mass.mean(), mass.min(), mass.max(), mass.std(), volume,
             one.n_atoms]
        )  # fmt: skip
    return np.array(rows, float)


def corrections(
    features: Floats, computed: Floats, labels: Floats, new: Floats, new_computed: Floats, settings: PeakSettings
) -> dict[str, Floats]:
    """Train each model on the ratio of label to computed peak, and predict other crystals.

    The target is the logarithm of the ratio, each row weighted by its label, so that the error that is made small is
    close to the one in 1/cm.

    Parameters
    ----------
    features, new
        Shapes (P, F) and (Q, F).
    computed, new_computed
        Peaks from the potential's phonons, 1/cm, shapes (P,) and (Q,).
    labels
        Shape (P,), 1/cm.
    settings
        Of the models.

    Returns
    -------
    dict
        Corrected peaks by each model, 1/cm, shape (Q,).
    """
    target = np.log(labels / computed)
    weights = labels / labels.mean()
    # A correction beyond what training showed would be an invention.
    low, high = target.min(), target.max()
    makers: dict[str, Callable[..., Floats]] = {"ridge": _ridge, "trees": _trees, "networks": _networks}
    return {
        name: new_computed * np.exp(makers[name](features, target, weights, new, settings).clip(low, high))
        for name in _MODELS
    }


def nested_predictions(
    features: Floats,
    computed: Floats,
    labels: Floats,
    folds: Sequence[tuple[Rows, Rows]],
    settings: PeakSettings | None = None,
    *,
    on_fold: Callable[[int], None] | None = None,
) -> tuple[dict[str, Floats], list[tuple[str, ...]]]:
    """Predict every row by models that have not seen it; which models are blended is chosen without it as well.

    Parameters
    ----------
    features, computed, labels
        See `corrections`; P rows.
    folds
        (training rows, test rows) of the outer folds.
    settings
        Defaults to `PeakSettings`.
    on_fold
        Called with 1 after every fit of the models, outer or inner.

    Returns
    -------
    predictions
        ``blend`` and each model alone, 1/cm, shape (P,); NaN for a row in no test set.
    chosen
        The models blended in each outer fold.
    """
    from sklearn.model_selection import KFold

    settings = settings or PeakSettings()
    found = {name: np.full(len(labels), np.nan) for name in ("blend", *_MODELS)}
    chosen: list[tuple[str, ...]] = []

    def fitted(train: Rows, test: Rows) -> dict[str, Floats]:
        made = corrections(features[train], computed[train], labels[train], features[test], computed[test], settings)
        if on_fold:
            on_fold(1)
        return made

    for train, test in folds:
        inner = {name: np.full(len(train), np.nan) for name in _MODELS}
        splits = KFold(settings.inner_folds, shuffle=True, random_state=settings.seed).split(train)
        for fit, held in splits:
            for name, values in fitted(train[fit], train[held]).items():
                inner[name][held] = values
        names = best_blend(inner, labels[train])
        chosen.append(names)
        for name, values in fitted(train, test).items():
            found[name][test] = values
        found["blend"][test] = blended([found[name][test] for name in names])
    return found, chosen


def best_blend(predictions: Mapping[str, Floats], labels: Floats) -> tuple[str, ...]:
    """Find the models whose mean has the lowest mean absolute error.

    Examples
    --------
    >>> truth = np.array([100.0, 200.0])
    >>> best_blend({"low": 0.9 * truth, "high": truth / 0.9, "far": 3 * truth}, truth)
    ('low', 'high')
    """
    names = list(predictions)
    subsets = [subset for size in range(1, len(names) + 1) for subset in combinations(names, size)]
    errors = [np.abs(blended([predictions[name] for name in subset]) - labels).mean() for subset in subsets]
    return subsets[int(np.argmin(errors))]


def blended(predictions: Sequence[Floats]) -> Floats:
    """Geometric mean of several predictions."""
    return np.exp(np.mean([np.log(one) for one in predictions], axis=0))


def _ridge(x: Floats, y: Floats, weights: Floats, new: Floats, settings: PeakSettings) -> Floats:
    from sklearn.linear_model import RidgeCV

    mean, scale = x.mean(0), x.std(0) + 1e-6
    model = RidgeCV(settings.ridge_penalties).fit((x - mean) / scale, y, sample_weight=weights)
    return model.predict(((new - mean) / scale).clip(-6, 6))


def _trees(x: Floats, y: Floats, weights: Floats, new: Floats, settings: PeakSettings) -> Floats:
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(
        settings.trees, max_features=settings.max_features, min_samples_leaf=settings.min_samples_leaf,
        random_state=settings.seed,
    )  # fmt: skip
    return forest.fit(x, y, sample_weight=weights).predict(new)


def _networks(x: Floats, y: Floats, weights: Floats, new: Floats, settings: PeakSettings) -> Floats:
    heads = fit_heads(
        x.astype(np.float32), y[:, None], ("ln_ratio",), weights[:, None],
        settings.heads.model_copy(update={"seed": settings.seed}),
    )  # fmt: skip
    return heads.predict(new.astype(np.float32))["ln_ratio"].mean(0)
