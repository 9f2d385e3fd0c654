"""Ensembles of small networks on crystal features, kept as safetensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_CLIP = 6.0


@dataclass(frozen=True, eq=False)
class HeadEnsemble:
    """M networks with two hidden layers (SiLU) that map features (B, F) to targets (M, B, T).

    Attributes
    ----------
    targets
        Names of the T outputs.
    x_mean, x_scale
        Standardisation of the features, shape (F,).
    y_mean, y_scale
        Standardisation of the targets, shape (T,).
    weights, biases
        One stack a layer: shapes (M, in, out) and (M, 1, out).
    """

    targets: tuple[str, ...]
    x_mean: Floats
    x_scale: Floats
    y_mean: Floats
    y_scale: Floats
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]

    @property
    def n_members(self) -> int:
        """Number of networks M."""
        return len(self.weights[0])

    def predict(self, features: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
        """Predict every target with every member.

        Parameters
        ----------
        features
            Shape (B, F); a row with NaN gives NaN.

        Returns
        -------
        dict
            For each target an array of shape (M, B).
        """
        x = ((features - self.x_mean) / self.x_scale).clip(-_CLIP, _CLIP).astype(np.float32)
        hidden = np.broadcast_to(x, (self.n_members, *x.shape))
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = np.matmul(hidden, weight) + bias
            hidden = hidden / (1 + np.exp(-hidden.clip(-60, 60)))
        out = np.matmul(hidden, self.weights[-1]) + self.biases[-1]
        out = out.astype(np.float64) * self.y_scale + self.y_mean
        return {name: out[:, :, t] for t, name in enumerate(self.targets)}

    def tensors(self) -> dict[str, NDArray[np.floating]]:
        """Arrays to be stored; layer weights in half precision."""
        named: dict[str, NDArray[np.floating]] = {
            "x_mean": self.x_mean,
            "x_scale": self.x_scale,
            "y_mean": self.y_mean,
            "y_scale": self.y_scale,
        }
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            named[f"weight_{i}"] = weight.astype(np.float16)
            named[f"bias_{i}"] = bias
        return {name: np.ascontiguousarray(array) for name, array in named.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[np.floating]], targets: tuple[str, ...]) -> HeadEnsemble:
        """Inverse of `tensors`."""
        layers = sorted(name for name in tensors if name.startswith("weight_"))
        single = {name: array.astype(np.float32) for name, array in tensors.items()}
        return cls(
            targets,
            single["x_mean"],
            single["x_scale"],
            single["y_mean"],
            single["y_scale"],
            tuple(single[name] for name in layers),
            tuple(single[name.replace("weight", "bias")] for name in layers),
        )
