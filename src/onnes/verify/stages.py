"""Stages of this room: density of states, and verification of the best rows."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from onnes.crystals.schema import floats, values
from onnes.flow.stage import Stage, StageContext, StageKind, register_stage
from onnes.verify.columns import DFT_COLUMNS, DOS_COLUMN
from onnes.verify.settings import RunSettings, VerifySettings
from onnes.verify.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

_MISSING = "missing"


class VerifyStageSettings(VerifySettings, RunSettings):
    """What is computed, how programs are run, and for which rows."""

    top: int | None = Field(default=None, ge=1, description="so many rows, the best by order_by; all by default")
    ids: tuple[str, ...] | None = Field(default=None, description="these rows instead of the best")
    order_by: str = Field(default="tc_K", description="column by which rows are the best")
    descending: bool = Field(default=True, description="the largest values are the best")

    def verify_settings(self) -> VerifySettings:
        """What a verification is told."""
        return VerifySettings(**{name: getattr(self, name) for name in VerifySettings.model_fields})

    def run_settings(self) -> RunSettings:
        """How its programs are run."""
        return RunSettings(**{name: getattr(self, name) for name in RunSettings.model_fields})


class DosSettings(VerifyStageSettings):
    """The level without phonons."""

    level: Literal["dos"] = Field(default="dos", description="dos")  # pyright: ignore[reportIncompatibleVariableOverride]


@register_stage
class VerifyStage(Stage):
    """First-principles verification with Quantum ESPRESSO; nothing is rejected, and no fault of a crystal is an error.

    A row takes minutes to hours; one that failed is tried again by the next run, from the step where it ended. ``hours`` holds for each row, not for all of them together. Where programs or pseudopotentials are missing its verdict is ``not_available``.
    """

    name = "verify"
    version = "1"
    kind = StageKind.MAP
    title = "first-principles verification"
    writes = DFT_COLUMNS
    shard_rows = 1
    computed_again = ("dft_verdict", Verdict.FAILED.value)
    settings_type = VerifyStageSettings
    settings: VerifyStageSettings

    def headline(self) -> str:
        """Level, and how many rows at most."""
        s = self.settings
        rows = f", {len(s.ids)} chosen" if s.ids else f", the best {s.top} by {s.order_by}" if s.top else ""
        return f"{self.title}, level {s.level}{rows}"

    def fingerprints(self) -> Mapping[str, str]:
        """Versions of the programs, and hashes of what else decides: once something is installed rows are computed again."""
        from onnes.verify.manifest import MANIFEST
        from onnes.verify.providers import PROGRAMS, program_versions, pseudopotential_providers

        s = self.settings
        versions = program_versions(s.run_settings(), PROGRAMS if s.of_level().phonons else PROGRAMS[:1])
        found = {f"program {name}": version or _MISSING for name, version in versions.items()}
        if s.retries is not None:
            found["retries"] = _sha256(s.retries.expanduser())
        if s.pseudos is not None:
            return found | {"pseudopotentials": _sha256(Path(s.pseudos).expanduser() / MANIFEST)}
        return found | {"pseudopotentials": ", ".join(pseudopotential_providers()) or _MISSING}

    def chosen(self, table: pa.Table) -> NDArray[np.bool_] | None:
        """The rows that were named, else the best ones; those without a value come last."""
        s = self.settings
        if s.ids is not None:
            return np.isin(np.array(values(table, "id"), dtype=object), s.ids)
        if s.top is None:
            return None
        numbers = floats(table, s.order_by)
        keys = np.where(np.isnan(numbers), np.inf, -numbers if s.descending else numbers)
        mask = np.zeros(table.num_rows, bool)
        mask[np.argsort(keys, kind="stable")[: s.top]] = True
        return mask

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Fill the columns."""
        from onnes.verify.tables import verify_table

        folder = context.work_folder or default_folder()
        s = self.settings
        return verify_table(table, s.verify_settings(), s.run_settings(), folder, on_rows=context.on_rows)


@register_stage
class DosStage(VerifyStage):
    """Density of states at the Fermi level by Quantum ESPRESSO, as the model ``electronic`` reads it."""

    name = "dos"
    version = "1"
    title = "density of states at the Fermi level"
    writes = (*DFT_COLUMNS, DOS_COLUMN)
    settings_type = DosSettings
    settings: DosSettings


def default_folder() -> Path:
    """Where the work lies when nobody names a place: in the cache of the user."""
    from onnes.training.feature_cache import cache_folder

    return cache_folder() / "verification"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else _MISSING
