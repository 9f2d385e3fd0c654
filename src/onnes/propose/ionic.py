"""Substitution of whole elements, ranked by how likely each replacement is."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.prototype_label import anonymous_prototype
from onnes.crystals.schema import concat, with_columns
from onnes.errors import ConfigError, CrystalError
from onnes.propose.parents import Parent, carrying, usable_parents, with_error
from onnes.propose.periodic import DEFAULT_EXCLUDED, atomic_number, atomic_numbers, symbol_of
from onnes.propose.ranking import MAX_ELEMENTS, RankedFamily, codes_of_formulas, in_order, ranked_families
from onnes.propose.replacement import Score, allowed_elements, replacement_probabilities
from onnes.propose.rows import Proposal, encode, proposal_table
from onnes.propose.sites import wyckoff_sites
from onnes.propose.uniqueness import Uniqueness

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray
    from pymatgen.core import Structure

    from onnes.propose.sites import WyckoffSites

    Floats = NDArray[np.float64]

SOURCE = "ionic"
MAX_ATOMS = 12  # the models of Tc have seen cells up to this size
THRESHOLD = 1e-3
"""Of GNoME (2023)."""
_CHUNK = 1_000


def ionic_candidates(
    parents: pa.Table,
    *,
    elements: Collection[str] | None = None,
    fixed_elements: Collection[str] = (),
    exclude: Collection[str] = DEFAULT_EXCLUDED,
    score: Score = "observed",
    threshold: float = THRESHOLD,
    max_atoms: int = MAX_ATOMS,
    known_formulas: Collection[str] = (),
    limit: int | None = None,
) -> pa.Table:
    """Replace whole elements of parent crystals by likely others, the likeliest crystals first.

    The probability of a substitution is the product over the elements that differ of p(new | old); an element that stays
    counts 1, so that common elements have no advantage. All substitutions above the threshold are found by branch and
    bound (Merchant et al., Nature 624, 80 (2023), who changed the model of Hautier et al., Inorg. Chem. 50, 656 (2011) in
    this way). A crystal that several parents of one prototype give is ranked by the sum of their probabilities. The cell
    keeps its shape and takes the volume that the atomic radii suggest, fractional coordinates stay.

    Parameters
    ----------
    parents
        Crystal table. Rejected rows are skipped.
    elements
        What may be put in; all elements by default.
    fixed_elements
        Elements of the parents that stay.
    exclude
        Elements that are not put in; noble gases and what lies beyond uranium never are. What the parent holds may stay.
    score
        Where p(new | old) comes from (`onnes.propose.replacement.Score`). The ionic one needs oxidation states, which are
        guessed from the composition and, where that leaves them open, from bond valences.
    threshold
        Smallest probability from a single parent.
    max_atoms
        Largest primitive cell of a parent.
    known_formulas
        Compositions to leave out, whatever the structure.
    limit
        Most candidates: the best ones.

    Returns
    -------
    Crystal table, the largest ``proposal_score`` (the sum of probabilities) first. ``parent_id`` is the likeliest parent,
    ``how`` can be replayed (`replay_ionic`); a candidate that fails validation carries ``error``. A prototype label with
    elements appears once, and none that a parent has. Parents that cannot be used come first, with their ``error``.

    Raises
    ------
    ConfigError
        For something that is no element, an unknown score, or a bad limit or threshold.

    Examples
    --------
    >>> from onnes.crystals.known import known_table
    >>> found = ionic_candidates(known_table(["NaCl"]), score="ionic", limit=4)
    >>> found["reduced_formula"].to_pylist()
    ['Na2O2', 'NaF', 'NaBr', 'NaI']
    """
    if limit is not None and limit < 1:
        raise ConfigError("limit counts crystals; give 1 or more, or leave it out")
    if not 0 < threshold < 1:
        raise ConfigError(f"threshold is a probability between 0 and 1, not {threshold}")
    allowed, fixed = allowed_elements(elements, exclude), atomic_numbers(fixed_elements)
    found, unusable = usable_parents(parents, max_atoms=max_atoms)
    usable: list[Parent] = []
    probabilities: list[Mapping[int, Floats]] = []
    for parent in found:
        try:
            probabilities.append(_probabilities(parent, score))
            usable.append(parent)
        except CrystalError as error:
            unusable.append(with_error(parents, parent, error))
    families = ranked_families(
        [parent.label for parent in usable],
        probabilities,
        allowed=allowed,
        fixed=fixed,
        known=codes_of_formulas(known_formulas),
        threshold=threshold,
    )
    return concat([*unusable, *_tables(usable, families, limit)] or [parents.slice(0, 0)])


def replay_ionic(parent: Structure, how: str) -> Structure:
    """Make a candidate again from its parent, in the geometry that its table row has, and its ``how``.

    Raises
    ------
    CrystalError
        When the parent lacks an element that ``how`` replaces.

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> replay_ionic(known_crystal("NaCl"), '{"op":"ionic","replace":{"Na":"K"}}').composition.reduced_formula
    'KCl'
    """
    sites = wyckoff_sites(*CrystalBatch.from_structures([parent]).crystal(0))
    replaced = {atomic_number(old): atomic_number(new) for old, new in json.loads(how)["replace"].items()}
    missing = sorted(symbol_of(z) for z in set(replaced) - set(sites.elements.tolist()))
    if missing:
        raise CrystalError(f"the parent holds no {', '.join(missing)}; give the parent it was")
    return CrystalBatch.of([_replaced(sites, replaced)]).to_structures()[0]


def _probabilities(parent: Parent, score: Score) -> Mapping[int, Floats]:
    sites = parent.sites
    if len(set(sites.elements.tolist())) > MAX_ELEMENTS:
        raise CrystalError(f"more than {MAX_ELEMENTS} elements")
    numbers = sites.elements[sites.orbit_of_site]
    structure = CrystalBatch.of([(sites.lattice, sites.frac_coords, numbers)]).to_structures()[0]
    return replacement_probabilities(Counter(numbers.tolist()), score, structure)


def _replaced(sites: WyckoffSites, replaced: Mapping[int, int]) -> tuple[Floats, Floats, NDArray[np.int64]]:
    return carrying(sites, np.array([replaced.get(z, z) for z in sites.elements.tolist()], np.int64))


def _proposal(parent: Parent, family: RankedFamily, row: int) -> Proposal:
    before = [atomic_number(symbol) for symbol in anonymous_prototype(parent.label)[1]]
    pairs = zip(before, family.elements[row].tolist(), strict=True)
    replaced = {old: new for old, new in pairs if old != new}
    how = encode({"op": SOURCE, "replace": {symbol_of(old): symbol_of(new) for old, new in replaced.items()}})
    return Proposal(*_replaced(parent.sites, replaced), parent.id, how)


def _tables(parents: Sequence[Parent], families: Sequence[RankedFamily], limit: int | None) -> Iterator[pa.Table]:
    """Build the candidates in order."""
    unique = Uniqueness({parent.label: index for index, parent in reversed(list(enumerate(parents)))})
    queue = in_order(families)
    left = limit
    while left is None or left > 0:
        chunk = list(islice(queue, _CHUNK if left is None else min(left, _CHUNK)))
        if not chunk:
            return
        indices = [int(family.parents[row]) for family, row in chunk]
        proposals = [_proposal(parents[i], family, row) for i, (family, row) in zip(indices, chunk, strict=True)]
        table = proposal_table(proposals, source=SOURCE)
        table = with_columns(table, {"proposal_score": [float(family.scores[row]) for family, row in chunk]})
        # The scaled cell may be found more symmetric than the parent, and so equal to another one.
        table = table.filter(unique.first_of(table, indices))
        if left is not None:
            left -= table.num_rows
        yield table
