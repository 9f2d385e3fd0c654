"""Structure types decorated with elements."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from itertools import permutations
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.orbits import expand
from onnes.errors import ConfigError
from onnes.propose.colouring import canonical, site_maps
from onnes.propose.periodic import NOBLE_GASES, atomic_number, symbol_of
from onnes.propose.radii import estimated_volume
from onnes.propose.rows import Proposal, encode, proposal_table

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray
    from pymatgen.core import Structure

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

MAX_ATOMS = 12  # the models of Tc have seen cells up to this size


@dataclass(frozen=True, eq=False)
class Prototype:
    """A structure type in its primitive cell.

    Attributes
    ----------
    name, compound
        Key of the list (a Strukturbericht symbol where there is one) and the crystal that the type is named after.
    lattice, frac_coords
        Shapes (3, 3) in angstrom with vectors as rows, and (n, 3).
    species_of_site
        Index into `species` of each atom, shape (n,).
    species
        Labels of the kinds of atoms, "A", "B", ...
    """

    name: str
    compound: str
    space_group: int
    lattice: Floats
    frac_coords: Floats
    species_of_site: Ints
    species: tuple[str, ...]

    def decorated(self, numbers: Ints) -> Proposal:
        """Put elements (atomic numbers in the order of `species`) on the sites, at the volume of their radii."""
        atoms = numbers[self.species_of_site]
        scale = (estimated_volume(atoms) / abs(np.linalg.det(self.lattice))) ** (1 / 3)
        elements = {label: symbol_of(int(z)) for label, z in zip(self.species, numbers, strict=True)}
        how = encode({"op": "prototype", "prototype": self.name, "elements": elements})
        return Proposal(self.lattice * scale, self.frac_coords, atoms, None, how)


@lru_cache(maxsize=1)
def _entries() -> dict[str, dict[str, Any]]:
    text = files("onnes.propose").joinpath("data/prototypes.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def prototype_names() -> list[str]:
    """Names of the structure types at hand.

    Examples
    --------
    >>> "A15" in prototype_names()
    True
    """
    return list(_entries())


@lru_cache(maxsize=128)
def prototype(name: str) -> Prototype:
    """Structure type of a name.

    Raises
    ------
    ConfigError
        When there is no such type; the message gives names that look like it.

    Examples
    --------
    >>> prototype("A15").compound, len(prototype("C15").frac_coords)  # the primitive cell
    ('Cr3Si', 6)
    """
    if name not in _entries():
        close = get_close_matches(name, prototype_names(), n=4, cutoff=0.3)
        hint = f"did you mean {', '.join(close)}?" if close else f"there are {', '.join(prototype_names())}"
        raise ConfigError(f"no structure type is called {name!r}; {hint}")
    facts = _entries()[name]
    species = tuple(sorted({site[0] for site in facts["sites"]}))
    # Species stand in as atomic numbers 1, 2, 3: the cell is reduced with its kinds of atoms told apart.
    sites = [(species.index(site[0]) + 1, site[1:]) for site in facts["sites"]]
    lattice, frac, numbers = expand(facts["space_group"], facts["cell"], sites, primitive=True)
    return Prototype(name, facts["compound"], facts["space_group"], lattice, frac, numbers - 1, species)


def prototype_candidates(
    elements: Sequence[str],
    *,
    prototypes: Sequence[str] | None = None,
    max_atoms: int = MAX_ATOMS,
    limit: int | None = None,
    seed: int = 0,
) -> pa.Table:
    """Decorate structure types with every choice of the given elements, one element a kind of site.

    Parameters
    ----------
    elements
        Which elements to combine; their order does not matter. Types with fewer kinds of sites use every subset.
    prototypes
        Names of structure types; all by default (`prototype_names`).
    max_atoms
        Types with a larger primitive cell are left out.
    limit
        Most candidates; a random sample is drawn if there are more.
    seed
        Of that sample: the same seed gives the same table.

    Returns
    -------
    Crystal table of primitive cells with the type's axial ratios and the volume that the atomic radii suggest, in the
    order of the types, then of the atomic numbers. Decorations that the symmetry of the type makes equal appear once.
    ``how`` can be replayed (`replay_prototype`); a candidate that fails validation carries ``error``.

    Raises
    ------
    ConfigError
        For something that is no element, a noble gas, an unknown type, or when no type fits.

    Examples
    --------
    >>> prototype_candidates(["Nb", "N"], prototypes=["B1", "Bh"])["reduced_formula"].to_pylist()
    ['NbN', 'NbN']
    """
    if limit is not None and limit < 1:
        raise ConfigError("limit counts crystals; give 1 or more, or leave it out")
    numbers = _usable(elements)
    types = [prototype(name) for name in (prototype_names() if prototypes is None else prototypes)]
    fitting = [t for t in types if len(t.frac_coords) <= max_atoms and len(t.species) <= len(numbers)]
    if not fitting:
        raise ConfigError(
            f"no structure type has at most {max_atoms} atoms and {len(numbers)} elements; name more of either"
        )
    proposals = [kind.decorated(row) for kind in fitting for row in _decorations(kind, numbers)]
    if limit is not None and limit < len(proposals):
        chosen = Random(seed).sample(range(len(proposals)), limit)
        proposals = [proposals[i] for i in sorted(chosen)]
    return proposal_table(proposals, source="prototype")


def replay_prototype(how: str) -> Structure:
    """Make a candidate again from its ``how``.

    Examples
    --------
    >>> how = '{"elements":{"A":"Nb","B":"Sn"},"op":"prototype","prototype":"A15"}'
    >>> replay_prototype(how).composition.reduced_formula
    'Nb3Sn'
    """
    operation = json.loads(how)
    kind = prototype(operation["prototype"])
    made = kind.decorated(np.array([atomic_number(operation["elements"][label]) for label in kind.species]))
    return CrystalBatch.of([(made.lattice, made.frac_coords, made.atomic_numbers)]).to_structures()[0]


def _usable(elements: Collection[str]) -> list[int]:
    noble = sorted(NOBLE_GASES & set(elements))
    if noble:
        raise ConfigError(f"noble gases make no metals; leave out {', '.join(noble)}")
    return sorted({atomic_number(symbol) for symbol in elements})


def _decorations(kind: Prototype, numbers: Sequence[int]) -> Ints:
    """Distinct choices of an element for each kind of site, shape (choices, species)."""
    found = np.array(list(permutations(numbers, len(kind.species))), np.int64)
    keys = canonical(found, site_maps(kind.lattice, kind.frac_coords, kind.species_of_site))
    _, first = np.unique(keys, return_index=True)
    return found[np.sort(first)]
