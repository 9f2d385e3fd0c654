"""Actions that make candidates: proposals of every method, and a composition in every structure type that fits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from onnes.campaign.study import Study
from onnes.crystals.schema import values
from onnes.errors import ConfigError
from onnes.tools.actions.filters import Wanted
from onnes.tools.actions.inputs import Excluded, Formulas, Required, SomeCrystals, StructureTypes, crystals_of
from onnes.tools.call import Elements, Made, listed

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CANDIDATES = 20_000
_SEEDS_APART = 10_007  # a method may use the seeds that follow the one it is given
_LISTED = ("neighbour", "ionic", "saps", "like", "prototype")
"""Methods that list candidates, thousands a second: more are asked for where some will not fit."""
_SPARE = 5
_SHOWN = ("space_group", "n_atoms", "prototype", "parent_id", "proposal_score")

Method = Annotated[
    Literal["neighbour", "ionic", "saps", "like", "prototype", "composition", "diffusion", "disorder"] | None,
    Field(
        description="neighbour: neighbours in the periodic table on the sites of crystals. ionic: whole elements of crystals "
        "replaced by likely ones. saps: some atoms of an element replaced. like: the geometry of crystals with other elements. "
        "prototype: structure types or a motif with the elements. composition: random crystals of balanced compositions of the "
        "elements, or of formulas. diffusion: drawn by the trained generator. disorder: ordered cells of partly occupied "
        "crystals. By default neighbour with crystals, else prototype."
    ),
]
Parents = Annotated[
    SomeCrystals,
    Field(
        description="Parents: sets, or single crystals as set_id/row id (neighbour, ionic, saps, like, diffusion, disorder)."
    ),
]
Allowed = Annotated[Elements, Field(description="Elements that may be put in; prototype and composition need them.")]
Fixed = Annotated[Elements, Field(description="Elements of the parents that stay (neighbour, ionic, saps, like).")]
Compositions = Annotated[Formulas, Field(description="Compositions, such as Nb3Sn (composition, diffusion).")]
Motif = Annotated[
    Literal[
        "laves", "a15", "sigma", "alpha-manganese", "frank-kasper", "aluminium-diboride", "chevrel",
        "thorium-chromium-silicide", "borocarbide", "heusler", "perovskite", "antiperovskite", "max", "u3si2",
        "skutterudite", "clathrate", "hydride", "x2mh6", "infinite-layer", "cuprate", "iron-based", "dichalcogenide",
        "rocksalt", "hexaboride", "dodecaboride", "sesquicarbide", "beryllide", "cerium-115", "graphite-intercalate",
    ] | None,
    Field(description="Family of structure types, instead of prototypes (prototype)."),
]  # fmt: skip
Collections = Annotated[
    tuple[Literal["general", "superconductors", "aflow"], ...],
    Field(
        max_length=3,
        description="Lists of structure types: common ones, families of superconductors, the AFLOW library (prototype).",
    ),
    BeforeValidator(listed),
]
MaxElements = Annotated[int | None, Field(ge=1, le=10, description="Different elements at most.")]
MaxAtoms = Annotated[
    int, Field(ge=1, le=40, description="Atoms in the primitive cell at most; the models know cells up to 12.")
]
TargetTc = Annotated[float | None, Field(ge=0, le=400, description="Ask the generator for this Tc (K; diffusion).")]
Guidance = Annotated[
    float | None, Field(ge=0, le=10, description="How strongly to ask: 1 as learned, more exaggerates (diffusion).")
]
Count = Annotated[int, Field(ge=1, le=MOST_CANDIDATES, description="Candidates at most.")]
Draw = Annotated[
    int, Field(ge=0, le=1000, description="Another number gives other random candidates of the same request.")
]


def propose(
    study: Study,
    *,
    method: Method = None,
    crystals: Parents = (),
    elements: Allowed = (),
    required: Required = (),
    exclude: Excluded = (),
    fixed: Fixed = (),
    formulas: Compositions = (),
    prototypes: StructureTypes = (),
    motif: Motif = None,
    collections: Collections = (),
    max_elements: MaxElements = None,
    max_atoms: MaxAtoms = 12,
    max_substituted: Annotated[
        int | None, Field(ge=1, le=20, description="Wyckoff orbits changed at once at most (neighbour).")
    ] = None,
    per_formula: Annotated[
        int | None, Field(ge=1, le=100, description="Random crystals of each composition (composition).")
    ] = None,
    space_group: Annotated[
        int | None, Field(ge=1, le=230, description="Space group of the crystals (diffusion).")
    ] = None,
    target_tc_K: TargetTc = None,
    guidance: Guidance = None,
    n: Count = 100,
    draw: Draw = 0,
    on_rows: Callable[[int], None] | None = None,
) -> Made:
    """Propose candidate crystals, unrelaxed and not judged: from parents, from elements in structure types, from compositions, or drawn by the generator. Screen them next."""
    from onnes.propose.sources import METHODS
    from onnes.tools.crystals import propose as run

    name = method or ("neighbour" if crystals else "prototype")
    given: dict[str, Any] = {
        "crystals": crystals, "elements": elements, "fixed": fixed, "formulas": formulas, "prototypes": prototypes,
        "motif": motif, "collections": collections, "max_substituted": max_substituted, "per_formula": per_formula,
        "space_group": space_group, "target_tc_K": target_tc_K, "guidance": guidance,
    }  # fmt: skip
    _check(name, {key: value for key, value in given.items() if value not in ((), None)})
    takes_exclude = "exclude_elements" in {*METHODS[name].takes, *METHODS[name].needs}
    wanted = Wanted(required=required, exclude=exclude, max_elements=max_elements, only_open=False)
    settings = {
        key: value for key, value in given.items() if key not in ("crystals", "elements", "fixed", "target_tc_K")
    }
    settings["conditions"] = None if target_tc_K is None else {"ln_tc": math.log1p(target_tc_K)}
    table = run(
        crystals_of(study, crystals, tool="propose") if crystals else None,
        method=name,
        elements=elements if takes_exclude else tuple(one for one in elements if one not in exclude),
        fixed=fixed,
        exclude=_excluded(exclude) if takes_exclude else None,
        max_atoms=max_atoms,
        limit=min(n * _SPARE, MOST_CANDIDATES) if name in _LISTED and (required or max_elements) else n,
        seed=study.seed + draw * _SEEDS_APART,
        on_rows=on_rows,
        **{key: value for key, value in settings.items() if value not in ((), None)},
    ).table
    return _made(table, wanted, n, study.seed if name in ("neighbour", "prototype") else None)


_FIELDS = {
    "crystals": "parents", "fixed": "fixed_elements", "target_tc_K": "conditions",
}  # fmt: skip
"""Arguments whose field of `onnes.propose.sources.ProposalRequest` has another name."""


def _check(method: Any, given: Mapping[str, Any]) -> None:
    """Refuse what the method has no use for, and name what it lacks, in the words of this tool."""
    from onnes.propose.sources import METHODS

    about = METHODS[method]
    arguments = {_FIELDS.get(key, key): key for key in (*given, *about.needs)} | {v: k for k, v in _FIELDS.items()}
    useless = [key for key in given if _FIELDS.get(key, key) not in {*about.takes, *about.needs}]
    if useless:
        raise ConfigError(f"propose: the method {method!r} has no use for {', '.join(useless)}; leave it out")
    if about.needs and not any(arguments[one] in given for one in about.needs):
        needed = " or ".join(arguments[one] for one in about.needs)
        raise ConfigError(f"propose: the method {method!r} needs {needed}; {about.about}")


def _excluded(exclude: tuple[str, ...]) -> list[str] | None:
    """With what is left out by default."""
    from onnes.propose.periodic import DEFAULT_EXCLUDED

    return sorted({*exclude, *DEFAULT_EXCLUDED}) if exclude else None


def _made(table: pa.Table, wanted: Wanted, n: int, seed: int | None) -> Made:
    """At most n rows of different ids that fit, those that failed among them: the first ones, or a random sample."""
    failed = np.array([error is not None for error in values(table, "error")], bool)
    seen: set[str] = set()
    first = np.array([not (name in seen or seen.add(name)) for name in values(table, "id")], bool)
    rows = np.flatnonzero(first & (failed | wanted.compositions(table)))
    if not len(rows):
        raise ConfigError(
            "propose: no candidate has the elements asked for; allow more elements, or ask for more candidates"
        )
    missing = len(table) - len(rows)
    if len(rows) > n:
        rows = rows[:n] if seed is None else np.sort(np.random.default_rng(seed).choice(rows, n, replace=False))
    remarks = (f"{missing} other candidates did not have the elements asked for",) if missing else ()
    return Made(table.take(rows), shown=_SHOWN, remarks=remarks)


def reinterpret(
    study: Study,  # noqa: ARG001 - every action takes one
    *,
    formula: Annotated[str, Field(max_length=80, description="Composition in whole numbers, such as Nb3Sn.")],
    prototypes: StructureTypes = (),
    collections: Collections = ("general", "superconductors"),
    max_atoms: Annotated[int, Field(ge=1, le=40, description="Atoms in the primitive cell at most.")] = 16,
    relax: Annotated[bool, Field(description="Relax each crystal, and order them by energy (eV/atom).")] = True,
    limit: Annotated[int, Field(ge=1, le=500, description="Crystals at most, the lowest in energy.")] = 20,
    on_rows: Callable[[int], None] | None = None,
) -> Made:
    """Try a reported composition in every structure type of its stoichiometry, relaxed and ordered by energy (eV/atom): for a compound whose reported structure is in doubt."""
    from onnes.tools.crystals import propose as run

    settings: dict[str, Any] = {"prototypes": prototypes} if prototypes else {"collections": collections}
    table = run(
        method="reinterpret",
        max_atoms=max_atoms,
        limit=limit,
        on_rows=on_rows,
        formulas=(formula,),
        potential=None if relax else "none",
        **settings,
    ).table
    shown = ("space_group", "n_atoms", "prototype", "how", "energy_eV_per_atom", "relax_converged")
    return Made(table, shown=shown)
