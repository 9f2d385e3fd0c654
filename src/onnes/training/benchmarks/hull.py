"""Energy above hull of many candidates: speed, and agreement with pymatgen's PhaseDiagram."""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from pymatgen.core import Composition

from onnes.physics.hull import Hull, chemical_system
from onnes.physics.reference import Reference
from onnes.potentials.potential import DEFAULT_POTENTIAL
from onnes.training.benchmarks.report import Benchmark

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from pymatgen.analysis.phase_diagram import PhaseDiagram

_FORMATION_eV = (-0.3, 0.3)  # mean and standard deviation of the drawn formation energies


def hull_candidates(
    reference: Reference, count: int, systems: int, *, seed: int = 0
) -> tuple[list[str], NDArray[np.float64]]:
    """Draw formulas and energies that a screening could bring.

    Stoichiometries are those of the reference. A chemical system is that of one of its compounds with a random number
    of elements replaced at random. A formation energy is drawn from a normal distribution.

    Returns
    -------
    Formulas, and energies in eV/atom, shape (count,).
    """
    rng = np.random.default_rng(seed)
    amounts: dict[int, list[list[int]]] = defaultdict(list)
    compounds: list[list[str]] = []
    elements: dict[str, float] = {}
    for formula, (energy, _) in reference.lowest.items():
        parts = {element.symbol: int(amount) for element, amount in Composition(formula).items()}
        if len(parts) == 1:
            symbol = next(iter(parts))
            elements[symbol] = min(energy, elements.get(symbol, np.inf))
        else:
            amounts[len(parts)].append(list(parts.values()))
            compounds.append(sorted(parts))
    symbols = np.array(sorted(elements))
    pool: dict[tuple[str, ...], None] = {}
    while len(pool) < systems:
        system = np.array(compounds[rng.integers(len(compounds))])
        replaced = rng.permutation(len(system))[: rng.integers(len(system) + 1)]
        system[replaced] = rng.choice(symbols, len(replaced))
        if len(set(system.tolist())) == len(system) and set(system.tolist()) <= elements.keys():
            pool[tuple(sorted(system.tolist()))] = None
    choices = list(pool)
    formulas: list[str] = []
    energies = rng.normal(*_FORMATION_eV, count)
    for row in range(count):
        system = choices[row % systems]
        shares = amounts[len(system)][rng.integers(len(amounts[len(system)]))]
        parts = list(zip(rng.permutation(system).tolist(), shares, strict=True))
        formulas.append("".join(f"{symbol}{amount}" for symbol, amount in parts))
        energies[row] += sum(elements[symbol] * amount for symbol, amount in parts) / sum(shares)
    return formulas, energies


def benchmark_hull(
    *,
    count: int = 100_000,
    systems: int = 6_000,
    checked: int = 500,
    seed: int = 0,
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Candidates a second over the shipped reference in one process, and the difference to PhaseDiagram.

    Parameters
    ----------
    count, systems
        Candidates, and chemical systems among which they are spread evenly.
    checked
        Random candidates that pymatgen places too.
    seed
        Of candidates and sample.
    on_rows
        Called with the number of candidates done since the last call.
    """
    reference = Reference.shipped(DEFAULT_POTENTIAL)
    formulas, energies = hull_candidates(reference, count, systems, seed=seed)
    whole = _Clock()
    placed = Hull(reference).place_all(formulas, energies, on_rows=on_rows)
    whole.stop()
    sample = np.random.default_rng(seed).choice(count, min(checked, count), replace=False)
    some = [formulas[row] for row in sample]
    hull = Hull(reference)
    part = _Clock()
    hull.place_all(some, energies[sample])
    part.stop()
    theirs, building, placing = _by_pymatgen(hull, some)
    distinct = len({chemical_system(formula) for formula in some})
    ours = [placed[row] for row in sample]
    differences = [
        abs(energy - at - place.e_above_hull_eV_per_atom) if place else np.inf
        for energy, (at, _), place in zip(energies[sample], theirs, ours, strict=True)
    ]
    same = sum(place is not None and place.decomposes_to == text for (_, text), place in zip(theirs, ours, strict=True))
    peer = building.cpu + placing.cpu
    projected = building.cpu / distinct * systems + placing.cpu / len(sample) * count
    rows = [
        _row("onnes, all", count, systems, whole.wall, whole.cpu),
        _row("onnes, the sample alone", len(some), distinct, part.wall, part.cpu),
        _row("pymatgen PhaseDiagram, the sample", len(some), distinct, building.wall + placing.wall, peer),
    ]
    failed = sum(place is None for place in placed)
    return Benchmark(
        "Energy above hull over the shipped reference, one process",
        ("method", "candidates", "chemical systems", "seconds", "CPU seconds", "candidates / s", "candidates / CPU s"),
        rows,
        [
            f"largest difference to PhaseDiagram on the sample: {max(differences):.1e} eV/atom; the same decomposition in "
            f"{same} of {len(some)}; {failed} of {count} without a place",
            f"one PhaseDiagram kept for each system would take about {projected:.0f} CPU seconds for all, "
            f"{projected / whole.cpu:.1f} times as long",
            f"{len(reference.lowest)} formulas with an energy; seed {seed}; the first row includes reading the reference",
        ],
        {
            "candidates": float(count), "systems": float(systems), "candidates_per_s": count / whole.wall,
            "candidates_per_cpu_s": count / whole.cpu, "sample_speed_ratio": peer / part.cpu,
            "speed_ratio": projected / whole.cpu, "max_difference_eV_per_atom": float(max(differences)),
            "same_decomposition": float(same), "checked": float(len(some)), "failed": float(failed),
        },
    )  # fmt: skip


def _by_pymatgen(hull: Hull, formulas: list[str]) -> tuple[list[tuple[float, str]], _Clock, _Clock]:
    """Hull energies and decompositions by PhaseDiagram, and the time to build the diagrams and to use them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # noble gases have no electronegativity
        building = _Clock()
        diagrams = {system: hull.diagram(system) for system in {chemical_system(formula) for formula in formulas}}
        building.stop()
        placing = _Clock()
        found = [_by_diagram(diagrams[chemical_system(formula)], formula) for formula in formulas]
        placing.stop()
    return found, building, placing


class _Clock:
    """Wall and processor seconds, which differ on a busy machine."""

    def __init__(self) -> None:
        self._start = time.perf_counter(), time.process_time()
        self.wall = self.cpu = 0.0

    def stop(self) -> None:
        self.wall, self.cpu = time.perf_counter() - self._start[0], time.process_time() - self._start[1]


def _row(name: str, candidates: int, systems: int, wall: float, cpu: float) -> tuple[str, ...]:
    speeds = f"{candidates / wall:.0f}", f"{candidates / cpu:.0f}"
    return name, f"{candidates}", f"{systems}", f"{wall:.1f}", f"{cpu:.1f}", *speeds


def _by_diagram(diagram: PhaseDiagram | None, formula: str) -> tuple[float, str]:
    """Energy of the hull in eV/atom and decomposition, written as `onnes.physics.hull.HullResult` does."""
    if diagram is None:
        return np.nan, ""
    shares = diagram.get_decomposition(Composition(formula))
    energy = sum(share * entry.energy_per_atom for entry, share in shares.items())
    parts = sorted((-round(share, 6), entry.composition.reduced_formula) for entry, share in shares.items())
    return energy, " + ".join(f"{-share:.2f} {name}" for share, name in parts)
