import numpy as np

from onnes.models.trees import TreeEnsemble


def made_up():
    """One tree of two cuts on the columns 3 and 1 of the features, and one of a single leaf."""
    return TreeEnsemble(
        columns=np.array([1, 3], np.uint16),
        roots=np.array([0, 5], np.int32),
        right=np.array([4, 3, 0, 0, 0, 0], np.uint16),
        feature=np.array([1, 0, 0, 0, 0, 0], np.uint8),
        number=np.array([0.5, 2.0, 10.0, 20.0, 30.0, 7.0], np.float16),
    )


def test_a_feature_at_the_threshold_goes_left() -> None:
    features = np.zeros((4, 5))
    features[:, 3] = [0.5, 0.5, 0.51, 0.0]
    features[:, 1] = [2.0, 2.1, 0.0, -1.0]
    assert made_up().predict(features).tolist() == [[10, 20, 30, 10], [7, 7, 7, 7]]


def test_no_rows() -> None:
    assert made_up().predict(np.zeros((0, 5))).shape == (2, 0)


def test_tensors_and_back() -> None:
    trees = made_up()
    again = TreeEnsemble.from_tensors(trees.tensors())
    features = np.random.default_rng(0).normal(size=(50, 5))
    np.testing.assert_array_equal(again.predict(features), trees.predict(features))
    assert trees.n_members == again.n_members == 2
