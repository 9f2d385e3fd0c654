"""Stage of this room: relax."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from onnes.flow.stage import Stage, StageContext, StageKind, StageSettings, register_stage
from onnes.potentials.elasticity import ELASTIC_COLUMNS
from onnes.potentials.fingerprints import potential_sha256
from onnes.potentials.unrelaxed import ENSEMBLE_COLUMNS, SCAN_COLUMNS

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


class ElasticSettings(StageSettings):
    """Whose elastic tensor."""

    potential: str = Field(default="sevennet-0", description="potential that gives the elastic tensor")
    sibling: str | None = Field(
        default=None, description="a second potential, such as sevennet-l3i5: its difference is the spread"
    )


@register_stage
class Elastic(Stage):
    """Elastic tensor, moduli and the Debye temperature from them, at the geometry that each row has now."""

    name = "elastic"
    version = "2"
    kind = StageKind.MAP
    title = "elastic tensor and moduli"
    writes = (*ELASTIC_COLUMNS, "geometry")
    settings_type = ElasticSettings
    settings: ElasticSettings

    def fingerprints(self) -> Mapping[str, str]:
        """Sha256 of the potentials."""
        names = [name for name in (self.settings.potential, self.settings.sibling) if name]
        return {f"potential {name}": potential_sha256(name) for name in names}

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Fill the columns; a crystal that fails gets ``error``."""
        from onnes.potentials.elasticity import elastic_table
        from onnes.potentials.potential import load_potential

        potential = load_potential(self.settings.potential, device=context.device)
        sibling = load_potential(self.settings.sibling, device=context.device) if self.settings.sibling else None
        return elastic_table(table, potential, sibling=sibling, on_rows=context.on_rows)


class VolumeScanSettings(StageSettings):
    """Whose energies, and what becomes of the geometry."""

    potential: str = Field(default="sevennet-0", description="potential whose energy is kept")
    others: tuple[str, ...] = Field(
        default=(), description="further potentials, such as sevennet-l3i5: median and interquartile range over all"
    )
    scale_geometry: bool = Field(default=False, description="give each crystal the volume of its lowest energy")


@register_stage
class VolumeScanStage(Stage):
    """Energy without relaxation: the lowest over 20 volumes from 0.8 to 1.2 of the given one."""

    name = "volume-scan"
    version = "2"
    kind = StageKind.MAP
    title = "energy over a scan of the volume"
    writes = (*SCAN_COLUMNS, *ENSEMBLE_COLUMNS)
    settings_type = VolumeScanSettings
    settings: VolumeScanSettings

    def fingerprints(self) -> Mapping[str, str]:
        """Sha256 of the potentials."""
        return {
            f"potential {name}": potential_sha256(name) for name in (self.settings.potential, *self.settings.others)
        }

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Scan; a crystal that fails gets ``error``."""
        from onnes.potentials.potential import load_potential
        from onnes.potentials.unrelaxed import scan_table

        first, *others = (
            load_potential(name, device=context.device) for name in (self.settings.potential, *self.settings.others)
        )
        return scan_table(
            table, first, others=others, scale_geometry=self.settings.scale_geometry, on_rows=context.on_rows
        )
