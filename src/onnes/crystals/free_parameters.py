"""What symmetry leaves free in a crystal: a few lattice parameters and a few coordinates of each Wyckoff position."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from typing import TYPE_CHECKING

import moyopy
import numpy as np

from onnes.crystals.electronegativity import electronegativity_places
from onnes.crystals.symmetry import SYMPREC_A
from onnes.errors import CrystalError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_CLOSE = 1e-3  # fractional; the crystal is made symmetric first, so its orbits close far below this
_CORNERS = np.array(sorted(product(range(-4, 5), repeat=3), key=lambda v: (sum(x * x for x in v), v[::-1])), float)[1:]
_WHOLE = 1e-6
_NEIGHBOURS = np.array(sorted(product((-1.0, 0.0, 1.0), repeat=3), key=lambda v: sum(map(abs, v))))

# Orthonormal symmetric matrices B1 ... B6 in which the logarithm of the stretch of a lattice is written.
STRAIN_BASIS: Floats = (
    np.array(
        [
            [[0, 1, 0], [1, 0, 0], [0, 0, 0]],
            [[0, 0, 1], [0, 0, 0], [1, 0, 0]],
            [[0, 0, 0], [0, 0, 1], [0, 1, 0]],
            [[1, 0, 0], [0, -1, 0], [0, 0, 0]],
            [[1, 0, 0], [0, 1, 0], [0, 0, -2]],
            [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        ],
        float,
    )
    / np.sqrt([2, 2, 2, 2, 6, 3])[:, None, None]
)
HEXAGONAL_SHEAR = -np.sqrt(2) * np.log(3) / 4
"""First lattice parameter of every hexagonal cell: an angle of 120 degrees between a and b."""


def free_lattice(space_group: int) -> NDArray[np.bool_]:
    """Which of the six lattice parameters a space group leaves free, shape (6,).

    Examples
    --------
    >>> free_lattice(225).tolist(), int(free_lattice(62).sum())
    ([False, False, False, False, False, True], 3)
    """
    free = {1: "123456", 3: "2456", 16: "456", 75: "56", 143: "56", 195: "6"}  # by first group of the crystal system
    system = max(first for first in free if first <= space_group)
    return np.array([str(i + 1) in free[system] for i in range(6)])


def fixed_lattice(space_group: int) -> Floats:
    """Values of the lattice parameters that are not free, zero elsewhere; shape (6,)."""
    values = np.zeros(6)
    if 143 <= space_group < 195:
        values[0] = HEXAGONAL_SHEAR
    return values


def lattice_parameters(lattice: Floats) -> Floats:
    """Six numbers that describe the shape and size of a cell whatever its orientation, shape (6,).

    The metric is G = L L^T = exp(2 S) with S = sum_i k_i B_i (Jiao et al., "Space group constrained crystal generation",
    ICLR 2024). The last is the logarithm of the volume over the square root of 3.

    Parameters
    ----------
    lattice
        Vectors as rows, angstrom, shape (3, 3); the conventional cell of the space group in its standard setting.

    Examples
    --------
    >>> parameters = lattice_parameters(np.diag([2.0, 2.0, 2.0]))
    >>> bool(np.isclose(np.exp(np.sqrt(3) * parameters[5]), 8.0)), bool(np.abs(parameters[:5]).max() < 1e-12)
    (True, True)
    """
    weights, vectors = np.linalg.eigh(lattice @ lattice.T)
    if weights[0] <= 0:
        raise CrystalError("the cell has no volume; check the lattice")
    return np.einsum("iab,ab->i", STRAIN_BASIS, (vectors * (0.5 * np.log(weights))) @ vectors.T)


def lattice_from_parameters(parameters: Floats) -> Floats:
    """Cell of given lattice parameters, shape (..., 3, 3), angstrom; a symmetric matrix, so its orientation is fixed."""
    weights, vectors = np.linalg.eigh(np.einsum("...i,iab->...ab", parameters, STRAIN_BASIS))
    return (vectors * np.exp(weights)[..., None, :]) @ np.swapaxes(vectors, -1, -2)


@dataclass(frozen=True, eq=False)
class WyckoffTemplate:
    """A space group and its occupied positions, without elements and without any free parameter.

    The primitive cell has n atoms in O orbits.

    Attributes
    ----------
    space_group
        International number.
    positions
        Multiplicity in the conventional cell and letter of each orbit, such as "4h", length O.
    orbit_of_site
        Shape (n,).
    maps, shifts
        Fractional coordinates of atom i in the primitive cell are ``maps[i] @ u[orbit_of_site[i]] + shifts[i]``; shapes (n,
        3, 3) and (n, 3). Columns of coordinates that an orbit does not have are zero.
    n_free
        Free coordinates of each orbit, 0 to 3, shape (O,). All have the period 1.
    to_primitive
        Vectors of the primitive cell in those of the conventional one, shape (3, 3).
    """

    space_group: int
    positions: tuple[str, ...]
    orbit_of_site: Ints
    maps: Floats
    shifts: Floats
    n_free: Ints
    to_primitive: Floats

    @property
    def key(self) -> str:
        """Space group and positions; equal for all crystals that share the template.

        Two origins that are equally good can give the same crystal two templates.
        """
        return f"{self.space_group}:{' '.join(sorted(self.positions))}"

    @property
    def n_free_total(self) -> int:
        """Free coordinates of all orbits together; the lattice not counted."""
        return int(self.n_free.sum())

    def frac_coords(self, coordinates: Floats) -> Floats:
        """Fractional coordinates of all atoms of the primitive cell, shape (n, 3), from those of the orbits, shape (O, 3)."""
        moved = np.einsum("nab,nb->na", self.maps, coordinates[self.orbit_of_site])
        return (moved + self.shifts) % 1.0

    def lattice(self, parameters: Floats) -> Floats:
        """Primitive cell of given lattice parameters (6,); those that the group fixes are ignored."""
        free = free_lattice(self.space_group)
        whole = np.where(free, parameters, fixed_lattice(self.space_group))
        return self.to_primitive @ lattice_from_parameters(whole)


def plain_template(n: int) -> WyckoffTemplate:
    """Space group 1 with n atoms: all coordinates are free.

    Examples
    --------
    >>> plain_template(2).key, plain_template(2).n_free_total
    ('1:1a 1a', 6)
    """
    return WyckoffTemplate(
        1, ("1a",) * n, np.arange(n), np.broadcast_to(np.eye(3), (n, 3, 3)).copy(), np.zeros((n, 3)),
        np.full(n, 3), np.eye(3),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class FreeParameters:
    """A crystal written as template, elements and free parameters.

    Attributes
    ----------
    template
        What symmetry fixes.
    elements
        Atomic number on each orbit, shape (O,).
    lattice_parameters
        Shape (6,), see `lattice_parameters`.
    coordinates
        Free coordinates of each orbit in [0, 1), shape (O, 3); zero where an orbit has fewer.

    Examples
    --------
    >>> found = free_parameters(np.diag([4.0, 4.0, 4.0]), np.array([[0.1, 0, 0], [0.6, 0.5, 0.5]]), np.array([55, 17]))
    >>> found.template.key, found.elements.tolist(), found.template.n_free_total
    ('221:1a 1b', [55, 17], 0)
    """

    template: WyckoffTemplate
    elements: Ints
    lattice_parameters: Floats
    coordinates: Floats

    def crystal(self) -> tuple[Floats, Floats, Ints]:
        """Primitive cell: lattice (3, 3) in angstrom, frac_coords (n, 3), atomic_numbers (n,)."""
        made = self.template
        frac = made.frac_coords(self.coordinates)
        return made.lattice(self.lattice_parameters), frac, self.elements[made.orbit_of_site]


def free_parameters(
    lattice: Floats, frac_coords: Floats, atomic_numbers: Ints, *, symprec: float = SYMPREC_A, in_order: bool = True
) -> FreeParameters:
    """Write a crystal in the free parameters of its space group.

    Parameters
    ----------
    lattice
        Vectors as rows, angstrom, shape (3, 3).
    frac_coords, atomic_numbers
        Shapes (n, 3) and (n,).
    symprec
        Tolerance of the symmetry search, angstrom; the crystal is made symmetric within it.
    in_order
        Choose which atom stands for its orbit, and sort orbits of one letter by electronegativity and coordinates, so that like
        crystals have like parameters; otherwise the first atom and the order of the file.

    Raises
    ------
    CrystalError
        When no consistent symmetry is found.
    """
    logging.getLogger("moyo").setLevel(logging.ERROR)
    try:
        found = _search(lattice, frac_coords, atomic_numbers, symprec)
        small = found.prim_std_cell
        # Searched again in the cell that is used, so that operations, orbits and letters belong to one setting.
        again = _search(np.array(small.basis), np.array(small.positions), np.array(small.numbers), symprec / 10)
    except (ValueError, RuntimeError) as error:
        raise CrystalError(f"no symmetry found ({error}); check the coordinates") from error
    if again.number != found.number:
        raise CrystalError(
            f"space group {found.number} becomes {again.number} in the standard cell; lower the tolerance"
        )
    basis, positions = np.array(small.basis), np.array(small.positions) % 1.0
    numbers = np.array(small.numbers, np.int64)
    conventional = np.array(found.std_cell.basis)
    to_primitive = basis @ np.linalg.inv(conventional)
    rotations = np.array(again.operations.rotations, float)
    translations = np.array(again.operations.translations, float)
    orbits = [np.flatnonzero(np.array(again.orbits) == first) for first in sorted(set(again.orbits))]
    # Which atom stands for its orbit, and the order of the orbits, are the crystal's own affair in the file; here like
    # crystals shall have like parameters in the same places.
    candidates = orbits if in_order else [sites[:1] for sites in orbits]
    lines = [
        min((_line(rotations, translations, positions[site]) for site in sites), key=lambda one: one.key)
        for sites in candidates
    ]
    # The letters of the first search: the second may move the origin once more, to another that is as good.
    letters = dict(zip(found.mapping_std_prim, found.wyckoffs, strict=True))
    places = electronegativity_places()[numbers]
    names = [(letters[int(sites[0])], int(places[sites[0]])) for sites in orbits]
    order = sorted(range(len(orbits)), key=lambda i: (*names[i], lines[i].key) if in_order else i)
    maps, shifts = np.zeros((len(numbers), 3, 3)), np.zeros((len(numbers), 3))
    n_free = np.zeros(len(orbits), np.int64)
    coordinates, orbit_of_site = np.zeros((len(orbits), 3)), np.zeros(len(numbers), np.int64)
    for orbit, place in enumerate(order):
        line = lines[place]
        n_free[orbit] = free = len(line.own)
        coordinates[orbit, :free] = line.own
        images = np.einsum("gab,b->ga", rotations, line.axes @ line.own + line.rest) + translations
        for site in orbits[place]:
            distances = _apart(images, positions[site])
            g = int(distances.argmin())
            if distances[g] > 10 * _CLOSE:
                raise CrystalError(
                    f"atoms {orbits[place][0]} and {site} belong to one orbit, but no operation connects them"
                )
            orbit_of_site[site] = orbit
            maps[site, :, :free] = rotations[g] @ line.axes
            shifts[site] = (rotations[g] @ line.rest + translations[g]) % 1.0
    first_atoms = [int(orbits[place][0]) for place in order]
    cells = round(1 / abs(np.linalg.det(to_primitive)))
    counts = np.bincount(orbit_of_site) * cells
    positions_of = tuple(f"{count}{letters[first]}" for count, first in zip(counts, first_atoms, strict=True))
    template = WyckoffTemplate(found.number, positions_of, orbit_of_site, maps, shifts, n_free, to_primitive)
    return FreeParameters(template, numbers[first_atoms], lattice_parameters(conventional), coordinates)


@dataclass(frozen=True, eq=False)
class _Line:
    """Where an atom may move, and where it is: ``axes @ own + rest``; axes (3, d), own (d,), rest (3,).

    Of all ways to write an orbit, the one with the smallest key is taken.
    """

    axes: Floats
    own: Floats
    rest: Floats

    @property
    def key(self) -> tuple[float, ...]:
        distance = float(np.abs(self.rest).sum().round(4))
        return (*self.axes.T.ravel(), distance, *(-self.rest).round(4), *(self.own.round(5) % 1.0))


def _line(rotations: Floats, translations: Floats, position: Floats) -> _Line:
    images = np.einsum("gab,b->ga", rotations, position) + translations
    stabiliser = _apart(images, position) < _CLOSE
    axes = _axes(tuple(rotations[stabiliser].mean(0).ravel().round(9).tolist()))
    inverse = np.linalg.pinv(axes) if axes.size else axes.T
    # A line that is not a whole multiple of the axes away from the origin has images in the neighbouring cells.
    shifts = _NEIGHBOURS if 0 < axes.shape[1] < 3 else _NEIGHBOURS[:1]
    found = []
    for moved in position + shifts:
        own = inverse @ moved
        found.append(_Line(axes, own.round(9) % 1.0, moved - axes @ own))
    return min(found, key=lambda one: one.key)


def _search(lattice: Floats, frac: Floats, numbers: Ints, symprec: float) -> moyopy.MoyoDataset:
    cell = moyopy.Cell(lattice.tolist(), (frac - np.floor(frac)).tolist(), numbers.tolist())
    return moyopy.MoyoDataset(cell, symprec=symprec)


def _apart(a: Floats, b: Floats) -> Floats:
    """Largest difference of fractional coordinates, by the nearest image."""
    apart = a - b
    return np.abs(apart - np.round(apart)).max(-1)


@lru_cache(maxsize=4096)
def _axes(projector: tuple[float, ...]) -> Floats:
    """Whole-numbered axes (3, d) along which an atom may move; its stabiliser has this mean, nine numbers."""
    along = np.reshape(projector, (3, 3))
    rank = round(float(np.trace(along)))
    if rank in {0, 3}:
        return np.eye(3)[:, :rank]
    inside = _CORNERS[np.abs(_CORNERS @ along.T - _CORNERS).max(1) < _WHOLE]
    for chosen in combinations(inside[:40], rank):
        axes = np.array(chosen, float).T
        # Primitive: the minors have no common divisor, so every lattice vector of the subspace is a whole combination.
        minors = [round(float(np.linalg.det(axes[list(rows)]))) for rows in combinations(range(3), rank)]
        if np.gcd.reduce(minors) == 1:
            return axes
    raise CrystalError("no lattice vectors span the free directions of a position; give the crystal in another cell")
