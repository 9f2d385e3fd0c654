"""Training and scoring of the ``experimental`` models on measured Tc, beside trivial and strong baselines.

What counts as a superconductor and what as background is said in `onnes.training.experimental_data`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np

from onnes.models.composition import FEATURE_NAMES
from onnes.models.experimental import CLASS_TARGET, TC_TARGET, ExperimentalModel, StructureBlock
from onnes.training.recipe import experimental_recipe
from onnes.training.trainer import fit_heads
from onnes.training.trees import fit_trees

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from onnes.models.heads import HeadEnsemble
    from onnes.training.experimental_data import ExperimentalData
    from onnes.training.trainer import TrainSettings
    from onnes.training.trees import TreeSettings

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

RECIPE = experimental_recipe("experimental")
DEFAULTS, CLASSIFIER_DEFAULTS, TREE_DEFAULTS = RECIPE.heads, RECIPE.classifier, RECIPE.trees
_NO_MIXTURES = [i for i, name in enumerate(FEATURE_NAMES) if not name.startswith("mixture_")]
"""Mixtures say what the fractions say, in a way that trees cannot cut well."""
NEIGHBOURS = 5


def used_rows(data: ExperimentalData, rows: Bools, variant: str) -> Bools:
    """Rows that a variant sees: those without structure, or all."""
    return rows & ~data.has_structure if variant == "composition" else rows


def class_weights(data: ExperimentalData, rows: Bools) -> Floats:
    """Weights of the labelled rows, zero elsewhere, shape (P,); their mean is one.

    Both classes weigh the same, with a structure and without, so that neither the share of superconductors nor a
    missing structure decides.
    """
    weight = np.zeros(len(data.label))
    for crystal in (False, True):
        for label in (0.0, 1.0):
            part = rows & (data.label == label) & (data.has_structure == crystal)
            if part.any():
                weight[part] = data.weight[part] / data.weight[part].sum()
    used = weight > 0
    return weight * used.sum() / max(weight.sum(), 1e-12)


def fit_experimental(
    data: ExperimentalData,
    rows: Bools,
    settings: TrainSettings = DEFAULTS,
    *,
    classifier_settings: TrainSettings = CLASSIFIER_DEFAULTS,
    tree_settings: TreeSettings = TREE_DEFAULTS,
    variant: str = "composition",
    interval: tuple[float, float] = (1.645, 0.0),
    components: int = 32,
    on_epoch: Callable[[], None] | None = None,
) -> ExperimentalModel:
    """Train the regression of ln Tc and the classifier on the chosen rows; rows without a label are left out.

    Parameters
    ----------
    data, rows
        P rows, and which of them, shape (P,).
    settings, classifier_settings
        Of the trainer; the second with ``loss="binary"``.
    tree_settings
        Of the trees of ln Tc, which see every composition once, without its crystals.
    variant
        One of `onnes.models.experimental.VARIANTS`. The structure variant sees every composition with and without its
        crystals, so that it also works without.
    interval
        From `calibrate_experimental`.
    components
        Principal components of the pooled potential features, where there are any.
    on_epoch
        Called after every epoch of every member.
    """
    rows = used_rows(data, rows, variant) & np.isfinite(data.label)
    block, inputs = None, data.features
    if variant == "structure":
        pooled = None if data.pooled is None else data.pooled[rows]
        block = StructureBlock.fit(data.structural[rows], pooled, n_components=components)
        inputs = block.inputs(data.features, data.structural, data.pooled)

    def heads(wanted: Bools, target: Floats, name: str, weight: Floats, chosen: TrainSettings) -> HeadEnsemble:
        per_row = cast("Sequence[float]", weight[wanted, None])  # the trainer multiplies, so one weight a row works too
        return fit_heads(
            inputs[wanted],
            target[wanted, None],
            (name,),
            per_row,
            chosen,
            groups=data.groups[wanted],
            on_epoch=on_epoch,
        )

    regression = heads(rows & np.isfinite(data.ln_tc_K), data.ln_tc_K, TC_TARGET, data.weight, settings)
    classifier = heads(rows, data.label, CLASS_TARGET, class_weights(data, rows), classifier_settings)
    once = rows & np.isfinite(data.ln_tc_K) & ~data.has_structure
    trees = fit_trees(data.features[once], data.ln_tc_K[once], data.weight[once], _NO_MIXTURES, tree_settings)
    return ExperimentalModel("experimental", "", regression, trees, classifier, interval, block)


def predict_rows(model: ExperimentalModel, data: ExperimentalData, rows: Bools) -> dict[str, Floats]:
    """Predictions of `ExperimentalModel.predict_features` for the chosen rows."""
    if model.block is None:
        return model.predict_features(data.features[rows])
    pooled = None if data.pooled is None else data.pooled[rows]
    return model.predict_features(data.features[rows], data.structural[rows], pooled)


def calibrate_experimental(model: ExperimentalModel, data: ExperimentalData, rows: Bools) -> tuple[float, float]:
    """Half-width factor and floor of the 90 % interval of ln Tc, from rows that the model was not trained on.

    As `onnes.training.superconductivity.calibrate` (split conformal prediction). Calibrate on new chemical systems: there the
    errors are larger than between neighbours in doping.
    """
    rows = rows & np.isfinite(data.ln_tc_K)
    found = predict_rows(model, data, rows)
    residual = np.abs(found["ln_tc_K"] - data.ln_tc_K[rows])
    floor = float(np.median(residual) / 0.6745)
    scores = residual / np.sqrt(found["ln_tc_K_std"] ** 2 + floor**2)
    level = min(1.0, np.ceil((len(scores) + 1) * 0.9) / len(scores))
    return float(np.quantile(scores, level)), floor


def coverage(model: ExperimentalModel, data: ExperimentalData, rows: Bools) -> float:
    """Share of the chosen superconductors whose ln Tc lies in the model's interval."""
    rows = rows & np.isfinite(data.ln_tc_K)
    found = predict_rows(model, data, rows)
    width = model.interval[0] * np.sqrt(found["ln_tc_K_std"] ** 2 + model.interval[1] ** 2)
    return float((np.abs(found["ln_tc_K"] - data.ln_tc_K[rows]) <= width).mean())


