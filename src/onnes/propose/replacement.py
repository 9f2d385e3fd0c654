"""Probabilities that the elements of a crystal are replaced, by the score that the caller chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from onnes.errors import ConfigError, CrystalError
from onnes.propose.ions import ionic_probabilities
from onnes.propose.metallic import metallic_probabilities
from onnes.propose.observed import observed_probabilities
from onnes.propose.oxidation import oxidation_states
from onnes.propose.periodic import HEAVIEST, NOBLE_GASES, atomic_number, atomic_numbers, neighbours, symbol_of
from onnes.propose.radii import HEAVIEST as LARGEST
from onnes.propose.radii import atomic_radii

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray
    from pymatgen.core import Structure

    Floats = NDArray[np.float64]

Score = Literal["observed", "ionic", "metallic", "auto", "neighbour"]
"""Where the probabilities come from.

observed
    Counts over known crystals that differ in one element (`onnes.propose.observed`); for every kind of crystal.
ionic
    The data-mined ionic model (`onnes.propose.ions`); only where oxidation states can be guessed.
metallic
    Metallic radius, electronegativity and place in the periodic table (`onnes.propose.metallic`).
auto
    ionic where it can be used, else metallic.
neighbour
    Equal shares for the neighbours in the periodic table (`onnes.propose.periodic.neighbours`).
"""


def replacement_probabilities(
    amounts: Mapping[int, int], score: Score, structure: Structure | None = None
) -> dict[int, Floats]:
    """For each element of a crystal the probability that another takes its place.

    Parameters
    ----------
    amounts
        Atoms of each atomic number in the reduced formula.
    score
        Which model.
    structure
        The crystal; bond valences settle oxidation states that the composition leaves open.

    Returns
    -------
    By atomic number, shape (95,) each.

    Raises
    ------
    CrystalError
        Where the ionic model cannot be used.
    ConfigError
        For an unknown score.

    Examples
    --------
    >>> from onnes.propose.periodic import symbol_of
    >>> rows = replacement_probabilities({56: 1, 22: 1, 8: 3}, "observed")
    >>> [symbol_of(int(rows[z].argmax())) for z in (56, 22, 8)]  # barium titanate
    ['Sr', 'Hf', 'S']
    """
    if score not in get_args(Score):
        raise ConfigError(f"no score is called {score!r}; there are {', '.join(get_args(Score))}")
    if score in ("ionic", "auto"):
        try:
            return _ionic(amounts, structure)
        except CrystalError:
            if score == "ionic":
                raise
            score = "metallic"
    if score == "neighbour":
        return {z: _neighbours(z) for z in amounts}
    table = observed_probabilities() if score == "observed" else metallic_probabilities()
    return {z: table[z] if z <= LARGEST else np.zeros(LARGEST + 1) for z in amounts}


def _ionic(amounts: Mapping[int, int], structure: Structure | None) -> dict[int, Floats]:
    states = oxidation_states(amounts, structure)
    if states is None:
        raise CrystalError("no oxidation states balance in this composition; use another score")
    return {z: ionic_probabilities(z, charge) for z, charge in states.items()}


def _neighbours(number: int) -> Floats:
    found = np.zeros(LARGEST + 1)
    around = [atomic_number(symbol) for symbol in neighbours(symbol_of(number))]
    found[around] = 1 / max(len(around), 1)
    return found


def allowed_elements(elements: Collection[str] | None, exclude: Collection[str]) -> NDArray[np.bool_]:
    """Which elements may be put in, shape (95,): those named, or all up to uranium; never a noble gas or an excluded one.

    Raises
    ------
    ConfigError
        For something that is no element, or when none is left.
    """
    named = atomic_numbers(elements) if elements else frozenset(range(1, HEAVIEST + 1))
    wanted = named - atomic_numbers(exclude) - atomic_numbers(NOBLE_GASES)
    found = np.array([z in wanted and _has_radius(z) for z in range(LARGEST + 1)])
    if not found.any():
        raise ConfigError("no element is left to put in; name more elements or exclude fewer")
    return found


def _has_radius(number: int) -> bool:
    try:
        atomic_radii([number])
    except ConfigError:
        return False
    return True
