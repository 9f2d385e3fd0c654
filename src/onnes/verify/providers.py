"""What this machine has for verifications: programs with their versions, and where pseudopotentials come from."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from onnes.errors import VerificationError
from onnes.verify.gth import gth_tables
from onnes.verify.programs import version_of
from onnes.verify.pseudopotentials import DEBIAN
from onnes.verify.settings import RunSettings

PROGRAMS = ("pw", "ph", "q2r", "matdyn")


def program_versions(run: RunSettings | None = None, names: tuple[str, ...] = PROGRAMS) -> dict[str, str]:
    """Version of each program of Quantum ESPRESSO, empty where it is not found; ``unknown`` where it does not say."""
    run = run or RunSettings()
    return {f"{name}.x": version_of(getattr(run, f"{name}_command")) for name in names}


def pseudopotential_providers() -> dict[str, Path]:
    """Places of pseudopotentials that are installed: ``gth`` (tables of CP2K or pyscf), ``debian`` (quantum-espresso-data)."""
    found: dict[str, Path] = {}
    with suppress(VerificationError):
        found["gth"] = gth_tables()
    examples = Path(os.environ.get("ESPRESSO_PSEUDO") or DEBIAN)
    if examples.is_dir():
        found["debian"] = examples
    return found
