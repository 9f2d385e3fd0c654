"""Make table rows of proposed crystals: readable ids, operations that can be replayed, failures kept."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.readers import clean_id
from onnes.crystals.schema import with_columns
from onnes.crystals.table import complete, crystal_table, identify
from onnes.crystals.validation import faults
from onnes.propose.periodic import symbol_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Proposal:
    """One proposed crystal, before it becomes a row.

    Attributes
    ----------
    lattice, frac_coords, atomic_numbers
        Shapes (3, 3) in angstrom with vectors as rows, (n, 3), (n,).
    parent_id
        Id of the parent, or None.
    how
        The operation that made it, as `encode` writes it.
    """

    lattice: Floats
    frac_coords: Floats
    atomic_numbers: Ints
    parent_id: str | None
    how: str

    @property
    def id(self) -> str:
        """Formula and ten hexadecimal digits that depend on the parent and the operation only."""
        digest = hashlib.sha256(f"{self.parent_id}|{self.how}".encode()).hexdigest()
        return f"{plain_formula(self.atomic_numbers.tolist())}-{digest[:10]}"


def encode(operation: dict[str, Any]) -> str:
    """Write an operation as JSON, always in the same way.

    Examples
    --------
    >>> encode({"sites": {"4h": "Hf"}, "op": "neighbour"})
    '{"op":"neighbour","sites":{"4h":"Hf"}}'
    """
    return json.dumps(operation, sort_keys=True, separators=(",", ":"))


def plain_formula(numbers: Sequence[int]) -> str:
    """Reduced formula with the elements in alphabetical order.

    Examples
    --------
    >>> plain_formula([41, 41, 72, 4, 4, 41, 41, 72, 4, 4])
    'Be2HfNb2'
    """
    counts = Counter(symbol_of(number) for number in numbers)
    shared = gcd(*counts.values())
    return "".join(f"{s}{n // shared}" if n > shared else s for s, n in sorted(counts.items()))


def proposal_table(proposals: Sequence[Proposal], *, source: str) -> pa.Table:
    """Crystal table of proposals, in their order; what fails validation carries its reason in ``error``.

    Parameters
    ----------
    proposals
        At least one.
    source
        Value of the column ``source``.
    """
    batch = CrystalBatch.of((p.lattice, p.frac_coords, p.atomic_numbers) for p in proposals)
    table = crystal_table(
        batch,
        ids=[p.id for p in proposals],
        source=source,
        parent_ids=[p.parent_id for p in proposals],
        how=[p.how for p in proposals],
        identified=False,
    )
    return identify(with_columns(table, {"error": faults(batch)}))


def failed_formula(formula: str, *, source: str, error: str) -> pa.Table:
    """Make one row without a geometry, for a composition of which nothing can be proposed.

    Examples
    --------
    >>> failed_formula("Nb17Sn3", source="reinterpret", error="no type fits")["id"].to_pylist()
    ['Nb17Sn3-none']
    """
    row = complete(pa.table({"id": pa.array([f"{clean_id(formula)}-none"])}))
    return with_columns(row, {"source": [source], "reduced_formula": [formula], "error": [error]})
