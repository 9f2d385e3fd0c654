"""From crystals to table rows: derived columns, identity, and back to structures."""

from __future__ import annotations

import warnings
from collections import Counter
from functools import cache, lru_cache
from math import gcd, isnan
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import COLUMNS, GEOMETRY_COLUMNS, values, with_columns
from onnes.crystals.symbols import symbols
from onnes.crystals.validation import occupancies_of
from onnes.errors import CrystalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pymatgen.core import Structure

# Columns that every table of crystals has, whatever it was made from.
BASE_COLUMNS = (
    "id",
    "crystal_hash",
    "source",
    "parent_id",
    "how",
    *GEOMETRY_COLUMNS,
    "site_occupancies",
    "geometry",
    "pressure_GPa",
    "formula",
    "reduced_formula",
    "n_atoms",
    "space_group",
    "prototype",
    "error",
)


def crystal_table(
    batch: CrystalBatch,
    *,
    ids: Sequence[str],
    source: str | Sequence[str],
    parent_ids: Sequence[str | None] | None = None,
    how: Sequence[str | None] | str | None = None,
    geometry: str = "input",
    identified: bool = True,
) -> pa.Table:
    """Make a crystal table from packed crystals, the derived columns filled.

    Parameters
    ----------
    batch
        B crystals.
    ids
        Unique names, length B.
    source
        Where the crystals come from, one for all or one for each.
    parent_ids, how
        Row that each crystal was made from, and by which operation.
    geometry
        ``input`` or the name of the potential that relaxed them.
    identified
        Whether to fill space_group, prototype and crystal_hash (about 1.5 ms a crystal). A row whose symmetry
        search fails gets `error`.

    Returns
    -------
    pa.Table
        One row a crystal, the columns of `BASE_COLUMNS`.

    Raises
    ------
    CrystalError
        If the ids are not unique or their number is wrong.

    Examples
    --------
    >>> batch = CrystalBatch.of([(3.3 * np.eye(3), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), [41, 41])])
    >>> crystal_table(batch, ids=["Nb"], source="docs").select(["formula", "space_group"]).to_pylist()
    [{'formula': 'Nb2', 'space_group': 229}]
    """
    n = len(batch)
    if len(ids) != n or len(set(ids)) != n:
        raise CrystalError(f"{len(set(ids))} different ids for {n} crystals. Give each crystal one id of its own")
    table = geometry_table(batch)
    table = with_columns(
        table,
        {
            "id": list(ids),
            "source": _each(source, n),
            "parent_id": _each(parent_ids, n),
            "how": _each(how, n),
            "geometry": [geometry] * n,
            "pressure_GPa": np.zeros(n),
        },
    )
    table = complete(with_compositions(table))
    return identify(table) if identified else table


def geometry_table(batch: CrystalBatch) -> pa.Table:
    """Make a table of the three geometry columns only."""
    n = len(batch)
    return pa.table(
        {
            "lattice": pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * 9, batch.lattices.ravel()),
            "frac_coords": pa.ListArray.from_arrays((batch.offsets * 3).astype(np.int32), batch.frac_coords.ravel()),
            "atomic_numbers": pa.ListArray.from_arrays(
                batch.offsets.astype(np.int32), batch.atomic_numbers.astype(np.int16)
            ),
        },
        schema=pa.schema([(name, COLUMNS[name]) for name in GEOMETRY_COLUMNS]),
    )


def with_compositions(table: pa.Table) -> pa.Table:
    """Fill formula, reduced_formula and n_atoms from the geometry; partly occupied rows from their occupancies.

    The reduced formula is pymatgen's. Rows without geometry keep what they have.
    """
    rows, batch = _geometry(table)
    formulas, reduced = values(table, "formula"), values(table, "reduced_formula")
    sizes = values(table, "n_atoms")
    occupancies = values(table, "site_occupancies")
    for row, (_, _, numbers) in zip(rows.tolist(), batch, strict=True):
        sizes[row] = len(numbers)
        if occupancies[row] is not None:
            formulas[row] = formulas[row] or _partial_formula(occupancies[row], reduced=False)
            reduced[row] = reduced[row] or _partial_formula(occupancies[row], reduced=True)
            continue
        formulas[row], reduced[row] = _formulas(numbers.tolist())
    return with_columns(table, {"formula": formulas, "reduced_formula": reduced, "n_atoms": sizes})


def complete(table: pa.Table) -> pa.Table:
    """Add the base columns that a table lacks, filled with null."""
    missing = {name: [None] * table.num_rows for name in BASE_COLUMNS if name not in table.column_names}
    return with_columns(table, missing)


