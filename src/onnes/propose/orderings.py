"""Ways to put atoms and vacancies in order on partly occupied sites: all of them up to symmetry, or quasi-random (icet)."""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import dataclass
from itertools import product
from math import comb, log10, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.errors import ConfigError, CrystalError
from onnes.propose.average_crystal import SYMPREC_A, AverageCrystal, count_operations
from onnes.propose.periodic import symbol_of

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

MAX_LABELINGS = 100_000  # looked through in one enumeration, some ten thousand a second
_PAIR_CUTOFF, _TRIPLET_CUTOFF = 2.1, 1.3  # in distances of nearest mixed sites
_COMPACT_CELLS = 4
_SQS_STEPS = 4_000


@dataclass(frozen=True, eq=False)
class Ordering:
    """One ordered cell of an average crystal.

    Attributes
    ----------
    cell
        Supercell vectors in units of the primitive ones, rows, shape (3, 3), as short as they get.
    species
        On each mixed site, in the order of `onnes.propose.average_crystal.AverageCrystal.supercell`.
    degeneracy
        How many crystals the symmetry of the average crystal makes of it: its weight in a random alloy.
    """

    cell: Ints
    species: Ints
    degeneracy: int


def log10_labelings(crystal: AverageCrystal, n_cells: int) -> float:
    """Logarithm of the number of labelings in all supercells of a size, before symmetry."""
    divisors = [d for d in range(1, n_cells + 1) if n_cells % d == 0]
    supercells = sum(d * sum(e for e in range(1, d + 1) if d % e == 0) for d in divisors)
    ways = prod(_multinomial(counts.tolist()) for counts in crystal.counts(n_cells).values())
    return log10(supercells * ways)


def _multinomial(counts: list[int]) -> int:
    return prod(comb(sum(counts[: i + 1]), count) for i, count in enumerate(counts))


def enumerated(crystal: AverageCrystal, n_cells: int) -> list[Ordering]:
    """All ordered cells of ``n_cells`` primitive cells that symmetry does not make equal, none of them a repetition.

    By icet's implementation of Hart and Forcade, Phys. Rev. B 77, 224115 (2008) and 80, 014120 (2009).

    Raises
    ------
    ConfigError
        When icet is not installed.
    CrystalError
        When there are more than `MAX_LABELINGS` labelings to look through.
    """
    size = log10_labelings(crystal, n_cells)
    if size > log10(MAX_LABELINGS):
        raise CrystalError(
            f"about 10^{size:.0f} orderings of {n_cells} cells, more than {MAX_LABELINGS}; make the cells smaller, "
            "or use quasi-random ones (method sqs)"
        )
    labels = _Labels(crystal)
    counts = crystal.counts(n_cells)
    total = n_cells * len(crystal.kind_of_site)
    restrictions: dict[str, tuple[float, float]] = {}
    for kind, numbers in counts.items():
        for symbol, count in zip(labels.symbols[kind], numbers.tolist(), strict=True):
            restrictions[symbol] = ((count - 0.25) / total, (count + 0.25) / total)
    with _quiet_icet() as icet:
        found = list(
            icet.tools.enumerate_structures(
                labels.atoms,
                [n_cells],
                [list(labels.symbols[kind]) for kind in crystal.kind_of_site],
                concentration_restrictions=restrictions,
                niggli_reduce=False,
                symprec=SYMPREC_A,
                position_tolerance=1e-4,
            )
        )
    return [labels.ordering(atoms, degenerate=True) for atoms in found]


def quasi_random(crystal: AverageCrystal, n_cells: int, *, n: int, seed: int) -> list[Ordering]:
    """Special quasi-random cells (Zunger et al., Phys. Rev. Lett. 65, 353 (1990)) by simulated annealing in icet.

    Pairs up to 2.1 and triplets up to 1.3 times the distance of nearest mixed sites are made as random as the cell allows,
    in the most compact supercells of the size. Each has a degeneracy of 1.

    Parameters
    ----------
    crystal, n_cells
        Average crystal and number of its primitive cells.
    n, seed
        How many, each from a seed of its own; equal ones are not told apart here.

    Raises
    ------
    ConfigError
        When icet is not installed.
    """
    labels = _Labels(crystal)
    nearest = _nearest_mixed(crystal)
    allowed = [list(labels.symbols[kind]) for kind in crystal.kind_of_site]
    counts = crystal.counts(n_cells)
    with _quiet_icet() as icet:
        from icet.tools.structure_generation import generate_sqs_from_supercells

        space = icet.ClusterSpace(
            labels.atoms, [_PAIR_CUTOFF * nearest, _TRIPLET_CUTOFF * nearest], allowed, symprec=SYMPREC_A
        )
        cells = sorted(icet.tools.enumerate_supercells(labels.atoms, [n_cells]), key=_sprawl)[:_COMPACT_CELLS]
        targets: dict[str, dict[str, float]] = {}
        for sublattice in space.get_sublattices(cells[0]).active_sublattices:
            kind = labels.kind_of(sublattice.chemical_symbols)
            shares = (counts[kind] / counts[kind].sum()).tolist()
            targets[sublattice.symbol] = dict(zip(labels.symbols[kind], shares, strict=True))
        found = [
            generate_sqs_from_supercells(space, cells, targets, n_steps=_SQS_STEPS, random_seed=seed + i)
            for i in range(n)
        ]
    return [labels.ordering(atoms, degenerate=False) for atoms in found]


