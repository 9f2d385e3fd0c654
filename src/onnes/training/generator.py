"""Training of the generator: noise is put on crystals in free parameters, and the network learns to take it off."""

from __future__ import annotations

import copy
import hashlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from onnes.errors import ConfigError
from onnes.models.generation.denoiser import Denoiser, DenoiserSettings
from onnes.models.generation.noise import signal, slope_norm, spread, wrapped_slope

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from onnes.models.generation.packed import PackedCrystals


_POOL = 16  # batches that are drawn together


class GeneratorSettings(BaseModel):
    """Settings of the training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: DenoiserSettings = DenoiserSettings()
    steps: int = Field(default=30_000, ge=1)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    warm_up: int = Field(default=500, ge=1, description="steps until the learning rate is reached")
    ema: float = Field(default=0.999, gt=0, lt=1, description="decay of the mean of the weights that is kept")
    clip: float = Field(default=1.0, gt=0, description="largest norm of the gradient")
    element_share: float = Field(default=0.5, ge=0, le=1, description="crystals of a batch whose elements are hidden")
    element_weight: float = Field(default=0.3, ge=0)
    lattice_weight: float = Field(default=1.0, ge=0)
    template_drop: float = Field(
        default=0.1, ge=0, le=1, description="share of the crystals whose template is not named"
    )
    memory_drop: float = Field(
        default=0.2, ge=0, le=1, description="share of the crystals that no type is recalled for"
    )
    condition_drop: float = Field(default=0.3, ge=0, le=1, description="share of the crystals asked for nothing")
    low_precision: bool = Field(default=True, description="bfloat16 between the atoms")
    seed: int = 0


@dataclass(frozen=True)
class NoisyBatch:
    """Crystals with noise, and what the network should say of them."""

    noisy: PackedCrystals
    t: Tensor
    hidden: Tensor
    lattice: Tensor
    slope: Tensor


def with_noise(
    network: Denoiser, clean: PackedCrystals, generator: torch.Generator, *, element_share: float
) -> NoisyBatch:
    """Put noise on crystals, each at its own random time.

    Parameters
    ----------
    network
        Whose units of the lattice are used.
    clean
        B crystals.
    generator
        Of the random numbers.
    element_share
        Share of the crystals of which elements are hidden, each orbit with the probability t.
    """
    count, orbits = clean.elements.shape
    t = torch.rand(count, generator=generator)
    noise = torch.randn(count, 6, generator=generator)
    alpha, sigma = (one[:, None] for one in signal(t))
    scaled = network.scaled(clean)
    lattice = network.unscaled(alpha * scaled + sigma * noise, clean)
    width = spread(t)[:, None, None]
    moved = width * torch.randn(count, orbits, 3, generator=generator) * clean.is_free
    slope = wrapped_slope(moved, width.expand_as(moved)) / slope_norm(t)[:, None, None]
    chosen = torch.rand(count, 1, generator=generator) < element_share
    hidden = chosen & (torch.rand(count, orbits, generator=generator) < t[:, None]) & clean.is_orbit
    elements = torch.where(hidden, 0, clean.elements)
    noisy = clean.moved(lattice, clean.coordinates + moved, elements)
    return NoisyBatch(noisy, t, hidden, alpha * noise - sigma * scaled, slope)


def losses(
    network: Denoiser,
    clean: PackedCrystals,
    batch: NoisyBatch,
    conditions: Tensor | None,
    memory: Tensor | None = None,
) -> dict[str, Tensor]:
    """Losses of lattice, coordinates and elements, each the mean over what there is of it."""
    out = network(batch.noisy, batch.t, conditions, memory)
    free, coordinates = clean.lattice_free, clean.is_free
    lattice = ((out.lattice - batch.lattice) ** 2)[free].mean()
    # A batch of crystals without a free coordinate has nothing to learn here.
    slope = ((out.slope - batch.slope) ** 2)[coordinates].sum() / coordinates.sum().clamp(min=1)
    element = nn.functional.cross_entropy(out.elements[batch.hidden], clean.elements[batch.hidden], reduction="sum")
    return {"lattice": lattice, "slope": slope, "elements": element / batch.hidden.sum().clamp(min=1)}


def train_generator(
    crystals: PackedCrystals,
    conditions: Tensor,
    weights: Tensor,
    settings: GeneratorSettings,
    *,
    memory: Tensor | None = None,
    network: Denoiser | None = None,
    checkpoint: Path | None = None,
    save_every: int = 1000,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
) -> Denoiser:
    """Train a network, or train a trained one further.

    Parameters
    ----------
    crystals
        P crystals.
    conditions
        Normalised properties, NaN where unknown, shape (P, C).
    weights
        How often a crystal is drawn, relative, shape (P,).
    settings
        The seed fixes everything.
    memory
        Waves of the crystals' structure types, each without the crystal itself, shape (P, O, 3, 2 W); none by default.
    network
        Where to start; a new one by default.
    checkpoint
        File that the state is written to, and read from if it exists: an interrupted training goes on. One of another
        training raises ConfigError.
    save_every
        Steps between two checkpoints.
    on_step
        Called after each step with its number and the losses.

    Returns
    -------
    Denoiser
        With the mean of the weights over the last steps.
    """
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    model = copy.deepcopy(network) if network else Denoiser(settings.network)
    model.low_precision = settings.low_precision
    if network is None:
        model.set_scale(crystals)
    mean = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=1e-3, fused=True)
    mark = _mark(crystals, (conditions, weights, *(() if memory is None else (memory,))), settings, network)
    done = _restored(checkpoint, mark, model, mean, optimizer)
    sizes = crystals.n_sites
    while done < settings.steps:
        # Each step has its own random numbers, so that a training that goes on sees the same batches.
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + done)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _rate(done, settings)
        rows = _rows(weights, sizes, done, settings)
        clean = crystals.take(rows)
        unnamed = torch.rand(len(rows), generator=generator) < settings.template_drop
        clean = replace(clean, template=clean.template.masked_fill(unnamed, 0))
        asked = conditions[rows].clone()
        asked[torch.rand(len(rows), generator=generator) < settings.condition_drop] = torch.nan
        noisy = with_noise(model, clean, generator, element_share=settings.element_share)
        known = None if memory is None else memory[rows, : clean.elements.shape[1]].clone()
        if known is not None:
            known[unnamed | (torch.rand(len(rows), generator=generator) < settings.memory_drop)] = 0.0
        found = losses(model, clean, noisy, asked, known)
        loss = settings.lattice_weight * found["lattice"] + found["slope"] + settings.element_weight * found["elements"]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        done += 1
        _average(mean, model, min(settings.ema, (1 + done) / (10 + done)))
        if on_step:
            on_step(done, {name: value.item() for name, value in found.items()})
        if checkpoint is not None and (done % save_every == 0 or done == settings.steps):
            _keep(checkpoint, mark, model, mean, optimizer, done)
    mean.low_precision = False
    return mean.eval()


def _rows(weights: Tensor, sizes: Tensor, step: int, settings: GeneratorSettings) -> Tensor:
    """Draw the crystals of a step; those of one batch have similar sizes, since the largest decides what all cost."""
    pool, place = divmod(step, _POOL)
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + pool)
    drawn = torch.multinomial(weights, _POOL * settings.batch_size, replacement=True, generator=generator)
    batches = drawn[sizes[drawn].argsort(stable=True)].view(_POOL, -1)
    return batches[torch.randperm(_POOL, generator=generator)[place]]


def _rate(step: int, settings: GeneratorSettings) -> float:
    warm = min(1.0, (step + 1) / settings.warm_up)
    return warm * 0.5 * (1 + math.cos(math.pi * step / settings.steps))


def _average(mean: nn.Module, model: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for kept, new in zip(mean.parameters(), model.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)


def _mark(
    crystals: PackedCrystals, others: tuple[Tensor, ...], settings: GeneratorSettings, start: Denoiser | None
) -> str:
    """Tells apart trainings of other data, settings or beginnings."""
    digest = hashlib.sha256(settings.model_dump_json().encode())
    arrays = [crystals.lattice, crystals.coordinates, crystals.elements, crystals.template, *others]
    for array in (*arrays, *(start.parameters() if start else ())):
        digest.update(np.ascontiguousarray(array.numpy(force=True)).tobytes())
    return digest.hexdigest()


def _keep(
    path: Path, mark: str, model: nn.Module, mean: nn.Module, optimizer: torch.optim.Optimizer, done: int
) -> None:
    temporary = path.with_suffix(".tmp")
    state = {
        "mark": mark,
        "model": model.state_dict(),
        "mean": mean.state_dict(),
        "optimizer": optimizer.state_dict(),
        "done": done,
    }
    torch.save(state, temporary)
    temporary.replace(path)


def _restored(path: Path | None, mark: str, model: nn.Module, mean: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    if path is None or not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    if state.get("mark") != mark:
        raise ConfigError(f"{path} is of another training (data, settings or start); delete it, or give another folder")
    model.load_state_dict(state["model"])
    mean.load_state_dict(state["mean"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["done"])
