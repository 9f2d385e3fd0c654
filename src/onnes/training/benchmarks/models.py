"""Benchmarks of the learned models on the validation buckets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnes.training import superconductivity as training
from onnes.training.benchmarks.bootstrap import paired_interval
from onnes.training.benchmarks.labelled_sets import metal_set
from onnes.training.benchmarks.operating import Confusion
from onnes.training.benchmarks.plots.calibration import calibration, error_by_spread, reliability
from onnes.training.benchmarks.plots.parity import parity
from onnes.training.benchmarks.plots.ranking import precision_recall, roc
from onnes.training.benchmarks.report import Benchmark
from onnes.training.metals import METAL_GAP_EV
from onnes.training.recipe import SuperconductivityRecipe, superconductivity_recipe
from onnes.training.shipping import TRUE_NEGATIVE_RATE, TRUE_NEGATIVE_RATES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from onnes.models.superconductivity import SuperconductivityModel
    from onnes.training.electron_phonon import ElectronPhononData
    from onnes.training.superconductivity import CrossPrediction, Score

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

METAL_PRECISION = 0.85
_RANDOM_SHARE = 0.2
_FIELDS = (
    ("lambda_mae", 3), ("omega_log_mae_K", 1), ("tc_mae_K", 2), ("tc_r2", 2), ("precision_5K", 2), ("tpr_5K", 2),
    ("tnr_5K", 3),
)  # fmt: skip
_COLUMNS = ("model", "split", "lambda MAE", "omega_log MAE / K", "Tc MAE / K", "Tc R²", "precision", "TPR", "TNR")
_PUBLISHED = (
    ("BEE-NET, structure only (EMD)", "published, random", "0.096", "21.6", "1.20", "0.66", "0.80", "0.63", "0.97"),
    ("BEE-NET, structure only (MSE)", "published, random", "0.109", "22.1", "1.41", "0.55", "0.84", "0.47", "0.98"),
    ("BEE-NET, with DFT phonons (EMD)", "published, random", "0.072", "17.3", "0.87", "0.79", "0.94", "0.71", "0.991"),
)


@dataclass(frozen=True, eq=False)
class ModelRun:
    """One recipe trained and scored: out-of-fold predictions, the model of each seed, their scores, the trees."""

    recipe: SuperconductivityRecipe
    data: ElectronPhononData
    rows: Mask
    cross: CrossPrediction
    threshold_K: float
    models: list[SuperconductivityModel]
    scores: list[Score]
    trees: dict[str, Floats]
    tree_score: Score


def run_model(recipe: SuperconductivityRecipe, data: ElectronPhononData, *, seeds: int = 1) -> ModelRun:
    """Train a recipe below bucket 80 and score it on 80-89, beside boosted trees on the same features."""
    cross = training.cross_predict(data, data.training, recipe)
    threshold = training.threshold_in_folds(cross, data, TRUE_NEGATIVE_RATE)
    rows = data.validation & training.usable(data, recipe)
    models, scores = [], []
    for seed in range(seeds):
        model = training.fit_superconductivity(data, data.training, _seeded(recipe, seed))
        models.append(model)
        scores.append(training.score(training.predict_rows(model, data, rows), data, rows, threshold_K=threshold))
    trees = {name: column[rows] for name, column in training.tree_baseline(data, data.training, recipe).items()}
    return ModelRun(recipe, data, rows, cross, threshold, models, scores, trees, training.score(trees, data, rows))


def _seeded(recipe: SuperconductivityRecipe, seed: int) -> SuperconductivityRecipe:
    return recipe.model_copy(update={"heads": recipe.heads.model_copy(update={"seed": recipe.heads.seed + seed})})


def benchmark_tc(
    names: Sequence[str] = ("structure", "electronic", "fast"),
    *,
    seeds: int = 1,
    random_split: bool = True,
    plots: Path | None = None,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Train superconductivity models below bucket 80 and score them on 80-89, beside trees and published numbers.

    Parameters
    ----------
    names
        Recipes.
    seeds
        Ensembles trained from different seeds; mean and standard deviation are reported.
    random_split
        Train and score the first recipe on a random split of the rows as well, as published numbers are.
    plots
        Folder for parity, ROC, precision-recall, calibration and spread plots.
    device
        Where features are computed that are not cached yet.
    on_rows
        Called with the number of crystals whose features are there.
    """
    recipes = [superconductivity_recipe(name) for name in names]
    data = training.load_data(recipes, device=device, on_rows=on_rows)
    table: list[tuple[str, ...]] = list(_PUBLISHED)
    notes = [
        f"trained on {int(data.training.sum())} crystals of buckets 0-79 (Alexandria, and the stable ones of JARVIS), scored on "
        f"{int(data.validation.sum())} of 80-89 (Alexandria); {seeds} seed(s)",
        f"hot: label above 5 K; trees say so above a predicted 5 K, ours above the threshold at which {TRUE_NEGATIVE_RATE:.0%} of the "
        "cold rows stay below in each of five folds of buckets 0-79",
    ]
    values: dict[str, float] = {}
    for recipe in recipes:
        run = run_model(recipe, data, seeds=seeds)
        table.append((f"trees, features of {recipe.name}", "buckets", *_cells([run.tree_score])))
        table.append((recipe.name, "buckets", *_cells(run.scores)))
        notes += _remarks(run)
        values |= _values(run)
        if plots is not None:
            _draw(run, plots)
    if random_split:
        table.append((recipes[0].name, "random", *_cells([_random(recipes[0], data)])))
    notes.append("label noise: two DFT data sets differ by 1.8 K in Tc on the formulas they share")
    title = "Superconductivity of Alexandria crystals (mu* = 0.10), composition buckets 80-89"
    return Benchmark(title, _COLUMNS, table, notes, values)


