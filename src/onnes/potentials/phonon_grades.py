"""Grades of the phonons of many crystals: one potential first, a second displacement and a sibling where needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.physics.phonon_grade import graded, phonon_check
from onnes.physics.phonons import Phonons, standard_primitive
from onnes.potentials.force_constants import phonons_of
from onnes.potentials.phonon_settings import GradeSettings
from onnes.potentials.potential import load_potential
from onnes.potentials.relaxation import RelaxSettings, relax_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from onnes.physics.phonon_grade import Grade, GradeTolerances, PhononCheck
    from onnes.potentials.potential import Potential

SYMPREC_A = 0.01


@dataclass(eq=False)
class GradedPhonons:
    """One crystal with its phonons.

    Attributes
    ----------
    phonons
        Phonons of the first potential.
    tolerances
        What counts as noise.
    checks
        The calculations that voted, that of the first potential first.
    failures
        Further calculations that were tried, and why they failed; they have no vote.
    """

    phonons: Phonons
    tolerances: GradeTolerances
    checks: list[PhononCheck] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def grade(self) -> Grade:
        """See `onnes.physics.phonon_grade.graded`."""
        return graded(self.checks, self.tolerances)[0]

    @property
    def reason(self) -> str:
        """Every calculation and its outcome in words."""
        return "; ".join([graded(self.checks, self.tolerances)[1], *self.failures])

    @property
    def min_THz(self) -> float:
        """Lowest frequency by the first potential."""
        return self.checks[0].min_THz


def grade_phonons(
    batch: CrystalBatch,
    settings: GradeSettings | None = None,
    *,
    pressures_GPa: ArrayLike = 0.0,
    device: str = "cpu",
    on_done: Callable[[int], None] | None = None,
) -> list[GradedPhonons | str]:
    """Compute and grade the phonons of every crystal of a batch.

    Every calculation takes the primitive cell. What is asked, in this order, while all answers so far agree:

    1. the potential at ``displacement_A``;
    2. the potential at ``second_displacement_A``, where the first answer is not stable;
    3. the sibling at ``displacement_A``, at its own minimum, as ``refine`` says.

    Parameters
    ----------
    batch
        B crystals.
    settings
        Defaults to `GradeSettings`.
    pressures_GPa
        Pressure at which each crystal is relaxed, shape (B,) or one for all.
    device
        ``cpu`` or ``cuda``.
    on_done
        Called with the number of crystals that finished since the last call.

    Returns
    -------
    list
        One entry a crystal: its graded phonons, or a message saying why there are none.
    """
    settings = settings or GradeSettings()
    pressures = np.broadcast_to(np.nan_to_num(np.asarray(pressures_GPa, float)), (len(batch),))
    return _Grader(batch, settings, pressures, device, on_done or (lambda _: None)).run()


class _Grader:
    """Asks one question of all crystals that still need it, then the next."""

    def __init__(
        self,
        batch: CrystalBatch,
        settings: GradeSettings,
        pressures_GPa: np.ndarray,
        device: str,
        report: Callable[[int], None],
    ) -> None:
        self.settings, self.device, self.report = settings, device, report
        self.pressures = pressures_GPa
        self.given = CrystalBatch.of(standard_primitive(*crystal, symprec=SYMPREC_A) for crystal in batch)
        self.results: list[GradedPhonons | str] = ["not done"] * len(batch)
        self.done = np.zeros(len(batch), bool)

    def run(self) -> list[GradedPhonons | str]:
        s = self.settings
        everyone = range(len(self.given))
        first = load_potential(s.potential, device=self.device)
        cells, errors = self._minima(first, everyone)
        found = self._phonons(first, cells, everyone, errors, s.displacement_A)
        for i, one in enumerate(found):
            self.results[i] = one if isinstance(one, str) else GradedPhonons(one, s.tolerances)
        self._vote(first, dict(enumerate(found)))
        self._finish(i for i in everyone if isinstance(self.results[i], str))
        if s.second_displacement_A is not None:
            rows = self._agreeing("unstable", "doubtful")
            again = self._phonons(first, cells.select(rows), rows, [None] * len(rows), s.second_displacement_A)
            self._vote(first, dict(zip(rows, again, strict=True)))
        if s.refine != "never":
            rows = self._agreeing("unstable", "doubtful", *(("stable",) if s.refine == "always" else ()))
            self._finish(set(everyone) - set(rows))
            self._ask_sibling(rows)
        self._finish(everyone)
        return self.results

    def _agreeing(self, *grades: str) -> list[int]:
        """Crystals whose votes are so far all alike, and one of these."""
        tolerances = self.settings.tolerances
        votes = {
            i: {check.grade(tolerances) for check in one.checks}
            for i, one in enumerate(self.results)
            if isinstance(one, GradedPhonons)
        }
        return [i for i, said in votes.items() if len(said) == 1 and said <= set(grades)]

    def _ask_sibling(self, rows: Sequence[int]) -> None:
        if not rows:
            return
        sibling = load_potential(self.settings.sibling, device=self.device)
        for i in rows:  # one by one, because it is slow: the progress bar moves
            cells, errors = self._minima(sibling, [i])
            self._vote(sibling, {i: self._phonons(sibling, cells, [i], errors, self.settings.displacement_A)[0]})
            self._finish([i])

    def _minima(self, potential: Potential, rows: Sequence[int]) -> tuple[CrystalBatch, list[str | None]]:
        """Cells at the potential's own minimum, and why some are not there."""
        given = self.given.select(list(rows))
        if not self.settings.relax:
            return given, [None] * len(rows)
        cells: list[Any] = list(given)
        errors: list[str | None] = [None] * len(rows)
        pressures = self.pressures[list(rows)]
        for pressure in np.unique(pressures):
            same = np.flatnonzero(pressures == pressure)
            relaxed = relax_batch(
                given.select(same),
                potential,
                RelaxSettings(
                    fmax_eV_per_A=self.settings.fmax_eV_per_A,
                    max_steps=self.settings.max_steps,
                    symprec_A=SYMPREC_A,
                    pressure_GPa=float(pressure),
                ),
            )
            for j, i in enumerate(same):
                errors[i] = relaxed.errors[j]
                if errors[i] is None and not relaxed.converged[j]:
                    errors[i] = f"{potential.name} did not relax it in {self.settings.max_steps} steps"
                cells[i] = standard_primitive(*relaxed.batch.crystal(j), symprec=SYMPREC_A)
        return CrystalBatch.of(cells), errors

    def _phonons(
        self,
        potential: Potential,
        cells: CrystalBatch,
        rows: Sequence[int],
        errors: list[str | None],
        displacement_A: float,
    ) -> list[Phonons | str]:
        """Phonons of cells that stand for these rows; the message of those that did not get this far."""
        s = self.settings
        sound = [j for j in range(len(rows)) if errors[j] is None]
        made = phonons_of(
            cells.select(sound),
            potential,
            min_length_A=s.min_length_A,
            displacement_A=displacement_A,
            max_supercell_atoms=s.max_supercell_atoms,
            even=s.even,
            shorten=True,
        )
        found: list[Phonons | str] = [error or "not done" for error in errors]
        for j, one in zip(sound, made, strict=True):
            found[j] = one
        return found

    def _vote(self, potential: Potential, found: dict[int, Phonons | str]) -> None:
        """Add one calculation to each crystal; one that failed has no vote but is named."""
        for i, one in found.items():
            result = self.results[i]
            if isinstance(result, str):
                continue
            if isinstance(one, str):
                result.failures.append(f"{potential.name}: {one}")
            else:
                result.checks.append(phonon_check(one, potential.name))

    def _finish(self, rows: Any) -> None:
        new = [i for i in rows if not self.done[i]]
        self.done[new] = True
        if new:
            self.report(len(new))
