"""The one face of the room: a request in, a crystal table of candidates out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from onnes.crystals.schema import is_open, values
from onnes.errors import ConfigError, CrystalError
from onnes.propose.periodic import DEFAULT_EXCLUDED, NOBLE_GASES

if TYPE_CHECKING:
    from typing import Self

    from pymatgen.core import Structure


class ProposalRequest(BaseModel):
    """What to propose. Frozen; the same request gives the same table.

    Examples
    --------
    >>> ProposalRequest(method="prototype", elements=("Nb", "N"), prototypes=("B1",)).seed
    0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    method: Literal["neighbour", "prototype"]
    """Substitution of neighbours in parents, or decoration of structure types."""
    parents: tuple[Path, ...] | pa.Table | None = None
    """Parents of the substitution: files or folders that hold crystals, or a crystal table."""
    elements: tuple[str, ...] = ()
    """Elements that decorate the structure types."""
    fixed_elements: tuple[str, ...] = ()
    """Elements of the parents that stay."""
    exclude_elements: tuple[str, ...] = tuple(sorted(DEFAULT_EXCLUDED))
    """Elements that substitution does not put in."""
    max_atoms: int = Field(default=12, ge=1)
    """Largest primitive cell."""
    max_substituted: int | None = Field(default=None, ge=1)
    """Most Wyckoff orbits of a parent to change at once; all by default."""
    limit: int | None = Field(default=None, ge=1)
    """Most candidates; a random sample of more."""
    seed: int = 0
    """Seed of that sample."""
    prototypes: tuple[str, ...] | None = None
    """Names of structure types; all by default."""

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.method == "neighbour":
            needed, foreign = "parents", ("elements", "prototypes")
        else:
            needed, foreign = "elements", ("parents", "fixed_elements", "exclude_elements", "max_substituted")
        given = getattr(self, needed)
        if given is None or len(given) == 0:
            raise ConfigError(f"the method {self.method!r} needs {needed}; give at least one")
        useless = [name for name in foreign if name in self.model_fields_set and getattr(self, name)]
        if useless:
            raise ConfigError(f"the method {self.method!r} has no use for {', '.join(useless)}; leave it out")
        return self


def propose(request: ProposalRequest) -> pa.Table:
    """Propose candidate crystals.

    Parameters
    ----------
    request
        Method and settings.

    Returns
    -------
    Crystal table with ``source`` ("neighbour" or "prototype"), ``parent_id`` and a replayable ``how``. Candidates that
    fail validation, and parents that cannot be used, are rows with ``error``.

    Raises
    ------
    ConfigError
        For a wrong element, structure type or limit.
    CrystalError
        When no parent can be used.

    Examples
    --------
    >>> propose(ProposalRequest(method="prototype", elements=("Nb", "Sn"), prototypes=("A15",)))["formula"].to_pylist()
    ['Nb6Sn2', 'Nb2Sn6']
    """
    if request.method == "prototype":
        from onnes.propose.prototypes import prototype_candidates

        return prototype_candidates(
            request.elements,
            prototypes=request.prototypes,
            max_atoms=request.max_atoms,
            limit=request.limit,
            seed=request.seed,
        )
    from onnes.propose.substitution import neighbour_substitutions

    found = neighbour_substitutions(
        _parent_table(request.parents),
        fixed_elements=request.fixed_elements,
        exclude=frozenset(request.exclude_elements) | NOBLE_GASES,
        max_atoms=request.max_atoms,
        max_substituted=request.max_substituted,
        limit=request.limit,
        seed=request.seed,
    )
    if not is_open(found).any():
        reasons = [reason for reason in values(found, "error") if reason is not None]
        raise CrystalError(f"no parent can be used; {reasons[0] if reasons else 'give one that is not rejected'}")
    return found


def replay(parent: Structure | None, how: str) -> Structure:
    """Make a candidate again from its column ``how`` and, for a substitution, its parent.

    Raises
    ------
    ConfigError
        When the operation is not one of this room, or needs a parent and has none.

    Examples
    --------
    >>> how = '{"elements":{"A":"Nb","B":"N"},"op":"prototype","prototype":"B1"}'
    >>> replay(None, how).composition.reduced_formula
    'NbN'
    """
    operation = json.loads(how).get("op")
    if operation == "prototype":
        from onnes.propose.prototypes import replay_prototype

        return replay_prototype(how)
    if operation != "neighbour":
        raise ConfigError(f"the operation {operation!r} cannot be replayed; known are neighbour and prototype")
    if parent is None:
        raise ConfigError("a substitution is replayed on its parent; give the crystal named in parent_id")
    from onnes.propose.substitution import replay_neighbour

    return replay_neighbour(parent, how)


def _parent_table(parents: tuple[Path, ...] | pa.Table | None) -> pa.Table:
    if isinstance(parents, pa.Table):
        return parents
    from onnes.crystals.readers import read_crystals

    table = read_crystals(list(parents or ()))
    if not is_open(table).any():
        reasons = [reason for reason in values(table, "error") if reason is not None]
        raise CrystalError(f"no parent can be used; {reasons[0] if reasons else 'the files hold no crystal'}")
    return table
