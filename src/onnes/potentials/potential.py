"""The Potential protocol, and the registry of the adapters that fulfil it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from onnes.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from onnes.crystals.batch import CrystalBatch

DEFAULT_POTENTIAL = "sevennet-0"
_SIBLING = "sevennet-l3i5"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a potential says of B crystals with N atoms.

    Attributes
    ----------
    energies_eV
        Total energies, shape (B,), on the potential's own scale.
    forces_eV_per_A
        Shape (N, 3), or None when they were not asked for.
    stresses_eV_per_A3
        Cauchy stress tensors, tension positive as in ASE, shape (B, 3, 3), or None.
    features
        Per-atom features, shape (N, F), or None.
    magmoms_muB
        Per-atom magnetic moments where the potential knows them, shape (N,), or None.
    """

    energies_eV: NDArray[np.float64]
    forces_eV_per_A: NDArray[np.float64] | None = None
    stresses_eV_per_A3: NDArray[np.float64] | None = None
    features: NDArray[np.float32] | None = None
    magmoms_muB: NDArray[np.float64] | None = None


@runtime_checkable
class Potential(Protocol):
    """An interatomic potential that evaluates whole batches.

    ``energy_scheme`` names the scale of its energies (functional and corrections); energies of different schemes or
    potentials are never compared.
    """

    name: str
    sha256: str
    energy_scheme: str
    elements: frozenset[int]
    n_features: int
    device: str

    def evaluate(self, batch: CrystalBatch, *, forces: bool = True, features: bool = False) -> Evaluation:
        """Evaluate a batch that fits into memory at once."""
        ...


_ADAPTERS: dict[str, tuple[str, str]] = {
    "sevennet-0": ("onnes.potentials.sevennet", "SevenNet"),
    "sevennet-l3i5": ("onnes.potentials.sevennet", "SevenNet"),
    "chgnet": ("onnes.potentials.chgnet", "CHGNet"),
}
_LOADED: dict[tuple[str, str], Potential] = {}


def potential_names() -> list[str]:
    """Names that ``load_potential`` knows."""
    return sorted(_ADAPTERS)


def sibling_of(name: str) -> str:
    """The second potential that is asked where one is not enough.

    Examples
    --------
    >>> sibling_of("sevennet-0"), sibling_of("chgnet")
    ('sevennet-l3i5', 'sevennet-0')
    """
    return _SIBLING if name == DEFAULT_POTENTIAL else DEFAULT_POTENTIAL


def register_potential(name: str, module: str, factory: str) -> None:
    """Make ``module.factory(name, device=...)`` known under ``name`` (for plug-ins and learned backbones)."""
    _ADAPTERS[name] = (module, factory)


def load_potential(name: str = DEFAULT_POTENTIAL, *, device: str = "cpu") -> Potential:
    """Load a potential once per process.

    Parameters
    ----------
    name
        One of `potential_names`.
    device
        ``cpu`` or ``cuda``.

    Raises
    ------
    ModelError
        For an unknown name, a device that is not there, or a package that is not installed.
    """
    if name not in _ADAPTERS:
        raise ModelError(f"unknown potential {name!r}; known: {', '.join(potential_names())}")
    key = (name, device)
    if key not in _LOADED:
        module, factory = _ADAPTERS[name]
        try:
            make: Callable[..., Potential] = getattr(importlib.import_module(module), factory)
        except ImportError as error:
            raise ModelError(f"potential {name!r} needs a package that is missing: {error}") from error
        _LOADED[key] = make(name, device=device)
    return _LOADED[key]
