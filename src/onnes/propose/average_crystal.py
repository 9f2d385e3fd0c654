"""A crystal with partly occupied sites: its primitive cell, its sublattices, the ordered cells it stands for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from math import prod
from typing import TYPE_CHECKING

import moyopy
import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.parsed import FULL
from onnes.crystals.schema import values
from onnes.crystals.symbols import atomic_number
from onnes.crystals.validation import occupancies_of
from onnes.errors import CrystalError
from onnes.propose.periodic import symbol_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray
    from pymatgen.core import Structure

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

VACANCY = 0
"""Stands in species lists where there is no atom."""
SYMPREC_A = 0.01
_SLACK = 1e-3  # of a count, against occupancies written with four digits
_MAX_ROUNDINGS = 10_000
_SHARE_DIGITS = 4  # occupancies that agree so far make one sublattice

Content = tuple[tuple[int, float], ...]
"""(atomic number, share) of what is on a site, vacancies included; the shares sum to 1."""


@dataclass(frozen=True, eq=False)
class AverageCrystal:
    """A crystal whose sites hold averages, in its standardised primitive cell.

    Attributes
    ----------
    lattice, frac_coords
        Shapes (3, 3) in angstrom with vectors as rows, and (n, 3).
    kind_of_site
        Index into `contents` of each site, shape (n,). Sites with the same species and shares are one kind, a
        sublattice, whether or not symmetry joins them.
    contents
        What is on the sites of each kind.
    """

    lattice: Floats
    frac_coords: Floats
    kind_of_site: Ints
    contents: tuple[Content, ...]

    @classmethod
    def from_row(cls, row: pa.Table) -> AverageCrystal:
        """From a table of one row with ``site_occupancies``; raises CrystalError without them."""
        occupancies = values(row, "site_occupancies")[0]
        if occupancies is None:
            raise CrystalError("no partly occupied site, so there is nothing to order")
        lattice = np.array(values(row, "lattice")[0], float).reshape(3, 3)
        frac = np.array(values(row, "frac_coords")[0], float).reshape(-1, 3)
        return cls._of(lattice, frac, [_content(site) for site in occupancies_of(occupancies)])

    @classmethod
    def from_structure(cls, structure: Structure) -> AverageCrystal:
        """From a pymatgen structure."""
        sites = [[(atomic_number(s.symbol), float(x)) for s, x in site.species.items()] for site in structure]
        return cls._of(structure.lattice.matrix, structure.frac_coords, [_content(site) for site in sites])

    @classmethod
    def _of(cls, lattice: Floats, frac: Floats, sites: list[Content]) -> AverageCrystal:
        contents = tuple(sorted(set(sites)))
        kinds = np.array([contents.index(site) for site in sites], np.int64)
        try:
            # Kinds stand in as atomic numbers from 1 on.
            cell = moyopy.Cell(lattice.tolist(), (frac - np.floor(frac)).tolist(), (kinds + 1).tolist())
            primitive = moyopy.MoyoDataset(cell, symprec=SYMPREC_A).prim_std_cell
        except (ValueError, RuntimeError) as error:
            raise CrystalError(f"no symmetry found ({error}); check the coordinates") from error
        found = np.array(primitive.numbers, np.int64) - 1
        return cls(np.array(primitive.basis), np.array(primitive.positions) % 1.0, found, contents)

    @cached_property
    def mixed_kinds(self) -> list[int]:
        """Kinds that hold more than one species, or vacancies beside one."""
        return [k for k, content in enumerate(self.contents) if len(content) > 1]

    @cached_property
    def mixed_sites(self) -> Ints:
        """Sites of the primitive cell whose kind is mixed."""
        return np.flatnonzero(np.isin(self.kind_of_site, self.mixed_kinds))

    @cached_property
    def n_operations(self) -> int:
        """Symmetry operations in one primitive cell."""
        return count_operations(self.lattice, self.frac_coords, self.kind_of_site + 1)

    def counts(self, n_cells: int) -> dict[int, Ints]:
        """Atoms of each species of each mixed kind in ``n_cells`` primitive cells.

        Every count is the share rounded down or up. Of all ways the one with the composition nearest to that of the
        crystal is taken, of those the one with the occupancies nearest to the given ones.
        """
        wanted = {
            kind: np.array([share for _, share in self.contents[kind]])
            * n_cells
            * int((self.kind_of_site == kind).sum())
            for kind in self.mixed_kinds
        }
        ways = [list(_roundings(amounts)) for amounts in wanted.values()]
        if prod(len(options) for options in ways) > _MAX_ROUNDINGS:
            ways = [options[:1] for options in ways]
        chosen = min(product(*ways), key=lambda way: self._error(dict(zip(wanted, way, strict=True)), n_cells))
        return dict(zip(wanted, chosen, strict=True))

    def deviations(self, n_cells: int) -> tuple[float, float]:
        """How far a cell of so many primitive cells is off: amounts of the elements in atoms a site, and occupancies.

        The largest change of each.
        """
        composition, _, occupancy = self._error(self.counts(n_cells), n_cells)
        return composition, occupancy

    def _error(self, counts: dict[int, Ints], n_cells: int) -> tuple[float, float, float]:
        off: dict[int, float] = {}
        squares = worst = 0.0
        for kind, numbers in counts.items():
            for (z, share), count in zip(self.contents[kind], numbers.tolist(), strict=True):
                apart = count / numbers.sum() - share
                off[z] = off.get(z, 0.0) + count - share * numbers.sum()
                squares += apart**2
                worst = max(worst, abs(apart))
        sites = n_cells * len(self.kind_of_site)
        composition = max(map(abs, off.values()), default=0.0) / sites
        return round(composition, 9), round(squares, 9), round(worst, 9)

    def n_atoms(self, n_cells: int) -> int:
        """Atoms in so many primitive cells, vacancies not counted."""
        full = n_cells * (len(self.kind_of_site) - len(self.mixed_sites))
        species = {kind: np.array([z for z, _ in self.contents[kind]]) for kind in self.mixed_kinds}
        counts = self.counts(n_cells)
        return full + sum(int(counts[kind][species[kind] != VACANCY].sum()) for kind in self.mixed_kinds)

    def supercell(self, cell: Ints) -> tuple[Floats, Floats, Ints]:
        """Sites of a supercell, always in the same order.

        Parameters
        ----------
        cell
            Supercell vectors in units of the primitive ones, rows, shape (3, 3).

        Returns
        -------
        Lattice (3, 3), frac_coords (m, 3), and the site of the primitive cell that each one repeats, shape (m,).
        """
        from ase.build.supercells import lattice_points_in_supercell

        # The points are exact multiples of 1/det; what rounding leaves would disturb symmetry searches.
        volume = abs(round(float(np.linalg.det(cell))))
        points = np.round(lattice_points_in_supercell(cell) * volume) / volume
        inner = self.frac_coords @ np.linalg.inv(cell)
        frac = (points[:, None] + inner[None]).reshape(-1, 3) % 1.0
        return cell @ self.lattice, frac, np.tile(np.arange(len(inner)), len(points))

    def ordered(self, cell: Ints, species: Ints) -> tuple[Floats, Floats, Ints]:
        """An ordered cell.

        Parameters
        ----------
        cell
            As for `supercell`.
        species
            Atomic number, or `VACANCY`, on each mixed site in the order of `supercell`.

        Returns
        -------
        Lattice (3, 3), frac_coords (n, 3), atomic_numbers (n,), vacancies left out.

        Raises
        ------
        CrystalError
            When the number of species is not that of the mixed sites: another parent.
        """
        lattice, frac, owners = self.supercell(cell)
        mixed = np.isin(owners, self.mixed_sites)
        if int(mixed.sum()) != len(species):
            raise CrystalError(
                f"{len(species)} species for {mixed.sum()} mixed sites; give the parent it was made from"
            )
        numbers = np.array([self.contents[k][0][0] for k in self.kind_of_site], np.int64)[owners]
        numbers[mixed] = species
        there = numbers != VACANCY
        return lattice, frac[there], numbers[there]


def _content(site: Sequence[tuple[int, float]]) -> Content:
    shares: dict[int, float] = {}
    for z, share in site:
        shares[z] = shares.get(z, 0.0) + share
    total = sum(shares.values())
    if total < 1 - FULL:
        shares[VACANCY] = 1 - total
    else:  # a little too full, as rounded occupancies are
        shares = {z: share / total for z, share in shares.items()}
    return tuple(sorted((z, round(share, _SHARE_DIGITS)) for z, share in shares.items()))


def _roundings(wanted: Floats) -> Iterator[Ints]:
    """Whole numbers of the same sum, each rounded down or up; the nearest ones first."""
    down = np.floor(wanted + _SLACK).astype(np.int64)
    short = round(float(wanted.sum())) - int(down.sum())
    fractional = np.flatnonzero(wanted - down > _SLACK)
    for raised in combinations(sorted(fractional, key=lambda i: down[i] - wanted[i]), short):
        yield down + np.isin(np.arange(len(down)), raised)


def count_operations(lattice: Floats, frac: Floats, numbers: Ints) -> int:
    """Symmetry operations of a cell, translations inside it included."""
    cell = moyopy.Cell(lattice.tolist(), frac.tolist(), numbers.tolist())
    return len(moyopy.MoyoDataset(cell, symprec=SYMPREC_A).operations)


def species_text(species: Ints) -> str:
    """Species as one string, a vacancy as a dash.

    Examples
    --------
    >>> species_text(np.array([41, 40, 0]))
    'Nb Zr -'
    """
    return " ".join(symbol_of(int(z)) if z != VACANCY else "-" for z in species)


def species_of_text(text: str) -> Ints:
    """Undo `species_text`.

    Examples
    --------
    >>> species_of_text("Nb Zr -").tolist()
    [41, 40, 0]
    """
    return np.array([VACANCY if word == "-" else atomic_number(word) for word in text.split()], np.int64)


def replay_disorder(parent: Structure, how: str) -> Structure:
    """Make an ordered cell again from its parent, in the geometry that its table row has, and its ``how``.

    Raises
    ------
    CrystalError
        When the parent is not the one that the cell was made from.

    Examples
    --------
    >>> from pymatgen.core import Lattice, Structure
    >>> bcc = Structure.from_spacegroup("Im-3m", Lattice.cubic(3.3), [{"Nb": 0.5, "Zr": 0.5}], [[0, 0, 0]])
    >>> how = '{"cell":[[1,0,0],[0,1,0],[0,0,2]],"op":"disorder","species":"Nb Zr"}'
    >>> replay_disorder(bcc, how).composition.alphabetical_formula
    'Nb1 Zr1'
    """
    operation = json.loads(how)
    crystal = AverageCrystal.from_structure(parent)
    made = crystal.ordered(np.array(operation["cell"], np.int64), species_of_text(operation["species"]))
    return CrystalBatch.of([made]).to_structures()[0]
