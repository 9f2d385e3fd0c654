"""Crystals in free parameters as padded tensors, which a network can work on together."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from onnes.crystals.free_parameters import FreeParameters, fixed_lattice, free_lattice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from onnes.crystals.free_parameters import WyckoffTemplate

LETTERS = "abcdefghijklmnopqrstuvwxyzA"
N_LETTERS = len(LETTERS)
_UNIT_VOLUME_A3 = 20.0
"""Volume of an atom that lattices are measured against (cubic angstrom); any number of this size would do."""


@dataclass(frozen=True, eq=False)
class PackedCrystals:
    """B crystals with at most N atoms in the primitive cell and at most O orbits.

    Attributes
    ----------
    template
        1 + index among the templates of the generator, 0 for one that it has not seen, shape (B,).
    space_group
        Shape (B,).
    elements
        Atomic number on each orbit, shape (B, O); 0 where there is no orbit, or where the element is not known.
    letters, n_free, multiplicity
        Index of the Wyckoff letter, number of free coordinates and atoms in the primitive cell of each orbit, (B, O).
    is_orbit, is_site
        Shapes (B, O) and (B, N).
    orbit_of_site
        Shape (B, N).
    maps, inverse_maps, shifts
        See `onnes.crystals.free_parameters.WyckoffTemplate`; shapes (B, N, 3, 3), (B, N, 3, 3), (B, N, 3).
    to_primitive
        Shape (B, 3, 3).
    lattice, lattice_free
        Lattice parameters, the last counted from a volume of 20 cubic angstrom an atom, and which of them are free; (B, 6).
    coordinates, is_free
        Free coordinates of the orbits, and which of the three there are; (B, O, 3).
    """

    template: Tensor
    space_group: Tensor
    elements: Tensor
    letters: Tensor
    n_free: Tensor
    multiplicity: Tensor
    is_orbit: Tensor
    is_site: Tensor
    orbit_of_site: Tensor
    maps: Tensor
    inverse_maps: Tensor
    shifts: Tensor
    to_primitive: Tensor
    lattice: Tensor
    lattice_free: Tensor
    coordinates: Tensor
    is_free: Tensor

    def __len__(self) -> int:
        """Return the number of crystals."""
        return len(self.space_group)

    @property
    def n_sites(self) -> Tensor:
        """Atoms of each primitive cell, shape (B,)."""
        return self.is_site.sum(1)

    def take(self, rows: Tensor) -> PackedCrystals:
        """Select crystals, without the padding that they do not need."""
        sites = int(self.is_site[rows].sum(1).max())
        orbits = int(self.is_orbit[rows].sum(1).max())
        cut = {field.name: _cut(getattr(self, field.name)[rows], field.name, sites, orbits) for field in fields(self)}
        return PackedCrystals(**cut)

    def moved(self, lattice: Tensor, coordinates: Tensor, elements: Tensor | None = None) -> PackedCrystals:
        """The same templates with other free parameters."""
        return replace(
            self,
            lattice=lattice,
            coordinates=coordinates % 1.0,
            elements=self.elements if elements is None else elements,
        )

    def to(self, device: str) -> PackedCrystals:
        """Move all tensors to a device."""
        return PackedCrystals(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def frac_coords(self) -> Tensor:
        """Fractional coordinates in the primitive cells, shape (B, N, 3)."""
        own = _of_sites(self.coordinates, self.orbit_of_site)
        return ((self.maps @ own[..., None])[..., 0] + self.shifts) % 1.0

    def cells(self) -> Tensor:
        """Vectors of the primitive cells as rows, angstrom, shape (B, 3, 3)."""
        return self.to_primitive @ lattice_matrix(_absolute(self.lattice, self.n_sites, self.to_primitive))

    def site_elements(self) -> Tensor:
        """Atomic number of each atom, 0 where there is none; shape (B, N)."""
        return torch.where(self.is_site, self.elements.gather(1, self.orbit_of_site), 0)

    def to_orbits(self, vectors: Tensor) -> Tensor:
        """Mean over the atoms of each orbit of vectors (B, N, 3), in the orbit's free coordinates; (B, O, 3)."""
        own = (self.inverse_maps @ vectors[..., None])[..., 0] * self.is_site[..., None]
        summed = torch.zeros_like(self.coordinates).scatter_add_(1, self.orbit_of_site[..., None].expand_as(own), own)
        return summed / self.multiplicity.clamp(min=1)[..., None]

    def free_parameters(self, row: int, template: WyckoffTemplate) -> FreeParameters:
        """One crystal, written in its template."""
        count = len(template.positions)
        lattice = _absolute(self.lattice, self.n_sites, self.to_primitive)[row]
        return FreeParameters(
            template,
            self.elements[row, :count].numpy(force=True),
            lattice.double().numpy(force=True),
            self.coordinates[row, :count].double().numpy(force=True),
        )

    def crystals(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Primitive cells: lattice (3, 3), frac_coords (n, 3), atomic_numbers (n,) of each crystal."""
        cells, frac = self.cells().double().numpy(force=True), self.frac_coords().double().numpy(force=True)
        numbers, counts = self.site_elements().numpy(force=True), self.n_sites.tolist()
        return [(cells[i], frac[i, :n], numbers[i, :n].astype(np.int64)) for i, n in enumerate(counts)]


def _cut(values: Tensor, name: str, sites: int, orbits: int) -> Tensor:
    if name in {"is_site", "orbit_of_site", "maps", "inverse_maps", "shifts"}:
        return values[:, :sites]
    if name in {"elements", "letters", "n_free", "multiplicity", "is_orbit", "coordinates", "is_free"}:
        return values[:, :orbits]
    return values


def _of_sites(orbit_values: Tensor, orbit_of_site: Tensor) -> Tensor:
    """Values of the orbits (B, O, F) given to their atoms, (B, N, F)."""
    return orbit_values.gather(1, orbit_of_site[..., None].expand(-1, -1, orbit_values.shape[-1]))


def lattice_matrix(parameters: Tensor) -> Tensor:
    """Symmetric lattice matrix (..., 3, 3) of six parameters; see `onnes.crystals.free_parameters`."""
    from onnes.crystals.free_parameters import STRAIN_BASIS

    basis = torch.as_tensor(STRAIN_BASIS, dtype=parameters.dtype, device=parameters.device)
    return torch.linalg.matrix_exp(torch.einsum("...i,iab->...ab", parameters, basis))


def _volume_shift(n_sites: Tensor, to_primitive: Tensor) -> Tensor:
    """Last lattice parameter of the conventional cell at the volume that lattices are measured against, shape (B,)."""
    atoms = n_sites / torch.linalg.det(to_primitive).abs()
    return torch.log(atoms * _UNIT_VOLUME_A3) / np.sqrt(3)


def _absolute(lattice: Tensor, n_sites: Tensor, to_primitive: Tensor) -> Tensor:
    shift = _volume_shift(n_sites, to_primitive)
    return torch.cat([lattice[:, :5], (lattice[:, 5] + shift)[:, None]], 1)


def pack(crystals: Sequence[FreeParameters], keys: Sequence[str] = ()) -> PackedCrystals:
    """Pad crystals to a common size.

    Parameters
    ----------
    crystals
        At least one.
    keys
        Templates that the generator has seen, in its order.
    """
    places = {key: place for place, key in enumerate(keys, start=1)}
    count = len(crystals)
    sites = max(len(one.template.orbit_of_site) for one in crystals)
    orbits = max(len(one.elements) for one in crystals)
    arrays = {
        "template": np.array([places.get(one.template.key, 0) for one in crystals], np.int64),
        "space_group": np.zeros(count, np.int64),
        "elements": np.zeros((count, orbits), np.int64),
        "letters": np.zeros((count, orbits), np.int64),
        "n_free": np.zeros((count, orbits), np.int64),
        "multiplicity": np.zeros((count, orbits), np.int64),
        "is_orbit": np.zeros((count, orbits), bool),
        "is_site": np.zeros((count, sites), bool),
        "orbit_of_site": np.zeros((count, sites), np.int64),
        "maps": np.zeros((count, sites, 3, 3), np.float32),
        "inverse_maps": np.zeros((count, sites, 3, 3), np.float32),
        "shifts": np.zeros((count, sites, 3), np.float32),
        "to_primitive": np.zeros((count, 3, 3), np.float32),
        "lattice": np.zeros((count, 6), np.float32),
        "lattice_free": np.zeros((count, 6), bool),
        "coordinates": np.zeros((count, orbits, 3), np.float32),
        "is_free": np.zeros((count, orbits, 3), bool),
    }
    for row, one in enumerate(crystals):
        _fill(arrays, row, one)
    packed = PackedCrystals(**{name: torch.from_numpy(array) for name, array in arrays.items()})
    shift = _volume_shift(packed.n_sites, packed.to_primitive)
    packed.lattice[:, 5] -= shift.to(packed.lattice.dtype)
    return packed


def _fill(arrays: dict[str, np.ndarray], row: int, one: FreeParameters) -> None:
    template = one.template
    n, o = len(template.orbit_of_site), len(one.elements)
    free = free_lattice(template.space_group)
    values = {
        "elements": one.elements,
        "letters": [LETTERS.index(name[-1]) for name in template.positions],
        "n_free": template.n_free,
        "multiplicity": np.bincount(template.orbit_of_site, minlength=o),
        "is_orbit": True,
        "coordinates": one.coordinates,
        "is_free": np.arange(3) < template.n_free[:, None],
    }
    for name, value in values.items():
        arrays[name][row, :o] = value
    site_values = {
        "is_site": True,
        "orbit_of_site": template.orbit_of_site,
        "maps": template.maps,
        "inverse_maps": np.linalg.pinv(template.maps),
        "shifts": template.shifts,
    }
    for name, value in site_values.items():
        arrays[name][row, :n] = value
    arrays["space_group"][row] = template.space_group
    arrays["to_primitive"][row] = template.to_primitive
    arrays["lattice"][row] = np.where(free, one.lattice_parameters, fixed_lattice(template.space_group))
    arrays["lattice_free"][row] = free
