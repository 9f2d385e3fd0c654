"""Ensembles of small networks on crystal features, kept as safetensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_CLIP = 6.0
_INT8_MAX = 127


@dataclass(frozen=True, eq=False)
class HeadEnsemble:
    """M networks with two hidden layers (SiLU) that map features (B, F) to targets (M, B, T).

    Attributes
    ----------
    targets
        Names of the T outputs.
    x_mean, x_scale
        Standardisation of the features, shape (F,).
    x_gain
        What the standardised features are multiplied by: the few that say much are made louder; shape (F,).
    y_mean, y_scale
        Standardisation of the targets, shape (T,).
    weights, biases
        One stack a layer: shapes (M, in, out) and (M, 1, out).
    """

    targets: tuple[str, ...]
    x_mean: Floats
    x_scale: Floats
    x_gain: Floats
    y_mean: Floats
    y_scale: Floats
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]

    @property
    def n_members(self) -> int:
        """Number of networks M."""
        return len(self.weights[0])

    def inputs(self, features: NDArray[np.floating]) -> Floats:
        """What the networks read: standardised and clipped features times their gain, shape (B, F)."""
        return (((features - self.x_mean) / self.x_scale).clip(-_CLIP, _CLIP) * self.x_gain).astype(np.float32)

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
        x = self.inputs(features)
        hidden = np.broadcast_to(x, (self.n_members, *x.shape))
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = np.matmul(hidden, weight) + bias
            hidden = hidden / (1 + np.exp(-hidden.clip(-60, 60)))
        out = np.matmul(hidden, self.weights[-1]) + self.biases[-1]
        out = out.astype(np.float64) * self.y_scale + self.y_mean
        return {name: out[:, :, t] for t, name in enumerate(self.targets)}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Arrays to be stored: the large first layer in 8 bits with one scale a neuron, the others in 16 bits."""
        named: dict[str, NDArray[Any]] = {
            "x_mean": self.x_mean,
            "x_scale": self.x_scale,
            "x_gain": self.x_gain,
            "y_mean": self.y_mean,
            "y_scale": self.y_scale,
        }
        first = self.weights[0]
        scale = np.maximum(np.abs(first).max(axis=1, keepdims=True), 1e-12) / _INT8_MAX
        named["weight_0"] = np.rint(first / scale).astype(np.int8)
        named["weight_0_scale"] = scale.astype(np.float32)
        for i, weight in enumerate(self.weights[1:], start=1):
            named[f"weight_{i}"] = weight.astype(np.float16)
        named |= {f"bias_{i}": bias for i, bias in enumerate(self.biases)}
        return {name: np.ascontiguousarray(array) for name, array in named.items()}

    def rounded(self) -> HeadEnsemble:
        """The ensemble as it will be after storing, so that it is scored as it is shipped."""
        return HeadEnsemble.from_tensors(self.tensors(), self.targets)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], targets: tuple[str, ...]) -> HeadEnsemble:
        """Inverse of `tensors`."""
        n_layers = sum(name.startswith("bias_") for name in tensors)
        single = {name: array.astype(np.float32) for name, array in tensors.items()}
        single["weight_0"] = single["weight_0"] * single["weight_0_scale"]
        return cls(
            targets,
            single["x_mean"],
            single["x_scale"],
            single["x_gain"],
            single["y_mean"],
            single["y_scale"],
            tuple(single[f"weight_{i}"] for i in range(n_layers)),
            tuple(single[f"bias_{i}"] for i in range(n_layers)),
        )


@dataclass(frozen=True, eq=False)
class MixedEnsemble:
    """Ensembles that read different columns of the same features; all their members count alike.

    Attributes
    ----------
    ensembles
        They predict the same targets.
    columns
        For each of them the (start, stop) ranges of columns that it reads.
    """

    ensembles: tuple[HeadEnsemble, ...]
    columns: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return self.ensembles[0].targets

    @property
    def n_members(self) -> int:
        """Number of networks M."""
        return sum(ensemble.n_members for ensemble in self.ensembles)

    @property
    def x_mean(self) -> Floats:
        """Mean of every column over the training crystals, shape (F,)."""
        return self._by_column("x_mean")

    @property
    def x_scale(self) -> Floats:
        """Standard deviation of every column, shape (F,)."""
        return self._by_column("x_scale")

    def _by_column(self, name: str) -> Floats:
        width = max(stop for ranges in self.columns for _, stop in ranges)
        out = np.ones(width, np.float32)
        for ensemble, ranges in zip(self.ensembles, self.columns, strict=True):
            out[_indices(ranges)] = getattr(ensemble, name)
        return out

    def inputs(self, features: NDArray[np.floating]) -> Floats:
        """Standardised and clipped features, shape (B, F)."""
        return ((features - self.x_mean) / self.x_scale).clip(-_CLIP, _CLIP).astype(np.float32)

    def predict(self, features: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
        """Predict every target with every member: for each target an array of shape (M, B); features (B, F)."""
        found = [
            ensemble.predict(features[:, _indices(ranges)])
            for ensemble, ranges in zip(self.ensembles, self.columns, strict=True)
        ]
        return {name: np.concatenate([part[name] for part in found]) for name in self.targets}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Arrays to be stored, numbered by ensemble."""
        return {
            f"{i}.{name}": array
            for i, ensemble in enumerate(self.ensembles)
            for name, array in ensemble.tensors().items()
        }

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, NDArray[Any]],
        targets: tuple[str, ...],
        columns: tuple[tuple[tuple[int, int], ...], ...],
    ) -> MixedEnsemble:
        """Inverse of `tensors`."""
        parts = [
            {name.removeprefix(f"{i}."): array for name, array in tensors.items() if name.startswith(f"{i}.")}
            for i in range(len(columns))
        ]
        return cls(tuple(HeadEnsemble.from_tensors(part, targets) for part in parts), columns)


def _indices(ranges: tuple[tuple[int, int], ...]) -> NDArray[np.int64]:
    return np.concatenate([np.arange(start, stop) for start, stop in ranges])
