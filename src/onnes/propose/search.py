"""Random search for the crystals of a composition: many random starts, relaxed step by step, the lowest ones kept.

The method is ab initio random structure searching (Pickard and Needs, J. Phys. Condens. Matter 23, 053201 (2011)) with an
interatomic potential in place of the first-principles code.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.errors import ConfigError
from onnes.potentials.relaxation import RelaxSettings, relax_batch
from onnes.propose.plausible import Plausible
from onnes.propose.random_crystals import RandomCrystals, RandomSettings
from onnes.propose.relaxed_rows import Found, distinct, relaxed_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from onnes.potentials.potential import Potential

CRYSTALS = 100  # random structures of a formula, as in the search of GNoME (Merchant et al., Nature 624, 80 (2023))
RUNGS = ((10, 1.0), (20, 0.3), (40, 0.1))
"""Steps after which a crystal that lies further above the lowest one (eV/atom) is given up."""
ROUGH_FMAX_EV_PER_A = 0.1
BATCH = 16
_REFINED_A_ROUND = 2
_REFINED_IN_ALL = 4
"""Times the crystals to keep: so many are refined at most."""
_FREE_SHIFT_A, _FREE_STRAIN = 0.05, 0.02
_FREE_GAIN_EV = 1e-3


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a random search found.

    Attributes
    ----------
    table
        Crystal table of the best distinct crystals, lowest energy first, those within 0.1 eV/atom of the lowest. The current geometry is the relaxed one,
        ``input_lattice`` and ``input_frac_coords`` the random one that ``how`` makes again.
    places
        For each row, the how-manyeth random crystal it was.
    drawn
        Random crystals that entered a relaxation.
    given_up
        Those of them that were left because they lay far above the lowest.
    refined
        Relaxations that were carried on to the final forces, those without symmetry included.
    evaluations
        Energies and forces computed in all.
    failures
        Draws and relaxations that gave nothing, by reason.
    trace
        (crystals drawn, lowest energy in eV/atom so far) after each round.
    reached_target
        Whether a crystal as low as the target was found; None without a target.
    """

    table: pa.Table
    places: list[int]
    drawn: int
    given_up: int
    refined: int
    evaluations: int
    failures: Counter[str]
    trace: list[tuple[int, float]]
    reached_target: bool | None


def random_search(
    formula: str,
    *,
    potential: Potential,
    n: int = CRYSTALS,
    keep: int = 3,
    crystals: RandomSettings | None = None,
    fmax_eV_per_A: float = 0.02,
    max_steps: int = 200,
    target_energy_eV_per_atom: float | None = None,
    batch: int = BATCH,
    seed: int = 0,
    on_rows: Callable[[int], None] | None = None,
) -> SearchResult:
    """Search for the crystals of a composition that a potential gives the lowest energy.

    Random crystals are drawn (`onnes.propose.random_crystals`) and relaxed with their symmetry kept in three short rungs;
    what lies far above the lowest energy so far is given up after each. The lowest are relaxed to the final forces, then
    once more without symmetry from a small displacement, which finds the lower crystal where symmetry held one on a
    saddle. A crystal that falls into a hole of the potential is refused.

    Parameters
    ----------
    formula
        Composition; only its reduced form counts.
    potential
        Any `Potential` with forces and stresses.
    n
        Random crystals to relax at most.
    keep
        Distinct crystals to return; fewer when no others lie within 0.1 eV/atom of the lowest.
    crystals
        How they are drawn, with the largest cell.
    fmax_eV_per_A, max_steps
        Of the final relaxations.
    target_energy_eV_per_atom
        Stop as soon as a crystal relaxed with its symmetry is as low, without the last relaxation.
    batch
        Crystals of a round; their relaxations share evaluations.
    seed
        The same seed, settings and potential give the same result.
    on_rows
        Called with the number of random crystals done since the last call.

    Raises
    ------
    ConfigError
        For what is no formula, for counts below one, or without PyXtal.

    Examples
    --------
    >>> from onnes.potentials.potential import load_potential
    >>> found = random_search("Al", potential=load_potential(), n=3, keep=1, crystals=RandomSettings(max_atoms=1))
    >>> found.table["prototype"].to_pylist()
    ['A_cF4_225_a:Al']
    """
    if n < 1 or keep < 1 or batch < 1:
        raise ConfigError("n, keep and batch count crystals; give 1 or more")
    final = RelaxSettings(fmax_eV_per_A=fmax_eV_per_A, max_steps=max_steps, max_crystals=batch)
    source = RandomCrystals(formula, crystals or RandomSettings(), seed)
    search = _Search(source, potential, final, keep, target_energy_eV_per_atom, on_rows or (lambda _: None))
    return search.run(n, batch)


