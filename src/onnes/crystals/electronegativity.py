"""The order of the elements by electronegativity."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_LAST = 118


@lru_cache(maxsize=1)
def electronegativity_places() -> np.ndarray:
    """Place of each atomic number among the elements sorted by Pauling's electronegativity, shape (119,).

    Elements without one come last, by atomic number; number 0 has place 0, the elements 1 to 118.

    Examples
    --------
    >>> places = electronegativity_places()
    >>> bool(places[55] < places[22] < places[8] < places[9]), int(places[0])
    (True, 0)
    """
    from pymatgen.core import Element

    values = [Element.from_Z(number).data.get("X") for number in range(1, _LAST + 1)]
    keys = [(not isinstance(x, int | float), x if isinstance(x, int | float) else 0.0, z) for z, x in enumerate(values)]
    places = np.zeros(_LAST + 1, np.int64)
    places[1 + np.array(sorted(range(_LAST), key=keys.__getitem__))] = np.arange(1, _LAST + 1)
    places.flags.writeable = False
    return places
