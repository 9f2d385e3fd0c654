"""Ensembles of regression trees kept as plain arrays, so that they can be stored in safetensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class TreeEnsemble:
    """M regression trees, one after the other in four arrays.

    The left child of a node is the next node; a feature of at most the threshold goes left. Both are compared in 16
    bits.

    Attributes
    ----------
    columns
        Columns of the features that the trees read, shape (G,).
    roots
        First node of each tree, shape (M,).
    right
        Right child of each node, counted from the root of its tree; 0 for a leaf. Shape (K,).
    feature
        Which of the ``columns`` a node compares, shape (K,).
    number
        Threshold of a node, value of a leaf, shape (K,).
    """

    columns: NDArray[np.uint16]
    roots: NDArray[np.int32]
    right: NDArray[np.uint16]
    feature: NDArray[np.uint8]
    number: NDArray[np.float16]

    @property
    def n_members(self) -> int:
        """Number of trees M."""
        return len(self.roots)

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Predict with every tree.

        Parameters
        ----------
        features
            Shape (B, F), finite.

        Returns
        -------
        numpy.ndarray
            Shape (M, B).
        """
        read = features[:, self.columns].astype(np.float16)
        rows = np.arange(len(read))[None, :]
        roots = self.roots.astype(np.int64)[:, None]
        node = np.broadcast_to(roots, (self.n_members, len(read)))
        while (inner := self.right[node] > 0).any():
            left = read[rows, self.feature[node]] <= self.number[node]
            node = np.where(inner, np.where(left, node + 1, roots + self.right[node]), node)
        return self.number[node].astype(np.float64)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Arrays to be stored."""
        return {
            "columns": self.columns,
            "roots": self.roots,
            "right": self.right,
            "feature": self.feature,
            "number": self.number,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> TreeEnsemble:
        """Inverse of `tensors`."""
        return cls(**{name: np.asarray(tensors[name]) for name in ("columns", "roots", "right", "feature", "number")})
