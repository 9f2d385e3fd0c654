import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from onnes.errors import ModelError
from onnes.training import trees as module
from onnes.training.trees import TreeSettings, fit_trees

SETTINGS = TreeSettings(members=4, max_features=0.5, min_samples_leaf=2, seed=3)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, 8)).astype(np.float16).astype(np.float64)
    features[:, 2] = np.exp(4 * features[:, 2]).astype(np.float16)  # many magnitudes, as in tables of elements
    return features, np.sin(3 * features[:, 0]) + features[:, 5]


def test_same_numbers_as_scikit_learn(rows) -> None:
    features, target = rows
    columns = [0, 2, 5, 7]
    trees = fit_trees(features[:400], target[:400], np.ones(400), columns, SETTINGS)
    forest = ExtraTreesRegressor(4, max_features=0.5, min_samples_leaf=2, random_state=3)
    forest.fit(features[:400][:, columns], target[:400])
    expected = np.stack([tree.predict(features[:, columns]) for tree in forest.estimators_])
    np.testing.assert_allclose(trees.predict(features), expected, atol=2e-3)  # leaves in 16 bits
    error = np.abs(trees.predict(features[400:]).mean(0) - target[400:]).mean()
    assert error < 0.4 * np.abs(target[400:] - target[:400].mean()).mean()


def test_the_heavier_label_wins(rows) -> None:
    features, target = (np.concatenate([part, part]) for part in rows)
    target[600:] += 4
    weights = np.repeat([1.0, 0.01], 600)
    found = fit_trees(features, target, weights, range(8), SETTINGS).predict(rows[0]).mean(0)
    assert np.abs(found - rows[1]).mean() < 0.5


def test_seed_decides(rows) -> None:
    features, target = rows
    one, again, other = (
        fit_trees(features, target, np.ones(600), range(8), SETTINGS.model_copy(update={"seed": seed})).predict(
            features
        )
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_too_large_a_tree_is_refused(rows, monkeypatch) -> None:
    monkeypatch.setattr(module, "_MAX_NODES", 50)
    with pytest.raises(ModelError, match="min_samples_leaf"):
        fit_trees(*rows, np.ones(600), range(8), SETTINGS)


def test_too_many_columns_are_refused(rows) -> None:
    with pytest.raises(ModelError, match="300 columns"):
        fit_trees(*rows, np.ones(600), [0] * 300, SETTINGS)
