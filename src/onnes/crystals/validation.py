"""Validation of crystals after every read: parsers are not validators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.errors import CrystalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

MAX_ATOMS = 200
CELL_NUMBERS = 9
MAX_ATOMIC_NUMBER = 103
# Superhydrides near 300 GPa hold about 2.3 cubic angstrom per atom, LaH10 about 3.
MIN_VOLUME_A3_PER_ATOM = 1.5
MAX_VOLUME_A3_PER_ATOM = 400.0
MIN_DISTANCE_A = 0.5
# Spacing of lattice planes; below it neighbour lists would need thousands of images.
MIN_CELL_HEIGHT_A = 0.1
# Larger values are Cartesian coordinates by mistake, and lose digits when wrapped.
MAX_FRAC_COORD = 100.0
MAX_OCCUPANCY = 1.001

# One site: (atomic number, occupancy) of each species on it.
Occupancies = list[list[tuple[int, float]]]

_NO_VOLUME_A3 = 1e-6
_PAIR_CHUNK = 2_000_000


def validate_crystal(
    lattice: ArrayLike,
    frac_coords: ArrayLike,
    atomic_numbers: ArrayLike,
    *,
    site_occupancies: Occupancies | None = None,
    max_atoms: int = MAX_ATOMS,
) -> None:
    """Check one crystal: numbers, cell, elements, distances, occupancies, size.

    Parameters
    ----------
    lattice
        Row vectors, shape (3, 3) or 9 numbers, angstrom.
    frac_coords
        Fractional coordinates, shape (n, 3) or 3n numbers.
    atomic_numbers
        Shape (n,).
    site_occupancies
        For each site its (atomic number, occupancy) pairs; None when every site is full.
    max_atoms
        Largest allowed cell.

    Raises
    ------
    CrystalError
        With the cause and what to do, without the file name (the reader adds it).

    Examples
    --------
    >>> validate_crystal(4.05 * np.eye(3), [[0, 0, 0]], [13])
    >>> validate_crystal(0.3 * np.eye(3), [[0, 0, 0]], [13])
    Traceback (most recent call last):
    onnes.errors.CrystalError: 0.027 cubic angstrom per atom, below 1.5. Check the unit of the cell (angstrom)
    """
    cell, coords, numbers = (np.asarray(part) for part in (lattice, frac_coords, atomic_numbers))
    if cell.size != CELL_NUMBERS:
        raise CrystalError(f"the cell has {cell.size} numbers instead of 9. Give three vectors of three numbers")
    if coords.size != 3 * numbers.size:
        raise CrystalError(
            f"{coords.size} coordinate numbers for {numbers.size} atoms. Give three coordinates for each atom"
        )
    fault = faults(CrystalBatch.of([(cell, coords, numbers)]), max_atoms=max_atoms)[0]
    if fault is None and site_occupancies is not None:
        fault = occupancy_fault(site_occupancies, numbers.size)
    if fault is not None:
        raise CrystalError(fault)


def faults(batch: CrystalBatch, *, max_atoms: int = MAX_ATOMS) -> list[str | None]:
    """Find what is wrong with each crystal of a batch; None for a sound one.

    The checks are those of `validate_crystal`, vectorised over the batch.

    Examples
    --------
    >>> faults(CrystalBatch.of([(4 * np.eye(3), np.zeros((1, 3)), [13]), (4 * np.eye(3), np.zeros((1, 3)), [0])]))
    [None, 'atomic number 0 is no element. Use real elements, Z from 1 to 103']
    """
    found: list[str | None] = [None] * len(batch)
    if len(batch):
        for i, reason in _cheap_faults(batch, max_atoms):
            found[i] = found[i] or reason
        sound = np.array([i for i, reason in enumerate(found) if reason is None], dtype=np.int64)
        for i, reason in _distance_faults(batch.select(sound)):
            found[int(sound[i])] = reason
    return found


def occupancy_fault(sites: Occupancies, n_atoms: int) -> str | None:
    """Say what is wrong with site occupancies; None when they are sound.

    Examples
    --------
    >>> occupancy_fault([[(41, 0.7), (40, 0.6)]], 1)
    'site 1 is filled to 1.3. Correct the occupancies: each above 0, a site at most 1'
    """
    if len(sites) != n_atoms:
        return f"occupancies for {len(sites)} of {n_atoms} sites. Give one list of species for each site"
    advice = "Correct the occupancies: each above 0, a site at most 1"
    for number, site in enumerate(sites, start=1):
        for z, occupancy in site:
            if not 1 <= z <= MAX_ATOMIC_NUMBER:
                return f"atomic number {z} on site {number} is no element. Use real elements, Z from 1 to 103"
            if not 0 < occupancy <= MAX_OCCUPANCY:
                return f"an occupancy of {occupancy:.4g} on site {number}. {advice}"
        total = sum(occupancy for _, occupancy in site)
        if not 0 < total <= MAX_OCCUPANCY:
            return f"site {number} is filled to {total:.4g}. {advice}"
    return None


def _cheap_faults(batch: CrystalBatch, max_atoms: int) -> Iterator[tuple[int, str]]:
    """Yield (crystal, reason) for everything but distances, the graver fault first."""
    sizes = batch.n_atoms
    for i in np.flatnonzero(sizes == 0):
        yield int(i), "no atoms. Check that the coordinates are there"
    for i in np.flatnonzero(sizes > max_atoms):
        yield int(i), f"{sizes[i]} atoms, more than {max_atoms}. Use the primitive cell or raise the limit"
    for i in np.flatnonzero(~np.isfinite(batch.lattices).all(axis=(1, 2))):
        yield int(i), "the cell holds a number that is not finite. Give all lattice parameters"
    owners = batch.owners
    for i in np.unique(owners[~np.isfinite(batch.frac_coords).all(axis=1)]):
        yield int(i), "a coordinate is not finite. Give three coordinates for each atom"
    with np.errstate(all="ignore"):
        wild = (np.abs(batch.frac_coords) > MAX_FRAC_COORD).any(axis=1)
    for i in np.unique(owners[wild]):
        yield int(i), f"a fractional coordinate beyond {MAX_FRAC_COORD:g}. Check whether they are Cartesian"
    for atom in np.flatnonzero((batch.atomic_numbers < 1) | (batch.atomic_numbers > MAX_ATOMIC_NUMBER)):
        z = batch.atomic_numbers[atom]
        yield int(owners[atom]), f"atomic number {z} is no element. Use real elements, Z from 1 to {MAX_ATOMIC_NUMBER}"
    yield from _cell_faults(batch)


def _cell_faults(batch: CrystalBatch) -> Iterator[tuple[int, str]]:
    volumes, heights = _volumes_and_heights(batch.lattices)
    with np.errstate(all="ignore"):
        per_atom = volumes / batch.n_atoms
    for i in np.flatnonzero(~(volumes > _NO_VOLUME_A3)):
        yield int(i), "the cell has no volume. Check lengths and angles"
    for i in np.flatnonzero(per_atom < MIN_VOLUME_A3_PER_ATOM):
        limit = f"below {MIN_VOLUME_A3_PER_ATOM:g}"
        yield int(i), f"{per_atom[i]:.3g} cubic angstrom per atom, {limit}. Check the unit of the cell (angstrom)"
    for i in np.flatnonzero(per_atom > MAX_VOLUME_A3_PER_ATOM):
        limit = f"above {MAX_VOLUME_A3_PER_ATOM:g}"
        yield int(i), f"{per_atom[i]:.4g} cubic angstrom per atom, {limit}. It is a molecule in a box or lacks atoms"
    for i in np.flatnonzero(~(heights.min(axis=1) > MIN_CELL_HEIGHT_A)):
        yield int(i), f"lattice planes {heights[i].min():.2g} A apart. Use a reduced cell"


def _volumes_and_heights(lattices: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Volumes, shape (B,), and spacings of the three lattice-plane families, shape (B, 3), angstrom."""
    with np.errstate(all="ignore"):
        a, b, c = lattices[:, 0], lattices[:, 1], lattices[:, 2]
        normals = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)
        volumes = np.abs(np.einsum("bi,bi->b", a, normals[:, 0]))
        return volumes, volumes[:, None] / np.linalg.norm(normals, axis=2)


