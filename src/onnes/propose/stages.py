"""Stage of this room: order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from onnes.crystals.schema import concat, is_open, values, with_columns
from onnes.flow.stage import Stage, StageContext, StageKind, StageSettings, register_stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa


class OrderSettings(StageSettings):
    """Which ordered cells stand for a crystal with partly occupied sites."""

    method: Literal["enumerate", "sqs"] = Field(default="enumerate", description="all cells, or quasi-random ones")
    rank: Literal["auto", "ewald", "energy", "size"] = Field(
        default="auto", description="which cells are kept: lowest Ewald energy, lowest energy of the potential, by size"
    )
    potential: str = Field(default="sevennet-0", description="whose energy ranks, with rank = energy")
    max_cell_atoms: int = Field(default=24, ge=1, description="largest ordered cell")
    min_distance_A: float = Field(default=1.0, gt=0, description="cells with closer atoms are left out")
    limit: int = Field(default=20, ge=1, description="most cells of one crystal")


@register_stage
class Order(Stage):
    """Ordered cells of partly occupied crystals, right behind them; the crystals themselves go no further.

    The rows must be open (`onnes.propose.disorder.opened`). Ordered crystals pass unchanged.
    """

    name = "order"
    version = "1"
    kind = StageKind.EXPANDER
    title = "ordered cells of partly occupied crystals"
    settings_type = OrderSettings
    settings: OrderSettings

    def fingerprints(self) -> Mapping[str, str]:
        """Sha256 of the potential, where it ranks."""
        if self.settings.rank != "energy":
            return {}
        from onnes.potentials.fingerprints import potential_sha256

        return {"potential": potential_sha256(self.settings.potential)}

    def apply(self, table: pa.Table, context: StageContext) -> pa.Table:
        """Put the cells behind their crystal; one that cannot be ordered gets ``error``."""
        from onnes.propose.disorder import disorder_candidates, is_disordered

        potential = None
        if self.settings.rank == "energy":
            from onnes.potentials.potential import load_potential

            potential = load_potential(self.settings.potential, device=context.device)
        settings = self.settings.model_dump(exclude={"potential"})
        partial = is_disordered(table)
        pieces: list[pa.Table] = []
        for index in range(table.num_rows):
            row = table.slice(index, 1)
            if partial[index]:
                pieces += self._expanded(
                    row, disorder_candidates(row, potential=potential, seed=context.seed, **settings), context.name
                )
            else:
                pieces.append(row)
            context.on_rows(1)
        return concat(pieces) if pieces else table

    @staticmethod
    def _expanded(row: pa.Table, cells: pa.Table, name: str) -> list[pa.Table]:
        own = values(row, "id")[0]
        made = cells.filter(np.array([parent == own for parent in values(cells, "parent_id")], bool))
        if not made.num_rows:
            return [with_columns(row, {"error": [values(cells, "error")[0]]})]
        usable = int(is_open(made).sum())
        reason = f"replaced by {usable} ordered {'cell' if usable == 1 else 'cells'}"
        return [with_columns(row, {"rejected_by": [name], "reason": [reason]}), made]
