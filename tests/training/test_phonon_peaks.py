"""The learned correction on made-up crystals whose law is known."""

import numpy as np
import pytest
from sklearn.model_selection import KFold

from onnes.crystals.batch import CrystalBatch
from onnes.training.phonon_data import PhononSummary
from onnes.training.phonon_peaks import (
    PeakSettings,
    best_blend,
    blended,
    corrections,
    nested_predictions,
    physical_features,
)
from onnes.training.trainer import TrainSettings
from tests.potentials.fakes import fcc

QUICK = PeakSettings(
    trees=30,
    inner_folds=3,
    ridge_penalties=(1.0, 10.0),
    heads=TrainSettings(members=2, hidden=16, epochs=20, batch_size=32),
)


def made_up(n=240, seed=0):
    """Labels 15 % above the computed peaks, times what the first feature says."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    computed = np.exp(rng.normal(6, 0.6, n))
    labels = 1.15 * computed * np.exp(0.1 * x[:, 0] + 0.01 * rng.normal(size=n))
    return x, computed, labels


def mae(one, other):
    return np.abs(one - other).mean()


@pytest.mark.parametrize(("name", "share"), [("ridge", 0.3), ("trees", 0.9), ("networks", 0.9)])
def test_every_model_learns_the_law(name, share) -> None:
    x, computed, labels = made_up()
    found = corrections(x[:180], computed[:180], labels[:180], x[180:], computed[180:], QUICK)[name]
    factor = np.median(labels[:180] / computed[:180])
    assert mae(found, labels[180:]) < share * mae(factor * computed[180:], labels[180:])


def test_correction_does_not_leave_what_training_showed() -> None:
    x, computed, labels = made_up()
    far = x[:5] * 50
    ratios = labels / computed
    for found in corrections(x, computed, labels, far, computed[:5], QUICK).values():
        assert (found / computed[:5] <= ratios.max() * 1.001).all()
        assert (found / computed[:5] >= ratios.min() * 0.999).all()


def test_nested_predictions_beat_one_factor() -> None:
    x, computed, labels = made_up()
    folds = list(KFold(4, shuffle=True, random_state=0).split(x))
    done = []
    found, chosen = nested_predictions(x, computed, labels, folds, QUICK, on_fold=done.append)
    assert sum(done) == 4 * (3 + 1)
    assert len(chosen) == 4
    assert np.isfinite(found["blend"]).all()
    assert mae(found["blend"], labels) < 0.7 * mae(1.15 * computed, labels)
    for (_, test), names in zip(folds, chosen, strict=True):
        np.testing.assert_allclose(found["blend"][test], blended([found[name][test] for name in names]))


def test_test_labels_are_not_seen() -> None:
    """Whatever stands in the test rows, their predictions and the blend stay the same."""
    x, computed, labels = made_up(150)
    [(train, test), *_] = KFold(3, shuffle=True, random_state=0).split(x)
    first, chosen = nested_predictions(x, computed, labels, [(train, test)], QUICK)
    spoilt = labels.copy()
    spoilt[test] = 1.0
    second, again = nested_predictions(x, computed, spoilt, [(train, test)], QUICK)
    assert chosen == again
    np.testing.assert_array_equal(first["blend"][test], second["blend"][test])
    assert np.isnan(first["blend"][train]).all()


def test_seed_fixes_everything() -> None:
    x, computed, labels = made_up(120)
    folds = list(KFold(3, shuffle=True, random_state=0).split(x))
    one, other = (nested_predictions(x, computed, labels, folds, QUICK)[0]["blend"] for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_best_blend_may_be_one_model() -> None:
    truth = np.array([100.0, 200.0, 400.0])
    assert best_blend({"bad": 2 * truth, "good": 1.01 * truth}, truth) == ("good",)


def test_physical_features() -> None:
    batch = CrystalBatch.of([fcc(29), (4.0 * np.eye(3), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), [55, 17])])
    summary = PhononSummary(200.0, 250.0, 100.0, -10.0, 49.0, 2, "3x3x3", 10.5, 2)
    found = physical_features(batch, [summary, summary])
    assert found.shape == (2, 12)
    assert found[0, 0] == pytest.approx(np.log(200))
    assert found[0, 5] == pytest.approx(-0.1)
    assert found[0, 9] == 0  # one element: no spread of masses
    assert found[1, 7] == pytest.approx(np.log(35.45), rel=1e-3)
    assert found[1, 10] == pytest.approx(np.log(32.0))
