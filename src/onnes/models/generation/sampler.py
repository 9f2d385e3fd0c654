"""Sampling: from noise to crystals, along the reverse of the noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict, Field

from onnes.crystals.electronegativity import electronegativity_places
from onnes.models.generation.denoiser import Denoised
from onnes.models.generation.elements import N_ELEMENTS
from onnes.models.generation.noise import signal, slope_norm, spread
from onnes.models.generation.structure_types import WAVES

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from onnes.models.generation.denoiser import Denoiser
    from onnes.models.generation.packed import PackedCrystals


_LAST_PLACE = 1000
_SURE = 0.25  # square of the mean wave of a coordinate that all crystals of a type have in about the same place


class SamplerSettings(BaseModel):
    """Settings of the sampler."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=100, ge=2, description="steps from noise to crystal")
    corrector: float = Field(
        default=0.1,
        ge=0,
        description="size of the Langevin step of the coordinates, in squares of their spread; 0 for none",
    )
    temperature: float = Field(
        default=0.3,
        ge=0,
        description="noise that is put back in each step, 1 for all of it; less is closer to the most likely crystal",
    )
    element_temperature: float = Field(
        default=1.0, gt=0, description="of the distribution that elements are drawn from"
    )
    recall_until: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="time down to which coordinates follow the structure type that is recalled; 1 for never",
    )
    guidance: float = Field(default=1.0, ge=0, description="strength of the conditions; 1 as learned, more exaggerates")


@dataclass(frozen=True, eq=False)
class Fixed:
    """What sampling leaves as it is given.

    Attributes
    ----------
    lattice
        Shape (B,).
    orbits
        Whose free coordinates stay, shape (B, O).
    elements
        Elements that an orbit may take, shape (B, O, `N_ELEMENTS`), or None for all; those already known stay anyway.
    """

    lattice: Tensor | None = None
    orbits: Tensor | None = None
    elements: Tensor | None = None


@torch.no_grad()
def sample(
    network: Denoiser,
    templates: PackedCrystals,
    generator: torch.Generator,
    settings: SamplerSettings | None = None,
    *,
    fixed: Fixed | None = None,
    conditions: Tensor | None = None,
    memory: Tensor | None = None,
    on_step: Callable[[int], None] | None = None,
) -> PackedCrystals:
    """Draw one crystal for each template.

    Parameters
    ----------
    network
        Trained.
    templates
        B templates; orbits of unknown element have 0. Free parameters are ignored unless ``fixed`` keeps them.
    generator
        Of the random numbers; its seed fixes the result.
    settings
        Defaults to `SamplerSettings`.
    fixed
        What is kept.
    conditions
        Normalised properties asked for, NaN for nothing, (B, C).
    memory
        Waves of the structure types that the crystals shall be near, (B, O, 3, 2 W); none by default.
    on_step
        Called with 1 after each step.
    """
    settings = settings or SamplerSettings()
    fixed = fixed or Fixed()
    known = templates
    state = _start(network, templates, generator, fixed)
    if settings.recall_until < 1:
        state = _near_type(state, memory, torch.tensor(1.0), generator)
        state = _held(network, state, known, fixed, torch.tensor(1.0), generator)
    times = torch.linspace(1, 0, settings.steps + 1)
    for now, after in pairwise(times):
        t = now.expand(len(templates))
        out = _guided(network, state, t, conditions, memory, settings.guidance)
        state = _predict(network, state, out, now, after, settings, generator)
        state = replace(state, elements=_revealed(state, out, now, after, settings, generator, fixed))
        if after >= settings.recall_until:
            state = _near_type(state, memory, after, generator)
        state = _held(network, state, known, fixed, after, generator)
        if settings.corrector and after > 0:
            out = _guided(network, state, after.expand(len(templates)), conditions, memory, settings.guidance)
            state = _corrected(state, out, after, settings, generator)
            state = _held(network, state, known, fixed, after, generator)
        if on_step:
            on_step(1)
    return state


def _near_type(state: PackedCrystals, memory: Tensor | None, t: Tensor, generator: torch.Generator) -> PackedCrystals:
    """Coordinates of the structure type with the noise of time t, as what is given is put back; others stay.

    At the time 0.5 that noise is as wide as the crystals of one type are apart.
    """
    if memory is None:
        return state
    sine, cosine = memory[..., 0], memory[..., WAVES]
    usual = torch.atan2(sine, cosine) / (2 * torch.pi)
    noise = spread(t) * torch.randn(state.coordinates.shape, generator=generator)
    there = ((sine**2 + cosine**2) > _SURE) & state.is_free
    return state.moved(state.lattice, torch.where(there, usual + noise, state.coordinates))


def _start(network: Denoiser, templates: PackedCrystals, generator: torch.Generator, fixed: Fixed) -> PackedCrystals:
    scaled = torch.randn(len(templates), 6, generator=generator)
    coordinates = torch.rand(templates.coordinates.shape, generator=generator) * templates.is_free
    state = templates.moved(network.unscaled(scaled, templates), coordinates)
    return _held(network, state, templates, fixed, torch.tensor(1.0), generator)


def _held(
    network: Denoiser, state: PackedCrystals, known: PackedCrystals, fixed: Fixed, t: Tensor, generator: torch.Generator
) -> PackedCrystals:
    """Put back what is given, with the noise of time t."""
    lattice, coordinates = state.lattice, state.coordinates
    if fixed.lattice is not None:
        alpha, sigma = signal(t)
        noise = torch.randn(lattice.shape, generator=generator)
        scaled = network.scaled(known)
        given = network.unscaled(alpha * scaled + sigma * noise, known) if t > 0 else known.lattice
        lattice = torch.where(fixed.lattice[:, None], given, lattice)
    if fixed.orbits is not None:
        noise = spread(t) * torch.randn(coordinates.shape, generator=generator) if t > 0 else 0.0
        given = (known.coordinates + noise * known.is_free) % 1.0
        coordinates = torch.where(fixed.orbits[..., None], given, coordinates)
    return state.moved(lattice, coordinates)


