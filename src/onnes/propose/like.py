"""Crystals like a given one: its own geometry as the structure type, its elements replaced by kindred ones."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING, Literal

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import concat, values, with_columns
from onnes.errors import ConfigError, CrystalError
from onnes.propose.colouring import canonical, site_maps
from onnes.propose.parents import Parent, carrying, parent_table, usable_parents
from onnes.propose.periodic import NOBLE_GASES, atomic_number, atomic_numbers, symbol_of
from onnes.propose.rows import Proposal, encode, proposal_table
from onnes.propose.similarity import element_distances
from onnes.propose.sites import wyckoff_sites

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa
    from numpy.typing import NDArray
    from pymatgen.core import Structure

    from onnes.propose.sites import WyckoffSites

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

MAX_ATOMS = 12  # the models of Tc have seen cells up to this size
MAX_DECORATIONS = 2_000_000  # of one parent; they are all compared
_CHUNK = 1_000


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Decorations of a parent, the most alike first: distances (k,), elements on the orbits (k, orbits)."""

    parent: Parent
    distances: Floats
    elements: Ints


def like_candidates(
    parents: pa.Table | Structure,
    elements: Sequence[str],
    *,
    fixed_elements: Collection[str] = (),
    slots: Literal["element", "site"] = "element",
    max_atoms: int = MAX_ATOMS,
    max_distance: float | None = None,
    limit: int | None = None,
) -> pa.Table:
    """Decorate the geometry of given crystals with allowed elements, the most alike first.

    The plausibility of a decoration is the root mean square over the atoms of
    `onnes.propose.similarity.element_distance` between the element that was there and the one that replaces it.

    Parameters
    ----------
    parents
        Crystal table, or one structure. Rejected rows are skipped.
    elements
        What may be put in. An element of a parent stays possible only if it is named here, or in ``fixed_elements``.
    fixed_elements
        Elements of the parents that stay where they are.
    slots
        What is replaced as a whole: "element", so that two elements never become one and one never becomes two, or
        "site", each Wyckoff orbit by itself.
    max_atoms
        Largest primitive cell of a parent.
    max_distance
        Leave out decorations farther than that.
    limit
        Most candidates: the best ones.

    Returns
    -------
    Crystal table, the smallest distance first. The cell keeps its shape and takes the volume that the
    atomic radii suggest. ``proposal_score`` is minus the distance, ``how`` can be replayed (`replay_like`). Decorations that the
    symmetry of the bare sites makes equal appear once, and so does a crystal that two parents give. Parents that cannot
    be used come first, with their ``error``; a candidate that fails validation carries ``error``.

    Raises
    ------
    ConfigError
        For something that is no element, a noble gas, a bad limit, or when a parent has more than `MAX_DECORATIONS`.

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> found = like_candidates(known_crystal("Nb3Sn"), ["V", "Ta", "Ga", "Ge"], limit=3)
    >>> found["reduced_formula"].to_pylist()
    ['Ta3Ga', 'Ta3Ge', 'V3Ga']
    """
    if limit is not None and limit < 1:
        raise ConfigError("limit counts crystals; give 1 or more, or leave it out")
    if not elements:
        raise ConfigError("name the elements that may be put in")
    noble = sorted(NOBLE_GASES & set(elements))
    if noble:
        raise ConfigError(f"noble gases make no metals; leave out {', '.join(noble)}")
    allowed, fixed = sorted(atomic_numbers(elements)), atomic_numbers(fixed_elements)
    table = parent_table(parents)
    usable, others = usable_parents(table, max_atoms=max_atoms)
    ranked: list[_Ranked] = []
    for parent in usable:
        try:
            ranked.append(_ranked(parent, allowed, fixed, slots, max_distance))
        except ConfigError as error:
            raise ConfigError(f"parent {parent.id}: {error}") from error
    return concat([*others, *_tables(ranked, limit)] or [table.slice(0, 0)])


def replay_like(parent: Structure, how: str) -> Structure:
    """Make a candidate again from its parent, in the geometry that its table row has, and its ``how``.

    Raises
    ------
    CrystalError
        When the parent has no site of a name that ``how`` mentions: it is another crystal or another geometry.

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> replay_like(known_crystal("Nb3Sn"), '{"op":"like","sites":{"6c":"V"}}').composition.reduced_formula
    'V3Sn'
    """
    sites = wyckoff_sites(*CrystalBatch.from_structures([parent]).crystal(0))
    elements = sites.elements.copy()
    for name, symbol in json.loads(how)["sites"].items():
        if name not in sites.names:
            raise CrystalError(f"the parent has no site {name}, only {', '.join(sites.names)}; give the parent it was")
        elements[sites.names.index(name)] = atomic_number(symbol)
    return CrystalBatch.of([carrying(sites, elements)]).to_structures()[0]


