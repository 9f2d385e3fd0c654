"""Computes the shipped statistics of known crystals: space groups, formula units in a cell, volumes of the elements."""

from __future__ import annotations

from collections import Counter
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.symbols import symbols
from onnes.crystals.symmetry import describe
from onnes.errors import CrystalError
from onnes.propose.wyckoff import SPACE_GROUPS, fillings
from onnes.training.data import TRAINING_BUCKETS, read_data

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = tuple[int, ...]

DATA = "mp_structures"
MAX_ABOVE_HULL_EV = 0.1
MAX_ATOMS = 20
MAX_ATOMS_OF_GROUPS = 12
"""Largest primitive cell that counts for the space groups: larger cells have other ones."""
MAX_VOLUME_A3_PER_ATOM = 60.0
MIN_CRYSTALS = 10
"""Crystals that an element needs for a volume of its own."""
ANIONS = (1, 7, 8, 9, 15, 16, 17, 33, 34, 35, 52, 53)
"""Elements whose presence makes a crystal a compound with anions; the others' volumes shrink or grow beside them."""
_HEAVIEST = 94
_ROUNDS = 20
_SMALLEST_RESIDUAL = 0.03
_GROUP_ROUNDS = 200
_GROUP_STEP = 0.7


def compute_structure_statistics(*, on_rows: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Count and fit over the training buckets, crystals at most 0.1 eV/atom above the hull.

    Parameters
    ----------
    on_rows
        Called with the number of crystals done since the last call.

    Returns
    -------
    dict
        ``space_groups``: propensity of each space group (`propensities`), shape (230,), from cells of up to
        `MAX_ATOMS_OF_GROUPS` atoms; ``units``: primitive cells by their number of formula units, over the formulas whose
        cells may hold four of them; ``volumes_A3``: for each element its volume in crystals with anions and in those
        without (None where too few crystals have it); ``crystals``: how many were counted.

    Raises
    ------
    ConfigError
        Without the data or PyXtal.
    """
    table = read_data(DATA)
    keep = np.isin(table["md5_bucket"].to_numpy(), TRAINING_BUCKETS)
    keep &= table["e_above_hull_eV_per_atom"].to_numpy() <= MAX_ABOVE_HULL_EV
    keep &= table["n_atoms"].to_numpy() <= MAX_ATOMS
    batch = CrystalBatch.from_table(table.filter(keep))
    groups: list[tuple[int, Counts]] = []
    units = Counter[int]()
    seen: set[str] = set()
    for lattice, frac, numbers in batch:
        if on_rows:
            on_rows(1)
        try:
            found = describe(lattice, frac, numbers)
        except CrystalError:
            continue
        if found.crystal_hash in seen:
            continue
        seen.add(found.crystal_hash)
        counts = tuple(sorted(Counter(numbers.tolist()).values()))
        if len(numbers) <= MAX_ATOMS_OF_GROUPS:
            groups.append((found.space_group, counts))
        if 4 * len(numbers) <= gcd(*counts) * MAX_ATOMS:
            units[gcd(*counts)] += 1
    return {
        "crystals": len(seen),
        "space_groups": [float(f"{value:.3g}") for value in propensities(groups)],
        "units": {str(unit): count for unit, count in sorted(units.items())},
        "volumes_A3": _volumes(batch),
    }


def propensities(crystals: Sequence[tuple[int, Counts]]) -> Floats:
    """How much a space group is preferred by the crystals whose atoms could fill its positions.

    A crystal with given numbers of atoms has the space group g with probability w_g / sum of w over the groups whose
    Wyckoff positions can hold these atoms. The w of maximum likelihood make the expected number of crystals of each
    group the observed one, and are found by scaling w by their ratio. Plain counts instead would call a group rare that
    few compositions can have. On crystals left out, the mean log-likelihood is -2.75, with plain counts -3.07.

    Parameters
    ----------
    crystals
        Space group, and atoms of each kind in the primitive cell, of each known crystal.

    Returns
    -------
    Weights that add up to one, shape (230,). One crystal is added to each group so that none is impossible.

    Examples
    --------
    >>> seen = [(225, (1, 1))] * 30 + [(221, (1, 1))] * 10
    >>> weights = propensities(seen)
    >>> round(float(weights[224] / weights[220]), 1)
    3.0
    """
    kinds = sorted({counts for _, counts in crystals})
    fits = np.array([[fillings(g, counts).weight > 0 for g in range(1, SPACE_GROUPS + 1)] for counts in kinds], float)
    rows = np.array([kinds.index(counts) for _, counts in crystals])
    numbers = np.bincount(rows, minlength=len(kinds)).astype(float)
    observed = np.bincount([g - 1 for g, _ in crystals], minlength=SPACE_GROUPS) + 1.0
    weights = observed / observed.sum()
    for _ in range(_GROUP_ROUNDS):
        expected = ((numbers / (fits @ weights)) @ fits) * weights
        weights *= (observed / (expected + 1.0)) ** _GROUP_STEP
        weights /= weights.sum()
    return weights


def _volumes(batch: CrystalBatch) -> dict[str, list[float | None]]:
    """Volumes of the elements whose sum gives the volume of a crystal, with anions and without, cubic angstrom."""
    amounts = np.zeros((len(batch), _HEAVIEST + 1))
    known = batch.atomic_numbers <= _HEAVIEST
    np.add.at(amounts, (batch.owners[known], batch.atomic_numbers[known]), 1)
    volumes = batch.volumes / batch.n_atoms
    amounts /= batch.n_atoms[:, None]
    usable = (volumes < MAX_VOLUME_A3_PER_ATOM) & np.isclose(amounts.sum(axis=1), 1)
    with_anions = (amounts[:, ANIONS] > 0).any(axis=1)
    fitted = [_fit(amounts[usable & chosen], volumes[usable & chosen]) for chosen in (with_anions, ~with_anions)]
    found: dict[str, list[float | None]] = {}
    for number in range(1, _HEAVIEST + 1):
        pair = [None if np.isnan(column[number]) else round(float(column[number]), 2) for column in fitted]
        if any(value is not None for value in pair):
            found[symbols()[number]] = pair
    return found


def _fit(amounts: Floats, volumes: Floats) -> Floats:
    """Least sum of absolute relative errors, volumes not negative, by reweighted least squares; NaN for rare elements."""
    from scipy.optimize import nnls

    relative = amounts / volumes[:, None]
    weights = np.ones(len(volumes))
    solution = np.zeros(amounts.shape[1])
    for _ in range(_ROUNDS):
        solution, _ = nnls(relative * weights[:, None], weights)
        residual = np.abs(relative @ solution - 1)
        weights = 1 / np.sqrt(np.maximum(residual, _SMALLEST_RESIDUAL))
    return np.where(((amounts > 0).sum(axis=0) >= MIN_CRYSTALS) & (solution > 0), solution, np.nan)
