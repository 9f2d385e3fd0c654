"""Settings of a verification, and the levels that they come from."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from onnes.errors import ConfigError
from onnes.flow.stage import StageSettings

LevelName = Literal["dos", "smoke", "screen", "final"]
Functional = Literal["PBE", "PBEsol", "LDA"]
Grid = tuple[int, int, int]


class Level(BaseModel):
    """What one level computes; the numbers lie in ``levels.toml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    relax: bool
    phonons: bool
    q_distance: float = 0.0
    k_distance: float
    dense_k_distance: float = 0.0
    dense_factor: int = 1
    scf_threshold_Ry: float
    phonon_threshold: float = 0.0
    relax_threshold_kbar: float = 0.5
    smearing: str
    degauss_Ry: float
    accuracy: Literal["electronic", "structural"]
    interpolate: bool = False
    coarse: bool = False
    bands: bool = False


@cache
def levels() -> dict[str, Level]:
    """Read the levels, cheapest first."""
    text = resources.files("onnes.verify").joinpath("levels.toml").read_text(encoding="utf-8")
    return {name: Level(**values) for name, values in tomllib.loads(text).items()}


class VerifySettings(StageSettings):
    """How a crystal is verified. What is None comes from the level."""

    level: LevelName = Field(default="smoke", description="how much is computed: dos, smoke, screen or final")
    pseudos: str | None = Field(default=None, description="directory of pseudopotentials with a manifest")
    functional: Functional | None = Field(
        default=None, description="exchange and correlation; that of the directory by default, PBE without one"
    )
    relax: bool | None = Field(default=None, description="relax atoms and cell first")
    q_grid: Grid | None = Field(default=None, description="grid of phonon wave vectors")
    k_grid: Grid | None = Field(default=None, description="coarse grid of k points, a multiple of the q grid")
    dense_k_grid: Grid | None = Field(default=None, description="dense grid of k points, a multiple of the coarse one")
    ecutwfc_Ry: float | None = Field(default=None, gt=0, description="cut-off of the wave functions")
    degauss_Ry: float | None = Field(default=None, gt=0, description="width of the smearing of occupations")
    interpolate: bool | None = Field(default=None, description="Fourier interpolation by q2r.x and matdyn.x too")
    bands: bool | None = Field(default=None, description="bands along the path of high symmetry")
    mu_stars: tuple[Annotated[float, Field(ge=0, le=0.45)], ...] = Field(
        default=(0.10, 0.13, 0.16), min_length=2, description="Coulomb parameters"
    )
    max_atoms: int = Field(default=12, ge=1, description="larger primitive cells are not begun")

    def of_level(self) -> Level:
        """Return the level with the changes of these settings."""
        level = levels()[self.level]
        changes: dict[str, Any] = {
            name: value
            for name in ("relax", "degauss_Ry", "interpolate", "bands")
            if (value := getattr(self, name)) is not None
        }
        if self.q_grid is not None and not level.phonons:
            raise ConfigError(f"level {self.level!r} has no phonons, hence no q grid; use smoke, screen or final")
        return level.model_copy(update=changes)


class RunSettings(StageSettings):
    """Where and how the programs run; nothing here changes a result."""

    pw_command: str = Field(default="pw.x", description="program or path")
    ph_command: str = Field(default="ph.x", description="program or path")
    q2r_command: str = Field(default="q2r.x", description="program or path")
    matdyn_command: str = Field(default="matdyn.x", description="program or path")
    launcher: str = Field(
        default="mpirun -np {ranks} --oversubscribe --bind-to none",
        description="what starts the programs when there is more than one rank; {ranks} is replaced",
    )
    ranks: int = Field(default=1, ge=1, description="MPI processes of a program")
    pools: int | None = Field(default=None, ge=1, description="groups of k points; as many as ranks by default")
    step_hours: float = Field(
        default=24.0, gt=0, description="after so long a step is stopped and counts as out of time"
    )
    hours: float | None = Field(
        default=None,
        gt=0,
        description="after so long no new step is begun, and a running one is stopped: the job's walltime",
    )
    retries: Path | None = Field(default=None, description="TOML file with another policy of retries")
    keep_scratch: bool = Field(default=False, description="keep wave functions and charge densities after the end")
