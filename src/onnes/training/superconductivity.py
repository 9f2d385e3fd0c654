"""Training, calibration and scoring of the superconductivity models."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.errors import ConfigError
from onnes.models.domain import Domain
from onnes.models.heads import MixedEnsemble
from onnes.models.superconductivity import (
    N_ELECTRONIC,
    TARGETS,
    TC_THRESHOLD_K,
    Calibration,
    SuperconductivityModel,
)
from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.training.electron_phonon import load_electron_phonon
from onnes.training.recipe import superconductivity_recipe
from onnes.training.trainer import fit_heads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from onnes.training.electron_phonon import ElectronPhononData
    from onnes.training.recipe import SuperconductivityRecipe

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

MAX_ATOMS = 24
INTERVAL = 0.9
_STUDENT_FREEDOM = 4
_MIN_FLOOR = 0.02  # in ln lambda
_MIN_TC_K = 1.0  # Tc intervals are calibrated and scored where the predicted Tc is above this
LABEL_ROUNDING_K = 0.05
"""Half the last digit of the Tc labels."""


def usable(data: ElectronPhononData, recipe: SuperconductivityRecipe) -> Mask:
    """Rows that a model can read: all of them, or those with N(E_F)."""
    return data.has_dos if recipe.electronic else np.ones(len(data), bool)


def fit_superconductivity(
    data: ElectronPhononData,
    rows: Mask,
    recipe: SuperconductivityRecipe,
    *,
    calibration: Calibration | None = None,
    on_epoch: Callable[[], None] | None = None,
) -> SuperconductivityModel:
    """Train heads and domain on the chosen rows, as far as the recipe can read them."""
    rows = rows & usable(data, recipe)
    inputs = data.inputs(recipe.potentials, electronic=recipe.electronic)[rows]
    taught = _taught(data, rows, recipe, on_epoch)
    targets = np.concatenate([data.targets[rows], taught.targets])
    weights = np.outer(
        np.concatenate([np.ones(len(inputs)), np.full(len(taught.targets), recipe.teacher_weight)]),
        [recipe.target_weights[name] for name in TARGETS],
    )
    seen = np.concatenate([inputs, taught.inputs])
    own = data.groups[rows]
    groups = np.concatenate([own, own.max() + 1 + np.arange(len(taught.targets))])
    ensembles, columns, start = [], [], 0
    for name in recipe.potentials:
        stop = start + data.features[name].shape[1]
        ranges = ((start, stop), (inputs.shape[1] - N_ELECTRONIC, inputs.shape[1]))[: 1 + recipe.electronic]
        read = np.concatenate([seen[:, a:b] for a, b in ranges], axis=1)
        gain = np.ones(read.shape[1], np.float32)
        gain[stop - start :] = recipe.electronic_gain
        ensembles.append(
            fit_heads(read, targets, TARGETS, weights, recipe.heads, groups=groups, gain=gain, on_epoch=on_epoch)
        )
        columns.append(ranges)
        start = stop
    heads = MixedEnsemble(tuple(ensembles), tuple(columns))
    return SuperconductivityModel(
        recipe.name,
        "",
        recipe.potentials,
        heads,
        Domain.fit(heads.inputs(inputs)),
        calibration or Calibration(),
        MAX_ATOMS,
        data.elements,
        recipe.electronic,
        recipe.fallback,
        recipe.moments,
    )


@dataclass(frozen=True, eq=False)
class _Taught:
    """What a teacher says of unlabelled crystals: inputs (Q, F) of the pupil, targets (Q, T)."""

    inputs: NDArray[np.float32]
    targets: Floats


def _taught(
    data: ElectronPhononData, rows: Mask, recipe: SuperconductivityRecipe, on_epoch: Callable[[], None] | None
) -> _Taught:
    """Train the teacher on the same rows and let it label the unlabelled crystals (knowledge distillation).

    Hinton, Vinyals, Dean, arXiv:1503.02531 (2015). Crystals in composition buckets that ``rows`` leave out are left
    out here as well, so that nothing is learned about compositions that are kept for scoring.
    """
    if recipe.teacher is None:
        width = data.inputs(recipe.potentials, electronic=recipe.electronic).shape[1]
        return _Taught(np.zeros((0, width), np.float32), np.zeros((0, len(TARGETS))))
    if data.unlabelled is None or data.unlabelled_buckets is None:
        raise ConfigError(f"recipe {recipe.name} has a teacher: load the data with unlabelled crystals")
    larger = superconductivity_recipe(recipe.teacher)
    members = min(larger.heads.members, recipe.heads.members)
    larger = larger.model_copy(update={"heads": larger.heads.model_copy(update={"members": members})})
    teacher = fit_superconductivity(data, rows, larger, on_epoch=on_epoch)
    kept = np.isin(data.unlabelled_buckets, np.unique(data.buckets[rows]))
    said = teacher.heads.predict(np.concatenate([data.unlabelled[p][kept] for p in teacher.potentials], axis=1))
    inputs = np.concatenate([data.unlabelled[p][kept] for p in recipe.potentials], axis=1)
    return _Taught(inputs, np.stack([said[name].mean(0) for name in TARGETS], axis=1))


def load_data(
    recipes: Sequence[SuperconductivityRecipe], *, device: str = "cpu", on_rows: Callable[[int], None] | None = None
) -> ElectronPhononData:
    """Load what some recipes and their teachers need."""
    taught = [superconductivity_recipe(recipe.teacher) for recipe in recipes if recipe.teacher is not None]
    potentials = dict.fromkeys(p for recipe in (*recipes, *taught) for p in recipe.potentials)
    return load_electron_phonon(tuple(potentials), unlabelled=bool(taught), device=device, on_rows=on_rows)


def predict_rows(model: SuperconductivityModel, data: ElectronPhononData, rows: Mask) -> dict[str, Floats]:
    """Predictions of the chosen rows."""
    return model.predict(data.inputs(model.potentials, electronic=model.electronic)[rows])


def cross_predict(
    data: ElectronPhononData,
    rows: Mask,
    recipe: SuperconductivityRecipe,
    *,
    folds: int = 5,
    on_epoch: Callable[[], None] | None = None,
) -> CrossPrediction:
    """Predict every scored row of ``rows`` by an ensemble that never saw its formula.

    Folds are made of composition buckets. What is chosen from these predictions (a threshold, the scale of the
    probabilities) has seen training rows only.
    """
    parts: list[CrossPrediction] = []
    recipe = recipe.model_copy(update={"heads": recipe.heads.model_copy(update={"members": recipe.cross_members})})
    for fold in range(folds):
        left_out = data.buckets % folds == fold
        test = rows & left_out & data.scored & usable(data, recipe)
        model = fit_superconductivity(data, rows & ~left_out, recipe, on_epoch=on_epoch)
        parts.append(_held_out(model, data, test, fold))
    return CrossPrediction.joined(parts)


def _held_out(model: SuperconductivityModel, data: ElectronPhononData, rows: Mask, fold: int) -> CrossPrediction:
    """What a model says of rows that it did not see."""
    members = model.heads.predict(data.inputs(model.potentials, electronic=model.electronic)[rows])["ln_lambda"]
    found = predict_rows(model, data, rows)
    return CrossPrediction(
        np.flatnonzero(rows), np.log(found["lambda_"]), members.std(0), found["omega_log_K"], found["omega2_K"],
        found["tc_K"], np.full(int(rows.sum()), fold),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class CrossPrediction:
    """Out-of-fold predictions of n rows: row numbers, ln lambda and its spread, omega_log, omega2, Tc, fold; shape (n,)."""

    rows: NDArray[np.int64]
    ln_lambda: Floats
    spread: Floats
    omega_log_K: Floats
    omega2_K: Floats
    tc_K: Floats
    fold: NDArray[np.int64]

    @property
    def has_spread(self) -> bool:
        """Whether the folds had more than one network."""
        return bool((self.spread > 0).any())

    @classmethod
    def joined(cls, parts: Sequence[CrossPrediction]) -> CrossPrediction:
        """Rows of several, one after the other."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def conformal_quantile(scores: Floats, level: float = INTERVAL) -> float:
    """Quantile of conformity scores with the finite-sample correction of split conformal prediction.

    Lei, G'Sell, Rinaldo, Tibshirani, Wasserman, J. Am. Stat. Assoc. 113, 1094 (2018). Without scores it is infinite:
    nothing is known.
    """
    if not len(scores):
        return float("inf")
    return float(np.quantile(scores, min(1.0, np.ceil((len(scores) + 1) * level) / len(scores))))


