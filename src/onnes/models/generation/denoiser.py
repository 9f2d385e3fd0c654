"""The network that takes the noise off crystals in free parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from onnes.models.generation.elements import N_ELEMENTS, element_facts, element_radii
from onnes.models.generation.packed import N_LETTERS
from onnes.models.generation.structure_types import WAVES

if TYPE_CHECKING:
    from torch import Tensor

    from onnes.models.generation.packed import PackedCrystals

_GROUPS = 231
_RANKS = 16
_IMAGE_RANGE = (-1, 0, 1)


class DenoiserSettings(BaseModel):
    """Size of the network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(default=160, ge=8)
    layers: int = Field(default=4, ge=1)
    waves: int = Field(default=6, ge=1, description="frequencies in which coordinates are written")
    radial: int = Field(default=16, ge=2, description="Gaussians in which distances are written")
    reach: float = Field(default=3.0, gt=0, description="distances seen, in sums of the two covalent radii")
    memory: int = Field(
        default=3, ge=1, description="frequencies in which the coordinates of a template are remembered"
    )
    max_orbits: int = Field(default=12, ge=1, description="of a template that is remembered")
    templates: int = Field(default=0, ge=0, description="templates that are told apart, besides those not seen")
    conditions: tuple[str, ...] = Field(default=(), description="properties that generation can be asked for")


@dataclass(frozen=True, eq=False)
class Denoised:
    """Output of the network for B crystals with O orbits.

    Attributes
    ----------
    lattice
        v = alpha noise - sigma signal of the scaled lattice parameters (Salimans and Ho, ICLR 2022), shape (B, 6).
    slope
        Minus the slope of the logarithm of the density of the free coordinates, over its root mean square, (B, O, 3).
    elements
        Logits of the atomic numbers, shape (B, O, `N_ELEMENTS`).
    """

    lattice: Tensor
    slope: Tensor
    elements: Tensor


