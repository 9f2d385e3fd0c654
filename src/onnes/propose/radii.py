"""Atomic sizes, to guess the volume of a crystal that nobody has made."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Slater's 0.25 for hydrogen would let it vanish; 0.75 gives the 2.4 cubic angstrom by which metals swell per H atom.
HYDROGEN_RADIUS_A = 0.75
# Share of space inside the spheres: the median over the intermetallics, carbides and nitrides of the known crystals,
# whose volumes it then gives within about 5 %. Layered crystals are larger, oxides smaller.
PACKING = 0.73
HEAVIEST = 94


@lru_cache(maxsize=1)
def _radii() -> NDArray[np.float64]:
    from pymatgen.core import Element

    table = np.full(HEAVIEST + 1, np.nan)
    for number in range(1, HEAVIEST + 1):
        data = Element.from_Z(number).data
        radius = data.get("Metallic radius") or data.get("Atomic radius")
        table[number] = radius if isinstance(radius, int | float) else np.nan
    table[1] = HYDROGEN_RADIUS_A
    table.flags.writeable = False
    return table


def atomic_radii(numbers: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Radius of each atom in angstrom: the 12-coordinate metallic radius, else Slater's atomic radius.

    Both as tabulated in pymatgen (Slater, J. Chem. Phys. 41, 3199 (1964)); hydrogen is `HYDROGEN_RADIUS_A`.

    Raises
    ------
    ConfigError
        For an element without a radius (helium, neon, krypton, xenon, radon, astatine, francium, Z above 94).

    Examples
    --------
    >>> atomic_radii([41, 72, 7]).tolist()
    [1.46, 1.59, 0.65]
    """
    wanted = np.asarray(numbers, np.int64)
    inside = (wanted >= 1) & (wanted <= HEAVIEST)
    radii = np.where(inside, _radii()[np.where(inside, wanted, 0)], np.nan)
    if np.isnan(radii).any():
        missing = sorted(set(wanted[np.isnan(radii)].tolist()))
        raise ConfigError(f"no atomic radius is known for atomic number {missing}; leave these elements out")
    return radii


def estimated_volume(numbers: Sequence[int] | NDArray[np.int64]) -> float:
    """Volume in cubic angstrom that a close-packed crystal of these atoms would take.

    Parameters
    ----------
    numbers
        Atomic number of every atom in the cell, shape (n,).

    Raises
    ------
    ConfigError
        For an element without a radius.

    Examples
    --------
    >>> round(estimated_volume([41, 7]), 1)  # rocksalt NbN has 21.2
    19.4
    """
    return float(4 / 3 * np.pi * (atomic_radii(numbers) ** 3).sum() / PACKING)