def _guided(
    network: Denoiser,
    state: PackedCrystals,
    t: Tensor,
    conditions: Tensor | None,
    memory: Tensor | None,
    strength: float,
) -> Denoised:
    """Output of the network; with a strength other than 1 extrapolated from the one without conditions (Ho and Salimans, 2022)."""
    if conditions is None or strength == 0:
        return network(state, t, None, memory)
    asked = network(state, t, conditions, memory)
    if strength == 1:
        return asked
    free = network(state, t, None, memory)
    return Denoised(
        *(a + strength * (b - a) for a, b in (
            (free.lattice, asked.lattice), (free.slope, asked.slope), (free.elements, asked.elements),
        ))
    )  # fmt: skip


def _predict(
    network: Denoiser,
    state: PackedCrystals,
    out: Denoised,
    now: Tensor,
    after: Tensor,
    settings: SamplerSettings,
    generator: torch.Generator,
) -> PackedCrystals:
    """One step of the lattice (ancestral, Ho et al., NeurIPS 2020) and of the coordinates (variance exploding, Song et al., ICLR 2021)."""
    alpha, sigma = signal(now)
    alpha_after, sigma_after = signal(after)
    scaled = network.scaled(state)
    clean = alpha * scaled - sigma * out.lattice
    noise = sigma * scaled + alpha * out.lattice
    # Part of the noise is kept, the rest drawn anew, so that the spread of the whole is right at any temperature.
    fresh = settings.temperature * (sigma_after / sigma) * (1 - (alpha / alpha_after) ** 2).clamp(min=0).sqrt()
    fresh = torch.minimum(fresh, sigma_after)
    random = torch.randn(scaled.shape, generator=generator)
    scaled = alpha_after * clean + (sigma_after**2 - fresh**2).clamp(min=0).sqrt() * noise + fresh * random
    if after == 0:
        scaled = clean
    step = spread(now) ** 2 - (spread(after) ** 2 if after > 0 else 0.0)
    moved = state.coordinates - step * slope_norm(now[None]) * out.slope
    if after > 0:
        width = settings.temperature * (spread(after) ** 2 * step / spread(now) ** 2).sqrt()
        moved = moved + width * torch.randn(moved.shape, generator=generator)
    return state.moved(network.unscaled(scaled, state), moved * state.is_free)


def _corrected(
    state: PackedCrystals, out: Denoised, t: Tensor, settings: SamplerSettings, generator: torch.Generator
) -> PackedCrystals:
    """One step of Langevin dynamics of the coordinates at the same time."""
    size = settings.corrector * spread(t) ** 2
    noise = settings.temperature * (2 * size).sqrt() * torch.randn(state.coordinates.shape, generator=generator)
    moved = state.coordinates - size * slope_norm(t[None]) * out.slope + noise
    return state.moved(state.lattice, moved * state.is_free)


def _revealed(
    state: PackedCrystals,
    out: Denoised,
    now: Tensor,
    after: Tensor,
    settings: SamplerSettings,
    generator: torch.Generator,
    fixed: Fixed,
) -> Tensor:
    """Draw the elements of some of the orbits that have none; the last step draws all."""
    unknown = state.is_orbit & (state.elements == 0)
    if not unknown.any():
        return state.elements
    logits = out.elements / settings.element_temperature
    logits[..., 0] = -torch.inf
    allowed = _in_order(state) if fixed.elements is None else fixed.elements & _in_order(state)
    # Where nothing would be left, the order gives way.
    none = ~allowed[..., 1:].any(-1, keepdim=True)
    logits = logits.masked_fill(~(allowed | (none if fixed.elements is None else none & fixed.elements)), -torch.inf)
    # The Gumbel trick draws from all distributions at once.
    uniform = torch.rand(logits.shape, generator=generator).clamp(1e-12, 1 - 1e-7)
    drawn = (logits - torch.log(-torch.log(uniform))).argmax(-1)
    chosen = torch.rand(unknown.shape, generator=generator) < (now - after) / now
    found = torch.where(unknown & chosen, drawn, state.elements)
    if after == 0:
        return found
    # Two that were drawn together may be out of order; they wait.
    proper = _in_order(state.moved(state.lattice, state.coordinates, found)).gather(-1, found[..., None])[..., 0]
    return torch.where(unknown & ~proper, 0, found)


def _in_order(state: PackedCrystals) -> Tensor:
    """Elements that each orbit may take so that orbits of one letter are sorted by electronegativity, (B, O, `N_ELEMENTS`)."""
    orbits = torch.arange(state.elements.shape[1])
    like = (state.letters[:, :, None] == state.letters[:, None]) & state.is_orbit[:, None]
    known = like & (state.elements > 0)[:, None]  # [b, o, p]: p is like o, and its element is known
    places = torch.tensor(electronegativity_places()[:N_ELEMENTS])
    own = places[state.elements][:, None]
    lower = torch.where(known & (orbits[None, :] < orbits[:, None]), own, 0).amax(-1)
    upper = torch.where(known & (orbits[None, :] > orbits[:, None]), own, _LAST_PLACE).amin(-1)
    return (places >= lower[..., None]) & (places <= upper[..., None])
