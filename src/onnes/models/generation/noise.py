"""How noise is put on free parameters and elements, and taken off again."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

SIGMA_MIN, SIGMA_MAX = 0.005, 0.5
"""Spread of the noise on coordinates, in periods (Jiao et al., NeurIPS 2023, "Crystal structure prediction by joint equivariant diffusion")."""
_IMAGES = 10
_OFFSET = 0.008
_DRAWS = 20_000
_GRID = 200


def signal(t: Tensor) -> tuple[Tensor, Tensor]:
    """Share of the signal and of the noise in the lattice at time t in [0, 1]: alpha and sigma, alpha^2 + sigma^2 = 1.

    Cosine schedule of Nichol and Dhariwal, ICML 2021.
    """
    alpha = torch.cos((t + _OFFSET) / (1 + _OFFSET) * torch.pi / 2) / np.cos(_OFFSET / (1 + _OFFSET) * np.pi / 2)
    alpha = alpha.clamp(1e-3, 1.0)
    return alpha, (1 - alpha**2).clamp(min=1e-8).sqrt()


def spread(t: Tensor) -> Tensor:
    """Spread of the noise on the coordinates at time t in [0, 1], in periods."""
    return SIGMA_MIN * (SIGMA_MAX / SIGMA_MIN) ** t


def wrapped_slope(distance: Tensor, sigma: Tensor) -> Tensor:
    """Minus the slope of the logarithm of the wrapped normal density of period 1.

    Parameters
    ----------
    distance
        From the centre, in periods.
    sigma
        Spread, broadcast against it.

    Examples
    --------
    >>> d = torch.tensor([0.1, -0.1, 0.5])
    >>> wrapped_slope(d, torch.tensor(0.05)).round().tolist()
    [40.0, -40.0, 0.0]
    """
    shifts = torch.arange(-_IMAGES, _IMAGES + 1, device=distance.device, dtype=distance.dtype)
    wrapped = distance - torch.round(distance)
    images = wrapped[..., None] + shifts
    weights = torch.softmax(-(images**2) / (2 * sigma[..., None] ** 2), -1)
    return (weights * images).sum(-1) / sigma**2


@lru_cache(maxsize=1)
def _norms() -> np.ndarray:
    """Root mean square of the slope at each of the times of a grid."""
    generator = torch.Generator().manual_seed(0)
    sigma = spread(torch.linspace(0, 1, _GRID, dtype=torch.float64))
    noise = torch.randn(_DRAWS, generator=generator, dtype=torch.float64)
    slopes = [wrapped_slope(noise * one, one.expand(_DRAWS)) for one in sigma]
    return np.array([float(slope.square().mean().sqrt()) for slope in slopes])


def slope_norm(t: Tensor) -> Tensor:
    """Root mean square of `wrapped_slope` at time t: what the network's output is multiplied with."""
    logs = np.interp(t.numpy(force=True), np.linspace(0, 1, _GRID), np.log(_norms()))
    return torch.as_tensor(np.exp(logs), dtype=t.dtype, device=t.device)
