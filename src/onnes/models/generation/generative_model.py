"""A trained generator: its network, the templates it has seen, and the units of its conditions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from onnes.crystals.free_parameters import WyckoffTemplate
from onnes.errors import ModelError
from onnes.models.generation.denoiser import Denoiser, DenoiserSettings
from onnes.models.generation.packed import LETTERS, PackedCrystals, pack
from onnes.models.generation.structure_types import StructureTypes
from onnes.models.weights import load_weights, weights_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from onnes.crystals.free_parameters import FreeParameters

DEFAULT_GENERATOR = "generator"
KIND = "generator"
# What a template needs besides what follows from it; whole numbers are kept small.
_STORED = {
    "template": np.int32, "space_group": np.uint8, "letters": np.uint8, "n_free": np.uint8, "multiplicity": np.uint8, "is_orbit": bool,
    "is_site": bool, "orbit_of_site": np.uint8, "maps": np.int8, "shifts": np.float32, "to_primitive": np.float32,
    "lattice": np.float32, "lattice_free": bool, "is_free": bool,
}  # fmt: skip
_STORED_TYPES = {
    "template": np.int32, "waves": np.float16, "likeness": np.float16, "pattern": np.float16, "counts": np.int32,
}  # fmt: skip
_LONG = {"template", "space_group", "letters", "n_free", "multiplicity", "orbit_of_site"}


@dataclass(frozen=True, eq=False)
class GenerativeModel:
    """A trained generator.

    Attributes
    ----------
    name, sha256
        Of the weights; the sha256 is empty for a model that was not read from a file.
    network
        The denoiser.
    templates
        T templates of the training crystals: no elements, mean lattice, no coordinates.
    keys
        `WyckoffTemplate.key` of each, length T.
    counts
        Training crystals of each, shape (T,).
    types
        Structure types of the templates.
    condition_mean, condition_std
        Units of the conditions, shape (C,).
    """

    name: str
    sha256: str
    network: Denoiser
    templates: PackedCrystals
    keys: tuple[str, ...]
    counts: Tensor
    types: StructureTypes
    condition_mean: Tensor
    condition_std: Tensor

    @property
    def conditions(self) -> tuple[str, ...]:
        """Properties that generation can be asked for."""
        return self.network.settings.conditions

    def template(self, index: int) -> WyckoffTemplate:
        """One of the templates."""
        t = self.templates
        n, o = int(t.is_site[index].sum()), int(t.is_orbit[index].sum())
        group, positions = self.keys[index].split(":")
        cells = round(1 / float(torch.linalg.det(t.to_primitive[index]).abs()))
        names = [
            f"{m * cells}{LETTERS[k]}" for m, k in zip(t.multiplicity[index, :o], t.letters[index, :o], strict=True)
        ]
        if sorted(names) != sorted(positions.split()):
            raise ModelError(
                f"{self.name}: template {self.keys[index]} does not fit its arrays; the weights are damaged"
            )
        arrays = (t.orbit_of_site, t.maps, t.shifts)
        sites = [array[index, :n].double().numpy(force=True) for array in arrays]
        return WyckoffTemplate(
            int(group), tuple(names), sites[0].astype(np.int64), sites[1], sites[2],
            t.n_free[index, :o].numpy(force=True).astype(np.int64), t.to_primitive[index].double().numpy(force=True),
        )  # fmt: skip

    def asked(self, values: Mapping[str, float], count: int) -> Tensor | None:
        """Conditions of ``count`` crystals in the network's units, shape (count, C); None when nothing is asked.

        Raises
        ------
        ModelError
            For a property that the model does not know.
        """
        if not values:
            return None
        if unknown := [name for name in values if name not in self.conditions]:
            raise ModelError(f"{self.name} cannot be asked for {unknown[0]}; it knows {', '.join(self.conditions)}")
        row = torch.full((len(self.conditions),), torch.nan)
        for name, value in values.items():
            i = self.conditions.index(name)
            row[i] = (value - float(self.condition_mean[i])) / float(self.condition_std[i])
        return row.expand(count, -1)

    def tensors(self) -> dict[str, np.ndarray]:
        """All arrays, for a safetensors file; the network's in half precision."""
        network = {f"network.{k}": v.half().numpy(force=True) for k, v in self.network.state_dict().items()}
        templates = {
            f"templates.{k}": getattr(self.templates, k).numpy(force=True).astype(kind) for k, kind in _STORED.items()
        }
        return {
            **network,
            **templates,
            **{f"types.{k}": getattr(self.types, k).astype(kind) for k, kind in _STORED_TYPES.items()},
            "counts": self.counts.numpy(force=True).astype(np.float32),
            "condition_mean": self.condition_mean.numpy(force=True).astype(np.float32),
            "condition_std": self.condition_std.numpy(force=True).astype(np.float32),
        }

    def config(self) -> dict[str, Any]:
        """What a configuration file must say besides the arrays."""
        return {"kind": KIND, "network": self.network.settings.model_dump(mode="json"), "keys": list(self.keys)}


