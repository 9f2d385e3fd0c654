"""How likely an element is replaced by another, as counted over known crystals.

The counts come from `onnes.training.substitution_counts`, computed over crystals of the Materials Project whose
composition lies in a training bucket.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.symbols import atomic_numbers
from onnes.propose.metallic import metallic_probabilities
from onnes.propose.radii import HEAVIEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PRIOR = 10.0
"""Weight of the metallic probabilities beside the counts of an element, which are some 200 for a common one."""


def counted_probabilities(pairs: Mapping[str, Mapping[str, float]]) -> Floats:
    """Probabilities from the weights of pairs, smoothed by the metallic ones.

    p(b | a) = (w_ab + `PRIOR` m(b | a)) / (sum_b w_ab + `PRIOR`), with m of
    `onnes.propose.metallic.metallic_probabilities`; the weights are symmetric, the probabilities are not.

    Parameters
    ----------
    pairs
        For each element the weights of its partners, every pair once.

    Returns
    -------
    Shape (95, 95) by atomic number, element that was there first; zero on the diagonal.
    """
    weights = np.zeros((HEAVIEST + 1, HEAVIEST + 1))
    for one, partners in pairs.items():
        for other, weight in partners.items():
            a, b = atomic_numbers()[one], atomic_numbers()[other]
            if max(a, b) <= HEAVIEST:
                weights[a, b] = weights[b, a] = weight
    found = (weights + PRIOR * metallic_probabilities()) / (weights.sum(axis=1, keepdims=True) + PRIOR)
    found.flags.writeable = False
    return found


@lru_cache(maxsize=1)
def observed_probabilities() -> Floats:
    """Probabilities from the shipped counts, shape (95, 95) by atomic number, element that was there first.

    Examples
    --------
    >>> from onnes.propose.periodic import symbol_of
    >>> symbol_of(int(observed_probabilities()[41].argmax()))  # niobium
    'Ta'
    """
    return counted_probabilities(_shipped()["pairs"])


def _shipped() -> dict[str, Any]:
    text = files("onnes.propose").joinpath("data/substitution_counts.json").read_text(encoding="utf-8")
    return json.loads(text)
