"""Partial substitution on Wyckoff sites by neighbours in the periodic table (BEE-NET, 2025)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import concat
from onnes.errors import ConfigError, CrystalError
from onnes.propose import assignments
from onnes.propose.colouring import site_maps
from onnes.propose.parents import Parent, carrying, usable_parents, with_error
from onnes.propose.periodic import (
    DEFAULT_EXCLUDED,
    NOBLE_GASES,
    atomic_number,
    atomic_numbers,
    neighbours,
    symbol_of,
)
from onnes.propose.pseudosymmetry import distinct_colourings, pseudosymmetry
from onnes.propose.rows import Proposal, encode, plain_formula, proposal_table
from onnes.propose.sites import WyckoffSites, wyckoff_sites
from onnes.propose.uniqueness import Uniqueness

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray
    from pymatgen.core import Structure

    Ints = NDArray[np.int64]

MAX_ATOMS = 12  # the models of Tc have seen cells up to this size
MAX_LISTED = 200_000  # assignments of one parent that are listed; beyond, a limit is needed and they are drawn
_CHUNK = 2_000


@dataclass(frozen=True)
class _Settings:
    fixed: frozenset[int]
    banned: frozenset[int]
    max_atoms: int
    max_substituted: int | None
    limit: int | None
    seed: int


@dataclass(frozen=True, eq=False)
class _Plan:
    """A parent and the elements that its orbits shall carry, shape (candidates, orbits)."""

    parent: Parent
    elements: Ints

    def proposal(self, row: int) -> Proposal:
        return _substituted(self.parent.sites, self.elements[row], self.parent.id)


def neighbour_substitutions(
    parents: pa.Table,
    *,
    fixed_elements: Collection[str] = (),
    exclude: Collection[str] = DEFAULT_EXCLUDED,
    max_atoms: int = MAX_ATOMS,
    max_substituted: int | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> pa.Table:
    """Replace elements of parent crystals, orbit by orbit, by their neighbours in the periodic table.

    Each occupied Wyckoff orbit of the parent's primitive cell keeps its element or takes one of the up to eight that
    surround it in the table (`onnes.propose.periodic.neighbours`), in every combination but the parent itself.
    Combinations that the symmetry of the bare sites, or what comes near it
    (`onnes.propose.pseudosymmetry.pseudosymmetry`), makes equal are proposed once, and a crystal with the prototype
    label of another parent, or of another parent's candidate, is left out. The cell keeps its shape and takes the
    volume that the atomic radii suggest, fractional coordinates stay.

    Parameters
    ----------
    parents
        Crystal table. Rejected rows are skipped.
    fixed_elements
        Elements of the parent that stay (the search that found Be2Hf2Nb fixed the light ones, Be among them).
    exclude
        Elements that are not put in; noble gases and what lies beyond uranium never are. What the parent holds may
        stay.
    max_atoms
        Largest primitive cell of a parent.
    max_substituted
        Most orbits to change at once; all by default.
    limit
        Most candidates; a random sample is drawn if there are more.
    seed
        Of that sample: the same seed and parents give the same table.

    Returns
    -------
    Crystal table in the order of the parents, then fewest changed orbits, then formula. ``how`` can be replayed
    (`replay_neighbour`); a candidate that fails validation carries ``error``. Parents that cannot be used come first,
    with their ``error``.

    Raises
    ------
    ConfigError
        For something that is no element, for a bad limit, or when a parent has more than `MAX_LISTED` combinations and
        there is no limit.

    Examples
    --------
    >>> from onnes.crystals.known import known_table
    >>> found = neighbour_substitutions(known_table(["Be2Nb3"]), fixed_elements=["Be"])
    >>> found.num_rows
    80
    """
    if (limit is not None and limit < 1) or (max_substituted is not None and max_substituted < 1):
        raise ConfigError("limit and max_substituted count crystals and orbits; give 1 or more, or leave them out")
    banned = atomic_numbers(exclude) | atomic_numbers(NOBLE_GASES)
    settings = _Settings(atomic_numbers(fixed_elements), banned, max_atoms, max_substituted, limit, seed)
    plans, unusable = _planned(parents, settings)
    return concat([*unusable, *_collect(plans, limit, seed)] or [parents.slice(0, 0)])


def replay_neighbour(parent: Structure, how: str) -> Structure:
    """Make a candidate again from its parent and its ``how``.

    Parameters
    ----------
    parent
        The parent in the geometry that its table row has. Written in another setting it gives the same crystal as
        long as its sites bear the same names there, which a shift of origin can exchange.
    how
        Column ``how`` of the candidate.

    Raises
    ------
    CrystalError
        When the parent has no site of a name that ``how`` mentions: it is another crystal or another geometry.

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> made = replay_neighbour(known_crystal("Be2Nb3"), '{"op":"neighbour","sites":{"4h":"Hf"}}')
    >>> made.composition.alphabetical_formula
    'Be4 Hf4 Nb2'
    """
    batch = CrystalBatch.from_structures([parent])
    sites = wyckoff_sites(*batch.crystal(0))
    elements = sites.elements.copy()
    for name, symbol in json.loads(how)["sites"].items():
        if name not in sites.names:
            raise CrystalError(f"the parent has no site {name}, only {', '.join(sites.names)}; give the parent it was")
        elements[sites.names.index(name)] = atomic_number(symbol)
    made = _substituted(sites, elements, None)
    return CrystalBatch.of([(made.lattice, made.frac_coords, made.atomic_numbers)]).to_structures()[0]


def _planned(parents: pa.Table, settings: _Settings) -> tuple[list[_Plan], list[pa.Table]]:
    """Plans of the usable parents, and the other parents with errors."""
    plans: list[_Plan] = []
    usable, unusable = usable_parents(parents, max_atoms=settings.max_atoms)
    for parent in usable:
        try:
            plans.append(_Plan(parent, _choices(parent.sites, settings)))
        except CrystalError as error:
            unusable.append(with_error(parents, parent, error))
        except ConfigError as error:
            raise ConfigError(f"parent {parent.id}: {error}") from error
    return plans, unusable


def _choices(sites: WyckoffSites, settings: _Settings) -> Ints:
    """Elements on the orbits of each distinct candidate, in the order of the result; shape (candidates, orbits)."""
    alternatives = [
        []
        if own in settings.fixed
        else [z for z in map(atomic_number, neighbours(symbol_of(own))) if z not in settings.banned]
        for own in sites.elements.tolist()
    ]
    free = sum(bool(options) for options in alternatives)
    most = free if settings.max_substituted is None else min(free, settings.max_substituted)
    total, limit = assignments.count(alternatives, most), settings.limit
    if total == 0:
        raise CrystalError("no site can be substituted; fix or exclude fewer elements")
    if total <= MAX_LISTED:
        found = assignments.listed(sites.elements, alternatives, most)
    elif limit is None or 4 * limit > total:
        raise ConfigError(f"{total} ways to substitute; set a limit or max_substituted")
    else:
        random = Random(settings.seed)
        # Twice the limit: some are equal by symmetry or belong to another parent.
        found = assignments.drawn(sites.elements, alternatives, most, 2 * limit, random)
    return _in_order(_distinct(found, sites), sites)


def _distinct(found: Ints, sites: WyckoffSites) -> Ints:
    colours = np.vstack([sites.elements, found])[:, sites.orbit_of_site]
    maps = site_maps(sites.lattice, sites.frac_coords, np.arange(len(sites.frac_coords)))
    near = pseudosymmetry(sites.lattice, sites.frac_coords).maps
    kept = distinct_colourings(colours, maps, near)
    return found[kept[kept > 0] - 1]


def _in_order(found: Ints, sites: WyckoffSites) -> Ints:
    changed = (found != sites.elements).sum(axis=1)
    formulas = [plain_formula(np.repeat(row, sites.multiplicities).tolist()) for row in found]
    order = sorted(range(len(found)), key=lambda i: (changed[i], formulas[i], found[i].tolist()))
    return found[order]


def _substituted(sites: WyckoffSites, elements: Ints, parent_id: str | None) -> Proposal:
    changed = np.flatnonzero(elements != sites.elements)
    how = encode({"op": "neighbour", "sites": {sites.names[j]: symbol_of(int(elements[j])) for j in changed}})
    return Proposal(*carrying(sites, elements), parent_id, how)


def _collect(plans: Sequence[_Plan], limit: int | None, seed: int) -> Iterator[pa.Table]:
    """Build the candidates of all plans, leaving out what two parents share."""
    wanted = [(p, row) for p, plan in enumerate(plans) for row in range(len(plan.elements))]
    if limit is not None and limit < len(wanted):
        Random(seed).shuffle(wanted)
    kept: list[tuple[int, int]] = []
    tables: list[pa.Table] = []
    unique = Uniqueness({plan.parent.label: p for p, plan in reversed(list(enumerate(plans)))})
    start = 0
    while start < len(wanted) and (limit is None or len(kept) < limit):
        size = _CHUNK if limit is None else min(_CHUNK, limit - len(kept))
        chunk = wanted[start : start + size]
        start += size
        table = proposal_table([plans[p].proposal(row) for p, row in chunk], source="neighbour")
        new = unique.first_of(table, [p for p, _ in chunk])
        tables.append(table.filter(new))
        kept += [pair for pair, is_new in zip(chunk, new, strict=True) if is_new]
    if kept:
        order = sorted(range(len(kept)), key=kept.__getitem__)
        yield concat(tables).take(order)
