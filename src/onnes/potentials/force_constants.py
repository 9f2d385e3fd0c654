"""Phonons of many crystals by an interatomic potential: displaced supercells evaluated in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ase.data import chemical_symbols

from onnes.crystals.batch import CrystalBatch
from onnes.errors import ModelError
from onnes.physics.phonons import (
    DISPLACEMENT_A,
    MAX_SUPERCELL_ATOMS,
    MIN_LENGTH_A,
    DisplacedSupercells,
    Phonons,
    displaced_supercells,
    phonon_dos,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from onnes.potentials.potential import Potential

    Floats = NDArray[np.float64]

_MAX_ATOMS = {"cpu": 128, "cuda": 8192}


@dataclass(eq=False)
class _Member:
    """One crystal whose forces are being gathered, supercell by supercell."""

    index: int
    displaced: DisplacedSupercells
    forces: list[Floats | None]
    error: str | None = None


def phonons_of(
    batch: CrystalBatch,
    potential: Potential,
    *,
    on_done: Callable[[int], None] | None = None,
    min_length_A: float = MIN_LENGTH_A,
    displacement_A: float = DISPLACEMENT_A,
    symprec: float = 1e-3,
    mesh_length: float = 60.0,
    smearing_THz: float | None = None,
    max_supercell_atoms: int = MAX_SUPERCELL_ATOMS,
    even: bool = False,
    shorten: bool = False,
    max_atoms: int | None = None,
) -> list[Phonons | str]:
    """Phonons of every crystal of a batch, at the geometry given.

    Parameters
    ----------
    batch
        B crystals, relaxed with the same potential: phonons away from its minimum mean little.
    potential
        Any `Potential` with forces.
    on_done
        Called with the number of crystals that finished since the last call.
    min_length_A, displacement_A, symprec, max_supercell_atoms, even, shorten
        See `onnes.physics.phonons.displaced_supercells`.
    mesh_length, smearing_THz
        See `onnes.physics.phonons.phonon_dos`.
    max_atoms
        Atoms evaluated together, 128 on a CPU and 8192 on a GPU by default; a larger supercell comes alone. Halved when
        memory runs out.

    Returns
    -------
    list
        One entry a crystal: its phonons, or a message saying why there are none.

    Notes
    -----
    The forces on the undisplaced cell are not evaluated, because they cancel: see `onnes.physics.phonons.phonon_dos`.

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> from onnes.potentials.potential import load_potential
    >>> aluminium = CrystalBatch.from_structures([known_crystal("Al", primitive=True)])
    >>> [phonons] = phonons_of(aluminium, load_potential())
    >>> 6.5 < phonons.highest_meV / 4.13567 < 8.5
    True
    """
    return _Gatherer(
        batch,
        potential,
        on_done or (lambda _: None),
        max_atoms or _MAX_ATOMS["cuda" if potential.device.startswith("cuda") else "cpu"],
        {"mesh_length": mesh_length, "smearing_THz": smearing_THz},
    ).run(
        min_length_A=min_length_A,
        displacement_A=displacement_A,
        symprec=symprec,
        max_atoms=max_supercell_atoms,
        even=even,
        shorten=shorten,
    )


class _Gatherer:
    """Takes crystals up until their supercells fill a few batches, evaluates those, and goes on."""

    def __init__(
        self,
        batch: CrystalBatch,
        potential: Potential,
        report: Callable[[int], None],
        max_atoms: int,
        mesh: dict[str, float | None],
    ) -> None:
        self.batch, self.potential, self.report = batch, potential, report
        self.max_atoms, self.mesh = max_atoms, mesh
        self.results: list[Phonons | str] = ["not done"] * len(batch)

    def run(self, **how: float) -> list[Phonons | str]:
        members: list[_Member] = []
        waiting = 0
        for i in range(len(self.batch)):
            try:
                members.append(self._prepared(i, **how))
            except Exception as error:  # noqa: BLE001 - the row boundary
                self._end(i, _message(error))
                continue
            waiting += members[-1].displaced.n_atoms * len(members[-1].forces)
            if waiting >= self.max_atoms:
                self._finish(members)
                members, waiting = [], 0
        self._finish(members)
        return self.results

    def _prepared(self, index: int, **how: float) -> _Member:
        crystal = self.batch.crystal(index)
        foreign = set(crystal[2].tolist()) - self.potential.elements
        if foreign:
            raise ModelError(f"{self.potential.name} does not know the element {chemical_symbols[min(foreign)]}")
        displaced = displaced_supercells(*crystal, **how)  # pyright: ignore[reportArgumentType]
        return _Member(index, displaced, [None] * len(displaced.supercells))

    def _finish(self, members: list[_Member]) -> None:
        jobs = [(member, k) for member in members for k in range(len(member.displaced.supercells))]
        everything = CrystalBatch.of(member.displaced.supercells[k] for member, k in jobs)
        for indices in everything.batches(self.max_atoms, len(jobs)):
            self._evaluate([jobs[int(i)] for i in indices])
        for member in members:
            if member.error is not None:
                self._end(member.index, member.error)
                continue
            try:
                forces = [one for one in member.forces if one is not None]
                self._end(member.index, phonon_dos(member.displaced, forces, **self.mesh))  # pyright: ignore[reportArgumentType]
            except Exception as error:  # noqa: BLE001 - the row boundary
                self._end(member.index, _message(error))

    def _evaluate(self, jobs: list[tuple[_Member, int]]) -> None:
        """Evaluate a batch; on failure its halves, so that a crystal that fails alone harms nobody else."""
        jobs = [(member, k) for member, k in jobs if member.error is None]
        if not jobs:
            return
        now = CrystalBatch.of(member.displaced.supercells[k] for member, k in jobs)
        try:
            forces = self.potential.evaluate(now, forces=True).forces_eV_per_A
        except Exception as error:  # noqa: BLE001 - the row boundary
            if len(jobs) == 1:
                jobs[0][0].error = _message(error)
                return
            if isinstance(error, MemoryError) or "memory" in str(error).lower():
                self.max_atoms = max(1, min(self.max_atoms, len(now.atomic_numbers) // 2))
            half = len(jobs) // 2
            self._evaluate(jobs[:half])
            self._evaluate(jobs[half:])
            return
        if forces is None:
            raise TypeError(f"potential {self.potential.name} gives no forces")
        for j, (member, k) in enumerate(jobs):
            member.forces[k] = forces[now.offsets[j] : now.offsets[j + 1]]

    def _end(self, index: int, outcome: Phonons | str) -> None:
        self.results[index] = outcome
        self.report(1)


def _message(error: Exception) -> str:
    return f"phonons failed: {type(error).__name__}: {error}"
