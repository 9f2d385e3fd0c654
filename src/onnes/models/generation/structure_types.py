"""Structure types: where the atoms of a template usually are, and which elements are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from onnes.models.generation.elements import element_likeness

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from onnes.models.generation.packed import PackedCrystals

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

WAVES = 3
MIN_CRYSTALS = 2
"""A structure type is what at least so many training crystals share; a single one is not kept."""
_APART = 0.06  # periods; coordinates of one type differ by less
_OTHER_PATTERN = 1.0  # what each pair of orbits costs that shares an element in one and not in the other


@dataclass(frozen=True, eq=False)
class StructureTypes:
    """P structure types with O orbits at most.

    Attributes
    ----------
    template
        Number of the template, counted from 1 as in `onnes.models.generation.packed.PackedCrystals`, shape (P,).
    waves
        Mean sines and cosines of the coordinates of the orbits, the first Fourier coefficients of their density, shape (P, O,
        3, 2 `WAVES`); zero for coordinates that an orbit does not have.
    likeness
        Means over the crystals of `onnes.models.generation.elements.element_likeness`, shape (P, O, 4).
    pattern
        Share of the crystals in which two orbits have the same element, shape (P, O, O).
    counts
        Training crystals, shape (P,).
    """

    template: Ints
    waves: Floats
    likeness: Floats
    pattern: Floats
    counts: Ints

    def __len__(self) -> int:
        """Return the number of types."""
        return len(self.counts)

    def nearest(self, crystals: PackedCrystals, own: Ints | None = None) -> Ints:
        """Type of the crystal's template with the most similar elements, -1 where there is none, shape (B,).

        Parameters
        ----------
        crystals
            B crystals; elements that are not known (0) count nowhere.
        own
            The crystals are training crystals and belong to these types (-1: to none); each is taken out of its own before
            it is compared, and a type that would not have come about without it is left out. Shape (B,).
        """
        return self._compared(crystals, own)[0]

    def recall(self, crystals: PackedCrystals, own: Ints | None = None) -> Tensor:
        """Waves of the nearest type, zero where there is none, shape (B, O, 3, 2 `WAVES`); arguments as in `nearest`."""
        found, waves = self._compared(crystals, own)
        return torch.from_numpy(np.where((found >= 0)[:, None, None, None], waves, 0.0)).float()

    def waves_of(self, types: Ints, orbits: int) -> Tensor:
        """Waves of given types, zero for -1, for crystals with so many orbits at most; shape (B, orbits, 3, 2 `WAVES`)."""
        found = np.zeros((len(types), orbits, 3, 2 * WAVES))
        width = min(orbits, self.waves.shape[1])
        rows = np.flatnonzero(np.asarray(types) >= 0)
        found[rows, :width] = self.waves[np.asarray(types)[rows], :width]
        return torch.from_numpy(found).float()

    def drawn(self, templates: Ints, counts: Floats, rng: np.random.Generator) -> Ints:
        """A type of each template as often as its crystals occur among those of the template, -1 for none of them; (B,).

        ``counts``: training crystals of each template, the first for number 1.
        """
        found = np.full(len(templates), -1)
        for row, template in enumerate(np.asarray(templates).tolist()):
            mine = np.flatnonzero(self.template == template)
            if template > 0 and len(mine):
                share = self.counts[mine] / max(counts[template - 1], self.counts[mine].sum())
                place = int(np.searchsorted(share.cumsum(), rng.random()))
                found[row] = mine[place] if place < len(mine) else -1
        return found

    def _compared(self, crystals: PackedCrystals, own: Ints | None) -> tuple[Ints, Floats]:
        count, orbits = crystals.elements.shape
        found, waves = np.full(count, -1), np.zeros((count, orbits, 3, 2 * WAVES))
        templates = crystals.template.numpy(force=True)
        likeness, pattern, mine = described(crystals)
        elements = crystals.elements.numpy(force=True)
        for template in np.unique(templates[templates > 0]).tolist():
            types = np.flatnonzero(self.template == template)
            rows = np.flatnonzero(templates == template)
            if not len(types):
                continue
            o = min(orbits, self.waves.shape[1])
            n = np.broadcast_to(self.counts[types].astype(float), (len(rows), len(types))).copy()
            sums = [
                np.repeat((a[types, :o] * self.counts[types].reshape(-1, *[1] * (a.ndim - 1)))[None], len(rows), 0)
                for a in (self.likeness, self.pattern[:, :, :o], self.waves)
            ]
            if own is not None:
                at, to = np.nonzero(np.asarray(own)[rows][:, None] == types[None])
                n[at, to] -= 1
                for whole, part in zip(sums, (likeness, pattern, mine), strict=True):
                    whole[at, to] -= part[rows[at], :o] if part is not pattern else part[rows[at], :o, :o]
            size = np.maximum(n, 1).reshape(*n.shape, 1, 1)
            known = (elements[rows, :o] > 0)[:, None]
            apart = ((sums[0] / size - likeness[rows, None, :o]) ** 2).sum(-1) * known
            distance = np.sqrt(apart.sum(-1) / np.maximum(known.sum(-1), 1))
            both = known[..., :, None] & known[..., None, :]
            other = np.abs(sums[1] / size - pattern[rows, None, :o, :o]) * both
            distance = distance + _OTHER_PATTERN * other.sum((-1, -2)) / 2
            distance[n < MIN_CRYSTALS] = np.inf
            best = distance.argmin(1)
            line = np.arange(len(rows))
            there = np.isfinite(distance[line, best])
            found[rows] = np.where(there, types[best], -1)
            waves[rows, :o] = (sums[2] / size[..., None])[line, best]
        return found, waves


def described(crystals: PackedCrystals) -> tuple[Floats, Floats, Floats]:
    """What types are means of: likeness (B, O, 4), pattern (B, O, O) and waves (B, O, 3, 2 `WAVES`) of crystals."""
    elements = crystals.elements.numpy(force=True)
    there = crystals.is_orbit.numpy(force=True)
    likeness = element_likeness()[elements] * there[..., None]
    pattern = (elements[:, :, None] == elements[:, None]) & there[:, :, None] & there[:, None]
    angles = 2 * np.pi * crystals.coordinates.double().numpy(force=True)[..., None] * np.arange(1, WAVES + 1)
    free = crystals.is_free.numpy(force=True)[..., None]
    return likeness, pattern.astype(float), np.concatenate([np.sin(angles), np.cos(angles)], -1) * free


def structure_types(crystals: PackedCrystals) -> tuple[StructureTypes, Ints]:
    """Group training crystals of each template by their coordinates (complete linkage).

    Returns
    -------
    The types, and the type of each crystal, -1 for none, shape (B,).
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    templates = crystals.template.numpy(force=True)
    coordinates = crystals.coordinates.double().numpy(force=True)
    own = np.full(len(templates), -1)
    groups: list[Ints] = []
    for template in np.unique(templates[templates > 0]).tolist():
        rows = np.flatnonzero(templates == template)
        if len(rows) < MIN_CRYSTALS:
            continue
        x = coordinates[rows].reshape(len(rows), -1)
        x = x[:, x.any(0)]
        largest = np.zeros((len(rows), len(rows)))
        for column in x.T:
            difference = np.abs(column[:, None] - column)
            largest = np.maximum(largest, np.minimum(difference, 1 - difference))
        np.fill_diagonal(largest, 0.0)
        labels = fcluster(linkage(squareform(largest, checks=False), "complete"), _APART, "distance")
        for label in np.unique(labels).tolist():
            members = rows[labels == label]
            if len(members) >= MIN_CRYSTALS:
                own[members] = len(groups)
                groups.append(members)
    # The shape is that of the crystals even where there is no type.
    likeness, pattern, waves = (
        np.array([part[rows].mean(0) for rows in groups]).reshape(-1, *part.shape[1:]) for part in described(crystals)
    )
    counts = np.array([len(rows) for rows in groups], np.int64)
    template = np.array([templates[rows[0]] for rows in groups], np.int64)
    return StructureTypes(template, waves, likeness, pattern, counts), own
