"""Candidates of several parents, each crystal once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from onnes.crystals.schema import values

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


@dataclass
class Uniqueness:
    """Remembers what was proposed.

    Attributes
    ----------
    owners
        Index of the parent that each prototype label with elements belongs to; the parents' own labels at the start.
    hashes
        Content hashes of the candidates so far.
    """

    owners: dict[str, int]
    hashes: set[str] = field(default_factory=set)

    def first_of(self, table: pa.Table, parents: Sequence[int]) -> list[bool]:
        """Tell which rows, made from the given parents, are new; a row without symmetry always is."""
        columns = zip(parents, values(table, "prototype"), values(table, "crystal_hash"), strict=True)
        return [self._is_new(parent, label, content) for parent, label, content in columns]

    def _is_new(self, parent: int, label: str | None, content: str | None) -> bool:
        if label is None or content is None:
            return True
        # A label does not tell apart the orbits that share a letter, so labels only decide between parents.
        if content in self.hashes or self.owners.setdefault(label, parent) != parent:
            return False
        self.hashes.add(content)
        return True