def _ranked(
    parent: Parent, allowed: Sequence[int], fixed: frozenset[int], slots: str, max_distance: float | None
) -> _Ranked:
    sites = parent.sites
    own, slot_of_orbit = (
        np.unique(sites.elements, return_inverse=True)
        if slots == "element"
        else (sites.elements, np.arange(len(sites.elements)))
    )
    chosen = _choices(own, allowed, fixed, distinct=slots == "element")
    colours = chosen[:, slot_of_orbit]
    apart = element_distances()[sites.elements[None], colours]
    distances = np.sqrt((apart**2 * sites.multiplicities).sum(axis=1) / sites.multiplicities.sum())
    possible = np.isfinite(distances) & (distances > 0)
    if max_distance is not None:
        possible &= distances <= max_distance
    colours, distances = colours[possible], distances[possible]
    order = np.lexsort((*colours.T[::-1], np.round(distances, 9)))
    return _distinct(_Ranked(parent, distances[order], colours[order]), sites)


def _choices(own: Ints, allowed: Sequence[int], fixed: frozenset[int], *, distinct: bool) -> Ints:
    """Elements on the slots, shape (choices, slots)."""
    options = [[z] if z in fixed else allowed for z in own.tolist()]
    total = int(np.prod([len(choice) for choice in options], dtype=float))
    if total > MAX_DECORATIONS:
        raise ConfigError(f"{total} ways to decorate {len(own)} kinds of sites; name fewer elements, or fix some")
    found = np.array(list(product(*options)), np.int64).reshape(-1, len(own))
    if distinct:
        inorder = np.sort(found, axis=1)
        found = found[(inorder[:, 1:] != inorder[:, :-1]).all(axis=1)]
    return found


def _distinct(ranked: _Ranked, sites: WyckoffSites) -> _Ranked:
    """Leave out what the symmetry of the bare sites makes equal to something better, or to the parent."""
    maps = site_maps(sites.lattice, sites.frac_coords, sites.orbit_of_site)
    keys = canonical(np.vstack([sites.elements, ranked.elements]), maps)
    _, first = np.unique(keys, return_index=True)
    kept = np.sort(first[first > 0]) - 1
    return _Ranked(ranked.parent, ranked.distances[kept], ranked.elements[kept])


def _tables(ranked: list[_Ranked], limit: int | None) -> Iterator[pa.Table]:
    """Build the candidates of all parents in order, leaving out what two parents share."""
    labels = {one.parent.label: index for index, one in reversed(list(enumerate(ranked)))}
    hashes: set[str] = set()
    left = limit
    queue = heapq.merge(*(_queue(index, one) for index, one in enumerate(ranked)))
    while left is None or left > 0:
        chunk = [(index, row) for _, index, row in islice(queue, _CHUNK if left is None else min(left, _CHUNK))]
        if not chunk:
            return
        table = proposal_table([_proposal(ranked[index], row) for index, row in chunk], source="like")
        notes = [f"element distance {ranked[index].distances[row]:.2f}" for index, row in chunk]
        columns = zip(chunk, values(table, "prototype"), values(table, "crystal_hash"), strict=True)
        new = [_is_new(labels, hashes, index, label, content) for (index, _), label, content in columns]
        scores = [-float(ranked[index].distances[row]) for index, row in chunk]
        table = with_columns(table, {"notes": notes, "proposal_score": scores}).filter(new)
        if left is not None:
            left -= table.num_rows
        if table.num_rows:
            yield table


def _queue(index: int, one: _Ranked) -> Iterator[tuple[float, int, int]]:
    return ((round(distance, 9), index, row) for row, distance in enumerate(one.distances.tolist()))


def _proposal(one: _Ranked, row: int) -> Proposal:
    sites, elements = one.parent.sites, one.elements[row]
    changed = np.flatnonzero(elements != sites.elements)
    how = encode({"op": "like", "sites": {sites.names[j]: symbol_of(int(elements[j])) for j in changed}})
    return Proposal(*carrying(sites, elements), one.parent.id, how)


def _is_new(labels: dict[str, int], hashes: set[str], index: int, label: str | None, content: str | None) -> bool:
    if label is None or content is None:
        return True
    # A label does not tell apart the orbits that share a letter, so labels only decide between parents.
    if content in hashes or labels.setdefault(label, index) != index:
        return False
    hashes.add(content)
    return True
