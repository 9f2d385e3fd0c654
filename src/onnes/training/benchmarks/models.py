"""Benchmarks of the learned models on the validation buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.training import metals, structure
from onnes.training.benchmarks.report import Benchmark

if TYPE_CHECKING:
    from collections.abc import Callable

_CALIBRATION = range(80, 85)
_TEST = range(85, 90)
_BOOTSTRAPS = 1000


def benchmark_tc(*, seeds: int = 1, device: str = "cpu", on_rows: Callable[[int], None] | None = None) -> Benchmark:
    """Train the structure model below bucket 80 and score it on 80-89, beside boosted trees on the same features.

    Parameters
    ----------
    seeds
        Ensembles trained from different seeds; mean and spread are reported.
    device
        Where features are computed that are not cached yet.
    on_rows
        Called with the number of crystals whose features are there.
    """
    data = structure.load_structure_data(device=device, on_rows=on_rows)
    rows = data.validation
    trees = structure.tree_baseline(data, data.training)
    baseline = structure.score(trees[0][rows], trees[1][rows], trees[2][rows], data, rows)
    scores, models = [], []
    for seed in range(seeds):
        model = structure.fit_structure(data, data.training, structure.DEFAULTS.model_copy(update={"seed": seed}))
        found = model.predict(data.features[rows])
        scores.append(structure.score(found["lambda_"], found["omega_log_K"], found["tc_K"], data, rows))
        models.append((model, found))
    fields = ("lambda_mae", "omega_log_mae_K", "tc_mae_K", "tc_r2", "precision_5K", "tpr_5K", "tnr_5K")
    digits = (3, 1, 2, 2, 2, 2, 3)
    table = [("trees, same features", *(f"{getattr(baseline, f):.{d}f}" for f, d in zip(fields, digits, strict=True)))]
    ours = []
    for f, d in zip(fields, digits, strict=True):
        sample = [getattr(s, f) for s in scores]
        ours.append(f"{np.mean(sample):.{d}f}" + (f" ± {np.std(sample, ddof=1):.{d}f}" if seeds > 1 else ""))
    table.append(("structure", *ours))
    low, high = _paired_difference(data, trees[2], models[0][1]["tc_K"], rows)
    coverage = _coverage(data, models[0][0])
    return Benchmark(
        "Superconductivity from the structure, Alexandria, composition buckets 80-89",
        ("model", "lambda MAE", "omega_log MAE / K", "Tc MAE / K", "Tc R²", "precision 5 K", "TPR 5 K", "TNR 5 K"),
        table,
        [
            f"trained on {int(data.training.sum())} crystals of buckets 0-79 (Alexandria, and the stable ones of JARVIS), scored on "
            f"{int(rows.sum())} of 80-89 (Alexandria), "
            f"{seeds} seed(s)",
            f"Tc MAE of the trees minus ours, paired bootstrap over formulas, 95 %: {low:.3f} to {high:.3f} K",
            f"90 % intervals calibrated on buckets 80-84 cover {coverage[0]:.1%} of lambda and {coverage[1]:.1%} of Tc "
            "(predicted Tc above 1 K) on 85-89",
            "label noise: two DFT data sets differ by 1.8 K in Tc on the formulas they share",
        ],
        {"tc_mae_K": scores[0].tc_mae_K, "lambda_mae": scores[0].lambda_mae, "omega_log_mae_K": scores[0].omega_log_mae_K,
         "trees_tc_mae_K": baseline.tc_mae_K, "trees_lambda_mae": baseline.lambda_mae,
         "trees_omega_log_mae_K": baseline.omega_log_mae_K},
    )  # fmt: skip


def _paired_difference(
    data: structure.StructureData, trees_tc: np.ndarray, ours_tc: np.ndarray, rows: np.ndarray
) -> tuple[float, float]:
    """95 % interval of the difference of Tc errors, formulas resampled."""
    gain = np.abs(trees_tc[rows] - data.tc_K[rows]) - np.abs(ours_tc - data.tc_K[rows])
    formulas = np.unique(data.groups[rows], return_inverse=True)[1]
    sums, counts = np.bincount(formulas, gain), np.bincount(formulas)
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(sums), (_BOOTSTRAPS, len(sums)))
    means = sums[draws].sum(1) / counts[draws].sum(1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def _coverage(data: structure.StructureData, model: structure.SuperconductivityModel) -> tuple[float, float]:
    """Share of lambda and of Tc inside the intervals calibrated on the first half of the validation buckets."""
    factor, floor = structure.calibrate(model, data, np.isin(data.buckets, _CALIBRATION) & data.scored)
    rows = np.isin(data.buckets, _TEST) & data.scored
    calibrated = structure.SuperconductivityModel(
        model.name,
        model.sha256,
        model.potentials,
        model.heads,
        model.domain,
        (factor, floor),
        model.max_atoms,
        model.elements,
    )
    members = model.heads.predict(data.features[rows])["ln_lambda"]
    width = factor * np.sqrt(members.std(0) ** 2 + floor**2)
    inside = np.abs(members.mean(0) - np.log(data.lambda_[rows])) <= width
    found = calibrated.predict(data.features[rows])
    truth, hot = data.tc_K[rows], found["tc_K"] > 1
    tc_inside = (found["tc_lo_K"] <= truth + 0.05) & (truth <= found["tc_hi_K"] + 0.05)  # labels are rounded to 0.1 K
    return float(inside.mean()), float(tc_inside[hot].mean())


def benchmark_metal(*, device: str = "cpu", on_rows: Callable[[int], None] | None = None) -> Benchmark:
    """Train the metal model below bucket 80 and score it on 80-89, at the thresholds of the default funnel."""
    data = metals.load_metal_data(device=device, on_rows=on_rows)
    model = metals.fit_metal(data, data.training)
    table, values = [], {}
    for threshold in (0.2, 0.5):
        s = metals.score_metal(model, data, data.validation, threshold=threshold)
        table.append((f"{threshold}", f"{s['auc']:.3f}", f"{s['precision']:.3f}", f"{s['recall']:.3f}"))
        values = s
    return Benchmark(
        "Metal or not, Materials Project, composition buckets 80-89",
        ("threshold", "ROC-AUC", "precision", "recall"),
        table,
        [
            f"label: PBE(+U) gap below {metals.METAL_GAP_EV} eV; {int(data.training.sum())} training crystals, "
            f"{values['n']:.0f} scored, {values['share_of_metals']:.1%} of them metals (the precision of a random filter)"
        ],
        values,
    )
