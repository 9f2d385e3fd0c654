"""What `pw.x` saved for the programs after it: a full disk cuts it short, and `pw.x` leaves with exit code 0 all the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from onnes.verify.faults import Fault, fault
from onnes.verify.symptom import Symptom

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCHEMA = "data-file-schema.xml"
_LAST_TAG = b"</qes:espresso>"


def check_saved(outdir: str | Path, prefix: str, *, a2f: bool = False) -> Fault | None:
    """Check that the files of an scf are there and whole.

    Parameters
    ----------
    outdir, prefix
        As in the input.
    a2f
        Whether ``<prefix>.a2Fsave`` must be there too (`ph.x` leaves an empty one behind where it was missing).

    Returns
    -------
    Fault or None
        ``missing_scf_data`` or ``missing_a2f_data`` with the name of the file.

    Examples
    --------
    >>> check_saved("no such folder", "al").message
    'al.save/data-file-schema.xml is missing'
    """
    outdir = Path(outdir)
    folder = outdir / f"{prefix}.save"
    for problem in _problems(folder):
        return fault(Symptom.MISSING_SCF_DATA, f"{folder.name}/{problem}")
    a2f_file = outdir / f"{prefix}.a2Fsave"
    if a2f and (not a2f_file.is_file() or not a2f_file.stat().st_size):
        return fault(Symptom.MISSING_A2F_DATA, f"{a2f_file.name} is {'empty' if a2f_file.is_file() else 'missing'}")
    return None


def _problems(folder: Path) -> Iterator[str]:
    schema = folder / _SCHEMA
    if not schema.is_file():
        yield f"{_SCHEMA} is missing"
        return
    if not schema.read_bytes().rstrip().endswith(_LAST_TAG):
        yield f"{_SCHEMA} is cut off"
    densities = sorted(folder.glob("charge-density.*"))
    waves = sorted(folder.glob("wfc*"))
    if not densities:
        yield "charge-density.dat is missing"
    if not waves:
        yield "wfc1.dat is missing"
    for file in (*densities, *waves):
        if not _is_whole(file):
            yield f"{file.name} is cut off"


def _is_whole(file: Path) -> bool:
    """Whether the records of a Fortran unformatted file are complete: each stands between two copies of its length."""
    size = file.stat().st_size
    if not size or file.suffix != ".dat":  # HDF5 is checked by those who read it
        return bool(size)
    with file.open("rb") as handle:
        at = 0
        while at < size:
            # gfortran splits records over 2 GiB into parts; a sign marks those that go on
            length = abs(int.from_bytes(handle.read(4), "little", signed=True))
            handle.seek(length, os.SEEK_CUR)
            tail = handle.read(4)
            if len(tail) < 4 or abs(int.from_bytes(tail, "little", signed=True)) != length:
                return False
            at += length + 8
    return at == size
