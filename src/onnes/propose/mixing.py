"""Which sites of an ordered crystal are likely to mix at the temperature of synthesis."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import is_open, values
from onnes.errors import ConfigError, CrystalError, OnnesError
from onnes.potentials.evaluation import evaluate_each
from onnes.potentials.relaxation import relax_batch
from onnes.propose.periodic import symbol_of
from onnes.propose.radii import atomic_radii
from onnes.propose.similarity import element_distances
from onnes.propose.sites import WyckoffSites, wyckoff_sites

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from onnes.potentials.potential import Potential
    from onnes.potentials.relaxation import RelaxSettings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Crystal = tuple[Floats, Floats, Ints]

BOLTZMANN_EV_PER_K = 8.617333262e-5
TEMPERATURE_K = 1273.0
MAX_RADIUS_RATIO = 1.15  # Hume-Rothery
MIN_ATOMS = 20
MAX_SWAPS = 6
_DEGENERATE_EV = 1e-3  # two orders that differ by less are the same crystal
MIXED, PARTLY = 0.5, 0.05
"""Shares of the disorder of a random alloy from which on a pair of sites counts as mixed, or as partly mixed."""

REPORT = {
    "id": pa.string(),
    "formula": pa.string(),
    "site_a": pa.string(),
    "element_a": pa.string(),
    "site_b": pa.string(),
    "element_b": pa.string(),
    "radius_ratio": pa.float64(),
    "element_distance": pa.float64(),
    "n_swaps": pa.int32(),
    "swap_energy_eV": pa.float64(),
    "lowest_swap_energy_eV": pa.float64(),
    "full_swap_energy_eV": pa.float64(),
    "temperature_K": pa.float64(),
    "foreign_on_a": pa.float64(),
    "foreign_on_b": pa.float64(),
    "disorder": pa.float64(),
    "mixing_free_energy_eV_per_atom": pa.float64(),
    "verdict": pa.string(),
    "error": pa.string(),
}
"""Columns of the report, see `site_mixing`."""


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two sites that may exchange atoms, and the crystals in which some do.

    Attributes
    ----------
    multiplicities
        Atoms of either site in the supercell.
    crystals, weights
        Supercells with one pair exchanged, and how many pairs are alike.
    full
        Supercell with all atoms of the two sites exchanged, where they are equally many.
    """

    orbits: tuple[int, int]
    multiplicities: tuple[int, int]
    crystals: list[Crystal]
    weights: list[int]
    full: Crystal | None


