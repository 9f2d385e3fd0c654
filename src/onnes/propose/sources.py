"""The one face of the room: a request in, a crystal table of candidates out."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from onnes.crystals.schema import is_open, values
from onnes.errors import ConfigError, CrystalError
from onnes.propose.periodic import DEFAULT_EXCLUDED, NOBLE_GASES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from pymatgen.core import Structure

MethodName = Literal[
    "neighbour", "ionic", "saps", "like", "prototype", "composition", "diffusion", "disorder", "reinterpret"
]


@dataclass(frozen=True)
class Method:
    """One way to propose crystals.

    Attributes
    ----------
    about
        One line for people.
    function, replay
        Where it is, and where the function is that makes a candidate again; as ``module:name``.
    needs
        Fields of the request of which one must be given; empty for none.
    takes
        Other fields that it has a use for, and the name of the argument that each becomes.
    needs_parent
        Whether a candidate is made again from its parent.
    """

    about: str
    function: str
    replay: str
    needs: tuple[str, ...]
    takes: Mapping[str, str] = field(default_factory=dict)
    needs_parent: bool = False


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_ROOM = "onnes.propose."
METHODS: dict[MethodName, Method] = {
    "neighbour": Method(
        "neighbours in the periodic table on Wyckoff sites of parents, in every combination",
        f"{_ROOM}substitution:neighbour_substitutions",
        f"{_ROOM}substitution:replay_neighbour",
        ("parents",),
        _same("fixed_elements", "max_atoms", "max_substituted", "limit", "seed") | {"exclude_elements": "exclude"},
        needs_parent=True,
    ),
    "ionic": Method(
        "whole elements of parents replaced by those that replace them elsewhere, the likeliest first",
        f"{_ROOM}ionic:ionic_candidates",
        f"{_ROOM}ionic:replay_ionic",
        ("parents",),
        _same("elements", "fixed_elements", "score", "threshold", "max_atoms", "limit") | {"exclude_elements": "exclude"},
        needs_parent=True,
    ),
    "saps": Method(
        "one to all atoms of an element of parents replaced, each arrangement once",
        f"{_ROOM}saps:saps_candidates",
        f"{_ROOM}saps:replay_saps",
        ("parents",),
        _same(
            "elements", "fixed_elements", "score", "threshold", "max_atoms", "max_cells", "charge_balanced", "limit", "seed"
        ) | {"exclude_elements": "exclude"},
        needs_parent=True,
    ),
    "like": Method(
        "the geometry of parents with other elements, the most alike first",
        f"{_ROOM}like:like_candidates",
        f"{_ROOM}like:replay_like",
        ("parents",),
        _same("elements", "fixed_elements", "max_atoms", "limit"),
        needs_parent=True,
    ),
    "prototype": Method(
        "structure types, or a motif, decorated with elements",
        f"{_ROOM}prototypes:prototype_candidates",
        f"{_ROOM}prototypes:replay_prototype",
        ("elements",),
        _same("prototypes", "motif", "collections", "max_atoms", "limit", "seed"),
    ),
    "composition": Method(
        "random crystals of the compositions that oxidation states allow, or of given formulas",
        f"{_ROOM}composition_candidates:requested",
        f"{_ROOM}random_crystals:replay_random",
        ("elements", "formulas"),
        _same("n_elements", "per_formula", "limit", "seed", "max_atoms"),
    ),
    "diffusion": Method(
        "crystals drawn by the trained generator",
        f"{_ROOM}diffusion:requested",
        f"{_ROOM}diffusion:replay_diffusion",
        (),
        _same(
            "parents", "elements", "formulas", "space_group", "symmetry", "keep", "conditions", "guidance", "generator",
            "max_atoms", "limit", "seed",
        ) | {"exclude_elements": "exclude"},
        needs_parent=True,
    ),
    "disorder": Method(
        "ordered cells of parents with partly occupied sites",
        f"{_ROOM}disorder:requested",
        f"{_ROOM}average_crystal:replay_disorder",
        ("parents",),
        _same("rank", "potential", "limit", "seed") | {"max_atoms": "max_cell_atoms", "ordering": "method"},
        needs_parent=True,
    ),
    "reinterpret": Method(
        "a composition in every structure type that fits it, relaxed, ranked, compared with a powder pattern",
        f"{_ROOM}reinterpret:requested",
        f"{_ROOM}reinterpret:replay_reinterpret",
        ("formulas",),
        _same("prototypes", "collections", "potential", "pattern", "radiation", "rank", "max_atoms", "limit"),
    ),
}  # fmt: skip


class ProposalRequest(BaseModel):
    """What to propose. Frozen; the same request gives the same table. Fields that are not given have the method's defaults.

    Examples
    --------
    >>> ProposalRequest(method="prototype", elements=("Nb", "N"), prototypes=("B1",)).seed
    0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    method: MethodName
    """One of `METHODS`."""
    parents: tuple[Path, ...] | pa.Table | None = None
    """Parents: files or folders that hold crystals, or a crystal table."""
    elements: tuple[str, ...] = ()
    """Elements that may be put in."""
    formulas: tuple[str, ...] = ()
    """Compositions, such as Nb3Sn."""
    fixed_elements: tuple[str, ...] = ()
    """Elements of the parents that stay."""
    exclude_elements: tuple[str, ...] = tuple(sorted(DEFAULT_EXCLUDED))
    """Elements that are not put in."""
    max_atoms: int = Field(default=12, ge=1)
    """Largest primitive cell."""
    max_substituted: int | None = Field(default=None, ge=1)
    """Most Wyckoff orbits of a parent to change at once; all by default."""
    limit: int | None = Field(default=None, ge=1)
    """Most candidates; how many where the method could go on for ever."""
    seed: int = 0
    """Seed of all random choices."""
    prototypes: tuple[str, ...] | None = None
    """Names of structure types; all by default."""
    motif: str | None = None
    """A family of structure types."""
    collections: tuple[str, ...] = ()
    """Lists of structure types, see `onnes.propose.prototypes.COLLECTIONS`; the method's own by default."""
    n_elements: tuple[int, ...] = (2, 3)
    """Numbers of elements of the compositions that are listed."""
    per_formula: int = Field(default=10, ge=1)
    """Random crystals of each composition."""
    score: Literal["observed", "ionic", "metallic", "auto", "neighbour"] = "observed"
    """Where the probability of a replacement comes from."""
    threshold: float = Field(default=1e-3, gt=0, le=1)
    """Smallest probability of a replacement."""
    max_cells: int = Field(default=1, ge=1)
    """Largest number of primitive cells in which atoms are told apart."""
    charge_balanced: bool = False
    """Only compositions whose common oxidation states balance."""
    space_group: int | None = Field(default=None, ge=1, le=230)
    """International number that the crystals shall have."""
    symmetry: bool = True
    """Whether the generator keeps to the space groups of its templates."""
    keep: tuple[str, ...] = ()
    """Parts of the parent that stay: its Wyckoff positions such as 4h, lattice, elements."""
    conditions: dict[str, float] = Field(default_factory=dict)
    """Properties that the generator is asked for."""
    guidance: float = Field(default=1.0, ge=0)
    """How strongly."""
    generator: str = "generator"
    """Name or folder of the generator."""
    ordering: Literal["enumerate", "sqs"] = "enumerate"
    """Ordered cells: all different ones, or quasi-random ones of the largest size."""
    rank: Literal["auto", "energy", "pattern", "ewald", "size"] = "auto"
    """What comes first; the method says which it knows."""
    potential: str | None = None
    """Name of the potential that relaxes or ranks; the default one where one is needed, none where it is "none"."""
    pattern: Path | None = None
    """File with a measured powder pattern."""
    radiation: str = "CuKa"
    """Of the pattern: a name, or the wavelength in angstrom."""

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        method = METHODS[self.method]
        if method.needs and not any(_given(getattr(self, name)) for name in method.needs):
            raise ConfigError(f"the method {self.method!r} needs {' or '.join(method.needs)}; give at least one")
        # A seed and a size do no harm where nothing is random or no cell is made larger.
        known = {"method", "seed", "max_atoms", *method.needs, *method.takes}
        useless = sorted(name for name in self.model_fields_set - known if _given(getattr(self, name)))
        if useless:
            raise ConfigError(f"the method {self.method!r} has no use for {', '.join(useless)}; leave it out")
        return self


