"""How likely an element is replaced by another where oxidation states mean nothing: by size, electronegativity, group."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from onnes.propose.similarity import element_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray


@lru_cache(maxsize=1)
def metallic_probabilities() -> NDArray[np.float64]:
    """Probabilities exp(-d^2 / 2) / sum over the other elements, d of `onnes.propose.similarity.element_distance`.

    Returns
    -------
    Shape (95, 95) by atomic number, element that was there first; zero on the diagonal and for elements without a size.

    Examples
    --------
    >>> from onnes.propose.periodic import symbol_of
    >>> symbol_of(int(metallic_probabilities()[41].argmax()))  # niobium
    'Ta'
    """
    kernel = np.exp(-0.5 * element_distances() ** 2)
    np.fill_diagonal(kernel, 0.0)
    total = kernel.sum(axis=1, keepdims=True)
    found = np.divide(kernel, total, out=np.zeros_like(kernel), where=total > 0)
    found.flags.writeable = False
    return found