class Denoiser(nn.Module):
    """Message passing over all pairs of atoms of the primitive cell.

    What a pair sees of its distance: the fractional difference in waves, so that periodicity is exact, and the distances of
    the nearest images over the sum of the covalent radii. What an orbit gives back, in its free coordinates: the mean over its
    atoms of vectors along the pairs, and waves of its own coordinates.

    What is known beforehand is the structure type that a crystal shall be near: mean waves of the coordinates of its orbits, the
    first Fourier coefficients of their density.
    """

    def __init__(self, settings: DenoiserSettings | None = None) -> None:
        super().__init__()
        self.settings = settings = settings or DenoiserSettings()
        self.low_precision = False  # bfloat16 between the atoms: twice as fast where the processor knows it
        width, waves, radial = settings.width, settings.waves, settings.radial
        self.element = nn.Embedding(N_ELEMENTS, width)
        self.facts = nn.Linear(element_facts().shape[1], width)
        self.group = nn.Embedding(_GROUPS, width)
        self.letter = nn.Embedding(N_LETTERS, width)
        self.rank = nn.Embedding(_RANKS, width)
        self.template = nn.Embedding(settings.templates + 1, width)
        self.start = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )
        recalled = 6 * WAVES
        self.site = nn.Linear(5 + 9 * waves + 2 * recalled, width)
        self.phase = nn.Linear(width, 6 * waves)
        self.cell = nn.Linear(12 + 1, width)
        self.time = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width))
        self.asked = nn.Linear(2 * len(settings.conditions), width) if settings.conditions else None
        edge = 6 * waves + radial + 1
        self.layers = nn.ModuleList(_Layer(width, edge) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(width)
        self.pair = nn.Sequential(nn.Linear(2 * width + edge, width), nn.SiLU(), nn.Linear(width, radial + waves))
        self.slope = nn.Linear(width, 3 + 6 * waves + recalled)
        self.lattice = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 6))
        self.lattice_mean: Tensor
        self.lattice_std: Tensor
        self.register_buffer("lattice_mean", torch.zeros(6))
        self.register_buffer("lattice_std", torch.ones(6))
        self.logits = nn.Linear(width, N_ELEMENTS)

    def forward(
        self, noisy: PackedCrystals, t: Tensor, conditions: Tensor | None = None, memory: Tensor | None = None
    ) -> Denoised:
        """Take the noise off.

        Parameters
        ----------
        noisy
            B crystals; the element of an orbit is 0 where it is not known.
        t
            Time, 0 without noise, 1 all noise; shape (B,).
        conditions
            Properties asked for, in their normalised units, NaN where nothing is asked; shape (B, C).
        memory
            Mean waves of the coordinates in the structure type that the crystals shall be near, (B, O, 3, 2 `WAVES`); zero where
            there is none, as by default. See `onnes.models.generation.structure_types`.
        """
        edge, directions, waves = self._pairs(noisy)
        if memory is None:
            memory = noisy.coordinates.new_zeros(*noisy.coordinates.shape, 2 * WAVES)
        recalled = self._recalled(noisy, memory)
        h = self._nodes(noisy, t, conditions, torch.cat([recalled, memory.flatten(2)], -1))
        mask = (noisy.is_site[:, :, None] & noisy.is_site[:, None, :]).to(h.dtype)
        with torch.autocast(h.device.type, torch.bfloat16, enabled=self.low_precision):
            for layer in self.layers:
                h = layer(h, edge, mask)
        h = self.norm(h)
        return self._output(noisy, h, edge, directions, waves, recalled, mask)

    def set_scale(self, crystals: PackedCrystals) -> None:
        """Take the units of the lattice parameters, mean and spread where they are free, from training crystals."""
        free, values = crystals.lattice_free, crystals.lattice
        count = free.sum(0).clamp(min=1)
        mean = (values * free).sum(0) / count
        std = (((values - mean) ** 2 * free).sum(0) / count).sqrt()
        self.lattice_mean.copy_(mean)
        self.lattice_std.copy_(std.clamp(min=1e-3))

    def scaled(self, crystals: PackedCrystals) -> Tensor:
        """Lattice parameters in units of their spread, zero where the group fixes them; shape (B, 6)."""
        return torch.where(crystals.lattice_free, (crystals.lattice - self.lattice_mean) / self.lattice_std, 0.0)

    def unscaled(self, scaled: Tensor, crystals: PackedCrystals) -> Tensor:
        """Lattice parameters of scaled ones; fixed ones as in the crystals."""
        return torch.where(crystals.lattice_free, scaled * self.lattice_std + self.lattice_mean, crystals.lattice)

    def _waves(self, coordinates: Tensor, count: int) -> Tensor:
        """Sines and cosines of coordinates, one more dimension of 2 ``count``."""
        steps = torch.arange(1, count + 1, device=coordinates.device)
        angles = 2 * torch.pi * coordinates[..., None] * steps
        return torch.cat([torch.sin(angles), torch.cos(angles)], -1)

    def _recalled(self, noisy: PackedCrystals, memory: Tensor) -> Tensor:
        """Mean sine and cosine of the distance from where the orbits of the type are, shape (B, O, 6 `WAVES`)."""
        sines, cosines = self._waves(noisy.coordinates, WAVES).chunk(2, -1)
        sine, cosine = memory.chunk(2, -1)
        return torch.cat([sines * cosine - cosines * sine, cosines * cosine + sines * sine], -1).flatten(2)

    def _nodes(self, noisy: PackedCrystals, t: Tensor, conditions: Tensor | None, recalled: Tensor) -> Tensor:
        index, width = noisy.orbit_of_site, self.settings.width
        own = noisy.coordinates.gather(1, index[..., None].expand(-1, -1, 3))
        free = noisy.is_free.gather(1, index[..., None].expand(-1, -1, 3)).to(own.dtype)
        waves = self._waves(own, self.settings.waves) * free[..., None]
        recalled = recalled.gather(1, index[..., None].expand(-1, -1, recalled.shape[-1]))
        count = noisy.multiplicity.gather(1, index).clamp(min=1).log()[..., None]
        total = noisy.n_sites.log()[:, None, None].expand_as(count)
        cell = self.cell(
            torch.cat([self.scaled(noisy), noisy.lattice_free.to(own.dtype), noisy.n_sites[:, None].log()], -1)
        )
        whole = cell + self.group(noisy.space_group) + self.template(noisy.template) + self.time(_sinusoids(t))
        if self.asked is not None:
            values = (
                torch.full((len(noisy), len(self.settings.conditions)), torch.nan) if conditions is None else conditions
            )
            known = ~values.isnan()
            whole = whole + self.asked(torch.cat([values.nan_to_num(0.0), known.to(own.dtype)], -1).to(own.dtype))
        letters = (self.letter(noisy.letters) + self.rank(_ranks(noisy))).gather(
            1, index[..., None].expand(-1, -1, width)
        )
        numbers = noisy.site_elements()
        element = self.element(numbers) + self.facts(element_facts().to(own.device)[numbers])
        h = element + letters + whole[:, None]
        # What is known of an orbit besides its position decides the phase: where the wave of its position has its zero.
        shifted = waves * self.phase(h).unflatten(-1, (3, -1))
        shifted = shifted[..., : self.settings.waves] + shifted[..., self.settings.waves :]
        h = h + self.site(torch.cat([free, count, total, waves.flatten(2), shifted.flatten(2), recalled], -1))
        # Position, letter, group and elements are multiplied with each other here, before atoms meet.
        return h + self.start(h)

    def _pairs(self, noisy: PackedCrystals) -> tuple[Tensor, Tensor, Tensor]:
        """Features of the pairs (B, N, N, E), directions of near images (B, N, N, R, 3), odd waves (B, N, N, W, 3)."""
        settings = self.settings
        with torch.no_grad():
            frac, cells = noisy.frac_coords(), noisy.cells()
            apart = frac[:, None] - frac[:, :, None]  # [b, i, j] = x_j - x_i
            angles = (
                2 * torch.pi * apart[..., None, :] * torch.arange(1, settings.waves + 1, device=apart.device)[:, None]
            )
            sines, cosines = torch.sin(angles), torch.cos(angles)
            near = (apart - apart.round())[..., None, :] + _images(apart)
            near = near @ cells[:, None, None]
            radii = element_radii().to(apart.device)[noisy.site_elements()]
            near = near / (radii[:, :, None] + radii[:, None])[..., None, None]
            lengths = near.norm(dim=-1)  # (B, N, N, 27)
            centres = torch.linspace(0, settings.reach, settings.radial, device=apart.device)
            step = centres[1] - centres[0]
            own = torch.eye(apart.shape[1], device=apart.device, dtype=torch.bool)[None, :, :, None] & (lengths < 1e-3)
            shells = torch.exp(-0.5 * ((lengths[..., None] - centres) / step) ** 2)
            shells = shells.masked_fill(own[..., None], 0.0)
            # In fractions of the cell, as free coordinates are, of a length that the size of the cell does not change.
            inverse = torch.linalg.inv(cells) * torch.linalg.det(cells).abs()[:, None, None] ** (1 / 3)
            along = (near / lengths.clamp(min=0.2)[..., None]) @ inverse[:, None, None]
            directions = torch.einsum("bijmr,bijmx->bijrx", shells, along)
            shortest = lengths.masked_fill(own, settings.reach).amin(-1, keepdim=True)
            edge = torch.cat([sines.flatten(3), cosines.flatten(3), shells.sum(3), shortest / settings.reach], -1)
        return edge, directions, sines

    def _output(
        self,
        noisy: PackedCrystals,
        h: Tensor,
        edge: Tensor,
        directions: Tensor,
        waves: Tensor,
        recalled: Tensor,
        mask: Tensor,
    ) -> Denoised:
        n = h.shape[1]
        ends = torch.cat([h[:, :, None].expand(-1, -1, n, -1), h[:, None].expand(-1, n, -1, -1), edge], -1)
        with torch.autocast(h.device.type, torch.bfloat16, enabled=self.low_precision):
            weights = self.pair(ends)
        weights = weights.float() * mask[..., None]
        along, odd = weights.split([self.settings.radial, self.settings.waves], -1)
        vectors = torch.einsum("bijr,bijrx->bix", along, directions) + torch.einsum("bijw,bijwx->bix", odd, waves)
        sites = noisy.is_site.to(h.dtype)
        orbits = _orbit_mean(h * sites[..., None], noisy)
        count, known = 6 * self.settings.waves, recalled.shape[-1]
        constant, waved, trust = self.slope(orbits).split([3, count, known], -1)
        own = (waved.unflatten(-1, (3, -1)) * self._waves(noisy.coordinates, self.settings.waves)).sum(-1)
        own = own + (trust * recalled).unflatten(-1, (3, -1)).sum(-1)
        slope = (noisy.to_orbits(vectors) + constant + own) * noisy.is_free
        pooled = (h * sites[..., None]).sum(1) / sites.sum(1, keepdim=True)
        return Denoised(self.lattice(pooled) * noisy.lattice_free, slope, self.logits(orbits))


