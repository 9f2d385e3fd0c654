import re
from dataclasses import replace

import numpy as np
import pytest

from onnes.training import superconductivity as training
from onnes.training.benchmarks import labelled_sets
from onnes.training.benchmarks import models as module
from onnes.training.benchmarks.models import (
    benchmark_classifier,
    benchmark_metal,
    benchmark_tc,
    run_model,
    spread_quintiles,
)
from tests.training.made_up import POTENTIALS, QUICK, electron_phonon_data, metal_data, metal_recipe, recipe

BRIEF = QUICK.model_copy(update={"members": 2, "epochs": 8})
RECIPES = {
    "structure": recipe(name="structure", heads=BRIEF),
    "electronic": recipe(name="electronic", potentials=POTENTIALS, electronic=True, electronic_gain=4.0, heads=BRIEF),
}


@pytest.fixture(scope="module")
def data():
    return electron_phonon_data(1000, noise=0.1)


@pytest.fixture
def quick(monkeypatch, data):
    monkeypatch.setattr(module, "superconductivity_recipe", RECIPES.__getitem__)
    monkeypatch.setattr(training, "load_data", lambda recipes, **_: data)
    trees = {"lambda_": 1.3 * data.lambda_, "omega_log_K": data.omega_log_K, "tc_K": data.tc_K + 2}
    monkeypatch.setattr(training, "tree_baseline", lambda *_, **__: trees)


@pytest.fixture(scope="module")
def run(data):
    with pytest.MonkeyPatch.context() as patch:
        trees = {"lambda_": 1.3 * data.lambda_, "omega_log_K": data.omega_log_K, "tc_K": data.tc_K + 2}
        patch.setattr(training, "tree_baseline", lambda *_, **__: trees)
        return run_model(RECIPES["structure"], data, seeds=2)


def test_run_scores_the_validation_rows_by_models_that_never_saw_them(run, data) -> None:
    np.testing.assert_array_equal(run.rows, data.validation)
    assert not np.isin(run.cross.rows, np.flatnonzero(run.rows)).any()
    assert [s.n for s in run.scores] == [data.validation.sum()] * 2
    assert all(s.threshold_K == run.threshold_K for s in run.scores)
    assert run.scores[0].tc_mae_K != run.scores[1].tc_mae_K  # another seed
    assert (run.tree_score.threshold_K, run.tree_score.tc_mae_K) == (5.0, pytest.approx(2.0))
    assert run.trees["tc_K"].shape == (data.validation.sum(),)


def test_threshold_keeps_its_rate_in_every_fold(run, data) -> None:
    cold = data.tc_K[run.cross.rows] <= 5
    rates = [
        (run.cross.tc_K[cold & (run.cross.fold == fold)] <= run.threshold_K).mean()
        for fold in np.unique(run.cross.fold)
    ]
    assert min(rates) >= module.TRUE_NEGATIVE_RATE


def test_tc_is_scored_beside_trees_and_published_numbers(quick, data) -> None:
    result = benchmark_tc(("structure", "electronic"), seeds=2)
    ours = result.rows[len(module._PUBLISHED) :]
    assert [row[:2] for row in ours] == [
        ("trees, features of structure", "buckets"), ("structure", "buckets"),
        ("trees, features of electronic", "buckets"), ("electronic", "buckets"), ("structure", "random"),
    ]  # fmt: skip
    assert all(len(row) == len(result.columns) for row in result.rows)
    assert all("±" in cell for cell in ours[1][2:])
    assert not any("±" in cell for cell in ours[4][2:])
    assert f"scored on {int(data.validation.sum())} of 80-89" in result.notes[0]
    assert "2 seed(s)" in result.notes[0]
    rows = data.validation
    assert result.values["structure: trees_tc_mae_K"] == pytest.approx(2)  # that far off they were made
    assert result.values["structure: trees_lambda_mae"] == pytest.approx(0.3 * data.lambda_[rows].mean())
    assert result.values["electronic: trees_lambda_mae"] == pytest.approx(
        0.3 * data.lambda_[rows & data.has_dos].mean()
    )
    assert 0 < result.values["structure: tc_mae_K"] < 2
    covered = next(note for note in result.notes if note.startswith("structure: 90 % intervals"))
    assert all(float(x) > 70 for x in re.findall(r"([\d.]+)%", covered))
    gain = next(note for note in result.notes if note.startswith("structure: error of the trees"))
    low, high = (float(x) for x in re.search(r"tc_K (-?[\d.]+) to (-?[\d.]+)", gain).groups())
    assert low < 2 - result.values["structure: tc_mae_K"] < high
    assert "| structure | buckets |" in result.markdown()


