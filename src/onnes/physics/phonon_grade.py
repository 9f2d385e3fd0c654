"""The grade of a crystal's phonons: stable, doubtful or unstable, from one or several calculations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from onnes.physics.phonon_bands import frequencies_at
from onnes.physics.soft_modes import commensurate_qpoints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from onnes.physics.phonons import Phonons

    Floats = NDArray[np.float64]

Grade = Literal["stable", "doubtful", "unstable"]


class GradeTolerances(BaseModel):
    """How far below zero a frequency may lie (THz), and where."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exact_THz: float = Field(
        default=0.1, ge=0, description="at wave vectors that fit into the supercell, where frequencies are exact (THz)"
    )
    interpolated_THz: float = Field(
        default=0.3, ge=0, description="between them, where force constants are cut off (THz)"
    )


@dataclass(frozen=True)
class PhononCheck:
    """The lowest modes of one calculation.

    Attributes
    ----------
    potential, supercell, displacement_A
        Who computed the forces, repetitions of the primitive cell such as ``4x4x4``, length of the displacements.
    exact_THz, exact_q
        Lowest frequency at the wave vectors that fit into the supercell, and where; there a frequency owes nothing to
        interpolation. The acoustic modes at q = 0 are 0 by the sum rule.
    interpolated_THz, interpolated_q
        Lowest frequency on the dense mesh, and where.
    highest_THz
        Highest frequency on the mesh.
    """

    potential: str
    supercell: str
    displacement_A: float
    exact_THz: float
    exact_q: tuple[float, float, float]
    interpolated_THz: float
    interpolated_q: tuple[float, float, float]
    highest_THz: float

    @property
    def min_THz(self) -> float:
        """The lowest frequency of all."""
        return min(self.exact_THz, self.interpolated_THz)

    def grade(self, tolerances: GradeTolerances) -> Grade:
        """Return the grade by this calculation alone; the rule is stated at `graded`."""
        if self.exact_THz < -tolerances.exact_THz:
            return "unstable"
        return "doubtful" if self.interpolated_THz < -tolerances.interpolated_THz else "stable"

    def words(self, tolerances: GradeTolerances) -> str:
        """Say what was computed and what came out, for a person."""
        grade = self.grade(tolerances)
        exact = grade == "unstable"
        q = self.exact_q if exact else self.interpolated_q
        where = "" if grade == "stable" else f" at q = ({', '.join(f'{x:.3g}' for x in q)})"
        where += ", which does not fit into the supercell" if grade == "doubtful" else ""
        lowest = self.exact_THz if exact else self.min_THz
        return f"{self.potential} {self.supercell} {self.displacement_A:g} A: {lowest:.2f} THz{where}, {grade}"


def phonon_check(phonons: Phonons, potential: str) -> PhononCheck:
    """Find the lowest modes of a calculation.

    Parameters
    ----------
    phonons
        From `onnes.physics.phonons.phonon_dos`.
    potential
        Name of the potential that gave the forces.
    """
    displaced = phonons.displaced
    exact, where = _lowest(commensurate_qpoints(displaced.repeats), phonons)
    mesh: Any = displaced.phonopy.mesh
    i = int(mesh.frequencies[:, 0].argmin())
    q = mesh.qpoints[i] - np.round(mesh.qpoints[i])
    return PhononCheck(
        potential,
        displaced.label,
        displaced.displacement_A,
        exact,
        where,
        float(mesh.frequencies[i, 0]),
        (float(q[0]), float(q[1]), float(q[2])),
        float(mesh.frequencies.max()),
    )


def _lowest(qpoints: Floats, phonons: Phonons) -> tuple[float, tuple[float, float, float]]:
    lowest = frequencies_at(phonons, qpoints)[:, 0]
    i = int(lowest.argmin())
    a, b, c = qpoints[i].tolist()
    return float(lowest[i]), (a, b, c)


def graded(checks: Sequence[PhononCheck], tolerances: GradeTolerances | None = None) -> tuple[Grade, str]:
    """Grade a crystal: the one place where the rule is written.

    *One calculation* (a potential, a supercell, a displacement) says

    * ``unstable`` when a mode lies below ``-exact_THz`` (0.1 THz) at a wave vector that fits into the supercell. There the
      frequency follows from the forces alone. The acoustic modes at q = 0 are 0 by the sum rule, so what is left below
      zero is the noise of the forces, a few hundredths of a THz.
    * ``doubtful`` when modes lie below ``-interpolated_THz`` (0.3 THz) only at other wave vectors. There the force
      constants that the supercell cuts off are missing, which bends the acoustic branches near q = 0 below zero in
      crystals that are stable; a longer supercell would decide.
    * ``stable`` otherwise.

    *Several calculations* vote, and only a unanimous vote is a grade; anything else is ``doubtful``. So a crystal is
    ``unstable`` when every potential asked says so at every displacement, ``stable`` likewise. A mode whose sign changes
    with the displacement lies in a well so shallow that the harmonic picture ends, and one whose sign changes with the
    potential is not known.

    Parameters
    ----------
    checks
        At least one, the one that the crystal is known by first.
    tolerances
        Defaults to `GradeTolerances`.

    Returns
    -------
    tuple
        The grade, and the calculations in words.

    Examples
    --------
    >>> zero, m = (0.0, 0.0, 0.0), (0.5, 0.5, 0.0)
    >>> soft = PhononCheck("a", "4x4x4", 0.01, -2.0, m, -2.1, m, 9.0)
    >>> hard = PhononCheck("b", "4x4x4", 0.01, 0.0, zero, -0.02, zero, 9.5)
    >>> graded([soft])[0], graded([hard])[0], graded([soft, hard])[0]
    ('unstable', 'stable', 'doubtful')
    """
    tolerances = tolerances or GradeTolerances()
    votes: set[Grade] = {check.grade(tolerances) for check in checks}
    words = "; ".join(check.words(tolerances) for check in checks)
    return (votes.pop() if len(votes) == 1 else "doubtful"), words
