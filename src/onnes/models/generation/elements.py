"""What the generator is told of an element, so that what it learns of one holds for its neighbours in the periodic table."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from pymatgen.core import Element

N_ELEMENTS = 95
"""Atomic numbers up to plutonium; 0 is an element that is not known."""
UNKNOWN_RADIUS_A = 1.4
SMALLEST_RADIUS_A = 0.5
_USUAL_ELECTRONEGATIVITY = 1.8  # of elements that Pauling gave none
_GROUPS, _ROWS = 18, 7
_F_BLOCK = 2  # lanthanoids and actinoids count as groups of their own


@lru_cache(maxsize=1)
def element_facts() -> torch.Tensor:
    """Column, row, electronegativity and covalent radius of the elements, shape (`N_ELEMENTS`, 29).

    Column and row are written as indicators, lanthanoids and actinoids as two columns of their own; Pauling's
    electronegativity (zero for those without, after subtraction of 1.8) and the logarithm of the covalent radius are in
    units of their spread. The row of number 0, an element that is not known, is zero.
    """
    from ase.data import covalent_radii
    from pymatgen.core import Element

    facts = np.zeros((N_ELEMENTS, _GROUPS + _F_BLOCK + _ROWS + 2), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # noble gases have no electronegativity
        for number in range(1, N_ELEMENTS):
            element = Element.from_Z(number)
            column = element.group - 1
            if element.is_lanthanoid or element.is_actinoid:
                column = _GROUPS + int(element.is_actinoid)
            facts[number, column] = facts[number, _GROUPS + _F_BLOCK + element.row - 1] = 1
            facts[number, -2] = (_electronegativity(element) - _USUAL_ELECTRONEGATIVITY) / 0.6
            facts[number, -1] = np.log(covalent_radii[number] / UNKNOWN_RADIUS_A) / 0.3
    return torch.from_numpy(facts)


@lru_cache(maxsize=1)
def element_radii() -> torch.Tensor:
    """Covalent radii in angstrom (Cordero et al., Dalton Trans. 2008), shape (`N_ELEMENTS`,).

    `UNKNOWN_RADIUS_A` for number 0; hydrogen and helium are given `SMALLEST_RADIUS_A`, so that they see as far as others.
    """
    from ase.data import covalent_radii

    radii = covalent_radii[:N_ELEMENTS].astype(np.float32).clip(SMALLEST_RADIUS_A)
    radii[0] = UNKNOWN_RADIUS_A
    return torch.from_numpy(radii)


@lru_cache(maxsize=1)
def element_likeness() -> np.ndarray:
    """Electronegativity, logarithm of the covalent radius, column and row, each in units in which 1 is a large step.

    Shape (`N_ELEMENTS`, 4); zero for number 0.
    """
    from ase.data import covalent_radii
    from pymatgen.core import Element

    found = np.zeros((N_ELEMENTS, 4))
    for number in range(1, N_ELEMENTS):
        element = Element.from_Z(number)
        found[number] = (
            _electronegativity(element) / 0.8,
            np.log(covalent_radii[number]) / 0.28,
            element.group / 8,
            element.row / 8,
        )
    return found


def _electronegativity(element: Element) -> float:
    value = element.data.get("X")
    return float(value) if isinstance(value, int | float) else _USUAL_ELECTRONEGATIVITY
