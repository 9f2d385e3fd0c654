"""Oxidation states of the elements of a crystal, and whether those of a composition can balance."""

from __future__ import annotations

import warnings
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from onnes.propose.periodic import symbol_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymatgen.core import Structure

MAX_FORMULA_ATOMS = 60
"""Largest reduced formula whose states are guessed; the number of combinations grows fast."""
_WHOLE = 1e-6


def oxidation_states(amounts: Mapping[int, int], structure: Structure | None = None) -> dict[int, int] | None:
    """Guess one oxidation state for each element.

    The likeliest balanced combination for the composition (pymatgen, by how often the states occur in the ICSD). Where it
    averages several states over an element, the bond-valence analysis of the structure decides (O'Keeffe and Brese, J.
    Am. Chem. Soc. 113, 3226 (1991)), each element taking the state of most of its atoms; without a structure or a result
    the mean is rounded.

    Parameters
    ----------
    amounts
        Atoms of each atomic number in the reduced formula.
    structure
        The crystal.

    Returns
    -------
    State by atomic number; None where no combination balances, as in most intermetallics.

    Examples
    --------
    >>> oxidation_states({12: 1, 8: 1}), oxidation_states({41: 3, 50: 1})
    ({8: -2, 12: 2}, None)
    """
    states = _guessed(tuple(sorted(amounts.items())))
    if states is None:
        return None
    if any(abs(state - round(state)) > _WHOLE for state in states.values()) and structure is not None:
        states = _by_bond_valence(structure) or states
    return {number: round(state) for number, state in states.items()}


@lru_cache(maxsize=65536)
def _guessed(amounts: tuple[tuple[int, int], ...]) -> dict[int, float] | None:
    from pymatgen.core import Composition

    if len(amounts) == 1 or sum(n for _, n in amounts) > MAX_FORMULA_ATOMS:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # noble gases have no electronegativity
        guesses = Composition({symbol_of(z): n for z, n in amounts}).oxi_state_guesses()
    return {z: float(guesses[0][symbol_of(z)]) for z, _ in amounts} if guesses else None


def _by_bond_valence(structure: Structure) -> dict[int, float] | None:
    from pymatgen.core.bond_valence import BVAnalyzer

    try:
        valences = np.array(BVAnalyzer().get_valences(structure))
    except (ValueError, KeyError, IndexError):  # it finds no balance, or lacks the parameters of an element
        return None
    numbers = np.array([site.specie.Z for site in structure])  # pyright: ignore[reportAttributeAccessIssue]
    found: dict[int, float] = {}
    for number in np.unique(numbers).tolist():
        states, counts = np.unique(valences[numbers == number], return_counts=True)
        found[number] = float(states[counts.argmax()])
    return found


@lru_cache(maxsize=65536)
def can_balance(amounts: tuple[tuple[int, int], ...]) -> bool:
    """Whether some choice of one common oxidation state for each element sums to zero.

    Parameters
    ----------
    amounts
        (atomic number, number of atoms) of each element.

    Examples
    --------
    >>> can_balance(((38, 1), (22, 1), (8, 3))), can_balance(((38, 1), (41, 1), (8, 3)))
    (True, False)
    """
    from pymatgen.core import Element

    states = [Element.from_Z(z).common_oxidation_states for z, _ in amounts]
    return any(sum(q * n for q, (_, n) in zip(chosen, amounts, strict=True)) == 0 for chosen in product(*states))