@dataclass(eq=False)
class _Search:
    """The crystals found so far, and how to relax more."""

    source: RandomCrystals
    potential: Potential
    final: RelaxSettings
    keep: int
    target: float | None
    report: Callable[[int], None]
    found: list[Found] = field(default_factory=list)
    drawn: int = 0
    given_up: int = 0
    refined: int = 0
    evaluations: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    trace: list[tuple[int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plausible = Plausible.of(self.potential)

    def run(self, n: int, batch: int) -> SearchResult:
        while self.drawn < n and not self._reached():
            proposals = self.source.take(min(batch, n - self.drawn))
            if not proposals:
                break
            starts = [
                Found(p, self.drawn + i, (p.lattice, p.frac_coords, p.atomic_numbers))
                for i, p in enumerate(proposals, start=1)
            ]
            self.drawn += len(proposals)
            self.found += self._rungs(starts)
            self.found.sort(key=lambda crystal: crystal.energy_eV_per_atom)
            if self.target is not None:
                self._refine(_REFINED_A_ROUND, below=self.target + RUNGS[-1][1])
            if self.found:
                self.trace.append((self.drawn, self.found[0].energy_eV_per_atom))
            self.report(len(proposals))
        if not self._reached():
            self._refine_best()
        best = distinct([crystal for crystal in self.found if crystal.is_final], self.keep)
        if not self._reached():
            best = self._free(best)
        if best:
            self.trace.append((self.drawn, best[0].energy_eV_per_atom))
        return SearchResult(
            relaxed_table(best, self.potential.name),
            [crystal.place for crystal in best],
            self.drawn,
            self.given_up,
            self.refined,
            self.evaluations,
            self.failures + self.source.failures,
            self.trace,
            None if self.target is None else any(self._is_low(crystal) for crystal in best),
        )

    def _is_low(self, crystal: Found) -> bool:
        return self.target is not None and crystal.is_final and crystal.energy_eV_per_atom <= self.target

    def _reached(self) -> bool:
        return any(self._is_low(crystal) for crystal in self.found)

    def _rungs(self, crystals: list[Found]) -> list[Found]:
        """Relax roughly, and leave behind after each rung what lies too high."""
        done: list[Found] = []
        running = crystals
        taken = 0
        for steps, window in RUNGS:
            settings = _with_ends(self.final, steps - taken, ROUGH_FMAX_EV_PER_A)
            taken = steps
            running = self._relaxed(running, settings)
            known = [crystal.energy_eV_per_atom for crystal in (*self.found, *done, *running)]
            high = min(known, default=0.0) + window
            near = [crystal for crystal in running if crystal.energy_eV_per_atom <= high]
            self.given_up += len(running) - len(near)
            done += [crystal for crystal in near if crystal.converged]
            running = [crystal for crystal in near if not crystal.converged]
        return done + running

    def _relaxed(self, crystals: Sequence[Found], settings: RelaxSettings) -> list[Found]:
        """Relax crystals from where they are; what fails or is not plausible is counted and left out."""
        if not crystals:
            return []
        relaxed = relax_batch(CrystalBatch.of(crystal.geometry for crystal in crystals), self.potential, settings)
        self.evaluations += relaxed.evaluations
        sound: list[Found] = []
        for i, crystal in enumerate(crystals):
            if relaxed.errors[i] is not None:
                self.failures["relaxation failed"] += 1
                continue
            geometry = relaxed.batch.crystal(i)
            energy = float(relaxed.energies_eV[i]) / len(geometry[2])
            fault = self.plausible.fault(geometry, energy)
            if fault is not None:
                self.failures[fault] += 1
                continue
            sound.append(
                replace(
                    crystal,
                    geometry=geometry,
                    energy_eV_per_atom=energy,
                    forces_max_eV_per_A=float(relaxed.forces_max_eV_per_A[i]),
                    steps=crystal.steps + int(relaxed.steps[i]),
                    converged=bool(relaxed.converged[i]),
                )
            )
        return sound

    def _refine(self, most: int, *, below: float) -> int:
        """Carry the lowest rough crystals on to the final forces; returns how many there were."""
        final = [crystal for crystal in self.found if crystal.is_final]
        chosen = [
            crystal
            for crystal in self.found
            if not crystal.is_final
            and crystal.energy_eV_per_atom <= below
            and not any(crystal.resembles(other) for other in final)
        ]
        chosen = distinct(chosen, most, thorough=False)
        if chosen:
            left = [crystal for crystal in self.found if crystal not in chosen]
            refined = self._relaxed(chosen, self.final)
            self.refined += len(chosen)
            self.found = left + [replace(crystal, is_final=True) for crystal in refined]
            self.found.sort(key=lambda crystal: crystal.energy_eV_per_atom)
        return len(chosen)

    def _refine_best(self) -> None:
        """Refine until no rough crystal is likely to end among those to keep."""
        for _ in range(_REFINED_IN_ALL):
            final = [crystal for crystal in self.found if crystal.is_final]
            lowest = self.found[0].energy_eV_per_atom if self.found else 0.0
            best = distinct(final, self.keep)
            limit = best[-1].energy_eV_per_atom if len(best) == self.keep else np.inf
            if not self._refine(self.keep, below=min(limit, lowest + RUNGS[-1][1])):
                break

    def _free(self, best: Sequence[Found]) -> list[Found]:
        """Relax the best once more without symmetry; a crystal that gains by it takes the new geometry."""
        settings = self.final.model_copy(update={"keep_symmetry": False})
        ended = []
        for place, crystal in enumerate(best):
            lattice, frac, numbers = crystal.geometry
            random = np.random.default_rng([abs(self.source.seed), place])
            strain = np.eye(3) + random.normal(0, _FREE_STRAIN, (3, 3))
            moved = frac + random.normal(0, _FREE_SHIFT_A, frac.shape) @ np.linalg.inv(lattice)
            self.refined += 1
            freed = self._relaxed([replace(crystal, geometry=(lattice @ strain, moved, numbers))], settings)
            gains = [
                f for f in freed if f.converged and f.energy_eV_per_atom < crystal.energy_eV_per_atom - _FREE_GAIN_EV
            ]
            ended.append(gains[0] if gains else crystal)
        return distinct(sorted(ended, key=lambda crystal: crystal.energy_eV_per_atom), self.keep)


def _with_ends(settings: RelaxSettings, steps: int, fmax: float) -> RelaxSettings:
    """Copy of the settings with other ends."""
    return settings.model_copy(update={"max_steps": steps, "fmax_eV_per_A": max(fmax, settings.fmax_eV_per_A)})
