"""Binary systems whose phases are known by experiment, and crystals of these phases from their published parameters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from onnes.crystals.known import entries_table, known_table, read_entries, read_facts

if TYPE_CHECKING:
    import pyarrow as pa

    from onnes.crystals.known import KnownCrystal

_FILE = "binary_phases.toml"


@dataclass(frozen=True)
class BinarySystem:
    """What a phase diagram says.

    Attributes
    ----------
    name
        The two elements, such as ``Nb-Sn``.
    phases
        Reduced formulas of the compounds that form.
    citation
        Of the phase diagram.
    crystals
        Names of crystals in the list of `onnes.crystals.known`; those in the list of this module come on top.
    remark
        What to know when a calculation at zero temperature is held against it.
    """

    name: str
    phases: tuple[str, ...]
    citation: str
    crystals: tuple[str, ...] = ()
    remark: str = ""


@lru_cache(maxsize=1)
def _facts() -> dict[str, Any]:
    return read_facts(_FILE)


@lru_cache(maxsize=1)
def _crystals() -> dict[str, KnownCrystal]:
    return read_entries(_facts()["crystals"])


def binary_systems() -> dict[str, BinarySystem]:
    """Binary systems by name.

    Examples
    --------
    >>> binary_systems()["Nb-Sn"].phases
    ('Nb3Sn', 'Nb6Sn5', 'NbSn2')
    """
    facts = _facts()["systems"]
    return {
        name: BinarySystem(
            name, tuple(s["phases"]), s["citation"], tuple(s.get("crystals", ())), s.get("remark", "")
        )
        for name, s in facts.items()
    }  # fmt: skip


def phase_crystals() -> dict[str, KnownCrystal]:
    """Crystals of this list by name: phases that the list of `onnes.crystals.known` lacks.

    Examples
    --------
    >>> phase_crystals()["NbSn2"].structure_type
    'CuMg2'
    """
    return dict(_crystals())


def known_phases_table(*, primitive: bool = True) -> pa.Table:
    """Crystal table of `phase_crystals`: ids are their names, ``source`` is "known".

    Parameters
    ----------
    primitive
        Primitive cells (default) or conventional ones.
    """
    return entries_table(list(_crystals().values()), primitive=primitive)


def system_table(*, primitive: bool = True) -> pa.Table:
    """Crystal table of every crystal of the binary systems, of both lists."""
    from onnes.crystals.schema import concat

    names = [name for system in binary_systems().values() for name in system.crystals]
    return concat([known_table(names, primitive=primitive), known_phases_table(primitive=primitive)])
