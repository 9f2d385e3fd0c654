"""Training of the tree ensembles: extremely randomized trees of scikit-learn, turned into arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from onnes.errors import ModelError
from onnes.models.trees import TreeEnsemble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MAX_NODES, _MAX_COLUMNS = np.iinfo(np.uint16).max, np.iinfo(np.uint8).max + 1


class TreeSettings(BaseModel):
    """Settings of the trees."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: int = Field(default=20, ge=1, description="trees in the ensemble")
    max_features: float = Field(default=0.7, gt=0, le=1, description="share of the features tried at a node")
    min_samples_leaf: int = Field(default=2, ge=1)
    seed: int = 0


def fit_trees(
    features: NDArray[np.floating],
    target: NDArray[np.floating],
    weights: NDArray[np.floating],
    columns: Sequence[int],
    settings: TreeSettings,
) -> TreeEnsemble:
    """Train extremely randomized trees (Geurts, Ernst, Wehenkel, Mach. Learn. 63, 3 (2006)).

    Parameters
    ----------
    features, target, weights
        Shapes (P, F), (P,) and (P,), finite.
    columns
        Columns of the features that the trees read, at most 256.
    settings
        The seed fixes everything.

    Returns
    -------
    TreeEnsemble
        Rounded as it is stored.

    Raises
    ------
    ModelError
        For more columns than that, or more than 32,000 rows or so: a tree then has more nodes than the stored format holds.
    """
    from sklearn.ensemble import ExtraTreesRegressor

    if len(columns) > _MAX_COLUMNS:
        raise ModelError(f"trees of {len(columns)} columns cannot be stored; leave some out")
    forest = ExtraTreesRegressor(
        settings.members, max_features=settings.max_features, min_samples_leaf=settings.min_samples_leaf,
        random_state=settings.seed,
    )  # fmt: skip
    forest.fit(features[:, columns].astype(np.float16), target, sample_weight=weights)
    trees = [estimator.tree_ for estimator in forest.estimators_]
    right, feature, number = [], [], []
    for tree in trees:
        leaf = tree.children_left < 0
        nodes = np.arange(tree.node_count)
        if tree.node_count > _MAX_NODES or (tree.children_left != nodes + 1)[~leaf].any():
            raise ModelError(f"a tree of {tree.node_count} nodes cannot be stored; raise min_samples_leaf")
        right.append(np.where(leaf, 0, tree.children_right).astype(np.uint16))
        feature.append(np.where(leaf, 0, tree.feature).astype(np.uint8))
        number.append(np.where(leaf, tree.value[:, 0, 0].astype(np.float16), _rounded_down(tree.threshold)))
    roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])]).astype(np.int32)
    return TreeEnsemble(
        np.asarray(columns, np.uint16), roots, np.concatenate(right), np.concatenate(feature), np.concatenate(number)
    )


def _rounded_down(thresholds: NDArray[np.floating]) -> NDArray[np.float16]:
    """Thresholds in 16 bits, none above its value, so that features in 16 bits fall on the same sides."""
    rounded = thresholds.astype(np.float16)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float16(-np.inf)), rounded)
