"""Random cells of a crystal system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import moyopy
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from onnes.propose.wyckoff import SpaceGroup

    Floats = NDArray[np.float64]

TRIES = 100
_LARGEST_RATIO = 8.0
_SMALLEST_ANGLE_DEG, _LARGEST_ANGLE_DEG = 55.0, 125.0
_SMALLEST_VOLUME = 0.3  # of the box with the same edges


@dataclass(frozen=True, eq=False)
class Cell:
    """A primitive cell, Niggli-reduced.

    Attributes
    ----------
    lattice
        Shape (3, 3), vectors as rows, angstrom.
    from_conventional
        Turns fractional coordinates of the conventional cell, as rows, into those of this cell: ``x @ from_conventional``.
    """

    lattice: Floats
    from_conventional: Floats


def random_cell(group: SpaceGroup, volume: float, max_aspect: float, random: np.random.Generator) -> Cell | None:
    """Draw a cell that the space group allows.

    Axial ratios are uniform in their logarithm, angles uniform between 55 and 125 degrees; a cell is taken when its
    reduced primitive form is not too long.

    Parameters
    ----------
    group
        Decides which ratios and angles are free.
    volume
        Of the primitive cell, cubic angstrom.
    max_aspect
        Longest to shortest vector of the reduced primitive cell.
    random
        Source of random numbers.

    Returns
    -------
    The cell, or None when `TRIES` draws gave none that is compact enough.

    Examples
    --------
    >>> from onnes.propose.wyckoff import space_group
    >>> cell = random_cell(space_group(225), 18.0, 4.0, np.random.default_rng(0))
    >>> round(float(abs(np.linalg.det(cell.lattice))), 6)
    18.0
    """
    for _ in range(TRIES):
        conventional = _conventional(group.system, random)
        if conventional is None:
            continue
        primitive = group.to_primitive @ conventional
        primitive *= (volume / abs(np.linalg.det(primitive))) ** (1 / 3)
        _, change = moyopy.niggli_reduce(primitive.tolist())
        turn = np.array(change, float).T
        lattice = turn @ primitive
        lengths = np.linalg.norm(lattice, axis=1)
        if lengths.max() <= max_aspect * lengths.min():
            return Cell(lattice, np.asarray(np.linalg.inv(turn @ group.to_primitive), np.float64))
    return None


def _conventional(system: str, random: np.random.Generator) -> Floats | None:
    """Conventional cell of any volume."""
    edges, angles = np.ones(3), np.full(3, 90.0)
    spread = np.log(_LARGEST_RATIO)
    if system in {"triclinic", "monoclinic", "orthorhombic"}:
        edges[1:] = np.exp(random.uniform(-spread, spread, 2))
    elif system != "cubic":
        edges[2] = np.exp(random.uniform(-spread, spread))
    if system == "triclinic":
        angles = random.uniform(_SMALLEST_ANGLE_DEG, _LARGEST_ANGLE_DEG, 3)
    elif system == "monoclinic":
        angles[1] = random.uniform(_SMALLEST_ANGLE_DEG, _LARGEST_ANGLE_DEG)
    elif system == "hexagonal":
        angles[2] = 120.0
    cosines = np.cos(np.radians(angles))
    squared = 1 + 2 * cosines.prod() - (cosines**2).sum()
    if squared < _SMALLEST_VOLUME**2:
        return None
    alpha, beta, gamma = cosines
    sine = np.sqrt(1 - gamma**2)
    rows = [[1, 0, 0], [gamma, sine, 0], [beta, (alpha - beta * gamma) / sine, np.sqrt(squared) / sine]]
    return np.array(rows) * edges[:, None]