def _given(value: object) -> bool:
    return value is not None and (not hasattr(value, "__len__") or len(value) > 0)  # pyright: ignore[reportArgumentType]


def propose(request: ProposalRequest, *, on_rows: Callable[[int], None] | None = None) -> pa.Table:
    """Propose candidate crystals.

    Parameters
    ----------
    request
        Method and settings.
    on_rows
        Called with the number of candidates made since the last call, by methods that take long.

    Returns
    -------
    Crystal table with ``source`` (the method), ``parent_id`` and a replayable ``how``. Candidates that fail validation, and
    parents that cannot be used, are rows with ``error``.

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
    method = METHODS[request.method]
    arguments: dict[str, Any] = {
        name: getattr(request, key)
        for key, name in method.takes.items()
        if (key in request.model_fields_set and _given(getattr(request, key)))
        or key in {"max_atoms", "exclude_elements"}
    }
    for key in method.needs:
        if key != "parents" and _given(getattr(request, key)):
            arguments[key] = getattr(request, key)
    if "exclude" in arguments:
        arguments["exclude"] = frozenset(arguments["exclude"]) | NOBLE_GASES
    if _given(request.parents):
        arguments["parents"] = _parent_table(request.parents, disordered=request.method == "disorder")
    function = _load(method.function)
    if on_rows is not None and "on_rows" in (function.__kwdefaults__ or {}):
        arguments["on_rows"] = on_rows
    found = function(**arguments)
    if "parents" in method.needs and not is_open(found).any():
        reasons = [reason for reason in values(found, "error") if reason is not None]
        raise CrystalError(f"no parent can be used; {reasons[0] if reasons else 'give one that is not rejected'}")
    return found


def replay(parent: Structure | None, how: str) -> Structure:
    """Make a candidate again from its column ``how`` and, for a method that starts from one, its parent.

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
    if operation not in METHODS:
        raise ConfigError(f"the operation {operation!r} cannot be replayed; known are {', '.join(METHODS)}")
    method = METHODS[operation]
    if not method.needs_parent:
        return _load(method.replay)(how)
    if parent is None and "parents" in method.needs:
        raise ConfigError("this crystal is made again from its parent; give the crystal named in parent_id")
    return _load(method.replay)(parent, how)


def _load(place: str) -> Callable[..., Any]:
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


def _parent_table(parents: tuple[Path, ...] | pa.Table | None, *, disordered: bool) -> pa.Table:
    if isinstance(parents, pa.Table):
        return parents
    from onnes.crystals.readers import read_crystals

    table = read_crystals(list(parents or ()))
    if not disordered and not is_open(table).any():
        reasons = [reason for reason in values(table, "error") if reason is not None]
        raise CrystalError(f"no parent can be used; {reasons[0] if reasons else 'the files hold no crystal'}")
    return table