def identify(table: pa.Table) -> pa.Table:
    """Recompute formula, space_group, prototype and crystal_hash from the current geometry.

    Rows with `error` are left alone. A row whose symmetry search fails gets `error`.

    Examples
    --------
    >>> batch = CrystalBatch.of([(4.05 * np.eye(3), np.zeros((1, 3)), [84])])
    >>> table = crystal_table(batch, ids=["Po"], source="docs", identified=False)
    >>> table["prototype"].to_pylist(), identify(table)["prototype"].to_pylist()
    ([None], ['A_cP1_221_a:Po'])
    """
    from onnes.crystals.symmetry import describe  # not needed to read crystals

    table = with_compositions(table)
    columns = {name: values(table, name) for name in ("space_group", "prototype", "crystal_hash", "error")}
    rows, batch = _geometry(table)
    for row, (lattice, frac, numbers) in zip(rows.tolist(), batch, strict=True):
        if columns["error"][row] is not None:
            continue
        try:
            found = describe(lattice, frac, numbers)
        except CrystalError as error:
            columns["error"][row] = str(error)
            continue
        columns["space_group"][row] = found.space_group
        columns["prototype"][row] = found.prototype
        columns["crystal_hash"][row] = found.crystal_hash
    return with_columns(table, columns)


def to_structures(table: pa.Table) -> list[Structure | None]:
    """Convert to pymatgen structures, partly occupied ones included; None for a row without geometry."""
    from pymatgen.core import Composition, Element, Lattice, Structure  # slow to import

    structures: list[Structure | None] = [None] * table.num_rows
    occupancies = values(table, "site_occupancies")
    rows, batch = _geometry(table)
    for row, (lattice, frac, numbers) in zip(rows.tolist(), batch, strict=True):
        species: list[Any] = numbers.tolist()
        if occupancies[row] is not None:
            sites = occupancies_of(occupancies[row])
            species = [Composition({Element.from_Z(z): share for z, share in site}) for site in sites]
        structures[row] = Structure(Lattice(lattice), species, frac)
    return structures


def _geometry(table: pa.Table) -> tuple[NDArray[np.int64], CrystalBatch]:
    """Find the rows that have a geometry, and pack their crystals."""
    present = [table[name].combine_chunks().is_valid().to_numpy(zero_copy_only=False) for name in GEOMETRY_COLUMNS]
    mask = np.logical_and.reduce(np.asarray(present, dtype=bool), axis=0)
    return np.flatnonzero(mask), unpack(table.select(list(GEOMETRY_COLUMNS)).filter(pa.array(mask)))


def unpack(table: pa.Table) -> CrystalBatch:
    """Pack the geometry columns of rows that all have one; the lists must have matching lengths."""
    arrays = {name: table[name].combine_chunks() for name in GEOMETRY_COLUMNS}
    sizes = np.asarray(arrays["atomic_numbers"].value_lengths().to_numpy(zero_copy_only=False), dtype=np.int64)
    flat = {name: array.flatten().to_numpy(zero_copy_only=False) for name, array in arrays.items()}
    return CrystalBatch(
        np.asarray(flat["lattice"], dtype=float).reshape(-1, 3, 3),
        np.asarray(flat["frac_coords"], dtype=float).reshape(-1, 3),
        # a null inside the list comes as NaN and must not pass for an element
        np.nan_to_num(flat["atomic_numbers"], nan=0).astype(np.int64),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
    )


def _each(value: str | Sequence[str | None] | None, n: int) -> list[str | None]:
    return [value] * n if value is None or isinstance(value, str) else list(value)


def _formulas(numbers: list[int]) -> tuple[str, str]:
    """Write the formula of the cell and the reduced formula as pymatgen does."""
    counts = sorted(Counter(numbers).items())
    amounts = sorted((_electronegativity_rank(z), n) for z, n in counts)
    formula = "".join(f"{symbol}{n}" for (_, symbol), n in amounts)
    divisor = gcd(*(n for _, n in counts))
    return formula, _reduced_formula(tuple((z, n // divisor) for z, n in counts))


@cache
def _electronegativity_rank(z: int) -> tuple[float, str]:
    from pymatgen.core import Element  # slow to import

    element = Element.from_Z(z)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # helium, neon and argon have no value
        value = element.X
    return (float("inf") if isnan(value) else value), element.symbol


@lru_cache(maxsize=100_000)
def _reduced_formula(counts: tuple[tuple[int, int], ...]) -> str:
    # the two steps of Composition.reduced_formula, four times as fast without making a Composition
    from pymatgen.core.composition import Composition, reduce_formula  # slow to import

    reduced, _ = reduce_formula({symbols()[z]: n for z, n in counts})
    return Composition.special_formulas.get(reduced, reduced)


def _partial_formula(rows: list[list[dict[str, Any]]], *, reduced: bool) -> str:
    from pymatgen.core import Composition, Element  # slow to import

    amounts: dict[Any, float] = {}
    for site in occupancies_of(rows):
        for z, share in site:
            amounts[Element.from_Z(z)] = amounts.get(Element.from_Z(z), 0.0) + share
    composition = Composition(amounts)
    return composition.reduced_formula if reduced else composition.formula.replace(" ", "")
