"""Settings of phonons and of the soft modes that are followed; light, so that funnels can read them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from onnes.physics.phonon_grade import GradeTolerances
from onnes.physics.phonons import DISPLACEMENT_A, MIN_LENGTH_A
from onnes.potentials.potential import DEFAULT_POTENTIAL, sibling_of

PHONON_COLUMNS = (
    "min_phonon_THz", "phonon_grade", "phonon_reason", "phonon_supercell", "max_phonon_THz",
    "heat_capacity_300K_J_per_mol_K",
)  # fmt: skip


class GradeSettings(BaseModel):
    """How phonons are computed and graded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    potential: str = Field(default=DEFAULT_POTENTIAL, description="potential that computes the phonons")
    sibling: str = Field(default=sibling_of(DEFAULT_POTENTIAL), description="second potential that is asked")
    refine: Literal["always", "not stable", "never"] = Field(
        default="always", description="which crystals the second potential is asked about"
    )
    relax: bool = Field(
        default=True, description="bring each crystal to the potential's own minimum first, its symmetry kept"
    )
    fmax_eV_per_A: float = Field(default=0.005, gt=0, description="largest force after that (eV/A)")
    max_steps: int = Field(default=300, ge=1, description="steps after which a relaxation is given up")
    min_length_A: float = Field(
        default=MIN_LENGTH_A, gt=0, description="shortest distance between an atom and its images in the supercell (A)"
    )
    max_supercell_atoms: int = Field(
        default=400, ge=1, description="atoms in the supercell at most; a larger one is made shorter, down to the cell"
    )
    even: bool = Field(
        default=True, description="1 or even repetitions, so that zone-boundary modes fit into the supercell"
    )
    displacement_A: float = Field(default=DISPLACEMENT_A, gt=0, description="length of the displacements (A)")
    second_displacement_A: float | None = Field(
        default=0.03, gt=0, description="displacement that modes which are not stable must survive (A)"
    )
    exact_THz: float = Field(
        default=GradeTolerances().exact_THz,
        ge=0,
        description="noise allowed below zero where frequencies are exact (THz)",
    )
    interpolated_THz: float = Field(
        default=GradeTolerances().interpolated_THz, ge=0, description="noise allowed where they are interpolated (THz)"
    )

    @property
    def tolerances(self) -> GradeTolerances:
        """Tolerances of `onnes.physics.phonon_grade.graded`."""
        return GradeTolerances(exact_THz=self.exact_THz, interpolated_THz=self.interpolated_THz)


class FollowSettings(BaseModel):
    """How unstable modes are followed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amplitudes_A: tuple[float, ...] = Field(
        default=(0.1, 0.2, 0.4), min_length=1, description="largest displacement of an atom, tried with both signs (A)"
    )
    max_wave_vectors: int = Field(default=2, ge=1, description="wave vectors followed, the most unstable first")
    max_child_atoms: int = Field(default=64, ge=1, description="atoms in the supercell of a mode at most")
    max_children: int = Field(default=1, ge=1, description="different children kept of each parent, the lowest first")
    min_gain_meV_per_atom: float = Field(default=1.0, ge=0, description="how far below its parent a child must lie")
    tolerance_THz: float = Field(default=0.1, ge=0, description="modes below minus this are followed (THz)")
    symprec_A: float = Field(default=0.01, gt=0, description="tolerance of the symmetry that the child keeps (A)")
    fmax_eV_per_A: float = Field(default=0.01, gt=0, description="largest force at the end (eV/A)")
    max_steps: int = Field(default=300, ge=1, description="steps after which a child is given up")
