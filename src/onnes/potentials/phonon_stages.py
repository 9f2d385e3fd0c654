"""Stages of this room that concern phonons: their grade, and the children of soft modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from onnes.flow.stage import Stage, StageContext, StageKind, StageSettings, register_stage
from onnes.potentials.fingerprints import potential_sha256
from onnes.potentials.phonon_settings import PHONON_COLUMNS, FollowSettings, GradeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa


class PhononSettings(GradeSettings, StageSettings):
    """How phonons are computed and graded."""


@register_stage
class PhononStage(Stage):
    """Phonons at the potential's minimum next to each row's geometry, and their grade; nothing is rejected."""

    name = "phonons"
    version = "1"
    kind = StageKind.MAP
    title = "phonons and their grade"
    writes = PHONON_COLUMNS
    settings_type = PhononSettings
    settings: PhononSettings

    def fingerprints(self) -> Mapping[str, str]:
        """Sha256 of the potentials."""
        s = self.settings
        names = [s.potential] if s.refine == "never" else [s.potential, s.sibling]
        return {f"potential {name}": potential_sha256(name) for name in names}

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Fill the columns; a crystal that fails gets ``error``."""
        from onnes.potentials.phonon_tables import phonon_table

        return phonon_table(table, self.settings, device=context.device, on_rows=context.on_rows)


class SoftModeSettings(StageSettings):
    """Whose soft modes are followed, and how."""

    grades: tuple[str, ...] = Field(default=("unstable",), description="grades whose modes are followed")
    phonons: GradeSettings = Field(
        default=GradeSettings(), description="how the modes are found: one potential, one displacement"
    )
    follow: FollowSettings = Field(default=FollowSettings(), description="how they are followed")


@register_stage
class SoftModeStage(Stage):
    """Adds the crystals of lower energy that unstable modes lead to; needs ``phonon_grade``."""

    name = "soft-mode"
    version = "2"
    kind = StageKind.EXPANDER
    title = "children of soft modes"
    settings_type = SoftModeSettings
    settings: SoftModeSettings

    def fingerprints(self) -> Mapping[str, str]:
        """Sha256 of the potential."""
        return {"potential": potential_sha256(self.settings.phonons.potential)}

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Put each child right behind its parent."""
        from onnes.potentials.phonon_tables import with_soft_mode_children

        s = self.settings
        return with_soft_mode_children(
            table, s.follow, s.phonons, grades=s.grades, device=context.device, on_rows=context.on_rows
        )