def calibrate(
    model: SuperconductivityModel, data: ElectronPhononData, rows: Mask, cross: CrossPrediction
) -> SuperconductivityModel:
    """Fit the 90 % intervals of lambda and of Tc, and probabilities, on predictions of rows that were not trained on.

    These are the model's predictions of ``rows``, which it must not have seen, and the out-of-fold predictions of its
    training rows: a few hundred rows alone leave the coverage of the next ones uncertain by several percent. So split and
    cross-conformal prediction are joined (Vovk, Ann. Math. Artif. Intell. 74, 9 (2015)). Where each fold had a single
    network, which has no spread, ``rows`` must do.

    Scale and floor of sigma are those of the greatest likelihood, the error following Student's distribution with four
    degrees of freedom, so that single bad labels do not decide. The half-width of the interval of lambda is the
    conformal quantile of the residuals in units of sigma. For Tc the score of a row is the smallest half-width, in sigma
    of ln lambda, whose interval holds the label.
    """
    own = _held_out(model, data, rows & (data.has_dos | (not model.electronic)), -1)
    seen = CrossPrediction.joined([own, cross]) if cross.has_spread else own
    residual = np.abs(seen.ln_lambda - data.targets[seen.rows, 0])
    spread_scale, floor = _likely_sigma(residual, seen.spread)
    calibration = model.calibration._replace(spread_scale=spread_scale, floor=floor)
    sigma = calibration.sigma(seen.spread)
    needed = _half_widths(seen, data.tc_K[seen.rows], sigma)[seen.tc_K > _MIN_TC_K]
    calibration = calibration._replace(
        lambda_factor=conformal_quantile(residual / sigma), tc_factor=conformal_quantile(needed)
    )
    scale = fit_probability_scale(replace(model, calibration=calibration), data, cross if cross.has_spread else own)
    return replace(model, calibration=calibration._replace(probability_scale=scale))


