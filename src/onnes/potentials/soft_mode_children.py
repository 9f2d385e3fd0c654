"""Crystals that unstable modes lead to: displaced along the mode, relaxed by a potential."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.units import GPa

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.symmetry import describe
from onnes.errors import CrystalError
from onnes.physics.phonons import standard_primitive
from onnes.physics.soft_modes import SoftMode, soft_modes
from onnes.potentials.evaluation import evaluate_each
from onnes.potentials.phonon_settings import FollowSettings
from onnes.potentials.relaxation import RelaxSettings, relax_batch

if TYPE_CHECKING:
    from onnes.physics.phonons import Crystal, Phonons
    from onnes.potentials.potential import Potential
    from onnes.potentials.relaxation import Relaxed


@dataclass(frozen=True, eq=False)
class SoftModeChild:
    """A crystal of lower energy than the one whose mode led to it.

    Attributes
    ----------
    crystal
        Primitive cell: lattice (3, 3), frac_coords (n, 3), atomic_numbers (n,).
    operation
        `onnes.physics.soft_modes.SoftMode.operation`: what `onnes.physics.soft_modes.replayed` makes the start from.
    energy_eV_per_atom, forces_max_eV_per_A, steps
        At the end of the relaxation.
    gain_meV_per_atom
        Energy of the parent minus that of the child; enthalpy where there is pressure.
    space_group, parent_space_group
        Numbers, at ``symprec_A``.
    """

    crystal: Crystal
    operation: dict[str, Any]
    energy_eV_per_atom: float
    forces_max_eV_per_A: float
    steps: int
    gain_meV_per_atom: float
    space_group: int
    parent_space_group: int

    @property
    def how(self) -> str:
        """The operation as JSON, as the column ``how`` holds it."""
        return json.dumps(self.operation, sort_keys=True, separators=(",", ":"))

    @property
    def words(self) -> str:
        """What was gained, for a person."""
        q = ", ".join(f"{x:.3g}" for x in self.operation["q"])
        return (
            f"soft mode of {self.operation['frequency_THz']:.2f} THz at q = ({q}): {self.gain_meV_per_atom:.1f} meV/atom "
            f"below the parent, space group {self.parent_space_group} -> {self.space_group}"
        )


@dataclass(frozen=True, eq=False)
class FollowedModes:
    """What came of the unstable modes of one crystal.

    Attributes
    ----------
    children
        Different children, the lowest energy first.
    n_directions
        Directions along which the crystal could fall; 0 when no mode is unstable.
    n_too_large
        How many of them were not tried, because their supercells are too large.
    failures
        Messages of those that the potential could not evaluate or relax.
    potential, settings
        Who relaxed, and how.
    """

    children: list[SoftModeChild]
    n_directions: int
    n_too_large: int
    failures: tuple[str, ...]
    potential: str
    settings: FollowSettings

    @property
    def remark(self) -> str | None:
        """Why there is no child, and what was not tried or failed; None where the children say it all."""
        if not self.n_directions:
            limit = f"-{self.settings.tolerance_THz:g} THz at a wave vector that fits into the supercell"
            return f"no soft mode to follow: {self.potential} has none below {limit}"
        n_relaxed = self.n_directions - self.n_too_large - len(self.failures)
        parts: list[str] = []
        if n_relaxed and not self.children:
            gain = f"{self.settings.min_gain_meV_per_atom:g} meV/atom lower"
            parts.append(f"none of {n_relaxed} directions along soft modes led to a crystal at least {gain}")
        of_all = f"of {self.n_directions} directions along soft modes"
        if self.n_too_large:
            atoms = self.settings.max_child_atoms
            parts.append(f"{self.n_too_large} {of_all} not tried, because their cells have more than {atoms} atoms")
        if self.failures:
            parts.append(f"{len(self.failures)} {of_all} failed: {self.failures[0]}")
        return "; ".join(parts) or None


def follow_soft_modes(
    phonons: Phonons, potential: Potential, settings: FollowSettings | None = None, *, pressure_GPa: float = 0.0
) -> FollowedModes:
    """Follow the unstable modes of one crystal down.

    Each direction of `onnes.physics.soft_modes.soft_modes` is tried at a few amplitudes of both signs. The one with the
    lowest energy is relaxed, cell and positions, keeping the symmetry that the displacement left.

    Parameters
    ----------
    phonons
        Of a crystal at the potential's minimum.
    potential
        Who relaxes, best the one that the phonons come from.
    settings
        Defaults to `FollowSettings`.
    pressure_GPa
        Target pressure.

    Returns
    -------
    FollowedModes
        The children, and what is to be said of the modes without one.

    Raises
    ------
    CrystalError
        When the potential gives the parent no finite energy.
    """
    settings = settings or FollowSettings()
    unstable = soft_modes(phonons, tolerance_THz=settings.tolerance_THz, max_wave_vectors=settings.max_wave_vectors)
    modes = [mode for mode in unstable if len(mode.undistorted[2]) <= settings.max_child_atoms]
    n_too_large = len(unstable) - len(modes)
    if not modes:
        return FollowedModes([], len(unstable), n_too_large, (), potential.name, settings)
    parent = phonons.displaced.cell
    parent_eV = _enthalpies(CrystalBatch.of([parent]), potential, pressure_GPa)[0]
    if not np.isfinite(parent_eV):
        raise CrystalError(f"{potential.name} gives the parent no energy")
    starts = _best_amplitudes(modes, potential, settings, pressure_GPa)
    relaxed = relax_batch(
        CrystalBatch.of(mode.displaced(amplitude) for mode, amplitude in starts),
        potential,
        RelaxSettings(
            fmax_eV_per_A=settings.fmax_eV_per_A,
            max_steps=settings.max_steps,
            symprec_A=settings.symprec_A,
            pressure_GPa=pressure_GPa,
        ),
    )
    failures = (len(modes) - len(starts)) * (f"{potential.name} gives the displaced crystal no energy",)
    failures += tuple(filter(None, (_fault(relaxed, i, settings) for i in range(len(starts)))))
    children = _different(_children(parent, float(parent_eV), starts, relaxed, settings, pressure_GPa), settings)
    return FollowedModes(children, len(unstable), n_too_large, failures, potential.name, settings)


def _fault(relaxed: Relaxed, i: int, settings: FollowSettings) -> str | None:
    """Why a relaxation is of no use."""
    if relaxed.errors[i] is None and not relaxed.converged[i]:
        return f"not relaxed after {settings.max_steps} steps"
    return relaxed.errors[i]


def _children(
    parent: Crystal,
    parent_eV: float,
    starts: list[tuple[SoftMode, float]],
    relaxed: Relaxed,
    settings: FollowSettings,
    pressure_GPa: float,
) -> list[SoftModeChild]:
    """Children of the relaxations that came to rest, whatever their energies."""
    parent_group = describe(*parent, symprec=settings.symprec_A).space_group
    children: list[SoftModeChild] = []
    for i, (mode, amplitude) in enumerate(starts):
        if _fault(relaxed, i, settings) is not None:
            continue
        crystal = relaxed.batch.crystal(i)
        size = len(crystal[2])
        volume = float(abs(np.linalg.det(crystal[0])))
        enthalpy = (float(relaxed.energies_eV[i]) + pressure_GPa * GPa * volume) / size
        small = standard_primitive(*crystal, symprec=settings.symprec_A)
        children.append(
            SoftModeChild(
                small,
                mode.operation(amplitude),
                float(relaxed.energies_eV[i]) / size,
                float(relaxed.forces_max_eV_per_A[i]),
                int(relaxed.steps[i]),
                1e3 * (parent_eV - enthalpy),
                describe(*small, symprec=settings.symprec_A).space_group,
                parent_group,
            )
        )
    return children


def _different(children: list[SoftModeChild], settings: FollowSettings) -> list[SoftModeChild]:
    """The lowest ones; two of one space group and energy are the same crystal."""
    kept: list[SoftModeChild] = []
    for child in sorted(children, key=lambda one: -one.gain_meV_per_atom):
        known = any(
            child.space_group == other.space_group and abs(child.gain_meV_per_atom - other.gain_meV_per_atom) < 0.1
            for other in kept
        )
        if child.gain_meV_per_atom >= settings.min_gain_meV_per_atom and not known:
            kept.append(child)
    return kept[: settings.max_children]


def _best_amplitudes(
    modes: list[SoftMode], potential: Potential, settings: FollowSettings, pressure_GPa: float
) -> list[tuple[SoftMode, float]]:
    """Of each mode the amplitude, with its sign, that lowers the energy most."""
    amplitudes = [sign * a for a in settings.amplitudes_A for sign in (1, -1)]
    tried = CrystalBatch.of(mode.displaced(amplitude) for mode in modes for amplitude in amplitudes)
    energies = _enthalpies(tried, potential, pressure_GPa).reshape(len(modes), -1)
    return [
        (mode, amplitudes[int(np.nanargmin(row))])
        for mode, row in zip(modes, energies, strict=True)
        if np.isfinite(row).any()
    ]


def _enthalpies(batch: CrystalBatch, potential: Potential, pressure_GPa: float) -> np.ndarray:
    """Enthalpy per atom (eV) of every crystal; NaN where the potential fails."""
    evaluation, _ = evaluate_each(batch, potential, forces=False)
    return (evaluation.energies_eV + pressure_GPa * GPa * batch.volumes) / batch.n_atoms