def _distance_faults(batch: CrystalBatch) -> Iterator[tuple[int, str]]:
    suspects = np.flatnonzero(~_surely_apart(batch))
    if not len(suspects):
        return
    from onnes.crystals.neighbours import neighbour_edges  # vesin imports torch where it is installed

    close = batch.select(suspects)
    pairs, vectors, owners = neighbour_edges(close, MIN_DISTANCE_A)
    lengths = np.linalg.norm(vectors, axis=1)
    for edge in np.lexsort((lengths, owners)):
        crystal = int(owners[edge])
        first, second = (int(k) for k in np.sort(pairs[:, edge] - close.offsets[crystal]) + 1)
        who = f"atoms {first} and {second}" if first != second else f"atom {first} and its periodic image"
        limit = f"closer than {MIN_DISTANCE_A:g}"
        yield int(suspects[crystal]), f"{who} are {lengths[edge]:.3f} A apart, {limit}. Remove or move one of them"


def _surely_apart(batch: CrystalBatch) -> NDArray[np.bool_]:
    """Tell which crystals need no neighbour search, shape (B,).

    Two points whose k-th fractional coordinates differ by d (to the nearest integer) lie at least d times the
    spacing of the k-th lattice planes apart. This settles nearly all crystals in one vectorised step.
    """
    _, heights = _volumes_and_heights(batch.lattices)
    apart: NDArray[np.bool_] = np.all(heights >= MIN_DISTANCE_A, axis=1)
    sizes = batch.n_atoms
    for n in np.unique(sizes[sizes > 1]):
        upper = np.triu_indices(n, k=1)
        rows = np.flatnonzero((sizes == n) & apart)
        step = max(1, _PAIR_CHUNK // len(upper[0]))
        for start in range(0, len(rows), step):
            chunk = rows[start : start + step]
            frac = batch.frac_coords[batch.offsets[chunk][:, None] + np.arange(n)]
            delta = frac[:, upper[0]] - frac[:, upper[1]]
            delta -= np.round(delta)
            bound = (np.abs(delta) * heights[chunk][:, None, :]).max(axis=2)
            apart[chunk] = bound.min(axis=1) >= MIN_DISTANCE_A
    return apart


def occupancies_of(rows: Sequence[Sequence[dict[str, Any]]]) -> Occupancies:
    """Turn the table's ``site_occupancies`` value into (atomic number, occupancy) pairs.

    Examples
    --------
    >>> occupancies_of([[{"Z": 41, "occupancy": 0.5}]])
    [[(41, 0.5)]]
    """
    return [[(int(entry["Z"]), float(entry["occupancy"])) for entry in site] for site in rows]