def _cells(scores: list[Score]) -> tuple[str, ...]:
    cells = []
    for name, digits in _FIELDS:
        sample = [getattr(s, name) for s in scores]
        cells.append(
            f"{np.mean(sample):.{digits}f}" + (f" ± {np.std(sample, ddof=1):.{digits}f}" if len(sample) > 1 else "")
        )
    return tuple(cells)


def _remarks(run: ModelRun) -> list[str]:
    """Paired bootstrap against the trees, coverage of the intervals, spread and error, operating points."""
    name, data, model = run.recipe.name, run.data, run.models[0]
    found = training.predict_rows(model, data, run.rows)
    notes = []
    gains = []
    for column, truth in (("lambda_", data.lambda_), ("omega_log_K", data.omega_log_K), ("tc_K", data.tc_K)):
        gain = np.abs(run.trees[column] - truth[run.rows]) - np.abs(found[column] - truth[run.rows])
        low, high = paired_interval(gain, data.groups[run.rows])
        gains.append(f"{column} {low:.3f} to {high:.3f}")
    notes.append(f"{name}: error of the trees minus ours, paired bootstrap over formulas, 95 %: {', '.join(gains)}")
    test = data.scored_in(range(85, 90))
    halves = training.calibrate(model, data, data.scored_in(range(80, 85)), run.cross)
    cover = training.coverage(halves, data, test)
    quintiles = spread_quintiles(model, data, run.rows)
    notes.append(
        f"{name}: 90 % intervals calibrated on buckets 80-84 and out-of-fold predictions cover {cover['lambda_coverage']:.1%} of lambda and "
        f"{cover['tc_coverage']:.1%} of Tc (predicted Tc above 1 K) on 85-89; median error of lambda by quintile of its "
        "spread " + ", ".join(f"{q:.3f}" for q in quintiles)
    )
    rates = []
    for rate in TRUE_NEGATIVE_RATES:
        s = training.score(found, data, run.rows, threshold_K=training.threshold_in_folds(run.cross, data, rate))
        rates.append(f"{rate:.1%}: {s.threshold_K:.1f} K, {s.tpr_5K:.2f} / {s.tnr_5K:.3f}")
    notes.append(
        f"{name}: threshold that keeps a TNR in each training fold, and its TPR / TNR here: " + "; ".join(rates)
    )
    points = []
    for threshold in (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0):
        s = training.score(found, data, run.rows, threshold_K=threshold)
        points.append(f"{threshold:.1f} K: {s.tpr_5K:.2f} / {s.tnr_5K:.3f}")
    notes.append(f"{name}: operating curve, threshold: TPR / TNR: " + "; ".join(points))
    return notes


