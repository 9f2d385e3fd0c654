"""Symmetry-aware partial substitution: one to all atoms of an element, each arrangement once (GNoME, 2023)."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import concat, with_columns
from onnes.errors import ConfigError, CrystalError
from onnes.propose.oxidation import can_balance
from onnes.propose.parents import Parent, rescaled, usable_parents, with_error
from onnes.propose.periodic import DEFAULT_EXCLUDED, atomic_number, atomic_numbers, symbol_of
from onnes.propose.replacement import Score, allowed_elements, replacement_probabilities
from onnes.propose.rows import Proposal, encode, proposal_table
from onnes.propose.sites import wyckoff_sites
from onnes.propose.subsets import distinct_subsets
from onnes.propose.supercells import distinct_supercells, repeated, translation_images
from onnes.propose.uniqueness import Uniqueness

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import pyarrow as pa
    from numpy.typing import NDArray
    from pymatgen.core import Structure

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

SOURCE = "saps"
MAX_ATOMS = 12  # the models of Tc have seen cells up to this size
THRESHOLD = 1e-3
_CHUNK = 1_000


@dataclass(frozen=True)
class _Settings:
    allowed: Flags
    fixed: frozenset[int]
    score: Score
    threshold: float
    max_atoms: int
    max_cells: int
    charge_balanced: bool
    seed: int


@dataclass(frozen=True, eq=False)
class _Cell:
    """A parent in one of its cells: supercell vectors (3, 3), geometry, and the primitive site of each atom."""

    parent: Parent
    vectors: Ints
    lattice: Floats
    frac_coords: Floats
    site: Ints

    @classmethod
    def of(cls, parent: Parent, vectors: Ints) -> _Cell:
        return cls(parent, vectors, *repeated(parent.sites.lattice, parent.sites.frac_coords, vectors))

    @property
    def orbits(self) -> Ints:
        return self.parent.sites.orbit_of_site[self.site]

    @property
    def numbers(self) -> Ints:
        return self.parent.sites.elements[self.orbits]

    def replaced(self, atoms: Ints, number: int) -> Proposal:
        """The crystal with another element on some atoms."""
        numbers = self.numbers
        operation: dict[str, object] = {"op": SOURCE, "element": symbol_of(number), "atoms": _named(self, atoms)}
        if len(self.site) > len(self.parent.sites.frac_coords):
            operation["cell"] = self.vectors.tolist()
        after = numbers.copy()
        after[atoms] = number
        lattice = rescaled(self.lattice, numbers, after)
        return Proposal(lattice, self.frac_coords, after, self.parent.id, encode(operation))


@dataclass(frozen=True, eq=False)
class _Plan:
    """A parent and its likely replacements: (element there, new element, probability); and the sets of atoms in its cells.

    The sets of each element come by size of the cell, then by number of atoms.
    """

    parent: Parent
    replacements: list[tuple[int, int, float]]
    subsets: dict[int, list[tuple[_Cell, Ints]]]


def saps_candidates(
    parents: pa.Table,
    *,
    elements: Collection[str] | None = None,
    fixed_elements: Collection[str] = (),
    exclude: Collection[str] = DEFAULT_EXCLUDED,
    score: Score = "observed",
    threshold: float = THRESHOLD,
    max_atoms: int = MAX_ATOMS,
    max_cells: int = 1,
    charge_balanced: bool = False,
    limit: int | None = None,
    seed: int = 0,
) -> pa.Table:
    """Replace one, some or all atoms of an element of parent crystals by an element that they lack.

    Substitution of whole elements never turns A2B2X6 into the double perovskite A2BB'X6; this does. For each element of
    the parent, each element that may take its place, and each number of atoms from one to all, every set of atoms is
    taken once up to the symmetry of the bare sites: whole Wyckoff orbits, and parts of them (Merchant et al., Nature
    624, 80 (2023), where the method is called SAPS). The cell takes the volume that the atomic radii suggest, fractional
    coordinates stay.

    Parameters
    ----------
    parents
        Crystal table. Rejected rows are skipped.
    elements
        What may be put in; all elements by default.
    fixed_elements
        Elements of the parents that stay.
    exclude
        Elements that are not put in; noble gases and what lies beyond uranium never are.
    score
        Where the probabilities come from (`onnes.propose.replacement.Score`).
    threshold
        Replacements with a probability above it are made; 0 takes every element with any.
    max_atoms
        Largest cell.
    max_cells
        Largest number of primitive cells in it. All supercells that the symmetry of the parent does not make equal are
        filled.
    charge_balanced
        Keep only compositions in which common oxidation states, one for each element, sum to zero.
    limit
        Most candidates: the likeliest replacements.
    seed
        Of the sets that are drawn where an element has too many atoms to list all
        (`onnes.propose.subsets.distinct_subsets`): the same seed and parents give the same table.

    Returns
    -------
    Crystal table, the largest ``proposal_score`` first: the probability of the replacement, whatever the number of atoms;
    within a replacement the smallest cell and the fewest atoms first. ``how`` can be replayed (`replay_saps`); a
    candidate that fails validation carries ``error``. A crystal that two parents give appears once. Parents that cannot
    be used come first, with their ``error``.

    Raises
    ------
    ConfigError
        For something that is no element, an unknown score, or a bad limit, threshold or number of cells.

    Examples
    --------
    >>> from onnes.crystals.known import known_table
    >>> found = saps_candidates(known_table(["Nb3Sn"]), elements=["V"], fixed_elements=["Sn"])
    >>> found["reduced_formula"].to_pylist()[:3]
    ['Nb5VSn2', 'Nb2VSn', 'Nb2VSn']
    """
    if (limit is not None and limit < 1) or max_cells < 1:
        raise ConfigError("limit and max_cells count crystals and cells; give 1 or more")
    if not 0 <= threshold < 1:
        raise ConfigError(f"threshold is a probability, not {threshold}")
    settings = _Settings(
        allowed_elements(elements, exclude),
        atomic_numbers(fixed_elements),
        score,
        threshold,
        max_atoms,
        max_cells,
        charge_balanced,
        seed,
    )
    usable, others = usable_parents(parents, max_atoms=max_atoms)
    plans: list[_Plan] = []
    for parent in usable:
        try:
            plans.append(_planned(parent, settings))
        except CrystalError as error:
            others.append(with_error(parents, parent, error))
    return concat([*others, *_tables(plans, settings, limit)] or [parents.slice(0, 0)])


def replay_saps(parent: Structure, how: str) -> Structure:
    """Make a candidate again from its parent, in the geometry that its table row has, and its ``how``.

    Raises
    ------
    CrystalError
        When the parent has no site, or not so many atoms on it, as ``how`` mentions: it is another crystal or geometry.

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> made = replay_saps(known_crystal("Nb3Sn"), '{"atoms":{"6c":[1,2,3]},"element":"V","op":"saps"}')
    >>> made.composition.alphabetical_formula
    'Nb3 Sn2 V3'
    """
    operation = json.loads(how)
    sites = wyckoff_sites(*CrystalBatch.from_structures([parent]).crystal(0))
    cell = _Cell.of(Parent("", "", sites), np.array(operation.get("cell", np.eye(3)), np.int64))
    atoms: list[int] = []
    for name, places in operation["atoms"].items():
        members = np.flatnonzero(cell.orbits == sites.names.index(name)) if name in sites.names else np.zeros(0, int)
        if max(places) > len(members):
            raise CrystalError(f"the parent has {len(members)} atoms on {name}; give the parent it was")
        atoms += members[np.array(places) - 1].tolist()
    made = cell.replaced(np.array(atoms), atomic_number(operation["element"]))
    return CrystalBatch.of([(made.lattice, made.frac_coords, made.atomic_numbers)]).to_structures()[0]


def _named(cell: _Cell, atoms: Ints) -> dict[str, list[int]]:
    """Atoms as the name of their orbit and their places on it, counted from 1."""
    named: dict[str, list[int]] = {}
    for orbit in np.unique(cell.orbits[atoms]).tolist():
        members = np.flatnonzero(cell.orbits == orbit)
        named[cell.parent.sites.names[orbit]] = (np.flatnonzero(np.isin(members, atoms)) + 1).tolist()
    return named


def _planned(parent: Parent, settings: _Settings) -> _Plan:
    sites = parent.sites
    numbers = sites.elements[sites.orbit_of_site]
    amounts = dict(Counter(numbers.tolist()))
    structure = CrystalBatch.of([(sites.lattice, sites.frac_coords, numbers)]).to_structures()[0]
    probabilities = replacement_probabilities(amounts, settings.score, structure)
    replacements: list[tuple[int, int, float]] = []
    for own in sorted(set(amounts) - settings.fixed):
        row = np.where(settings.allowed, probabilities[own], 0.0)
        row[list(amounts)] = 0.0
        replacements += [(own, z, float(row[z])) for z in np.flatnonzero(row > settings.threshold).tolist()]
    if not replacements:
        raise CrystalError("no element is likely enough to replace one of it; lower the threshold or fix fewer")
    subsets: dict[int, list[tuple[_Cell, Ints]]] = {own: [] for own in amounts}
    for n_cells in range(1, min(settings.max_cells, settings.max_atoms // len(numbers)) + 1):
        found: dict[int, list[tuple[_Cell, Ints]]] = {own: [] for own in amounts}
        for vectors in distinct_supercells(sites.lattice, sites.frac_coords, numbers, n_cells):
            cell = _Cell.of(parent, vectors)
            images = translation_images(cell.frac_coords, cell.site)
            geometry = cell.lattice, cell.frac_coords, cell.numbers
            for own, chosen in distinct_subsets(*geometry, cell.orbits, images, seed=settings.seed).items():
                found[own] += [(cell, atoms) for atoms in chosen]
        for own, pairs in found.items():
            subsets[own] += sorted(pairs, key=lambda pair: len(pair[1]))
    return _Plan(parent, replacements, subsets)


def _choices(plans: list[_Plan], settings: _Settings) -> Iterator[tuple[int, float, Proposal]]:
    """Index of the parent, probability and crystal of each candidate, the likeliest replacement first."""
    queue = sorted(
        (-probability, index, own, number)
        for index, plan in enumerate(plans)
        for own, number, probability in plan.replacements
    )
    for negative, index, own, number in queue:
        for cell, atoms in plans[index].subsets[own]:
            if not settings.charge_balanced or _balances(cell, atoms, number):
                yield index, -negative, cell.replaced(atoms, number)


def _balances(cell: _Cell, atoms: Ints, number: int) -> bool:
    counts = Counter(cell.numbers.tolist())
    counts[int(cell.numbers[atoms[0]])] -= len(atoms)
    counts[number] += len(atoms)
    return can_balance(tuple(sorted((z, n) for z, n in counts.items() if n)))


def _tables(plans: list[_Plan], settings: _Settings, limit: int | None) -> Iterator[pa.Table]:
    """Build the candidates in order, leaving out what two parents share."""
    unique = Uniqueness({plan.parent.label: index for index, plan in reversed(list(enumerate(plans)))})
    choices = _choices(plans, settings)
    left = limit
    while left is None or left > 0:
        chunk = list(islice(choices, _CHUNK if left is None else min(left, _CHUNK)))
        if not chunk:
            return
        indices, scores, proposals = zip(*chunk, strict=True)
        table = with_columns(proposal_table(proposals, source=SOURCE), {"proposal_score": scores})
        table = table.filter(unique.first_of(table, indices))
        if left is not None:
            left -= table.num_rows
        yield table
