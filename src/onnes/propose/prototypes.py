"""Structure types decorated with elements."""

from __future__ import annotations

import json
import tomllib
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
from onnes.propose.aflow import PREFIX, aflow_names, aflow_prototype, alike, strukturbericht
from onnes.propose.colouring import canonical, site_maps
from onnes.propose.motifs import motif_prototypes
from onnes.propose.periodic import NOBLE_GASES, atomic_number
from onnes.propose.rows import proposal_table
from onnes.propose.structure_type import Prototype

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray
    from pymatgen.core import Structure

    Ints = NDArray[np.int64]

MAX_ATOMS = 12  # the models of Tc have seen cells up to this size


_FILES = {"general": "prototypes.toml", "superconductors": "superconductor_types.toml"}
COLLECTIONS = (*_FILES, "aflow")
"""Where structure types come from; the last one is pymatgen's copy of the AFLOW library."""
DEFAULT_COLLECTIONS = tuple(_FILES)


@lru_cache(maxsize=4)
def _entries(collection: str) -> dict[str, dict[str, Any]]:
    text = files("onnes.propose").joinpath(f"data/{_FILES[collection]}").read_text(encoding="utf-8")
    return tomllib.loads(text)


@lru_cache(maxsize=1)
def _own() -> dict[str, dict[str, Any]]:
    return {name: facts for collection in _FILES for name, facts in _entries(collection).items()}


@lru_cache(maxsize=16)
def _names(collections: tuple[str, ...]) -> tuple[str, ...]:
    foreign = [name for name in collections if name not in COLLECTIONS]
    if foreign:
        raise ConfigError(
            f"no collection of structure types is called {foreign[0]!r}; there are {', '.join(COLLECTIONS)}"
        )
    names = [name for collection in collections if collection in _FILES for name in _entries(collection)]
    if "aflow" in collections:
        known = [prototype(name) for name in names]
        symbols = {(kind.name, len(kind.species)) for kind in known}
        for name in aflow_names():
            kind = aflow_prototype(name)
            if (strukturbericht(name), len(kind.species)) not in symbols and not any(alike(kind, k) for k in known):
                names.append(name)
    return tuple(names)


def prototype_names(collections: Sequence[str] = DEFAULT_COLLECTIONS) -> list[str]:
    """Names of the structure types at hand.

    Parameters
    ----------
    collections
        Some of `COLLECTIONS`: common types ("general"), families of superconductors ("superconductors"), the library
        that pymatgen carries ("aflow"; what it shares with the others asked for is left out).

    Raises
    ------
    ConfigError
        When there is no such collection.

    Examples
    --------
    >>> "A15" in prototype_names(), "PbMo6S8" in prototype_names(["superconductors"])
    (True, True)
    """
    return list(_names(tuple(collections)))


@lru_cache(maxsize=512)
def prototype(name: str) -> Prototype:
    """Structure type of a name: one of `prototype_names`, or of `onnes.propose.aflow.aflow_names`.

    Raises
    ------
    ConfigError
        When there is no such type; the message gives names that look like it.

    Examples
    --------
    >>> prototype("A15").compound, len(prototype("C15").frac_coords)  # the primitive cell
    ('Cr3Si', 6)
    """
    among = aflow_names() if name.startswith(PREFIX) else list(_own())
    if name not in among:
        close = get_close_matches(name, among, n=4, cutoff=0.3)
        hint = f"did you mean {', '.join(close)}?" if close else f"there are {', '.join(_own())}"
        raise ConfigError(f"no structure type is called {name!r}; {hint}")
    if name.startswith(PREFIX):
        return aflow_prototype(name)
    facts = _own()[name]
    species = tuple(sorted({site[0] for site in facts["sites"]}))
    # Species stand in as atomic numbers 1, 2, 3: the cell is reduced with its kinds of atoms told apart.
    sites = [(species.index(site[0]) + 1, site[1:]) for site in facts["sites"]]
    lattice, frac, numbers = expand(facts["space_group"], facts["cell"], sites, primitive=True)
    return Prototype(name, facts["compound"], facts["space_group"], lattice, frac, numbers - 1, species)


def prototype_candidates(
    elements: Sequence[str],
    *,
    prototypes: Sequence[str] | None = None,
    motif: str | None = None,
    collections: Sequence[str] = DEFAULT_COLLECTIONS,
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
        Names of structure types; all of ``collections`` by default (`prototype_names`).
    motif
        A family of structure types instead (`onnes.propose.motifs.motif_names`), such as "laves".
    collections
        Some of `COLLECTIONS`, where neither prototypes nor a motif are named.
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
        For something that is no element, a noble gas, an unknown type, motif or collection, for both prototypes and a
        motif, or when no type fits.

    Examples
    --------
    >>> prototype_candidates(["Nb", "N"], prototypes=["B1", "Bh"])["reduced_formula"].to_pylist()
    ['NbN', 'NbN']
    """
    if limit is not None and limit < 1:
        raise ConfigError("limit counts crystals; give 1 or more, or leave it out")
    numbers = _usable(elements)
    if prototypes is not None and motif is not None:
        raise ConfigError("give either structure types or a motif")
    named = motif_prototypes(motif) if motif is not None else prototypes
    types = [prototype(name) for name in (prototype_names(collections) if named is None else named)]
    fitting = [t for t in types if len(t.frac_coords) <= max_atoms and len(t.species) <= len(numbers)]
    if not fitting:
        smallest = min((len(t.frac_coords) for t in types if len(t.species) <= len(numbers)), default=None)
        advice = "name more elements" if smallest is None else f"the smallest has {smallest} atoms; raise max_atoms"
        raise ConfigError(f"no structure type has at most {max_atoms} atoms and {len(numbers)} elements; {advice}")
    proposals = [kind.decorated(row) for kind in fitting for row in decorations(kind, numbers)]
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


def decorations(kind: Prototype, numbers: Sequence[int]) -> Ints:
    """Distinct choices of a different element for each kind of site, shape (choices, species).

    Examples
    --------
    >>> decorations(prototype("B1"), [7, 41]).tolist()  # the two sites are alike without their elements
    [[7, 41]]
    """
    found = np.array(list(permutations(numbers, len(kind.species))), np.int64)
    keys = canonical(found, site_maps(kind.lattice, kind.frac_coords, kind.species_of_site))
    _, first = np.unique(keys, return_index=True)
    return found[np.sort(first)]
