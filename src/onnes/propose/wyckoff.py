"""Wyckoff positions of the space groups (tables of PyXtal), and the drawing of those that a composition can fill."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SPACE_GROUPS = 230
# A filling with k occupied positions is drawn with weight ORBIT_WEIGHT**k: crystals prefer few kinds of sites (Pauling's
# rule of parsimony). The value is that of maximum likelihood over 1,041 known crystals with up to 12 atoms.
ORBIT_WEIGHT = 0.3
# Rows are the vectors of a primitive cell in units of those of the conventional one.
_CENTRINGS = {
    "P": np.eye(3),
    "A": np.array([[1, 0, 0], [0, 0.5, 0.5], [0, -0.5, 0.5]]),
    "C": np.array([[0.5, 0.5, 0], [-0.5, 0.5, 0], [0, 0, 1]]),
    "I": np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]),
    "F": np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]),
    "R": np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3,
}


@dataclass(frozen=True, eq=False)
class WyckoffPosition:
    """One Wyckoff position, in the conventional cell of the standard setting.

    Attributes
    ----------
    letter
        Such as "a".
    multiplicity
        Atoms in the primitive cell.
    freedom
        Free coordinates, 0 to 3. Without any, the position can be occupied only once.
    rotations, translations
        Images of a point: ``rotations @ x + translations``, shapes (m, 3, 3) and (m, 3), m atoms in the conventional cell.
    """

    letter: str
    multiplicity: int
    freedom: int
    rotations: Floats
    translations: Floats


@dataclass(frozen=True, eq=False)
class SpaceGroup:
    """A space group: its number, lattice system, primitive cell and Wyckoff positions.

    Attributes
    ----------
    system
        triclinic, monoclinic, orthorhombic, tetragonal, hexagonal (trigonal included) or cubic.
    to_primitive
        Primitive vectors in units of the conventional ones, as rows, shape (3, 3).
    """

    number: int
    system: str
    to_primitive: Floats
    positions: tuple[WyckoffPosition, ...]

    @property
    def lattice_freedom(self) -> int:
        """Free parameters of the cell."""
        free = {"triclinic": 6, "monoclinic": 4, "orthorhombic": 3, "tetragonal": 2, "hexagonal": 2, "cubic": 1}
        return free[self.system]


@cache
def space_group(number: int) -> SpaceGroup:
    """Space group of a number, 1 to 230.

    Raises
    ------
    ConfigError
        Without PyXtal.

    Examples
    --------
    >>> rocksalt = space_group(225)
    >>> [(p.letter, p.multiplicity) for p in rocksalt.positions[-3:]]
    [('c', 2), ('b', 1), ('a', 1)]
    """
    try:
        from pyxtal.symmetry import Group
    except ImportError as error:
        raise ConfigError(
            "random crystals need the package pyxtal; install it with: pip install 'onnes[generate]'"
        ) from error
    found: Any = Group(number)
    to_primitive = _CENTRINGS[found.symbol[0]]
    points = round(1 / abs(np.linalg.det(to_primitive)))
    positions = []
    for position in found:
        matrices = np.array([operation.affine_matrix for operation in position.ops], float)
        freedom, multiplicity = int(position.get_dof()), int(position.multiplicity) // points
        positions.append(
            WyckoffPosition(position.letter, multiplicity, freedom, matrices[:, :3, :3], matrices[:, :3, 3])
        )
    system = "hexagonal" if found.lattice_type == "trigonal" else str(found.lattice_type)
    return SpaceGroup(number, system, to_primitive, tuple(positions))


class Fillings:
    """All ways in which the atoms of a primitive cell can occupy the Wyckoff positions of a space group.

    Positions without a free coordinate take one kind of atom once, the others any number. A way with k occupied
    positions has the weight ``ORBIT_WEIGHT**k``; sums over all ways are found by recursion over kinds and positions, so
    that drawing is exact without a list.

    Parameters
    ----------
    group
        The space group.
    counts
        Atoms of each kind in the primitive cell.

    Examples
    --------
    >>> Fillings(space_group(225), (1, 1)).weight  # rock salt with either atom at the origin, 2 positions occupied
    0.18
    """

    def __init__(self, group: SpaceGroup, counts: Sequence[int]) -> None:
        self.group, self.counts = group, tuple(counts)
        most = max(self.counts)
        self._fixed: dict[int, list[WyckoffPosition]] = defaultdict(list)
        for position in group.positions:
            if position.freedom == 0 and position.multiplicity <= most:
                self._fixed[position.multiplicity].append(position)
        self._sizes = sorted(self._fixed)
        self._free = [p for p in group.positions if p.freedom and p.multiplicity <= most]
        self._sums = _multiset_sums([p.multiplicity for p in self._free], most)
        self._left = cache(self._weight_left)

    @property
    def weight(self) -> float:
        """Sum of the weights of all ways; 0 when the atoms do not fit."""
        return self._left(0, tuple(len(self._fixed[size]) for size in self._sizes))

    def draw(self, random: np.random.Generator) -> list[tuple[int, WyckoffPosition]]:
        """Draw one way: (kind, position) of each occupied position.

        Raises
        ------
        ConfigError
            When the atoms do not fit.
        """
        if not self.weight:
            raise ConfigError(f"{list(self.counts)} atoms do not fit the positions of space group {self.group.number}")
        left = {size: list(self._fixed[size]) for size in self._sizes}
        chosen: list[tuple[int, WyckoffPosition]] = []
        for kind in range(len(self.counts)):
            options = list(self._options(kind, tuple(len(left[size]) for size in self._sizes)))
            weights = np.array([weight for weight, _, _ in options])
            _, taken, rest = options[int(random.choice(len(options), p=weights / weights.sum()))]
            for size, number in zip(self._sizes, taken, strict=True):
                chosen += [(kind, left[size].pop(int(random.integers(len(left[size]))))) for _ in range(number)]
            chosen += [(kind, position) for position in self._draw_free(rest, random)]
        return chosen

    def _options(self, kind: int, left: tuple[int, ...]) -> Iterator[tuple[float, tuple[int, ...], int]]:
        """Yield the weight, the number of fixed positions of each size, and the atoms left for the free ones."""
        count = self.counts[kind]
        for taken in product(*(range(number + 1) for number in left)):
            rest = count - sum(number * size for number, size in zip(taken, self._sizes, strict=True))
            if rest < 0 or not self._sums[0][rest]:
                continue
            ways = 1.0
            for number, available in zip(taken, left, strict=True):
                ways *= comb(available, number) * ORBIT_WEIGHT**number
            after = tuple(available - number for available, number in zip(left, taken, strict=True))
            weight = ways * self._sums[0][rest] * self._left(kind + 1, after)
            if weight:
                yield weight, taken, rest

    def _weight_left(self, kind: int, left: tuple[int, ...]) -> float:
        if kind == len(self.counts):
            return 1.0
        return sum(weight for weight, _, _ in self._options(kind, left))

    def _draw_free(self, count: int, random: np.random.Generator) -> list[WyckoffPosition]:
        chosen: list[WyckoffPosition] = []
        for j, position in enumerate(self._free):
            while count >= position.multiplicity:
                again = ORBIT_WEIGHT * self._sums[j][count - position.multiplicity] / self._sums[j][count]
                if random.random() >= again:
                    break
                chosen.append(position)
                count -= position.multiplicity
        return chosen


def _multiset_sums(sizes: Sequence[int], most: int) -> list[list[float]]:
    """Entry [j][n]: summed weight of the multisets of positions from j on that hold n atoms."""
    table = [[1.0] + [0.0] * most]
    for size in reversed(sizes):
        row = list(table[0])
        for n in range(size, most + 1):
            row[n] += ORBIT_WEIGHT * row[n - size]
        table.insert(0, row)
    return table


@lru_cache(maxsize=4096)
def fillings(number: int, counts: tuple[int, ...]) -> Fillings:
    """`Fillings` of a space group by its number, kept."""
    return Fillings(space_group(number), counts)


def occupied(chosen: Sequence[tuple[int, WyckoffPosition]]) -> str:
    """Name a way in which positions are occupied, such as "0:a 1:b"; equal names are equal ways."""
    words = Counter(f"{kind}:{position.letter}" for kind, position in chosen)
    return " ".join(f"{word}*{times}" if times > 1 else word for word, times in sorted(words.items()))
