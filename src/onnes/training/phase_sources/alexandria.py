"""Dumps of the Alexandria database: JSON lists of computed entries, plain or compressed, tens of gigabytes in all."""

from __future__ import annotations

import bz2
import gzip
import json
import re
from typing import TYPE_CHECKING, Any, TextIO

from onnes.errors import CrystalError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from onnes.training.phase_sources.request import PhaseRequest

_CHUNK = 1 << 20
_GAP = re.compile(r"[\s,]*")
_LIST = re.compile(r'^\s*\[|"entries"\s*:\s*\[')


def alexandria_phases(path: Path, request: PhaseRequest) -> Iterator[dict[str, Any]]:
    """Crystals of a dump, one JSON object each; the file is never held in memory as a whole.

    Energies of the dump are those of another method and are left behind.

    Parameters
    ----------
    path
        ``.json``, ``.json.bz2`` or ``.json.gz``: a list of pymatgen's ``ComputedStructureEntry``, or an object with one
        under ``entries``.
    request
        Which crystals.

    Raises
    ------
    CrystalError
        When the file cannot be read or holds no such list.
    """
    try:
        with _opened(path) as file:
            for number, entry in enumerate(_objects(file), start=1):
                structure, data = entry.get("structure"), entry.get("data") or {}
                if not isinstance(structure, dict):
                    raise CrystalError(f"{path.name}: entry {number} has no structure; give a dump with structures")
                sites = structure.get("sites", ())
                elements = {s["element"] for site in sites for s in site.get("species", ())}
                if request.wants(elements, len(sites), data.get("e_above_hull")):
                    name = data.get("mat_id") or entry.get("entry_id") or f"{path.name.split('.')[0]}-{number:06d}"
                    yield {"id": str(name), "lattice": structure["lattice"], "sites": structure["sites"]}
    except (OSError, EOFError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CrystalError(f"{path.name}: not a dump of Alexandria ({type(error).__name__}: {error})") from error


def _opened(path: Path) -> TextIO:
    if path.suffix == ".bz2":
        return bz2.open(path, "rt", encoding="utf-8")
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _objects(file: TextIO) -> Iterator[dict[str, Any]]:
    """Yield the objects of the list one by one."""
    decoder = json.JSONDecoder()
    buffer = file.read(_CHUNK)
    start = _LIST.search(buffer)
    if start is None:
        raise ValueError("no list of entries at its beginning")
    position = start.end()
    while True:
        position = _GAP.match(buffer, position).end()  # pyright: ignore[reportOptionalMemberAccess] - may be empty
        if buffer.startswith("]", position):
            return
        try:
            item, position = decoder.raw_decode(buffer, position)
        except json.JSONDecodeError:
            # As much again as is waiting, so that one long entry is not parsed over and over.
            more = file.read(max(_CHUNK, len(buffer) - position))
            if not more:
                raise ValueError("the file is cut off") from None
            buffer, position = buffer[position:] + more, 0
        else:
            yield item
