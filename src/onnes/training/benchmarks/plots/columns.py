"""Arrays that belong together, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


def columns_of(what: str, **arrays: ArrayLike) -> dict[str, Floats]:
    """Bring arrays of one length to float, and drop the rows in which one of them is not finite.

    Parameters
    ----------
    what
        Named in the message of an error.
    **arrays
        Each of shape (n,).

    Raises
    ------
    ConfigError
        When lengths differ, or no row is left.
    """
    columns = {name: np.asarray(array, float).ravel() for name, array in arrays.items()}
    sizes = {name: len(array) for name, array in columns.items()}
    if len(set(sizes.values())) > 1:
        raise ConfigError(f"{what}: lengths differ ({', '.join(f'{k} {v}' for k, v in sizes.items())})")
    finite = np.logical_and.reduce([np.isfinite(array) for array in columns.values()])
    if not finite.any():
        n = next(iter(sizes.values()))
        raise ConfigError(f"{what}: nothing to draw, {n} rows and none with finite {' and '.join(columns)}")
    return {name: array[finite] for name, array in columns.items()}
