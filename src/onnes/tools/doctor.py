"""What this installation can do, and whether its weights are what they should be."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

import onnes
from onnes.errors import ConfigError, ModelError
from onnes.flow.local import available_cores
from onnes.models.weights import weight_names, weights_sha256
from onnes.physics.reference import Reference
from onnes.potentials.fingerprints import potential_sha256
from onnes.potentials.potential import DEFAULT_POTENTIAL, potential_names

_PACKAGES = (
    "torch",
    "sevenn",
    "chgnet",
    "e3nn",
    "pymatgen",
    "ase",
    "moyopy",
    "spglib",
    "phonopy",
    "vesin",
    "pyarrow",
    "numpy",
    "sqlalchemy",
)


def examine() -> dict[str, Any]:
    """Versions, weights with sha256, potentials, reference, threads and devices; each fault in words under ``faults``."""
    faults: list[str] = []
    packages: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            packages[name] = "missing"
            faults.append(f"package {name} is missing: pip install {name}")

    def checked(function: Any, name: str) -> str:
        try:
            return str(function(name))
        except (ModelError, ConfigError, OSError) as error:
            faults.append(str(error))
            return f"unusable: {error}"

    models = {name: checked(weights_sha256, name) for name in weight_names()}
    if not models:
        faults.append("no weights are installed; install the package again")
    potentials = {name: checked(potential_sha256, name) for name in potential_names()}
    reference: dict[str, Any] = {}
    try:
        known = Reference.shipped(DEFAULT_POTENTIAL)
        reference = {
            "name": known.name,
            "sha256": known.sha256,
            "phases": known.table.num_rows,
            "formulas_with_energy": len(known.lowest),
            "with_energy": known.table.num_rows - known.table["energy_eV_per_atom"].null_count,
            **known.notes,
        }
    except (ConfigError, OSError) as error:
        faults.append(str(error))
    return {
        "onnes": onnes.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "models": models,
        "potentials": potentials,
        "reference": reference,
        "first principles": _first_principles(),
        "cores": available_cores(),
        "threads_per_process": os.environ.get("OMP_NUM_THREADS", "not set"),
        "cuda": _cuda(),
        "faults": faults,
    }


def _first_principles() -> dict[str, str]:
    """Programs of Quantum ESPRESSO and pseudopotentials; without them there is no verification, and all else works."""
    from onnes.verify.programs import INSTALL
    from onnes.verify.providers import program_versions, pseudopotential_providers

    versions = program_versions()
    found = {name: version or "not found" for name, version in versions.items()}
    if not all(versions.values()):
        found["install"] = INSTALL
    places = pseudopotential_providers()
    found["pseudopotentials"] = ", ".join(f"{name}: {place}" for name, place in places.items()) or "not found"
    return found


def _cuda() -> str:
    try:
        import torch
    except ImportError:
        return "torch is missing"
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
