"""Stages of this room: predict (superconductivity, metal, magnetism, domain), and Tc from a known N(E_F)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from onnes.crystals.schema import floats, values, with_columns
from onnes.flow.stage import Stage, StageContext, StageKind, StageSettings, register_stage
from onnes.models.weights import load_weights, weights_sha256
from onnes.potentials.fingerprints import potential_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

_WRITES = (
    "lambda_", "lambda_std", "omega_log_K", "omega_log_K_std", "omega2_K", "omega2_K_std", "mu_star", "tc_K",
    "tc_K_std", "tc_lo_K", "tc_hi_K", "tc_mu016_K", "tc_above_5K_probability", "tc_model", "alpha2f",
    "is_metal_probability", "magmom_max_muB", "in_domain", "domain_distance", "warnings",
)  # fmt: skip


class PredictSettings(StageSettings):
    """Which models predict."""

    model: str = Field(default="structure", description="superconductivity model: a shipped name or a folder")
    metal_model: str = Field(default="metal", description="metal model: a shipped name or a folder")
    phonons: bool = Field(default=False, description="shape alpha2F by the potential's phonons (seconds a crystal)")


@register_stage
class Predict(Stage):
    """lambda, omega_log, Tc with spread and interval; metal probability; magnetic moment; domain."""

    name = "predict"
    version = "2"
    kind = StageKind.MAP
    title = "superconductivity, metal and domain"
    writes = _WRITES
    settings_type = PredictSettings
    settings: PredictSettings

    def fingerprints(self) -> Mapping[str, str]:
        """Sha256 of both models and of the potentials whose features they read."""
        fallback = load_weights(self.settings.model).config.get("fallback")
        names = [self.settings.model, *([fallback] if fallback else []), self.settings.metal_model]
        prints = {f"model {name}": weights_sha256(name) for name in names}
        configs = [load_weights(name).config for name in names]
        potentials = {
            name for config in configs for name in (*config.get("potentials", ()), config.get("moments")) if name
        }
        return prints | {f"potential {name}": potential_sha256(name) for name in sorted(potentials)}

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Predict at the geometry that each row has now."""
        from onnes.models.prediction import predict_table

        return predict_table(
            table,
            model=self.settings.model,
            metal_model=self.settings.metal_model,
            phonons=self.settings.phonons,
            device=context.device,
            on_rows=context.on_rows,
        )


class ElectronicSettings(StageSettings):
    """Which model reads N(E_F)."""

    model: str = Field(
        default="electronic", description="superconductivity model that reads N(E_F): a name or a folder"
    )


@register_stage
class Electronic(Stage):
    """Tc of the rows whose N(E_F) is known, beside the columns of `Predict`, which stay as they are."""

    name = "electronic"
    version = "1"
    kind = StageKind.MAP
    title = "Tc from the density of states at the Fermi level"
    writes = ("electronic_tc_K", "electronic_tc_lo_K", "electronic_tc_hi_K")
    settings_type = ElectronicSettings
    settings: ElectronicSettings

    def fingerprints(self) -> Mapping[str, str]:
        """Sha256 of the model and of the potentials whose features it reads."""
        config = load_weights(self.settings.model).config
        potentials = {f"potential {name}": potential_sha256(name) for name in sorted(config.get("potentials", ()))}
        return {f"model {self.settings.model}": weights_sha256(self.settings.model), **potentials}

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Fill the columns; a row without N(E_F), or that the model cannot read, has none."""
        from onnes.models.prediction import predict_table

        known = floats(table, "dos_ef_states_per_eV") > 0
        columns: dict[str, list[float | None]] = {name: [None] * table.num_rows for name in self.writes}
        if known.any():
            found = predict_table(
                table.filter(known), model=self.settings.model, device=context.device, on_rows=context.on_rows
            )
            for name, column in columns.items():
                own = values(found, name.removeprefix("electronic_"))
                for row, value, error in zip(np.flatnonzero(known), own, values(found, "error"), strict=True):
                    column[row] = value if error is None else None
        context.on_rows(int((~known).sum()))
        return with_columns(table, columns)
