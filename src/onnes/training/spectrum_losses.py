"""Losses of the `spectrum` model, after BETE-NET (arXiv:2401.16611) and BEE-NET."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnes.models.spectrum import N_BINS
from onnes.physics.spectra import ALPHA2F_GRID_MEV

if TYPE_CHECKING:
    import torch


def mse_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared error over crystals and bins, shapes (B, 51)."""
    return ((predicted - target) ** 2).mean()


def weighted_mse_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared error with weights proportional to 1/omega and mean 1, as lambda weighs the bins; shapes (B, 51).

    BEE-NET uses a weighted error too, but its weights are not published: these are ours. The bin at 0.25 meV has the
    largest weight by far, and spectra are nearly zero there.
    """
    inverse = 1 / ALPHA2F_GRID_MEV[:N_BINS]
    return ((predicted - target) ** 2 * predicted.new_tensor(inverse / inverse.mean())).mean()


def emd_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Earth mover's distance, sum over bins of |difference of the cumulative sums|, mean over crystals.

    Nothing is normalised, so that a wrong area costs too. Times 2 meV it has the unit meV.

    Examples
    --------
    >>> import torch
    >>> float(emd_loss(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]])))
    2.0
    """
    return (predicted - target).cumsum(-1).abs().sum(-1).mean()


def smoothness_penalty(predicted: torch.Tensor) -> torch.Tensor:
    """Sum over bins of |second difference| of the prediction, mean over crystals; shape (B, 51)."""
    return predicted.diff(n=2, dim=-1).abs().sum(-1).mean()


LOSSES = {"mse": mse_loss, "wmse": weighted_mse_loss, "emd": emd_loss}
"""By the name that the settings give them."""