def spread_quintiles(model: SuperconductivityModel, data: ElectronPhononData, rows: Mask) -> list[float]:
    """Median error of lambda in each quintile of its predicted spread."""
    found = training.predict_rows(model, data, rows)
    error = np.abs(found["lambda_"] - data.lambda_[rows])
    return [float(np.median(part)) for part in np.array_split(error[np.argsort(found["lambda_std"])], 5)]


def _values(run: ModelRun) -> dict[str, float]:
    mean = {name: float(np.mean([getattr(s, name) for s in run.scores])) for name, _ in _FIELDS}
    trees = {f"trees_{name}": getattr(run.tree_score, name) for name, _ in _FIELDS}
    return {f"{run.recipe.name}: {name}": value for name, value in {**mean, **trees}.items()}


def _random(recipe: SuperconductivityRecipe, data: ElectronPhononData) -> Score:
    """Score of one ensemble on a random fifth of Alexandria, trained on the other Alexandria rows."""
    rng = np.random.default_rng(0)
    test = data.scored & (rng.random(len(data)) < _RANDOM_SHARE)
    model = training.fit_superconductivity(data, data.scored & ~test, recipe)
    return training.score(training.predict_rows(model, data, test), data, test)


def _draw(run: ModelRun, folder: Path) -> None:
    """Parity, ROC, precision-recall, calibration, reliability and spread of one model."""
    folder.mkdir(parents=True, exist_ok=True)
    data, rows, name = run.data, run.rows, run.recipe.name
    model = training.calibrate(run.models[0], data, data.scored_in(range(80, 85)), run.cross)
    found, hot = training.predict_rows(model, data, rows), data.tc_K[rows] > training.TC_THRESHOLD_K
    parity(folder / f"{name}-tc.svg", data.tc_K[rows], found["tc_K"], unit="K", name=f"Tc, {name}")
    parity(folder / f"{name}-lambda.svg", data.lambda_[rows], found["lambda_"], unit="", name=f"lambda, {name}")
    parity(
        folder / f"{name}-omega-log.svg", data.omega_log_K[rows], found["omega_log_K"], unit="K",
        name=f"omega_log, {name}", log=True,
    )  # fmt: skip
    curves = {name: (hot, found["tc_K"]), "trees": (hot, run.trees["tc_K"])}
    roc(folder / f"{name}-roc.svg", curves, mark=run.threshold_K)
    precision_recall(folder / f"{name}-precision-recall.svg", curves, mark=run.threshold_K)
    reliability(folder / f"{name}-reliability.svg", found["tc_above_5K_probability"], hot)
    error = np.abs(found["lambda_"] - data.lambda_[rows])
    error_by_spread(folder / f"{name}-spread.svg", error, found["lambda_std"], unit="", name=f"lambda, {name}")
    levels = np.linspace(0.1, 0.95, 18)
    test = data.scored_in(range(85, 90)) & training.usable(data, run.recipe)
    calibration(folder / f"{name}-calibration.svg", levels, _coverages(model, run, test, levels), n=int(test.sum()))


def _coverages(model: SuperconductivityModel, run: ModelRun, test: Mask, levels: Floats) -> Floats:
    """Share of lambda labels inside intervals of many levels, calibrated on buckets 80-84 and out-of-fold predictions."""
    data, cross = run.data, run.cross

    def scores(rows: Mask) -> Floats:
        members = model.heads.predict(data.inputs(model.potentials, electronic=model.electronic)[rows])["ln_lambda"]
        return np.abs(members.mean(0) - data.targets[rows, 0]) / model.sigma(members)

    usable = data.has_dos | (not model.electronic)
    known = scores(data.scored_in(range(80, 85)) & usable)
    if cross.has_spread:
        out_of_fold = np.abs(cross.ln_lambda - data.targets[cross.rows, 0]) / model.calibration.sigma(cross.spread)
        known = np.concatenate([known, out_of_fold])
    new = scores(test)
    return np.array([(new <= training.conformal_quantile(known, level)).mean() for level in levels])