# --- scores ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExperimentalScore:
    """Errors over compositions, and how well superconductors are ranked above others.

    Attributes
    ----------
    ln_tc_mae, log10_tc_mae
        Mean absolute error of ln Tc and log10 Tc (Tc in K) over ``n_tc`` superconductors.
    auc, average_precision, prevalence, n
        All superconductors against all background formulas.
    auc_metals, average_precision_metals, prevalence_metals, n_metals
        Stoichiometric superconductors against stoichiometric background formulas that are metals by DFT: neither
        doping nor a band gap gives the answer away. This is what a screening meets.
    auc_measured, n_measured
        All superconductors against compositions measured not to superconduct, and the number of the latter.
    family_ln_tc_mae, family_n
        By family.
    """

    ln_tc_mae: float
    log10_tc_mae: float
    n_tc: int
    auc: float
    average_precision: float
    prevalence: float
    n: int
    auc_metals: float
    average_precision_metals: float
    prevalence_metals: float
    n_metals: int
    auc_measured: float
    n_measured: int
    family_ln_tc_mae: dict[str, float] = field(default_factory=dict)
    family_n: dict[str, int] = field(default_factory=dict)


def score_experimental(ln_tc_K: Floats, probability: Floats, data: ExperimentalData, rows: Bools) -> ExperimentalScore:
    """Score predictions of the chosen rows, both of shape (n,); the crystals of a composition are averaged first."""
    groups, first, inverse = np.unique(data.groups[rows], return_index=True, return_inverse=True)
    weight = data.weight[rows]
    total = np.bincount(inverse, weight, len(groups))
    predicted, chance = (np.bincount(inverse, weight * x, len(groups)) / total for x in (ln_tc_K, probability))
    kind, family = data.kind[rows][first], data.family[rows][first]
    plain, metal = data.stoichiometric[rows][first], data.is_metal[rows][first]
    positive, background, measured = (kind == k for k in ("superconductor", "background", "measured zero"))
    error = np.abs(predicted - data.ln_tc_K[rows][first])[positive]
    families = {str(f): error[family[positive] == f] for f in np.unique(family[positive])}
    everything = _ranking(chance, positive, background)
    metals = _ranking(chance, positive & plain, background & plain & metal)
    return ExperimentalScore(
        float(error.mean()) if len(error) else np.nan,
        float(error.mean() / np.log(10)) if len(error) else np.nan,
        len(error),
        *everything,
        *metals,
        _ranking(chance, positive, measured)[0],
        int(measured.sum()),
        {name: float(errors.mean()) for name, errors in families.items()},
        {name: len(errors) for name, errors in families.items()},
    )