def site_mixing(
    table: pa.Table,
    potential: Potential,
    *,
    temperature_K: float = TEMPERATURE_K,
    max_radius_ratio: float = MAX_RADIUS_RATIO,
    min_atoms: int = MIN_ATOMS,
    relax: RelaxSettings | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """Tell which sites of ordered crystals are likely to exchange atoms.

    For each pair of sites that symmetry does not join, with different elements of similar radius, one atom of the first
    is exchanged with one of the second in a supercell, at every distance up to six; ``swap_energy_eV`` is the mean of
    the energies, each distance weighted by how often it occurs. Exchanges that do not feel each other are in equilibrium
    when x_a x_b / ((1 - x_a) (1 - x_b)) = exp(-E / kT), with as many foreign atoms on either site (the Bragg-Williams
    free energy at constant E, Proc. R. Soc. A 145, 699 (1934)).

    Parameters
    ----------
    table
        Crystal table; rejected rows are left out.
    potential
        Whose energies.
    temperature_K
        At which the crystal is made or annealed.
    max_radius_ratio
        Elements of more different size are taken to stay where they are.
    min_atoms
        Supercells get at least so many atoms, so that an exchange is a rare one.
    relax
        Relax the exchanged crystals, atoms and cell as these settings say (``keep_symmetry`` should be off); at the
        given positions otherwise, which makes exchanges too costly.
    on_rows
        Called with the number of crystals done since the last call.

    Returns
    -------
    One row a pair, columns of `REPORT`: ``foreign_on_a`` and ``foreign_on_b`` are the equilibrium shares of foreign
    atoms, ``disorder`` their ratio to those of a random alloy, ``mixing_free_energy_eV_per_atom`` what the crystal gains
    by it, ``full_swap_energy_eV`` the energy of exchanging the two sites entirely, per pair, where they are equally
    many. ``verdict`` is "ordered", "partly mixed", "mixed", or "another order is lower" when most atoms would change sites.
    A crystal without such a pair has one row with a verdict "no pair", one that fails, or had an ``error``, has one row with it.

    Raises
    ------
    ConfigError
        For a temperature that is not positive, or a radius ratio below 1.

    Examples
    --------
    >>> from onnes.crystals.known import known_table
    >>> from onnes.potentials.potential import load_potential
    >>> report = site_mixing(known_table(["NaCl"]), load_potential())
    >>> report["verdict"].to_pylist()  # chlorine and sodium differ too much in size
    ['no pair']
    """
    if not temperature_K > 0:
        raise ConfigError("give a temperature above 0 K")
    if max_radius_ratio < 1:
        raise ConfigError("a radius ratio is at least 1")
    rows: list[dict[str, Any]] = []
    usable = is_open(table)
    for index in range(table.num_rows):
        row = table.slice(index, 1)
        known = {"id": values(row, "id")[0], "formula": values(row, "reduced_formula")[0]}
        if not usable[index]:
            fault = values(row, "error")[0]
            rows += [known | {"error": fault}] if fault is not None else []
            if on_rows:
                on_rows(1)
            continue
        known["temperature_K"] = temperature_K
        try:
            sites = wyckoff_sites(*CrystalBatch.from_table(row).crystal(0))
            pairs = list(_pairs(sites, max_radius_ratio, min_atoms))
            energies = _energies(sites, pairs, potential, relax, min_atoms) if pairs else []
            rows += [
                known | _report(sites, pair, *found, temperature_K) for pair, found in zip(pairs, energies, strict=True)
            ]
            if not pairs:
                rows.append(known | {"verdict": "no pair"})
        except OnnesError as error:
            rows.append(known | {"error": str(error)})
        if on_rows:
            on_rows(1)
    return pa.Table.from_pylist(rows, schema=pa.schema(REPORT.items()))


def equilibrium_exchange(energy_eV: float, temperature_K: float, ratio: float = 1.0) -> float:
    """Share of foreign atoms on the first of two sites whose atoms exchange at a cost.

    Parameters
    ----------
    energy_eV
        Of one exchange.
    temperature_K
        Temperature.
    ratio
        Atoms on the first site for each one on the second.

    Returns
    -------
    Between 0 and the smaller of 1 and 1 / ratio; 1 / (1 + ratio), the random alloy, at no cost.

    Examples
    --------
    >>> equilibrium_exchange(0.0, 1000.0, ratio=2.0)
    0.3333333333333333
    >>> round(equilibrium_exchange(0.5, 1000.0), 3)  # 1 / (1 + exp(E / 2kT))
    0.052
    """
    k = float(np.exp(-np.clip(energy_eV / (BOLTZMANN_EV_PER_K * temperature_K), -300.0, 300.0)))
    # r (1 - k) x^2 + k (1 + r) x - k = 0, written so that a small share is not a difference of large numbers.
    root = np.sqrt(k * (k * (1 - ratio) ** 2 + 4 * ratio))
    return float(2 * k / (k * (1 + ratio) + root))


def _pairs(sites: WyckoffSites, max_radius_ratio: float, min_atoms: int) -> Iterator[_Pair]:
    """Pairs of orbits with different elements of similar size, in the supercell."""
    radii = atomic_radii(sites.elements)
    lattice, frac, owners = _repeated(sites, min_atoms)
    numbers = sites.elements[owners]
    for a, b in combinations(range(len(sites.names)), 2):
        if sites.elements[a] == sites.elements[b] or max(radii[a] / radii[b], radii[b] / radii[a]) > max_radius_ratio:
            continue
        first, others = np.flatnonzero(owners == a), np.flatnonzero(owners == b)
        apart = frac[others] - frac[first[0]]
        distances = np.round(np.linalg.norm((apart - np.round(apart)) @ lattice, axis=1), 2)
        _, chosen, times = np.unique(distances, return_index=True, return_counts=True)
        crystals = [(lattice, frac, _exchanged(numbers, [first[0]], [others[i]])) for i in chosen[:MAX_SWAPS]]
        whole = (lattice, frac, _exchanged(numbers, first, others)) if len(first) == len(others) else None
        yield _Pair((a, b), (len(first), len(others)), crystals, times[:MAX_SWAPS].tolist(), whole)


def _exchanged(numbers: Ints, first: Any, second: Any) -> Ints:
    made = numbers.copy()
    made[first], made[second] = numbers[second[0]], numbers[first[0]]
    return made


def _repeated(sites: WyckoffSites, min_atoms: int) -> tuple[Floats, Floats, Ints]:
    """Supercell with the orbit of each atom; it grows along its thinnest direction until it has enough atoms."""
    repeats = np.ones(3, np.int64)
    while repeats.prod() * len(sites.frac_coords) < min_atoms:
        inverse = np.linalg.inv(sites.lattice * repeats[:, None])
        repeats[np.argmin(1 / np.linalg.norm(inverse, axis=0))] += 1
    cells = np.array(list(np.ndindex(*repeats)), float)
    frac = ((sites.frac_coords[None] + cells[:, None]) / repeats).reshape(-1, 3)
    return sites.lattice * repeats[:, None], frac, np.tile(sites.orbit_of_site, len(cells))


def _energies(
    sites: WyckoffSites, pairs: list[_Pair], potential: Potential, relax: RelaxSettings | None, min_atoms: int
) -> list[tuple[Floats, float | None]]:
    """Of each pair the energies of its exchanges, and that of exchanging all, per pair of atoms, in eV."""
    lattice, frac, owners = _repeated(sites, min_atoms)
    crystals = [(lattice, frac, sites.elements[owners])]
    for pair in pairs:
        crystals += [*pair.crystals, *([pair.full] if pair.full else [])]
    energies = _total_energies(CrystalBatch.of(crystals), potential, relax)
    above = iter((energies[1:] - energies[0]).tolist())
    found: list[tuple[Floats, float | None]] = []
    for pair in pairs:
        single = np.array([next(above) for _ in pair.crystals])
        found.append((single, next(above) / pair.multiplicities[0] if pair.full else None))
    return found


def _total_energies(batch: CrystalBatch, potential: Potential, relax: RelaxSettings | None) -> Floats:
    if relax is None:
        evaluation, errors = evaluate_each(batch, potential, forces=False)
        energies = evaluation.energies_eV
    else:
        relaxed = relax_batch(batch, potential, relax)
        energies, errors = relaxed.energies_eV, relaxed.errors
    trouble = next((error for error in errors if error is not None), None)
    if trouble is not None:
        raise CrystalError(f"an exchanged crystal has no energy: {trouble}")
    return energies


def _report(
    sites: WyckoffSites, pair: _Pair, energies: Floats, full_eV: float | None, temperature_K: float
) -> dict[str, Any]:
    a, b = pair.orbits
    n_a, n_b = pair.multiplicities
    radii = atomic_radii(sites.elements[[a, b]])
    mean = float(np.average(energies, weights=pair.weights))
    on_a = equilibrium_exchange(mean, temperature_K, n_a / n_b)
    on_b = on_a * n_a / n_b
    disorder = on_a * (n_a + n_b) / n_b
    entropy = n_a * _entropy(on_a) + n_b * _entropy(on_b)
    gain = n_a * on_a * mean - BOLTZMANN_EV_PER_K * temperature_K * entropy
    n_atoms = len(sites.frac_coords) * n_a / sites.multiplicities[a]
    return {
        "site_a": sites.names[a],
        "element_a": symbol_of(int(sites.elements[a])),
        "site_b": sites.names[b],
        "element_b": symbol_of(int(sites.elements[b])),
        "radius_ratio": float(radii.max() / radii.min()),
        "element_distance": float(element_distances()[sites.elements[a], sites.elements[b]]),
        "n_swaps": len(energies),
        "swap_energy_eV": mean,
        "lowest_swap_energy_eV": float(energies.min()),
        "full_swap_energy_eV": full_eV,
        "foreign_on_a": on_a,
        "foreign_on_b": on_b,
        "disorder": disorder,
        "mixing_free_energy_eV_per_atom": gain / n_atoms,
        "verdict": _verdict(on_a, n_a / n_b, full_eV),
    }


def _entropy(share: float) -> float:
    """Of one site, in units of Boltzmann's constant."""
    return -sum(x * np.log(x) for x in (share, 1 - share) if x > 0)


def _verdict(share: float, ratio: float, full_eV: float | None) -> str:
    """Where the equilibrium lies between the given order, a random alloy and the opposite order."""
    random, opposite = 1 / (1 + ratio), min(1.0, 1 / ratio)
    if share > random and (opposite - share) / (opposite - random) < MIXED:
        return "another order is lower"
    if full_eV is not None and full_eV < -_DEGENERATE_EV:
        return "another order is lower"
    if share / random >= MIXED:
        return "mixed"
    return "partly mixed" if share / random >= PARTLY else "ordered"
