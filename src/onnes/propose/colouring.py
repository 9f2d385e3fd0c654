"""Which ways of putting elements on the sites of one geometry give the same crystal."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import moyopy
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

SYMPREC_A = 0.1


def symmetry(lattice: Floats, frac: Floats, numbers: Ints) -> moyopy.MoyoDataset:
    """Symmetry of a crystal: lattice (3, 3) in angstrom, frac (n, 3), numbers (n,)."""
    # It warns for each supercell whose lattice is less symmetric than its crystal; that is no fault here.
    logging.getLogger("moyo").setLevel(logging.ERROR)
    return moyopy.MoyoDataset(moyopy.Cell(lattice.tolist(), frac.tolist(), numbers.tolist()), symprec=SYMPREC_A)


def site_maps(lattice: Floats, frac: Floats, orbit_of_site: Ints) -> Ints:
    """Ways in which the symmetry of the bare geometry carries the orbits onto the sites.

    Parameters
    ----------
    lattice
        Shape (3, 3), rows are vectors, angstrom.
    frac
        Fractional coordinates, shape (n, 3).
    orbit_of_site
        Index of the orbit that each site belongs to, shape (n,).

    Returns
    -------
    Unique maps, shape (m, n): entry ``[k, i]`` is the orbit that symmetry ``k`` of the crystal without its elements
    brings to site ``i``. The identity is the first row.
    """
    found = symmetry(lattice, frac, np.ones(len(frac), np.int64)).operations
    maps = [orbit_of_site]
    for rotation, translation in zip(found.rotations, found.translations, strict=True):
        images = frac @ np.array(rotation, float).T + np.array(translation, float)
        apart = frac[:, None] - images[None]
        distances = np.linalg.norm((apart - np.round(apart)) @ lattice, axis=2)
        sources = distances.argmin(axis=1)
        # With a loose tolerance two sites can claim one image; such an operation is no symmetry of the sites.
        if len(set(sources.tolist())) == len(frac):
            maps.append(orbit_of_site[sources])
    _, first = np.unique(np.array(maps), axis=0, return_index=True)
    return np.array(maps)[np.sort(first)]


def canonical(colours: Ints, maps: Ints) -> NDArray[np.bytes_]:
    """One key a colouring; colourings of the geometry with equal keys are the same crystal.

    Parameters
    ----------
    colours
        Atomic number on each orbit, shape (c, orbits), 1 to 255.
    maps
        From `site_maps`, shape (m, n).

    Examples
    --------
    >>> swap = np.array([[0, 1], [1, 0]])  # caesium chloride: its two sites are alike once the elements are forgotten
    >>> keys = canonical(np.array([[55, 17], [17, 55], [55, 35]]), swap)
    >>> bool(keys[0] == keys[1]), bool(keys[0] == keys[2])
    (True, False)
    """
    small = np.asarray(colours, np.uint8)
    keys: NDArray[np.bytes_] | None = None
    for chosen in maps:
        # Bytes compare in lexicographic order, and no atomic number is the zero byte that would be cut off.
        packed = np.ascontiguousarray(small[:, chosen]).view(f"S{maps.shape[1]}")[:, 0]
        keys = packed.copy() if keys is None else np.where(packed < keys, packed, keys)
    if keys is None:
        return np.empty(0, "S1")
    return keys