class _Layer(nn.Module):
    def __init__(self, width: int, edge: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.edge = nn.Linear(edge, width, bias=False)
        self.message = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.gate = nn.Linear(width, 1)
        self.update = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, h: Tensor, edge: Tensor, mask: Tensor) -> Tensor:
        x = self.norm(h)
        message = self.message(self.first(x)[:, :, None] + self.second(x)[:, None] + self.edge(edge))
        weight = torch.sigmoid(self.gate(message)) * mask[..., None]
        gathered = (weight * message).sum(2) / mask.sum(2, keepdim=True).clamp(min=1).sqrt()
        return h + self.update(torch.cat([x, gathered], -1))


def _ranks(noisy: PackedCrystals) -> Tensor:
    """Place of each orbit among those with the same letter, shape (B, O): their order tells apart what nothing else does."""
    same = (noisy.letters[:, :, None] == noisy.letters[:, None]) & noisy.is_orbit[:, None]
    return same.tril(-1).sum(-1).clamp(max=_RANKS - 1)


def _orbit_mean(h: Tensor, noisy: PackedCrystals) -> Tensor:
    index = noisy.orbit_of_site[..., None].expand_as(h)
    summed = h.new_zeros(len(noisy), noisy.is_orbit.shape[1], h.shape[-1]).scatter_add_(1, index, h)
    return summed / noisy.multiplicity.clamp(min=1)[..., None]


def _sinusoids(t: Tensor) -> Tensor:
    rates = torch.exp(torch.linspace(0, 6.9, 16, device=t.device, dtype=t.dtype))
    angles = t[:, None] * rates
    return torch.cat([torch.sin(angles), torch.cos(angles)], -1)


def _images(like: Tensor) -> Tensor:
    steps = torch.tensor(_IMAGE_RANGE, device=like.device, dtype=like.dtype)
    return torch.cartesian_prod(steps, steps, steps)
