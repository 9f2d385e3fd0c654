"""How likely an ion is replaced by another: the data-mined model, with the changes that widen the search."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import CrystalError
from onnes.propose.periodic import atomic_number, symbol_of
from onnes.propose.radii import HEAVIEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_ION = re.compile(r"([A-Z][a-z]?)(\d+)([+-])")


@lru_cache(maxsize=1)
def _model() -> tuple[dict[tuple[int, int], int], NDArray[np.int64], Floats]:
    """Index of each ion (atomic number, charge), the atomic number of each, and the weights exp(lambda), shape (i, i)."""
    from pymatgen.core import structure_prediction

    # The class SubstitutionProbability reads the same file, but knows no floor and takes a second for the sums.
    path = Path(structure_prediction.__file__).parent / "data" / "lambda.json"
    rows = [row for row in json.loads(path.read_text(encoding="utf-8")) if "D1+" not in row[:2]]
    ions = {ion: i for i, ion in enumerate(sorted({_parsed(name) for row in rows for name in row[:2]}))}
    floored = np.zeros((len(ions), len(ions)))
    for one, other, weight in rows:
        a, b = ions[_parsed(one)], ions[_parsed(other)]
        floored[a, b] = floored[b, a] = max(float(weight), 0.0)
    return ions, np.array([number for number, _ in ions], np.int64), np.exp(floored)


def _parsed(name: str) -> tuple[int, int]:
    found = _ION.fullmatch(name)
    if found is None:
        raise CrystalError(f"{name!r} is no ion")
    symbol, size, sign = found.groups()
    return atomic_number(symbol), int(sign + size)


def ionic_probabilities(number: int, charge: int) -> Floats:
    """Probability that an ion is replaced by an ion of each other element, summed over that element's charges.

    p(s' | s) = exp(lambda) / sum_s' exp(lambda), the pair weights lambda of Hautier, Fischer, Ehrlacher, Jain and Ceder,
    Inorg. Chem. 50, 656 (2011) as pymatgen carries them, none below 0 and 0 for a pair that was never seen (Merchant et
    al., Nature 624, 80 (2023)).

    Parameters
    ----------
    number, charge
        The ion that is there.

    Returns
    -------
    Shape (95,) by atomic number; zero for the element itself.

    Raises
    ------
    CrystalError
        For an ion that the model does not know.

    Examples
    --------
    >>> symbol_of(int(ionic_probabilities(11, 1).argmax()))  # Na+
    'K'
    """
    ions, numbers, weights = _model()
    if (number, charge) not in ions:
        raise CrystalError(f"the ionic model knows no {symbol_of(number)}{abs(charge)}{'-' if charge < 0 else '+'}")
    row = weights[ions[number, charge]]
    inside = numbers <= HEAVIEST
    found = np.zeros(HEAVIEST + 1)
    np.add.at(found, numbers[inside], (row / row.sum())[inside])
    found[number] = 0.0
    return found