def template_library(crystals: Sequence[FreeParameters]) -> tuple[PackedCrystals, tuple[str, ...], Tensor]:
    """Templates of training crystals, the most frequent first: packed, keys, counts.

    Their lattice parameters are the means over the crystals; elements and coordinates are taken out.
    """
    groups: dict[str, list[FreeParameters]] = {}
    for one in crystals:
        groups.setdefault(one.template.key, []).append(one)
    keys = sorted(groups, key=lambda key: (-len(groups[key]), key))
    chosen = [
        type(first)(
            first.template,
            np.zeros_like(first.elements),
            np.mean([one.lattice_parameters for one in groups[key]], axis=0),
            np.zeros_like(first.coordinates),
        )
        for key in keys
        for first in groups[key][:1]
    ]
    return pack(chosen, keys), tuple(keys), torch.tensor([float(len(groups[key])) for key in keys])


def load_generator(name: str = DEFAULT_GENERATOR) -> GenerativeModel:
    """Read a generator: a shipped name, or a folder.

    Raises
    ------
    ModelError
        When there is none, when it is of another kind, or when its file was changed.
    """
    return _read(name, weights_sha256(name))


@lru_cache(maxsize=2)
def _read(name: str, sha256: str) -> GenerativeModel:
    """The sha256 tells weights that were written again in the same folder from the old ones."""
    weights = load_weights(name)
    if weights.config.get("kind") != KIND:
        raise ModelError(f"weights {name!r} are no generator; train one with `onnes train generator`")
    network = Denoiser(DenoiserSettings(**weights.config["network"]))
    state = {k.removeprefix("network."): v for k, v in weights.tensors.items() if k.startswith("network.")}
    network.load_state_dict({k: torch.from_numpy(np.asarray(v, np.float32)) for k, v in state.items()})
    arrays = {k.removeprefix("templates."): v for k, v in weights.tensors.items() if k.startswith("templates.")}
    return GenerativeModel(
        name,
        sha256,
        network.eval(),
        _unpacked(arrays),
        tuple(weights.config["keys"]),
        torch.from_numpy(weights.tensors["counts"]),
        _types(weights.tensors),
        torch.from_numpy(weights.tensors["condition_mean"]),
        torch.from_numpy(weights.tensors["condition_std"]),
    )


def _types(tensors: Mapping[str, np.ndarray]) -> StructureTypes:
    counts, template = (tensors[f"types.{name}"].astype(np.int64) for name in ("counts", "template"))
    waves, likeness, pattern = (
        tensors[f"types.{name}"].astype(np.float64) for name in ("waves", "likeness", "pattern")
    )
    return StructureTypes(template, waves, likeness, pattern, counts)


def _unpacked(arrays: Mapping[str, np.ndarray]) -> PackedCrystals:
    def tensor(name: str, values: np.ndarray) -> Tensor:
        kind = np.int64 if name in _LONG else bool if values.dtype == bool else np.float32
        return torch.from_numpy(values.astype(kind))

    found = {name: tensor(name, values) for name, values in arrays.items()}
    orbits = found["is_orbit"].shape
    return PackedCrystals(
        **found,
        elements=torch.zeros(orbits, dtype=torch.long),
        coordinates=torch.zeros(*orbits, 3),
        inverse_maps=torch.linalg.pinv(found["maps"]),
    )
