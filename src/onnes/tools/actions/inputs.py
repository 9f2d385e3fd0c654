"""What actions share: arguments that several take, and the crystals behind set ids."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from onnes.campaign.study import Study
from onnes.crystals.schema import GEOMETRY_COLUMNS, values
from onnes.errors import ConfigError
from onnes.tools.call import MAX_NAMES, Elements, Names, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

MOST_ROWS = 2000
"""Rows that a call takes at most where nothing else is said."""
MOST_QUICK_ROWS = 20_000
"""The same where a thousand rows take a second, and in a campaign."""
MOST_LETTERS = 80
_FORMULA = re.compile(r"([A-Z][a-z]?|[().]|\d)+")


def _formulas(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not is_formula(name):
            raise ValueError(f"{name[:40]!r} is no formula; write it as in Nb3Sn or La1.85Sr0.15CuO4")
    return tuple(dict.fromkeys(names))


def is_formula(text: str) -> bool:
    """Whether a text is a formula of real elements: the name of a file is none.

    Examples
    --------
    >>> [is_formula(text) for text in ("Nb3Sn", "Ca(OH)2", "POSCAR", "Nb3")]
    [True, True, False, True]
    """
    from onnes.tools.actions.filters import reduced

    if len(text) > MOST_LETTERS or not _FORMULA.fullmatch(text):
        return False
    try:
        reduced(text)
    except ConfigError:
        return False
    return True


SomeCrystals = Annotated[tuple[str, ...], Field(max_length=MAX_NAMES), BeforeValidator(listed)]
"""Like `CrystalIds`, but none will do; the description says what for."""
OneCrystal = Annotated[
    tuple[str, ...],
    Field(min_length=1, max_length=1, description="One crystal, as set_id/row id."),
    BeforeValidator(listed),
]
Formulas = Annotated[tuple[str, ...], Field(max_length=MAX_NAMES), BeforeValidator(listed), AfterValidator(_formulas)]
PotentialName = Annotated[
    Literal["sevennet-0", "sevennet-l3i5", "chgnet"],
    Field(description="Interatomic potential. sevennet-0 is the one that the hull's reference was computed with."),
]
MaxHull = Annotated[
    float | None,
    Field(ge=-5, le=5, description="Keep rows with an energy above the convex hull (eV/atom) of at most this."),
]
Excluded = Annotated[Elements, Field(description="Elements that must not occur, such as Be or Tl.")]
Required = Annotated[Elements, Field(description="Elements that must all occur.")]
StructureTypes = Annotated[
    Names, Field(description="Structure types by name, such as A15, B1, C14, C32, E2_1; all by default.")
]


def crystals_of(study: Study, ids: Sequence[str], *, tool: str, at_most: int = MOST_ROWS) -> pa.Table:
    """Crystal rows behind ids.

    Raises
    ------
    EvidenceError
        For an unknown set or row.
    ConfigError
        When a set holds no crystals, when there is no row, or when there are more than ``at_most``.
    """
    table, sets = study.rows(ids)
    for one in sets:
        if not _has_crystals(study, one):
            raise ConfigError(
                f"set {one} holds no crystals but what {study.info(one).tool} says of some; "
                f"{tool} takes {', '.join(study.info(one).inputs) or 'other sets'}"
            )
    if not table.num_rows:
        raise ConfigError(f"there is no crystal in {', '.join(ids)[:80]}; {tool} needs at least one")
    if table.num_rows > at_most:
        raise ConfigError(
            f"{table.num_rows} crystals are too many for one call of {tool}: it takes {at_most}; name single ones as "
            "set_id/row id, or make a smaller set with `search` (crystals, limit)"
        )
    return table


def _has_crystals(study: Study, set_id: str) -> bool:
    return set(GEOMETRY_COLUMNS) <= set(study.table(set_id).column_names)


def best_first(table: pa.Table, column: str, *, largest: bool) -> pa.Table:
    """Open rows by a column, those without a value after them, then rejected and failed ones; ties as they came."""
    import numpy as np

    from onnes.crystals.schema import floats, is_open

    numbers = floats(table, column)
    keys = np.where(np.isnan(numbers), np.inf, -numbers if largest else numbers)
    failed = np.array([error is not None for error in values(table, "error")], bool)
    return table.take(np.lexsort((keys, failed, ~is_open(table))))


def left_over(table: pa.Table) -> tuple[str, ...]:
    """Remark on rows that came rejected or failed, and stay so."""
    from onnes.crystals.schema import is_open

    n = table.num_rows - int(is_open(table).sum())
    return (f"{n} of the {table.num_rows} rows came rejected or failed and stay so",) if n else ()


def with_extra(table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    """Add columns that the crystal table does not know, or replace them."""
    for name, column in columns.items():
        place = table.schema.get_field_index(name)
        table = table.append_column(name, column) if place < 0 else table.set_column(place, name, column)
    return table


def rows_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Table of rows that do not all have the same columns."""
    import pyarrow as pa

    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})


def with_origin(table: pa.Table, crystals: pa.Table, key: str) -> pa.Table:
    """Add hash and geometry of the crystals that rows speak of, so that a number can be traced to its structure."""
    import pyarrow as pa

    spoken_of, columns = values(table, key), {}
    for name in ("crystal_hash", "geometry"):
        known: dict[str, Any] = dict(zip(values(crystals, "id"), values(crystals, name), strict=True))
        columns[name] = pa.array([known.get(one) for one in spoken_of], pa.string())
    return with_extra(table, columns)


def sha256_of(models: Sequence[str] = (), potentials: Sequence[str] = ()) -> dict[str, str]:
    """Fingerprints of what the columns of a table do not name."""
    from onnes.models.weights import weights_sha256
    from onnes.potentials.fingerprints import potential_sha256

    found = {f"model {name}": weights_sha256(name) for name in models}
    return found | {f"potential {name}": potential_sha256(name) for name in potentials}
