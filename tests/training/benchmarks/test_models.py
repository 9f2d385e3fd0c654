import re

import numpy as np
import pytest

from onnes.training import metals, structure
from onnes.training.benchmarks.models import _coverage, _paired_difference, benchmark_metal, benchmark_tc
from tests.training.made_up import QUICK, metal_data, structure_data


@pytest.fixture(scope="module")
def data():
    return structure_data(1000, noise=0.1)


@pytest.fixture
def quick(monkeypatch, data):
    monkeypatch.setattr(structure, "load_structure_data", lambda **_: data)
    monkeypatch.setattr(structure, "DEFAULTS", QUICK.model_copy(update={"members": 2, "epochs": 12}))
    monkeypatch.setattr(
        structure, "tree_baseline", lambda *_, **__: (1.3 * data.lambda_, data.omega_log_K, data.tc_K + 2)
    )


def test_tc_is_scored_beside_trees_on_the_same_rows(quick, data) -> None:
    result = benchmark_tc(seeds=2)
    names = [row[0] for row in result.rows]
    assert names[:2] == ["trees, same features", "structure"]
    assert all(len(row) == len(result.columns) for row in result.rows)
    assert all("±" in cell for cell in result.rows[1][1:])
    assert f"scored on {int(data.validation.sum())} of 80-89" in result.notes[0]
    assert "2 seed(s)" in result.notes[0]
    rows = data.validation
    assert result.values["trees_tc_mae_K"] == pytest.approx(2)  # that far off they were made
    assert result.values["trees_lambda_mae"] == pytest.approx(0.3 * data.lambda_[rows].mean())
    assert 0 < result.values["tc_mae_K"] < 2
    covered = [float(x) for x in re.findall(r"([\d.]+)%", result.notes[2])]
    assert covered[0] > 70
    assert "| structure |" in result.markdown()


def test_difference_counts_formulas_not_rows(data) -> None:
    rows = data.validation
    n = int(rows.sum())
    worse = data.tc_K + 1.0
    low, high = _paired_difference(data, worse, data.tc_K[rows], rows)
    assert (low, high) == (pytest.approx(1.0), pytest.approx(1.0))  # always one kelvin better
    noise = np.random.default_rng(0).normal(size=n)
    low, high = _paired_difference(data, data.tc_K + 0.5, data.tc_K[rows] + noise, rows)
    assert low < 0.5 - np.abs(noise).mean() < high


def test_coverage_is_measured_on_rows_that_did_not_calibrate(data) -> None:
    model = structure.fit_structure(data, data.training, QUICK.model_copy(update={"epochs": 12}))
    lam, tc = _coverage(data, model)
    assert 0.75 < lam <= 1
    assert 0.7 < tc <= 1


def test_metal(monkeypatch) -> None:
    monkeypatch.setattr(metals, "load_metal_data", lambda **_: metal_data(700, width=10))
    result = benchmark_metal()
    assert [row[0] for row in result.rows] == ["0.2", "0.5"]
    recalls = [float(row[3]) for row in result.rows]
    assert recalls[0] >= recalls[1] > 0.7
    assert result.values["auc"] > 0.9