class _Labels:
    """A chemical symbol of its own for every species of every kind of site, vacancies included.

    So one element on two sublattices keeps the two apart, and vacancies need no special care.
    """

    def __init__(self, crystal: AverageCrystal) -> None:
        from ase import Atoms

        self.crystal = crystal
        pairs = [(kind, z) for kind, content in enumerate(crystal.contents) for z, _ in content]
        if len(pairs) > 100:
            raise CrystalError(f"{len(pairs)} species on the kinds of sites, more than can be told apart")
        self._pairs = {i + 1: pair for i, pair in enumerate(pairs)}
        self.symbols = [
            tuple(symbol_of(label) for label, pair in self._pairs.items() if pair[0] == kind)
            for kind in range(len(crystal.contents))
        ]
        first = [
            min(label for label, pair in self._pairs.items() if pair[0] == kind) for kind in range(len(self.symbols))
        ]
        numbers = np.array(first)[crystal.kind_of_site]
        self.atoms = Atoms(numbers, cell=crystal.lattice, scaled_positions=crystal.frac_coords, pbc=True)

    def kind_of(self, symbols: Any) -> int:
        """The kind that has these symbols."""
        return next(kind for kind, own in enumerate(self.symbols) if set(own) == set(symbols))

    def ordering(self, atoms: Atoms, *, degenerate: bool) -> Ordering:
        """What icet made, on the sites of the supercell in their own order."""
        from ase.geometry.minkowski_reduction import minkowski_reduce

        crystal = self.crystal
        raw = atoms.cell.array @ np.linalg.inv(crystal.lattice)
        cell = np.round(raw).astype(np.int64)
        if np.abs(raw - cell).max() > 1e-3:
            raise CrystalError("icet turned the cell; give the crystal in another setting")
        cell = np.asarray(minkowski_reduce(cell @ crystal.lattice)[1], np.int64) @ cell
        lattice, frac, owners = crystal.supercell(cell)
        there = atoms.positions @ np.linalg.inv(lattice)
        apart = frac[:, None] - there[None]
        distances = np.linalg.norm((apart - np.round(apart)) @ lattice, axis=2)
        labels = atoms.numbers[distances.argmin(axis=1)]
        mixed = np.isin(owners, crystal.mixed_sites)
        species = np.array([self._pairs[int(label)][1] for label in labels[mixed]], np.int64)
        if not degenerate:
            return Ordering(cell, species, 1)
        # Orbit and stabiliser: what the supercell keeps of the operations of the average crystal.
        n_cells = abs(round(float(np.linalg.det(cell))))
        kept = count_operations(lattice, frac, labels)
        return Ordering(cell, species, crystal.n_operations * n_cells // kept)


def _nearest_mixed(crystal: AverageCrystal) -> float:
    """Smallest distance between two mixed sites, images included, in angstrom."""
    frac = crystal.frac_coords[crystal.mixed_sites]
    images = np.array(list(product(range(-2, 3), repeat=3)))
    apart = frac[:, None, None] - frac[None, :, None] + images
    distances = np.linalg.norm(apart @ crystal.lattice, axis=3)
    return float(distances[distances > SYMPREC_A].min())


def _sprawl(atoms: Atoms) -> float:
    """Small for a compact cell: minus the smallest spacing of its lattice planes."""
    return -float((1 / np.linalg.norm(atoms.cell.reciprocal(), axis=1)).min())


@contextlib.contextmanager
def _quiet_icet() -> Any:
    """The package icet, its progress messages kept back."""
    try:
        import icet
        import icet.tools
    except ImportError as error:
        raise ConfigError(
            "ordered cells need the package icet; install it with: pip install 'onnes[generate]'"
        ) from error
    logging.getLogger("icet").setLevel(logging.ERROR)
    logging.getLogger("mchammer").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        yield icet
