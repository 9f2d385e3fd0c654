"""Batched relaxation: many crystals share one model evaluation, each keeps its own ASE optimiser.

ASE's optimisers and ``FrechetCellFilter`` decide every step, so a crystal takes the path that ASE alone would give it;
only the evaluations are gathered into batches. A finished crystal leaves the batch and the next one takes its place.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from ase.constraints import FixSymmetry
from ase.data import chemical_symbols
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, FIRE, LBFGS
from ase.units import GPa
from pydantic import BaseModel, ConfigDict, Field

from onnes.crystals.batch import CrystalBatch
from onnes.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms
    from numpy.typing import NDArray

    from onnes.potentials.potential import Potential

_OPTIMISERS = {"fire": FIRE, "lbfgs": LBFGS, "bfgs": BFGS}
_ISOLATED_A3_PER_ATOM = 500.0


class RelaxSettings(BaseModel):
    """Settings of a relaxation; the defaults are those of Matbench Discovery but for the optimiser."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    optimizer: Literal["bfgs", "lbfgs", "fire"] = Field(
        default="bfgs", description="ASE optimiser that decides the steps"
    )
    fmax_eV_per_A: float = Field(
        default=0.02, gt=0, description="largest force, and virial per atom, at the end (eV/A)"
    )
    max_steps: int = Field(default=300, ge=0, description="steps after which a crystal is given back unconverged")
    relax_cell: bool = Field(default=True, description="relax the lattice as well as the positions")
    keep_symmetry: bool = Field(default=True, description="keep the space group of the start (ASE FixSymmetry)")
    symprec_A: float = Field(default=0.05, gt=0, description="tolerance of the symmetry that is kept (A)")
    pressure_GPa: float = Field(default=0.0, description="target pressure (GPa)")
    max_crystals: int = Field(default=8, ge=1, description="crystals evaluated together; 8 suits a CPU, hundreds a GPU")
    max_atoms: int = Field(default=64, ge=1, description="atoms evaluated together, halved when memory runs out")


@dataclass(frozen=True, eq=False)
class Relaxed:
    """Outcome of relaxing B crystals.

    Attributes
    ----------
    batch
        Final geometry, in the order of the input; the input geometry where a crystal failed.
    energies_eV
        Total energies, shape (B,); NaN where failed.
    forces_max_eV_per_A
        Largest atomic force at the end, shape (B,).
    steps
        Optimiser steps taken, shape (B,).
    converged
        Shape (B,).
    errors
        Message for each failed crystal, None otherwise, length B.
    evaluations
        Crystals evaluated in all (each step of each crystal counts one).
    """

    batch: CrystalBatch
    energies_eV: NDArray[np.float64]
    forces_max_eV_per_A: NDArray[np.float64]
    steps: NDArray[np.int64]
    converged: NDArray[np.bool_]
    errors: list[str | None]
    evaluations: int


class _SharedResults:
    """An ASE calculator whose results were computed in a batch, for the positions that the atoms now have."""

    energy_eV: float = 0.0
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]

    def get_potential_energy(self, atoms: Atoms | None = None, force_consistent: bool = False) -> float:  # noqa: ARG002
        return self.energy_eV

    def get_forces(self, atoms: Atoms | None = None) -> NDArray[np.float64]:  # noqa: ARG002
        return self.forces.copy()

    def get_stress(self, atoms: Atoms | None = None) -> NDArray[np.float64]:  # noqa: ARG002
        s = self.stress
        return np.array([s[0, 0], s[1, 1], s[2, 2], s[1, 2], s[0, 2], s[0, 1]])


@dataclass(eq=False)
class _Member:
    """One crystal on its way down."""

    index: int
    atoms: Atoms
    settings: RelaxSettings
    steps: int = 0
    results: _SharedResults = field(default_factory=_SharedResults)
    start_volume_A3: float = 0.0
    optimizer: Any = None

    def __post_init__(self) -> None:
        self.start_volume_A3 = self.atoms.cell.volume
        if self.settings.keep_symmetry:
            self.atoms.set_constraint(FixSymmetry(self.atoms, symprec=self.settings.symprec_A))
        self.atoms.calc = self.results  # pyright: ignore[reportAttributeAccessIssue]
        target: Any = self.atoms
        if self.settings.relax_cell:
            target = FrechetCellFilter(self.atoms, scalar_pressure=self.settings.pressure_GPa * GPa)
        self.target = target
        self.optimizer = _OPTIMISERS[self.settings.optimizer](target, logfile=None)

    def receive(self, energy: float, forces: NDArray[np.float64], stress: NDArray[np.float64]) -> None:
        if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(stress).all()):
            raise ValueError("the potential gave a value that is not finite")
        self.results.energy_eV, self.results.forces, self.results.stress = energy, forces, stress

    @property
    def converged(self) -> bool:
        norms = np.linalg.norm(self.target.get_forces(), axis=1)
        return bool(norms.max() < self.settings.fmax_eV_per_A)

    @property
    def finished(self) -> bool:
        return self.converged or self.steps >= self.settings.max_steps

    def step(self) -> None:
        self.optimizer.step()
        self.steps += 1
        volume = self.atoms.cell.volume
        if not 0.3 < volume / self.start_volume_A3 < 3.0 and not (
            volume / self.start_volume_A3 > 0.1 and volume / len(self.atoms) < _ISOLATED_A3_PER_ATOM
        ):
            raise ValueError(
                f"the cell went from {self.start_volume_A3:.1f} to {volume:.1f} A^3; the start is no crystal"
            )


