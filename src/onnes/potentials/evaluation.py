"""Evaluate many crystals in batches; one that fails harms nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.symbols import symbols
from onnes.errors import ModelError
from onnes.potentials.potential import Evaluation

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from onnes.crystals.batch import CrystalBatch
    from onnes.potentials.potential import Potential

MAX_ATOMS = {"cpu": 96, "cuda": 8192}
_MAX_CRYSTALS = {"cpu": 16, "cuda": 1024}


def evaluate_each(
    batch: CrystalBatch,
    potential: Potential,
    *,
    forces: bool = True,
    max_atoms: int | None = None,
    on_done: Callable[[int], None] | None = None,
) -> tuple[Evaluation, list[str | None]]:
    """Energies, and forces and stresses where asked, of every crystal of a batch.

    Parameters
    ----------
    batch
        B crystals with N atoms in all.
    potential
        Any `Potential`.
    forces
        Whether forces and stresses are wanted.
    max_atoms
        Atoms evaluated together, 96 on a CPU and 8192 on a GPU by default; a larger crystal comes alone. Halved when
        memory runs out.
    on_done
        Called with the number of crystals that finished since the last call.

    Returns
    -------
    evaluation
        As `Potential.evaluate` gives it, in the order of the input; NaN where a crystal failed.
    errors
        Message for each failed crystal, None otherwise, length B. A value that is not finite is a failure.

    Examples
    --------
    >>> from onnes.crystals.batch import CrystalBatch
    >>> from onnes.crystals.known import known_crystal
    >>> from onnes.potentials.potential import load_potential
    >>> batch = CrystalBatch.from_structures([known_crystal("Al"), known_crystal("MgB2")])
    >>> evaluation, errors = evaluate_each(batch, load_potential())
    >>> evaluation.stresses_eV_per_A3.shape, errors
    ((2, 3, 3), [None, None])
    """
    kind = potential.device.partition(":")[0]
    job = _Job(batch, potential, forces=forces, max_atoms=max_atoms or MAX_ATOMS[kind])
    todo: list[int] = []
    for i in range(len(batch)):
        foreign = set(batch.crystal(i)[2].tolist()) - potential.elements
        if foreign:
            job.fail(i, ModelError(f"{potential.name} does not know the element {symbols()[min(foreign)]}"))
        else:
            todo.append(i)
    if on_done and len(todo) < len(batch):
        on_done(len(batch) - len(todo))
    subset = batch.select(todo)
    for chunk in subset.batches(job.max_atoms, _MAX_CRYSTALS[kind]):
        job.run([todo[int(j)] for j in chunk])
        if on_done:
            on_done(len(chunk))
    return job.outcome(), job.errors


class _Job:
    """The crystals to evaluate, and the results so far."""

    def __init__(self, batch: CrystalBatch, potential: Potential, *, forces: bool, max_atoms: int) -> None:
        self.batch, self.potential, self.with_forces, self.max_atoms = batch, potential, forces, max_atoms
        self.energies: NDArray[np.float64] = np.full(len(batch), np.nan)
        self.forces: NDArray[np.float64] = np.full((len(batch.atomic_numbers), 3), np.nan)
        self.stresses: NDArray[np.float64] = np.full((len(batch), 3, 3), np.nan)
        self.errors: list[str | None] = [None] * len(batch)

    def run(self, rows: list[int]) -> None:
        """Evaluate some crystals together; on failure their halves."""
        now = self.batch.select(rows)
        if len(rows) > 1 and len(now.atomic_numbers) > self.max_atoms:
            self._halves(rows)
            return
        try:
            found = self.potential.evaluate(now, forces=self.with_forces)
        except Exception as error:  # noqa: BLE001 - the row boundary
            if len(rows) == 1:
                self.fail(rows[0], error)
                return
            if isinstance(error, MemoryError) or "memory" in str(error).lower():
                self.max_atoms = max(1, min(self.max_atoms, len(now.atomic_numbers) // 2))
            self._halves(rows)
            return
        if self.with_forces and (found.forces_eV_per_A is None or found.stresses_eV_per_A3 is None):
            raise TypeError(f"potential {self.potential.name} gives no forces or no stresses")
        for j, row in enumerate(rows):
            self._receive(row, j, now, found)

    def _halves(self, rows: list[int]) -> None:
        self.run(rows[: len(rows) // 2])
        self.run(rows[len(rows) // 2 :])

    def _receive(self, row: int, j: int, now: CrystalBatch, found: Evaluation) -> None:
        atoms = slice(self.batch.offsets[row], self.batch.offsets[row + 1])
        finite = bool(np.isfinite(found.energies_eV[j]))
        if found.forces_eV_per_A is not None and found.stresses_eV_per_A3 is not None:
            self.forces[atoms] = found.forces_eV_per_A[now.offsets[j] : now.offsets[j + 1]]
            self.stresses[row] = found.stresses_eV_per_A3[j]
            finite &= bool(np.isfinite(self.forces[atoms]).all() and np.isfinite(self.stresses[row]).all())
        if finite:
            self.energies[row] = found.energies_eV[j]
        else:
            self.forces[atoms], self.stresses[row] = np.nan, np.nan
            self.fail(row, ValueError("the potential gave a value that is not finite"))

    def fail(self, row: int, error: Exception) -> None:
        """Keep the message."""
        self.errors[row] = f"{type(error).__name__}: {error}"

    def outcome(self) -> Evaluation:
        """Everything in the order of the input."""
        if not self.with_forces:
            return Evaluation(self.energies)
        return Evaluation(self.energies, self.forces, self.stresses)