def _likely_sigma(residual: Floats, spread: Floats) -> tuple[float, float]:
    """Scale of the spread and floor that make residuals (n,) most likely."""
    from scipy.optimize import minimize
    from scipy.stats import t

    def loss(logs: Floats) -> float:
        sigma = np.sqrt((np.exp(logs[0]) * spread) ** 2 + np.exp(2 * logs[1]))
        return float(np.log(sigma).mean() - t.logpdf(residual / sigma, _STUDENT_FREEDOM).mean())

    start = np.log([1.0, max(float(np.median(residual)), _MIN_FLOOR)])
    found: Any = minimize(loss, start, method="Nelder-Mead", bounds=[(-3, 3), (np.log(_MIN_FLOOR), 1)])
    return float(np.exp(found.x[0])), float(np.exp(found.x[1]))


def coverage(model: SuperconductivityModel, data: ElectronPhononData, rows: Mask) -> dict[str, float]:
    """Share of the labels inside the 90 % intervals: of lambda, and of Tc where the predicted Tc is above 1 K."""
    rows = rows & (data.has_dos | (not model.electronic))
    inputs = data.inputs(model.potentials, electronic=model.electronic)[rows]
    members = model.heads.predict(inputs)["ln_lambda"]
    inside = np.abs(members.mean(0) - data.targets[rows, 0]) <= model.calibration.lambda_factor * model.sigma(members)
    found, truth = model.predict(inputs), data.tc_K[rows]
    tc = (found["tc_lo_K"] <= truth + LABEL_ROUNDING_K) & (truth - LABEL_ROUNDING_K <= found["tc_hi_K"])
    return {
        "lambda_coverage": float(inside.mean()),
        "tc_coverage": float(tc[found["tc_K"] > _MIN_TC_K].mean()),
    }


def _half_widths(found: CrossPrediction, tc_K: Floats, sigma: Floats) -> Floats:
    """Smallest half-width of ln lambda, in sigma, at which the Tc interval holds the label; by a grid of widths."""
    widths = np.linspace(0, 12, 601)
    tc = [
        [
            allen_dynes_tc_K(np.exp(found.ln_lambda + sign * w * sigma), found.omega_log_K, found.omega2_K)
            for w in widths
        ]
        for sign in (-1, 1)
    ]
    inside = (np.array(tc[0]) <= tc_K + LABEL_ROUNDING_K) & (tc_K - LABEL_ROUNDING_K <= np.array(tc[1]))
    return np.where(inside.any(0), widths[inside.argmax(0)], np.inf)


