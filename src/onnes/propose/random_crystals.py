"""Random sensible crystals of a composition: symmetric, at a plausible volume, no two atoms on top of each other."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.symmetry import describe
from onnes.errors import ConfigError, CrystalError
from onnes.propose.lattices import random_cell
from onnes.propose.periodic import NOBLE_GASES
from onnes.propose.rows import Proposal, encode
from onnes.propose.soft_spheres import DIAMETER, soften
from onnes.propose.statistics import space_group_weights, typical_volume, unit_counts
from onnes.propose.wyckoff import SPACE_GROUPS, fillings, space_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pymatgen.core import Structure

    from onnes.propose.wyckoff import WyckoffPosition

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

MAX_ATOMS = 12  # the models of Tc have seen cells up to this size
VOLUME_FACTORS = (0.7, 1.3)
"""Of 56 random crystals of TiC, BaF2, CaTiO3 and Mg2Si relaxed by SevenNet-0, 30 fell into holes of the potential from a
factor of 0.4 and 4 from 0.55, none from 0.7 to 1.3; the lowest crystals were the same and took half the steps."""
MIN_DISTANCE = 0.6
"""Of the sum of two covalent radii; 99 % of the known crystals keep 0.76."""
MAX_ASPECT = 4.0
"""Longest to shortest vector of the reduced cell; 98 % of the known crystals with up to 12 atoms keep it."""
FREQUENCY_POWER = 0.7
"""Flatter than known crystals, so that rare space groups have their turn in a hundred draws."""
TRIES = 40
"""Fillings and cells tried for one space group and volume."""
_ORBIT_TRIES = 8
_SAME_SITE_A = 1e-3
_WHOLE = 1e-6
_ATTEMPTS = 30
"""Attempts a crystal before a formula is given up."""
_LOG = logging.getLogger("onnes.propose")
_SHIFTS = np.array(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij")).reshape(3, -1).T.astype(float)


@dataclass(frozen=True)
class RandomSettings:
    """How random crystals are drawn.

    Attributes
    ----------
    max_atoms
        Largest primitive cell.
    units
        Numbers of formula units in the primitive cell; by default all within ``max_atoms``, drawn as often as known
        crystals have them.
    space_groups
        Which space groups; all by default, drawn as often as known crystals have them (see ``frequency_power``).
    frequency_power
        Exponent of these frequencies: 1 takes them as they are, 0 makes all space groups equal.
    volume_factors
        Range of the volume, in units of `onnes.propose.statistics.typical_volume`.
    min_distance
        Least distance between two atoms, in units of the sum of their covalent radii.
    max_aspect
        Longest to shortest vector of the reduced cell.
    soft_spheres
        Diameter of the soft spheres that push the atoms apart at the end, in the same units as ``min_distance``
        (`onnes.propose.soft_spheres.soften`); 0 leaves the atoms where they fell.
    """

    max_atoms: int = MAX_ATOMS
    units: tuple[int, ...] | None = None
    space_groups: tuple[int, ...] | None = None
    frequency_power: float = FREQUENCY_POWER
    volume_factors: tuple[float, float] = VOLUME_FACTORS
    min_distance: float = MIN_DISTANCE
    max_aspect: float = MAX_ASPECT
    soft_spheres: float = DIAMETER

    def __post_init__(self) -> None:
        low, high = self.volume_factors
        if not 0 < low <= high:
            raise ConfigError(f"volume factors from {low:g} to {high:g}: give two positive numbers, the smaller first")
        if self.max_aspect < 1 or self.max_atoms < 1 or min(self.min_distance, self.soft_spheres) < 0:
            raise ConfigError("max_aspect and max_atoms are at least 1, min_distance and soft_spheres not negative")
        if any(not 1 <= group <= SPACE_GROUPS for group in self.space_groups or ()):
            raise ConfigError(f"space groups run from 1 to {SPACE_GROUPS}")


@dataclass(eq=False)
class RandomCrystals:
    """An endless source of random crystals of one formula, the same for the same seed.

    Of a prototype that has nothing but its volume free one crystal is given, and twice as many for each further free
    parameter, since more of them would relax to what is known.

    Parameters
    ----------
    formula
        Any formula; its reduced form is what counts.
    settings
        See `RandomSettings`.
    seed
        Of everything drawn.

    Attributes
    ----------
    failures
        Attempts that gave no new crystal, by reason.

    Raises
    ------
    ConfigError
        For what is no formula, has a noble gas, or does not fit into ``max_atoms``; without PyXtal.

    Examples
    --------
    >>> source = RandomCrystals("MgO", RandomSettings(max_atoms=4), seed=1)
    >>> len(source.take(5))
    5
    """

    formula: str
    settings: RandomSettings = field(default_factory=RandomSettings)
    seed: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.formula, self._amounts = composition_of(self.formula)
        fitting = self.settings.max_atoms // sum(self._amounts.values())
        units = self.settings.units or tuple(range(1, fitting + 1))
        if not units or min(units) < 1 or max(units) > fitting:
            needed = sum(self._amounts.values()) * max(units, default=1)
            raise ConfigError(f"{self.formula} needs {needed} atoms; raise max_atoms above {self.settings.max_atoms}")
        self._units = units
        weights = unit_counts(max(units))[np.array(units) - 1].astype(float)
        self._unit_shares = weights / weights.sum()
        self._attempt = 0
        self._given: Counter[str] = Counter()

    def take(self, n: int) -> list[Proposal]:
        """Next n crystals; fewer where `failures` says why no more can be made."""
        found: list[Proposal] = []
        last = self._attempt + _ATTEMPTS * n
        while len(found) < n and self._attempt < last:
            made = self._next()
            if made is not None:
                found.append(made)
        if len(found) < n:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.failures.most_common())
            _LOG.info("%s: %d of %d random crystals; attempts failed: %s", self.formula, len(found), n, reasons)
        return found

    def _next(self) -> Proposal | None:
        random = np.random.default_rng([abs(self.seed), self._attempt])
        self._attempt += 1
        units = int(random.choice(self._units, p=self._unit_shares))
        groups, shares = _groups(tuple(units * n for n in self._amounts.values()), self.settings)
        if not len(groups):
            self.failures["no space group that its atoms fit"] += 1
            return None
        group = int(random.choice(groups, p=shares))
        factor = round(float(random.uniform(*self.settings.volume_factors)), 4)
        seed = int(random.integers(2**31))
        made = _build(self._amounts, units, group, factor, seed, self.settings)
        if made is None:
            self.failures["atoms too close or cell too long"] += 1
            return None
        lattice, frac, numbers, freedom = made
        try:
            label = describe(lattice, frac, numbers).prototype
        except CrystalError:
            self.failures["no symmetry found"] += 1
            return None
        if self._given[label] >= _most_of_a_kind(freedom):
            self.failures["prototype drawn often enough"] += 1
            return None
        self._given[label] += 1
        how = self._operation(units, group, factor, seed)
        return Proposal(lattice, frac, numbers, None, encode(how))

    def _operation(self, units: int, group: int, factor: float, seed: int) -> dict[str, Any]:
        return {
            "op": "composition",
            "formula": self.formula,
            "units": units,
            "space_group": group,
            "volume_factor": factor,
            "seed": seed,
            "min_distance": self.settings.min_distance,
            "max_aspect": self.settings.max_aspect,
            "soft_spheres": self.settings.soft_spheres,
        }


def composition_of(formula: str) -> tuple[str, dict[int, int]]:
    """Reduced formula, and the atoms of each atomic number in it, in ascending order.

    Raises
    ------
    ConfigError
        For what is no formula of whole numbers, or has an element that makes no crystals.

    Examples
    --------
    >>> composition_of("Sn2Nb6")
    ('Nb3Sn', {41: 3, 50: 1})
    """
    from pymatgen.core import Composition, Element

    try:
        whole = Composition(formula)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{formula!r} is no formula ({error}); write one such as Nb3Sn") from error
    strange = [str(kind) for kind in whole if not isinstance(kind, Element)]
    if strange:
        raise ConfigError(f"{formula!r} is no formula: {strange[0]} is no element; write one such as Nb3Sn")
    counts = {int(element.Z): amount for element, amount in whole.items()}
    amounts = {number: round(amount) for number, amount in counts.items()}
    noble = sorted(NOBLE_GASES & {element.symbol for element in whole})
    if not amounts or noble or any(abs(counts[number] - amounts[number]) > _WHOLE for number in counts):
        problem = f"noble gases make no metals; leave out {', '.join(noble)}" if noble else "write one such as Nb3Sn"
        raise ConfigError(f"{formula!r} cannot be used: {problem}")
    shared = gcd(*amounts.values())
    amounts = {number: amount // shared for number, amount in sorted(amounts.items())}
    return whole.reduced_formula, amounts


def replay_random(how: str) -> Structure:
    """Make a random crystal again from its ``how``.

    Examples
    --------
    >>> crystal = RandomCrystals("NbC", seed=3).take(1)[0]
    >>> bool(np.allclose(replay_random(crystal.how).frac_coords, crystal.frac_coords))
    True
    """
    operation = json.loads(how)
    names = ("min_distance", "max_aspect", "soft_spheres")
    settings = RandomSettings(**{name: operation[name] for name in names})
    _, amounts = composition_of(operation["formula"])
    units, group, factor = operation["units"], operation["space_group"], operation["volume_factor"]
    made = _build(amounts, units, group, factor, operation["seed"], settings)
    if made is None:
        raise CrystalError(f"{how} gives no crystal; it was made by another version")
    return CrystalBatch.of([made[:3]]).to_structures()[0]


def _most_of_a_kind(freedom: int) -> int:
    return int(2 ** min(freedom - 1, 10))


@lru_cache(maxsize=1024)
def _groups(counts: tuple[int, ...], settings: RandomSettings) -> tuple[Ints, Floats]:
    """Space groups whose positions the atoms can fill, and how often to draw each."""
    wanted = range(1, SPACE_GROUPS + 1) if settings.space_groups is None else sorted(set(settings.space_groups))
    groups = np.array([number for number in wanted if fillings(number, counts).weight], np.int64)
    weights = space_group_weights()[groups - 1] ** settings.frequency_power
    return groups, weights / weights.sum()


def _build(
    amounts: dict[int, int], units: int, group: int, factor: float, seed: int, settings: RandomSettings
) -> tuple[Floats, Floats, Ints, int] | None:
    """Cell (3, 3), frac_coords (n, 3), atomic numbers (n,) and free parameters of a crystal; None after `TRIES`."""
    random = np.random.default_rng(seed)
    kinds = np.array(list(amounts), np.int64)
    counts = tuple(units * n for n in amounts.values())
    volume = factor * typical_volume(np.repeat(kinds, counts))
    about = space_group(group)
    for _ in range(TRIES):
        chosen = fillings(group, counts).draw(random)
        cell = random_cell(about, volume, settings.max_aspect, random)
        if cell is None:
            continue
        placed = _placed(chosen, kinds, cell, settings.min_distance, random)
        if placed is not None:
            freedom = about.lattice_freedom + sum(position.freedom for _, position in chosen)
            soft = CrystalBatch.of([(cell.lattice, *placed)])
            if settings.soft_spheres:
                soft = soften(soft, diameter=settings.soft_spheres)
            return *soft.crystal(0), freedom
    return None


def _placed(
    chosen: Sequence[tuple[int, WyckoffPosition]], kinds: Ints, cell: Any, min_distance: float, random: Any
) -> tuple[Floats, Ints] | None:
    """Put atoms on the occupied positions one after the other, each anew until it keeps its distance."""
    from ase.data import covalent_radii

    frac, numbers = np.zeros((0, 3)), np.zeros(0, np.int64)
    for kind, position in sorted(chosen, key=lambda pair: (pair[1].freedom, pair[0], pair[1].letter)):
        for _ in range(_ORBIT_TRIES if position.freedom else 1):
            orbit = _orbit(position, random.random(3), cell)
            more = np.vstack([frac, orbit])
            elements = np.append(numbers, np.full(len(orbit), kinds[kind]))
            radii = covalent_radii[elements]
            limits = min_distance * (radii[len(frac) :, None] + radii[None])
            if len(orbit) == position.multiplicity and (_distances(orbit, more, cell.lattice) >= limits).all():
                frac, numbers = more, elements
                break
        else:
            return None
    order = np.argsort(numbers, kind="stable")
    return frac[order], numbers[order]


def _orbit(position: WyckoffPosition, point: Floats, cell: Any) -> Floats:
    """Images of a point in the reduced primitive cell, fractional, shape (m, 3)."""
    images = ((position.rotations @ point + position.translations) @ cell.from_conventional) % 1.0
    apart = images[:, None] - images[None]
    same = np.linalg.norm((apart - np.round(apart)) @ cell.lattice, axis=2) < _SAME_SITE_A
    return images[np.unique(same.argmax(axis=1))]


def _distances(last: Floats, atoms: Floats, lattice: Floats) -> Floats:
    """Shortest distances in a reduced cell of its last atoms to all of them, or to their own images, shape (m, n)."""
    apart = last[:, None] - atoms[None]
    apart -= np.round(apart)
    lengths = np.linalg.norm((apart[:, :, None] + _SHIFTS) @ lattice, axis=3)
    own = np.arange(len(last))
    lengths[own, len(atoms) - len(last) + own, len(_SHIFTS) // 2] = np.inf
    return lengths.min(axis=2)
