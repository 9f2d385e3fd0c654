"""The one trainer: ensembles of small networks on crystal features, several targets at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from onnes.models.heads import HeadEnsemble

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

_CLIP = 6.0


class TrainSettings(BaseModel):
    """Settings of the trainer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: int = Field(default=8, ge=1, description="networks in the ensemble")
    hidden: int = Field(default=256, ge=1, description="width of both hidden layers")
    epochs: int = Field(default=60, ge=1)
    batch_size: int = Field(default=128, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0, description="peak of the one-cycle schedule (AdamW)")
    weight_decay: float = Field(default=1e-2, ge=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    noise: float = Field(default=0.05, ge=0, description="Gaussian noise on the standardised features")
    huber: float = Field(default=0.5, gt=0, description="edge of the Huber loss, in standard deviations")
    bagging: float = Field(default=1.0, gt=0, le=1, description="share of the formulas that each member sees")
    loss: Literal["huber", "binary"] = "huber"
    seed: int = 0


def fit_heads(
    features: NDArray[np.floating],
    targets: NDArray[np.floating],
    names: Sequence[str],
    weights: ArrayLike,
    settings: TrainSettings,
    *,
    groups: NDArray[np.int64] | None = None,
    gain: NDArray[np.float32] | None = None,
    on_epoch: Callable[[], None] | None = None,
) -> HeadEnsemble:
    """Train an ensemble.

    Parameters
    ----------
    features
        Shape (P, F), finite.
    targets
        Shape (P, T); NaN where a label is missing.
    names
        Name of each target.
    weights
        Weights in the loss: one a target, shape (T,), or one a row and target, shape (P, T) or (P, 1).
    settings
        Of the trainer; the seed fixes everything.
    groups
        Composition group of each row, shape (P,); members that see a share of the data drop whole groups.
    gain
        What the standardised features are multiplied by, shape (F,); 1 by default.
    on_epoch
        Called after every epoch of every member.

    Returns
    -------
    HeadEnsemble
        Standardisation included, weights rounded as they are stored.
    """
    torch.set_num_threads(1)
    binary = settings.loss == "binary"
    x_mean, x_scale = features.mean(0), features.std(0) + 1e-6
    x_gain = np.ones(features.shape[1], np.float32) if gain is None else gain
    y_mean = np.zeros(len(names)) if binary else np.nanmean(targets, axis=0)
    y_scale = np.ones(len(names)) if binary else np.nanstd(targets, axis=0) + 1e-9
    x = torch.tensor(((features - x_mean) / x_scale).clip(-_CLIP, _CLIP) * x_gain, dtype=torch.float32)
    y = torch.tensor(np.nan_to_num((targets - y_mean) / y_scale), dtype=torch.float32)
    weight = torch.tensor(np.isfinite(targets) * np.asarray(weights), dtype=torch.float32)
    networks = []
    for member in range(settings.members):
        rng = np.random.default_rng([settings.seed, member])
        rows = np.arange(len(features))
        if settings.bagging < 1:
            keys = np.unique(rows if groups is None else groups)
            kept = rng.choice(keys, int(len(keys) * settings.bagging), replace=False)
            rows = np.flatnonzero(np.isin(rows if groups is None else groups, kept))
        networks.append(_fit_member(x[rows], y[rows], weight[rows], settings, member, on_epoch))
    layers = [[layer for layer in network if isinstance(layer, nn.Linear)] for network in networks]
    stacked = [
        (
            np.stack([member[i].weight.detach().numpy().T for member in layers]),
            np.stack([member[i].bias.detach().numpy()[None] for member in layers]),
        )
        for i in range(len(layers[0]))
    ]
    return HeadEnsemble(
        tuple(names),
        x_mean.astype(np.float32),
        x_scale.astype(np.float32),
        x_gain.astype(np.float32),
        y_mean.astype(np.float32),
        y_scale.astype(np.float32),
        tuple(w for w, _ in stacked),
        tuple(b for _, b in stacked),
    ).rounded()


def _fit_member(
    x: torch.Tensor,
    y: torch.Tensor,
    weight: torch.Tensor,
    settings: TrainSettings,
    member: int,
    on_epoch: Callable[[], None] | None,
) -> nn.Sequential:
    seed = settings.seed * 1000 + member
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Linear(x.shape[1], settings.hidden), nn.SiLU(), nn.Dropout(settings.dropout),
        nn.Linear(settings.hidden, settings.hidden), nn.SiLU(), nn.Dropout(settings.dropout),
        nn.Linear(settings.hidden, y.shape[1]),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    batches = -(-len(x) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.epochs * batches
    )
    generator = torch.Generator().manual_seed(seed)
    for _ in range(settings.epochs):
        network.train()
        for rows in torch.randperm(len(x), generator=generator).split(settings.batch_size):
            seen = x[rows]
            if settings.noise:
                seen = seen + settings.noise * torch.randn(seen.shape, generator=generator)
            out = network(seen)
            if settings.loss == "binary":
                loss = nn.functional.binary_cross_entropy_with_logits(out, y[rows], reduction="none")
            else:
                loss = nn.functional.huber_loss(out, y[rows], reduction="none", delta=settings.huber)
            optimizer.zero_grad()
            (loss * weight[rows]).sum(1).mean().backward()
            optimizer.step()
            schedule.step()
        if on_epoch:
            on_epoch()
    return network.eval()
