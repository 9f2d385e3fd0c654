"""Forty sound crystals in their conventional cells, from textbook structure types."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.orbits import expand
from onnes.crystals.symbols import atomic_number

if TYPE_CHECKING:
    from pymatgen.core import Structure

_ORIGIN, _CENTRE = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5)
_EIGHTH = (0.125, 0.125, 0.125)

# space group, cell length, element of each site, site coordinates
_CUBIC: dict[str, tuple[int, float, tuple[str, ...], tuple[tuple[float, float, float], ...]]] = {
    **{f"bcc-{e}": (229, a, (e,), (_ORIGIN,)) for e, a in (("Nb", 3.30), ("V", 3.03), ("Ta", 3.31), ("Fe", 2.87))},
    **{
        f"fcc-{e}": (225, a, (e,), (_ORIGIN,))
        for e, a in (("Al", 4.05), ("Cu", 3.61), ("Pb", 4.95), ("Ni", 3.52), ("Pd", 3.89))
    },
    **{
        f"rocksalt-{m}{x}": (225, a, (m, x), (_ORIGIN, _CENTRE))
        for m, x, a in (
            *(("Nb", "N", 4.39), ("Nb", "C", 4.47), ("Ti", "N", 4.24), ("Zr", "N", 4.58)),
            *(("Hf", "C", 4.64), ("Na", "Cl", 5.64), ("Mg", "O", 4.21), ("Ta", "C", 4.46)),
        )
    },
    **{
        f"cscl-{m}{x}": (221, a, (m, x), (_ORIGIN, _CENTRE))
        for m, x, a in (("Cs", "Cl", 4.12), ("Ni", "Al", 2.89), ("Fe", "Ti", 2.98))
    },
    **{
        f"a15-{m}3{x}": (223, a, (x, m), (_ORIGIN, (0.25, 0, 0.5)))
        for m, x, a in (("Nb", "Sn", 5.29), ("V", "Si", 4.72), ("Nb", "Ge", 5.14), ("Nb", "Al", 5.18))
    },
    **{
        f"perovskite-{m}{t}O3": (221, a, (m, t, "O"), (_ORIGIN, _CENTRE, (0.5, 0.5, 0)))
        for m, t, a in (("Sr", "Ti", 3.905), ("Ba", "Ti", 4.01), ("La", "Al", 3.79))
    },
    "diamond-Si": (227, 5.43, ("Si",), (_EIGHTH,)),
    "diamond-C": (227, 3.567, ("C",), (_EIGHTH,)),
    "zincblende-GaAs": (216, 5.65, ("Ga", "As"), (_ORIGIN, (0.25, 0.25, 0.25))),
    "fluorite-CaF2": (225, 5.46, ("Ca", "F"), (_ORIGIN, (0.25, 0.25, 0.25))),
    "laves-ZrV2": (227, 7.44, ("Zr", "V"), (_EIGHTH, _CENTRE)),
    "H3S": (229, 3.04, ("S", "H"), (_ORIGIN, (0.5, 0, 0))),
    "ReO3": (221, 3.75, ("Re", "O"), (_ORIGIN, (0.5, 0, 0))),
    "Cu3Au": (221, 3.75, ("Au", "Cu"), (_ORIGIN, (0.5, 0.5, 0))),
}

_OTHER = {
    "MgB2": (191, (3.085, 3.085, 3.523, 90, 90, 120), ("Mg", "B"), (_ORIGIN, (1 / 3, 2 / 3, 0.5))),
    "hcp-Ti": (194, (2.95, 2.95, 4.68, 90, 90, 120), ("Ti",), ((1 / 3, 2 / 3, 0.25),)),
    "rutile-TiO2": (136, (4.594, 4.594, 2.959, 90, 90, 90), ("Ti", "O"), (_ORIGIN, (0.3053, 0.3053, 0))),
    "Be2Nb3": (
        127,
        (6.49, 6.49, 3.35, 90, 90, 90),
        ("Nb", "Nb", "Be"),
        (_ORIGIN, (0.179, 0.679, 0.5), (0.389, 0.889, 0)),
    ),
    "quartz-SiO2": (
        154,
        (4.913, 4.913, 5.405, 90, 90, 120),
        ("Si", "O"),
        ((0.47, 0, 2 / 3), (0.413, 0.267, 0.785)),
    ),
}


@cache
def good_batch() -> CrystalBatch:
    """The crystals, in the order of `good_names`; 2 to 24 atoms each."""
    cubic = [(group, (a, a, a, 90, 90, 90), elements, sites) for group, a, elements, sites in _CUBIC.values()]
    return CrystalBatch.of(
        expand(group, cell, [(atomic_number(e), site) for e, site in zip(elements, sites, strict=True)])
        for group, cell, elements, sites in [*cubic, *_OTHER.values()]
    )


def good_names() -> list[str]:
    """Forty names."""
    return [*_CUBIC, *_OTHER]


@cache
def _structures() -> dict[str, Structure]:
    return dict(zip(good_names(), good_batch().to_structures(), strict=True))


def good_crystals() -> dict[str, Structure]:
    """Structures by name, copies."""
    return {name: structure.copy() for name, structure in _structures().items()}