def relax_batch(
    batch: CrystalBatch,
    potential: Potential,
    settings: RelaxSettings | None = None,
    *,
    on_done: Callable[[int], None] | None = None,
) -> Relaxed:
    """Relax every crystal of a batch.

    Parameters
    ----------
    batch
        B crystals.
    potential
        Any `Potential` with forces and stresses.
    settings
        Defaults to `RelaxSettings`.
    on_done
        Called with the number of crystals that finished since the last call.

    Returns
    -------
    Relaxed
        One entry a crystal, in the order of the input; a crystal that fails is reported, never dropped.

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> from onnes.potentials.potential import load_potential
    >>> aluminium = CrystalBatch.from_structures([known_crystal("Al")])
    >>> relaxed = relax_batch(aluminium, load_potential())
    >>> bool(relaxed.converged[0]), bool(4.0 < (4 * relaxed.batch.volumes[0] / relaxed.batch.n_atoms[0]) ** (1 / 3) < 4.1)
    (True, True)
    """
    return _Pool(batch, potential, settings or RelaxSettings(), on_done).run()


class _Pool:
    """The crystals under way, and the results so far."""

    def __init__(
        self,
        batch: CrystalBatch,
        potential: Potential,
        settings: RelaxSettings,
        on_done: Callable[[int], None] | None,
    ) -> None:
        self.batch, self.potential, self.settings = batch, potential, settings
        self.report = on_done or (lambda _: None)
        self.max_atoms = settings.max_atoms
        # Largest first: the small ones fill the gaps at the end.
        self.pending = [int(i) for i in np.argsort(batch.n_atoms, kind="stable")]
        self.active: list[_Member] = []
        self.evaluations = 0
        n = len(batch)
        self.crystals = [batch.crystal(i) for i in range(n)]
        self.energies = np.full(n, np.nan)
        self.forces_max = np.full(n, np.nan)
        self.steps = np.zeros(n, np.int64)
        self.converged = np.zeros(n, bool)
        self.errors: list[str | None] = [None] * n

    def run(self) -> Relaxed:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            while self.pending or self.active:
                self._fill()
                if self.active:
                    self._advance()
        return Relaxed(
            CrystalBatch.of(self.crystals),
            self.energies,
            self.forces_max,
            self.steps,
            self.converged,
            self.errors,
            self.evaluations,
        )

    def _fill(self) -> None:
        total = sum(len(member.atoms) for member in self.active)
        while self.pending and len(self.active) < self.settings.max_crystals:
            size = int(self.batch.n_atoms[self.pending[-1]])
            if self.active and total + size > self.max_atoms:
                break
            index = self.pending.pop()
            try:
                self._require_known(index)
                self.active.append(_Member(index, self.batch.select([index]).to_atoms()[0], self.settings))
                total += size
            except Exception as error:  # noqa: BLE001 - the row boundary
                self._fail(index, error)

    def _require_known(self, index: int) -> None:
        foreign = set(self.batch.crystal(index)[2].tolist()) - self.potential.elements
        if foreign:
            raise ModelError(f"{self.potential.name} does not know the element {chemical_symbols[min(foreign)]}")

    def _advance(self) -> None:
        now = CrystalBatch.from_atoms([member.atoms for member in self.active])
        try:
            result = self.potential.evaluate(now)
        except Exception as error:  # noqa: BLE001 - the row boundary
            self._back_off(error)
            return
        self.evaluations += len(self.active)
        forces, stresses = result.forces_eV_per_A, result.stresses_eV_per_A3
        if forces is None or stresses is None:
            raise TypeError(f"potential {self.potential.name} gives no forces or no stresses")
        still: list[_Member] = []
        for i, member in enumerate(self.active):
            try:
                member.receive(float(result.energies_eV[i]), forces[now.offsets[i] : now.offsets[i + 1]], stresses[i])
                if member.finished:
                    self._finish(member)
                else:
                    member.step()
                    still.append(member)
            except Exception as error:  # noqa: BLE001 - the row boundary
                self._fail(member.index, error)
        self.active = still

    def _finish(self, member: _Member) -> None:
        i, atoms = member.index, member.atoms
        frac = np.linalg.solve(atoms.cell.array.T, atoms.positions.T).T
        self.crystals[i] = (atoms.cell.array.copy(), frac, atoms.numbers.astype(np.int64))
        self.energies[i] = member.results.energy_eV
        self.forces_max[i] = np.linalg.norm(member.results.forces, axis=1).max()
        self.steps[i] = member.steps
        self.converged[i] = member.converged
        self.report(1)

    def _fail(self, index: int, error: Exception) -> None:
        self.errors[index] = f"relaxation failed: {type(error).__name__}: {error}"
        self.report(1)

    def _back_off(self, error: Exception) -> None:
        """Halve the batch when memory runs out, and remember it; a crystal that fails alone is given up."""
        if len(self.active) == 1:
            self._fail(self.active.pop().index, error)
            return
        if not isinstance(error, MemoryError) and "memory" not in str(error).lower():
            self._give_up_culprits(error)
            return
        self.max_atoms = max(1, sum(len(member.atoms) for member in self.active) // 2)
        keep = len(self.active) // 2
        self.pending += [member.index for member in reversed(self.active[keep:])]
        self.active = self.active[:keep]

    def _give_up_culprits(self, error: Exception) -> None:
        """Drop the crystals that the potential cannot evaluate even alone."""
        sound: list[_Member] = []
        for member in self.active:
            try:
                self.potential.evaluate(CrystalBatch.from_atoms([member.atoms]))
                sound.append(member)
            except Exception as alone:  # noqa: BLE001 - the row boundary
                self._fail(member.index, alone)
        if len(sound) == len(self.active):
            raise error
        self.active = sound