def benchmark_classifier(
    names: Sequence[str] = ("structure", "electronic"),
    *,
    plots: Path | None = None,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Probability that Tc exceeds 5 K: ranking, calibration, and what a gate keeps at chosen rates."""
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    recipes = [superconductivity_recipe(name) for name in names]
    data = training.load_data(recipes, device=device, on_rows=on_rows)
    table, values, notes = [], {}, []
    for recipe in recipes:
        run = run_model(recipe, data)
        model = training.calibrate(run.models[0], data, data.validation, run.cross)
        scale = model.calibration.probability_scale
        p = training.predict_rows(model, data, run.rows)["tc_above_5K_probability"]
        hot = data.tc_K[run.rows] > training.TC_THRESHOLD_K
        numbers = {
            "auc": float(roc_auc_score(hot, p)),
            "average_precision": float(average_precision_score(hot, p)),
            "brier": float(brier_score_loss(hot, p)),
            "prevalence": float(hot.mean()),
        }
        table.append(
            (recipe.name, *(f"{numbers[key]:.3f}" for key in ("auc", "average_precision", "brier", "prevalence")))
        )
        values |= {f"{recipe.name}: {key}": value for key, value in numbers.items()}
        notes.append(f"{recipe.name}: scale of sigma {scale:.2f}; {_gates(run, model, p, hot)}")
        if plots is not None:
            _draw(run, plots)
    notes.append("precision depends on the prevalence: at 1 % hot crystals it is far lower than at the share above")
    return Benchmark(
        "Probability that Tc exceeds 5 K, Alexandria, composition buckets 80-89",
        (
            "model",
            "ROC-AUC",
            "average precision",
            "Brier score",
            "share of hot crystals (precision of a random filter)",
        ),
        table,
        notes,
        values,
    )


def _gates(run: ModelRun, model: SuperconductivityModel, p: Floats, hot: Mask) -> str:
    """What gates on the probability keep, thresholds from out-of-fold predictions at chosen recalls and precisions."""
    cross = run.cross
    sigma = model.calibration.sigma(cross.spread)
    known = model.probability_above(
        training.TC_THRESHOLD_K, np.exp(cross.ln_lambda), cross.omega_log_K, cross.omega2_K, sigma
    )
    truth = run.data.tc_K[cross.rows] > training.TC_THRESHOLD_K
    parts = []
    for recall in (0.9, 0.8, 0.6):
        threshold = float(np.quantile(known[truth], 1 - recall))
        said = p > threshold
        precision, found = (hot & said).sum() / max(said.sum(), 1), (hot & said).sum() / hot.sum()
        parts.append(
            f"recall {recall:.0%} chosen: p > {threshold:.2f} gives recall {found:.2f}, precision {precision:.2f}"
        )
    return "; ".join(parts)


def benchmark_metal(*, device: str = "cpu", on_rows: Callable[[int], None] | None = None) -> Benchmark:
    """Train the metal model below bucket 80 and score it on 80-89.

    The thresholds are those of the default funnel, and the lowest one that keeps a precision on out-of-fold predictions
    of the training buckets.
    """
    from sklearn.metrics import roc_auc_score

    labelled = metal_set(device=device, on_rows=on_rows)
    auc = float(roc_auc_score(labelled.truth, labelled.score))
    chosen = labelled.threshold_for_precision(METAL_PRECISION)
    table: list[tuple[str, ...]] = []
    values = {"auc": auc, "share_of_metals": float(labelled.truth.mean()), "n": float(len(labelled.truth))}
    for name, threshold in (("0.2", 0.2), ("0.5", 0.5), ("chosen", chosen)):
        c = Confusion.of(labelled.truth, labelled.score >= threshold)
        shown = f"{threshold:.3f} (chosen)" if name == "chosen" else name
        table.append((shown, f"{auc:.3f}", f"{c.precision:.3f}", f"{c.recall:.3f}"))
        values |= {f"precision, {name}": c.precision, f"recall, {name}": c.recall}
    return Benchmark(
        "Metal or not, Materials Project, composition buckets 80-89",
        ("threshold", "ROC-AUC", "precision", "recall"),
        table,
        [
            f"label: PBE(+U) gap below {METAL_GAP_EV} eV; {len(labelled.chosen_truth)} training crystals, "
            f"{len(labelled.truth)} scored, {labelled.truth.mean():.1%} of them metals (the precision of a random filter)",
            f"chosen: the lowest threshold with a precision of {METAL_PRECISION} on buckets 0-79, on predictions by models "
            "that never saw the formula",
        ],
        values,
    )