def fit_probability_scale(model: SuperconductivityModel, data: ElectronPhononData, cross: CrossPrediction) -> float:
    """Scale of sigma in the probability that Tc exceeds 5 K, by maximum likelihood."""
    from scipy.optimize import minimize_scalar

    truth = data.tc_K[cross.rows] > TC_THRESHOLD_K
    sigma = model.calibration.sigma(cross.spread)

    def loss(scale: float) -> float:
        scaled = replace(model, calibration=model.calibration._replace(probability_scale=scale))
        p = scaled.probability_above(TC_THRESHOLD_K, np.exp(cross.ln_lambda), cross.omega_log_K, cross.omega2_K, sigma)
        p = np.clip(p, 1e-6, 1 - 1e-6)
        return -float(np.where(truth, np.log(p), np.log1p(-p)).mean())

    found: Any = minimize_scalar(loss, bounds=(0.3, 5.0), method="bounded")
    return float(found.x)


def threshold_at(tc_K: Floats, truth: Mask, true_negative_rate: float) -> float:
    """Smallest threshold on the predicted Tc at which at least the given share of the cold rows stays at or below it."""
    cold = np.sort(tc_K[~truth])
    return float(cold[max(0, int(np.ceil(true_negative_rate * len(cold) - 1e-9)) - 1)])


def threshold_in_folds(cross: CrossPrediction, data: ElectronPhononData, true_negative_rate: float) -> float:
    """Threshold on the predicted Tc that keeps a true-negative rate at 5 K in every fold of the training buckets.

    The threshold that keeps it over all folds together would miss it in half of them, and so on new compositions.
    """
    truth = data.tc_K[cross.rows] > TC_THRESHOLD_K
    return max(
        threshold_at(cross.tc_K[cross.fold == fold], truth[cross.fold == fold], true_negative_rate)
        for fold in np.unique(cross.fold)
    )


@dataclass(frozen=True)
class Score:
    """Errors on a set of rows, and the classification at 5 K with the threshold that was used."""

    lambda_mae: float
    omega_log_mae_K: float
    tc_mae_K: float
    tc_r2: float
    precision_5K: float
    tpr_5K: float
    tnr_5K: float
    threshold_K: float
    n: int


def score(
    found: dict[str, Floats], data: ElectronPhononData, rows: Mask, *, threshold_K: float = TC_THRESHOLD_K
) -> Score:
    """Score predictions ``lambda_``, ``omega_log_K`` and ``tc_K`` of the chosen rows, each of shape (n,).

    A crystal counts as said to be hot when its predicted Tc exceeds ``threshold_K``; it is hot when its label exceeds
    5 K.
    """
    truth, tc = data.tc_K[rows], found["tc_K"]
    hot, said = truth > TC_THRESHOLD_K, tc > threshold_K
    return Score(
        float(np.abs(found["lambda_"] - data.lambda_[rows]).mean()),
        float(np.abs(found["omega_log_K"] - data.omega_log_K[rows]).mean()),
        float(np.abs(tc - truth).mean()),
        float(1 - ((tc - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()),
        float((hot & said).sum() / max(said.sum(), 1)),
        float((hot & said).sum() / max(hot.sum(), 1)),
        float((~hot & ~said).sum() / max((~hot).sum(), 1)),
        threshold_K,
        int(rows.sum()),
    )


def tree_baseline(
    data: ElectronPhononData, rows: Mask, recipe: SuperconductivityRecipe, *, seed: int = 0
) -> dict[str, Floats]:
    """Gradient-boosted trees on ln lambda and ln omega_log of the same features, then Allen-Dynes with f1; all rows."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    rows = rows & usable(data, recipe)
    inputs = data.inputs(recipe.potentials, electronic=recipe.electronic)
    predicted = []
    for target in (data.targets[:, 0], data.targets[:, 1]):
        trees = HistGradientBoostingRegressor(
            max_iter=300, learning_rate=0.08, max_leaf_nodes=31, min_samples_leaf=10, l2_regularization=1.0,
            max_features=0.05, random_state=seed,
        )  # fmt: skip
        predicted.append(np.exp(trees.fit(inputs[rows], target[rows]).predict(inputs)))
    tc = allen_dynes_tc_K(predicted[0], predicted[1])
    return {"lambda_": predicted[0], "omega_log_K": predicted[1], "tc_K": tc}
