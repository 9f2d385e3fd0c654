"""Probability that a crystal is a metal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from onnes.models.heads import HeadEnsemble
from onnes.models.weights import load_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_MODEL = "metal"


@dataclass(frozen=True, eq=False)
class MetalModel:
    """Ensemble of classifiers on the same features as the superconductivity model.

    A metal is a crystal whose PBE(+U) gap in the Materials Project is below 0.05 eV.
    """

    name: str
    sha256: str
    potentials: tuple[str, ...]
    heads: HeadEnsemble

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probability of being a metal, shape (B,); features of shape (B, F)."""
        return self.predict_members(features).mean(0)

    def predict_members(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probability by each member, shape (M, B)."""
        return 1 / (1 + np.exp(-self.heads.predict(features)["metal_logit"]))


@lru_cache(maxsize=4)
def load_metal_model(name: str = DEFAULT_MODEL) -> MetalModel:
    """Load a model by its shipped name or its folder; raises ModelError when the file was changed."""
    weights = load_weights(name)
    heads = HeadEnsemble.from_tensors(weights.tensors, tuple(weights.config["targets"]))
    return MetalModel(name, weights.sha256, tuple(weights.config["potentials"]), heads)
