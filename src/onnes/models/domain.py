"""Where a model can be trusted: distance to the crystals it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_CHUNK = 512


@dataclass(frozen=True, eq=False)
class Domain:
    """Mean distance to the nearest training crystals in the leading principal components of the features.

    Distances are divided by the 99th percentile of what training crystals have among themselves, so that 1 is the edge.

    Attributes
    ----------
    mean, components
        Principal components of the standardised features, shapes (F,) and (F, D), whitened.
    points
        Training crystals there, shape (P, D).
    scale
        Distance that counts as 1.
    neighbours
        Number of neighbours averaged.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    points: NDArray[np.float32]
    scale: float
    neighbours: int = 3

    @classmethod
    def fit(cls, features: NDArray[np.floating], *, n_components: int = 24, percentile: float = 99.0) -> Domain:
        """Fit on the training crystals' standardised features, shape (P, F)."""
        from sklearn.decomposition import PCA

        pca = PCA(n_components, whiten=True, random_state=0).fit(features)
        components = (np.asarray(pca.components_).T / np.sqrt(np.asarray(pca.explained_variance_))).astype(np.float32)
        mean = np.asarray(pca.mean_, np.float32)
        points = ((features - mean) @ components).astype(np.float16).astype(np.float32)
        domain = cls(mean, components, points, 1.0)
        own = domain._nearest(points, skip_first=True)
        return cls(mean, components, points, float(np.percentile(own, percentile)))

    def distance(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Distance of each crystal, shape (B,); above 1 it lies outside. Features standardised, shape (B, F)."""
        return self._nearest(((features - self.mean) @ self.components).astype(np.float32)) / self.scale

    def _nearest(self, x: NDArray[np.float32], *, skip_first: bool = False) -> NDArray[np.float64]:
        skip = int(skip_first)
        squares = (self.points**2).sum(1)
        out = np.empty(len(x))
        for start in range(0, len(x), _CHUNK):
            part = x[start : start + _CHUNK]
            d2 = (part**2).sum(1)[:, None] + squares - 2 * part @ self.points.T
            nearest = np.partition(np.nan_to_num(d2, nan=np.inf), self.neighbours + skip, axis=1)
            nearest = np.sort(nearest[:, : self.neighbours + skip], axis=1)[:, skip:]
            out[start : start + _CHUNK] = np.sqrt(nearest.clip(0)).mean(1)
        return out

    def tensors(self) -> dict[str, NDArray[np.floating]]:
        """Arrays to be stored."""
        return {
            "domain_mean": self.mean,
            "domain_components": np.ascontiguousarray(self.components),
            "domain_points": self.points.astype(np.float16),
            "domain_scale": np.array([self.scale], np.float32),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[np.floating]]) -> Domain:
        """Inverse of `tensors`."""
        return cls(
            tensors["domain_mean"].astype(np.float32),
            tensors["domain_components"].astype(np.float32),
            tensors["domain_points"].astype(np.float32),
            float(tensors["domain_scale"][0]),
        )
