"""Programs that stand for Quantum ESPRESSO where a test needs none of its numbers, and a PATH without the real one."""

import os
from pathlib import Path

import pytest

from onnes.verify.manifest import make_manifest
from onnes.verify.programs import version_of
from tests.verify.samples import upf_2

# Without arguments it says what it is, as the real ones do; with an input it works for a long time.
ENDLESS = """#!/bin/sh
case "$*" in
  *-in*) echo $$ > "$FAKE_PW_STARTED"; exec sleep 600 ;;
  *) echo "     Program PWSCF v.6.7MaX starts" ;;
esac
"""
BROKEN = """#!/bin/sh
case "$*" in
  *-in*) echo "  Error in routine readpp (1):"; exit 1 ;;
  *) echo "     Program PWSCF v.6.7MaX starts" ;;
esac
"""


def without_espresso(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Leave a PATH on which there is no program at all."""
    monkeypatch.setenv("PATH", str(folder))
    version_of.cache_clear()


def with_program(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str = ENDLESS) -> Path:
    """Put a ``pw.x`` in front of the PATH; returns the file with its process number once it works."""
    path = folder / "bin" / "pw.x"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("FAKE_PW_STARTED", str(folder / "started"))
    version_of.cache_clear()
    return folder / "started"


def pseudos(folder: Path, *elements: str) -> Path:
    """Make a folder of pseudopotentials that have a header only."""
    place = folder / "pseudos"
    place.mkdir()
    for element in elements:
        (place / f"{element}.UPF").write_bytes(upf_2(element, ecutwfc=30.0))
    make_manifest(place)
    return place
