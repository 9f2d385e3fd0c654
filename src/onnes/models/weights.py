"""The registry of shipped weights: ``weights/<name>/`` with tensors, configuration and card, checked by sha256."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnes.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

TENSORS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


@dataclass(frozen=True, eq=False)
class Weights:
    """One set of weights: its tensors, its configuration, its sha256."""

    name: str
    sha256: str
    config: dict[str, Any]
    tensors: dict[str, NDArray[np.floating]]


def shipped_folder() -> Path:
    """Folder of the weights that the package ships."""
    return Path(str(resources.files("onnes.models") / "weights"))


def weight_names() -> list[str]:
    """Names of the shipped weights."""
    folder = shipped_folder()
    return sorted(p.name for p in folder.iterdir() if (p / CONFIG).is_file()) if folder.is_dir() else []


def weights_folder(name: str) -> Path:
    """Folder of the weights: a shipped name, or any folder that holds such files."""
    folder = shipped_folder() / name
    if name in weight_names():
        return folder
    if (Path(name) / CONFIG).is_file():
        return Path(name)
    raise ModelError(f"unknown model {name!r}; shipped: {', '.join(weight_names())}, or give a folder with {CONFIG}")


def weights_sha256(name: str) -> str:
    """Check the tensors' file against the sha256 in its configuration, and return it.

    Raises
    ------
    ModelError
        When the file is not the one that the configuration names.
    """
    folder = weights_folder(name)
    actual = hashlib.sha256((folder / TENSORS).read_bytes()).hexdigest()
    expected = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["sha256"]
    if actual != expected:
        raise ModelError(
            f"weights {name!r}: {folder / TENSORS} has sha256 {actual[:16]}..., its configuration says "
            f"{expected[:16]}...; the file was changed or damaged, install the package again"
        )
    return actual


def load_weights(name: str) -> Weights:
    """Check and read a set of weights."""
    from safetensors.numpy import load_file

    sha256 = weights_sha256(name)
    folder = weights_folder(name)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return Weights(name, sha256, config, load_file(folder / TENSORS))


def save_weights(
    folder: str | Path, tensors: Mapping[str, NDArray[np.floating]], config: Mapping[str, Any], card: str
) -> Path:
    """Write tensors, configuration (with the sha256) and model card."""
    from safetensors.numpy import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), folder / TENSORS)
    sha256 = hashlib.sha256((folder / TENSORS).read_bytes()).hexdigest()
    (folder / CONFIG).write_text(json.dumps({**config, "sha256": sha256}, indent=2) + "\n", encoding="utf-8")
    (folder / CARD).write_text(card, encoding="utf-8")
    return folder
