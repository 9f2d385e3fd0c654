"""How far two elements are apart, where oxidation states mean nothing."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import ConfigError
from onnes.propose.periodic import atomic_number
from onnes.propose.radii import HEAVIEST, atomic_radii

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# The ellipse inside which two metals dissolve in each other: 15 % in radius (Hume-Rothery) and 0.4 in Pauling's
# electronegativity (Darken and Gurry, Physical Chemistry of Metals, McGraw-Hill 1953).
RADIUS_RATIO = 1.15
ELECTRONEGATIVITY = 0.4
# Ours: four columns (valence electrons), or four rows, weigh as much as either.
COLUMNS = 4.0
ROWS = 4.0


@lru_cache(maxsize=1)
def element_distances() -> NDArray[np.float64]:
    """Distances of all pairs of elements by atomic number, shape (95, 95); infinite where a size is not known.

    See `element_distance`.
    """
    from pymatgen.core import Element

    facts = np.full((HEAVIEST + 1, 4), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # helium, neon and argon have no electronegativity
        for number in range(1, HEAVIEST + 1):
            element = Element.from_Z(number)
            try:
                radius = float(atomic_radii([number])[0])
            except ConfigError:
                continue
            facts[number] = np.log(radius), element.X, element.group, element.row
    units = np.array([np.log(RADIUS_RATIO), ELECTRONEGATIVITY, COLUMNS, ROWS])
    apart = np.sqrt((((facts[:, None] - facts[None]) / units) ** 2).sum(axis=2))
    apart = np.where(np.isnan(apart), np.inf, apart)
    np.fill_diagonal(apart, 0.0)
    apart.flags.writeable = False
    return apart


def element_distance(a: str, b: str) -> float:
    """Distance of two elements in metallic radius, Pauling electronegativity, column and row of the periodic table.

    Root of the summed squares of ln(r_a / r_b) / ln 1.15, the difference in electronegativity over 0.4, in column over
    4 and in row over 4: below about 1 two metals tend to replace each other (Darken and Gurry's ellipse, with the place
    in the table added). The f elements count as column 3. It is symmetric, and zero for an element and itself.

    Parameters
    ----------
    a, b
        Symbols.

    Returns
    -------
    Dimensionless; infinite where an element has no radius or electronegativity (noble gases, At, Fr, beyond Pu).

    Raises
    ------
    ConfigError
        For something that is no element.

    Examples
    --------
    >>> round(element_distance("Nb", "Ta"), 2), round(element_distance("Nb", "Zr"), 2), element_distance("Nb", "O") > 4
    (0.35, 0.97, True)
    """
    first, second = atomic_number(a), atomic_number(b)
    if max(first, second) > HEAVIEST:
        return 0.0 if first == second else float("inf")
    return float(element_distances()[first, second])


def replacement_distance(old: Sequence[int], new: Sequence[int]) -> float:
    """Root mean square of the distances between the atoms that were there and those that replace them.

    Parameters
    ----------
    old, new
        Atomic numbers site by site, both of the same length; unchanged sites count as zero.

    Examples
    --------
    >>> round(replacement_distance([41, 41, 50], [41, 23, 50]), 2)
    0.39
    """
    apart = element_distances()[np.asarray(old, np.int64), np.asarray(new, np.int64)]
    return float(np.sqrt((apart**2).mean()))
