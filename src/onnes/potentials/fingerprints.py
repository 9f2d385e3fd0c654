"""Sha256 of the potentials' weight files, found without importing torch."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path

from onnes.errors import ModelError

_FILES = {
    "sevennet-0": ("sevenn", "pretrained_potentials/SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth"),
    "sevennet-l3i5": ("sevenn", "pretrained_potentials/SevenNet_l3i5/checkpoint_l3i5.pth"),
    "chgnet": ("chgnet", "pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar"),
}


def weights_file(potential: str) -> Path:
    """Weight file of a potential, inside the package that ships it.

    Raises
    ------
    ModelError
        When the package is not installed or lacks the file.
    """
    if potential not in _FILES:
        raise ModelError(f"unknown potential {potential!r}; known: {', '.join(sorted(_FILES))}")
    package, inside = _FILES[potential]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"potential {potential!r} needs the package {package!r}: pip install {package}")
    path = Path(spec.submodule_search_locations[0]) / inside
    if not path.is_file():
        raise ModelError(f"package {package!r} does not ship {inside}; install the version that onnes pins")
    return path


@lru_cache
def potential_sha256(potential: str) -> str:
    """Sha256 of the weight file."""
    return hashlib.sha256(weights_file(potential).read_bytes()).hexdigest()