def _ranking(chance: Floats, positive: Bools, negative: Bools) -> tuple[float, float, float, int]:
    """ROC-AUC, average precision, share of positives, number; NaN where a class is empty."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    used = positive | negative
    if not positive.any() or not negative.any():
        return np.nan, np.nan, np.nan, int(used.sum())
    truth = positive[used]
    return (
        float(roc_auc_score(truth, chance[used])),
        float(average_precision_score(truth, chance[used])),
        float(truth.mean()),
        len(truth),
    )


# --- baselines -------------------------------------------------------------------------------------------------------


def trivial_baselines(data: ExperimentalData, train: Bools, rows: Bools) -> dict[str, tuple[Floats, Floats]]:
    """Predictions without learning: ln Tc and probability of the chosen rows, each of shape (n,).

    The median Tc and the share of superconductors; both by family; the mean of the nearest compositions (Euclidean
    distance of the fractions, weighted by the inverse distance).
    """
    from sklearn.neighbors import KNeighborsRegressor

    hot, labelled = train & np.isfinite(data.ln_tc_K), train & np.isfinite(data.label)
    medians, shares = {}, {}
    for name in np.unique(data.family[labelled]):
        ln_tc = data.ln_tc_K[hot & (data.family == name)]
        medians[name] = np.median(ln_tc) if len(ln_tc) else np.median(data.ln_tc_K[hot])
        shares[name] = data.label[labelled & (data.family == name)].mean()
    median, share = float(np.median(data.ln_tc_K[hot])), float(data.label[labelled].mean())
    families = data.family[rows].tolist()
    fractions = data.features[
        :, [i for i, name in enumerate(FEATURE_NAMES) if name.startswith("fraction_") and name != "fraction_norm"]
    ]
    nearest = []
    for used, target in ((hot, data.ln_tc_K), (labelled, data.label)):
        neighbours = KNeighborsRegressor(min(NEIGHBOURS, int(used.sum())), weights="distance")
        nearest.append(np.asarray(neighbours.fit(fractions[used], target[used]).predict(fractions[rows]), float))
    n = int(rows.sum())
    return {
        "median, share of superconductors": (np.full(n, median), np.full(n, share)),
        "median, share of the family": (
            np.array([medians.get(f, median) for f in families]),
            np.array([shares.get(f, share) for f in families]),
        ),
        f"{NEIGHBOURS} nearest compositions": (nearest[0], nearest[1]),
    }


def tree_baseline(
    data: ExperimentalData,
    train: Bools,
    rows: Bools,
    *,
    variant: str = "composition",
    iterations: int = 400,
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """Gradient-boosted trees on the same features and rows: ln Tc and probability of the chosen rows.

    Rows are weighted
    where there are crystals; without, all weigh the same (weights of the classes would not change the ranking, and
    make scikit-learn's binning very slow).
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    train = used_rows(data, train, variant) & np.isfinite(data.label)
    inputs = data.features[:, _NO_MIXTURES]
    if variant == "structure":
        inputs = np.concatenate([inputs, data.structural, *([] if data.pooled is None else [data.pooled])], axis=1)
    hot, weight = train & np.isfinite(data.ln_tc_K), class_weights(data, train)
    regressor = HistGradientBoostingRegressor(
        max_iter=iterations,
        learning_rate=0.06,
        max_leaf_nodes=31,
        min_samples_leaf=10,
        max_features=0.2,
        random_state=seed,
    )
    classifier = HistGradientBoostingClassifier(
        max_iter=iterations // 2, learning_rate=0.06, max_leaf_nodes=31, max_features=0.2, random_state=seed
    )
    weighted = variant == "structure"
    regressor.fit(inputs[hot], data.ln_tc_K[hot], sample_weight=data.weight[hot] if weighted else None)
    classifier.fit(inputs[train], data.label[train], sample_weight=weight[train] if weighted else None)
    return np.asarray(regressor.predict(inputs[rows])), np.asarray(classifier.predict_proba(inputs[rows]))[:, 1]
