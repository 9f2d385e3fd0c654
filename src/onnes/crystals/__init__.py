"""Crystals: the table and its rows, reading and writing, validation, symmetry, neighbour lists."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnes.crystals.batch import CrystalBatch
    from onnes.crystals.neighbours import neighbour_edges
    from onnes.crystals.readers import read_crystals
    from onnes.crystals.symmetry import CrystalIdentity, describe
    from onnes.crystals.table import crystal_table, identify, to_structures
    from onnes.crystals.validation import validate_crystal
    from onnes.crystals.writers import write_crystals

__all__ = [
    "CrystalBatch",
    "CrystalIdentity",
    "crystal_table",
    "describe",
    "identify",
    "neighbour_edges",
    "read_crystals",
    "to_structures",
    "validate_crystal",
    "write_crystals",
]

_HOMES = {
    "CrystalBatch": "batch",
    "CrystalIdentity": "symmetry",
    "crystal_table": "table",
    "describe": "symmetry",
    "identify": "table",
    "neighbour_edges": "neighbours",
    "read_crystals": "readers",
    "to_structures": "table",
    "validate_crystal": "validation",
    "write_crystals": "writers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