def test_without_a_random_split(quick) -> None:
    result = benchmark_tc(("structure",), random_split=False)
    assert [row[1] for row in result.rows[len(module._PUBLISHED) :]] == ["buckets"] * 2


def test_random_split_trains_and_tests_on_other_rows(data, monkeypatch) -> None:
    scored = replace(data, scored=np.arange(len(data)) % 4 > 0)
    fitted, tested = [], []
    monkeypatch.setattr(training, "fit_superconductivity", lambda _, rows, __: fitted.append(rows))
    monkeypatch.setattr(training, "predict_rows", lambda _, __, rows: tested.append(rows) or {})
    monkeypatch.setattr(training, "score", lambda *_: None)
    module._random(RECIPES["structure"], scored)
    assert not (fitted[0] & tested[0]).any()
    np.testing.assert_array_equal(fitted[0] | tested[0], scored.scored)
    assert tested[0].sum() == pytest.approx(0.2 * scored.scored.sum(), rel=0.2)


def test_plots_are_written(quick, tmp_path) -> None:
    benchmark_tc(("electronic",), random_split=False, plots=tmp_path / "plots")
    names = sorted(path.name for path in (tmp_path / "plots").iterdir())
    kinds = ("calibration", "lambda", "omega-log", "precision-recall", "reliability", "roc", "spread", "tc")
    assert names == [f"electronic-{kind}.svg" for kind in kinds]
    assert all(path.stat().st_size > 2000 for path in (tmp_path / "plots").iterdir())


def test_error_by_quintile_of_the_spread(data, monkeypatch) -> None:
    rows = data.validation
    n = int(rows.sum())
    spread = np.random.default_rng(0).permutation(np.arange(n)) / n
    found = {"lambda_": data.lambda_[rows] + spread, "lambda_std": spread}
    monkeypatch.setattr(training, "predict_rows", lambda *_: found)
    np.testing.assert_allclose(spread_quintiles(None, data, rows), [0.1, 0.3, 0.5, 0.7, 0.9], atol=0.02)


def test_coverage_by_level_follows_the_level(run, data) -> None:
    levels = np.array([0.2, 0.5, 0.8, 0.95])
    model = training.calibrate(run.models[0], data, data.scored_in(range(80, 85)), run.cross)
    covered = module._coverages(model, run, data.scored_in(range(85, 90)), levels)
    assert (np.diff(covered) >= 0).all()
    np.testing.assert_allclose(covered, levels, atol=0.25)


def test_classifier_ranks_and_is_calibrated(quick, data) -> None:
    result = benchmark_classifier(("structure", "electronic"))
    assert [row[0] for row in result.rows] == ["structure", "electronic"]
    hot = data.tc_K > 5
    for name, rows in (("structure", data.validation), ("electronic", data.validation & data.has_dos)):
        prevalence = hot[rows].mean()
        assert result.values[f"{name}: prevalence"] == pytest.approx(prevalence)
        assert result.values[f"{name}: auc"] > 0.85
        assert result.values[f"{name}: average_precision"] > 1.2 * prevalence
        assert result.values[f"{name}: brier"] < 0.8 * prevalence * (1 - prevalence)
    recalls = [float(x) for x in re.findall(r"recall (0\.\d+|1\.\d+),", result.notes[0])]
    assert len(recalls) == 3
    assert recalls == sorted(recalls, reverse=True)


def test_metal(monkeypatch) -> None:
    made = metal_data(700, width=10)
    monkeypatch.setattr(labelled_sets.metals, "load_metal_data", lambda *_, **__: made)
    monkeypatch.setattr(labelled_sets, "read_recipe", lambda _: metal_recipe())
    result = benchmark_metal()
    assert [row[0] for row in result.rows[:2]] == ["0.2", "0.5"]
    assert result.rows[2][0].endswith("(chosen)")
    recalls = [float(row[3]) for row in result.rows]
    assert recalls[0] >= recalls[1] > 0.7
    assert result.values["auc"] > 0.9
    assert result.values["n"] == made.validation.sum()
    assert result.values["share_of_metals"] == pytest.approx(made.is_metal[made.validation].mean())
    assert result.values["precision, chosen"] > 0.75  # 0.85 on the training folds
    assert result.values["recall, chosen"] > 0.9
