"""Stage of this room: relax."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from onnes.flow.stage import Stage, StageContext, StageKind, StageSettings, register_stage
from onnes.potentials.fingerprints import potential_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa


class RelaxStageSettings(StageSettings):
    """Potential and the settings of `onnes.potentials.relaxation.RelaxSettings` that a funnel may change."""

    potential: str = Field(default="sevennet-0", description="potential that relaxes")
    optimizer: str = Field(default="bfgs", description="bfgs, lbfgs or fire")
    fmax_eV_per_A: float = Field(default=0.02, gt=0, description="largest force at the end (eV/A)")
    max_steps: int = Field(default=300, ge=0, description="largest number of steps")
    keep_symmetry: bool = Field(default=True, description="keep the space group of the start")


@register_stage
class Relax(Stage):
    """Relaxes positions and cell; the geometry before is kept in ``input_lattice`` and ``input_frac_coords``."""

    name = "relax"
    version = "1"
    kind = StageKind.MAP
    title = "relax positions and cell"
    writes = (
        "lattice", "frac_coords", "input_lattice", "input_frac_coords", "geometry", "pressure_GPa", "space_group",
        "prototype", "crystal_hash", "potential", "energy_eV_per_atom", "forces_max_eV_per_A", "relax_steps",
        "relax_converged",
    )  # fmt: skip
    settings_type = RelaxStageSettings
    settings: RelaxStageSettings

    def fingerprints(self) -> Mapping[str, str]:
        """Sha256 of the potential."""
        return {"potential": potential_sha256(self.settings.potential)}

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Relax; a crystal that does not converge gets ``error``."""
        from onnes.potentials.potential import load_potential
        from onnes.potentials.relaxation import RelaxSettings
        from onnes.potentials.tables import relax_table

        potential = load_potential(self.settings.potential, device=context.device)
        settings = RelaxSettings(**self.settings.model_dump(exclude={"potential"}))
        return relax_table(table, potential, settings, on_rows=context.on_rows)
