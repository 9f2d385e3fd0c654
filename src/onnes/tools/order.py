"""The tool ``order``: Tc of crystals with partly occupied sites, over their ordered cells."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onnes.errors import ConfigError
from onnes.potentials.potential import DEFAULT_POTENTIAL
from onnes.propose.disorder import LIMIT, MAX_CELL_ATOMS
from onnes.tools.inputs import Crystals, as_table, wrap
from onnes.tools.result import PlainTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onnes.propose.disorder import Method, Rank
    from onnes.tools.result import CrystalTable

_HEADINGS = {
    "parent_id": ("id", "{}"),
    "formula": ("formula", "{}"),
    "tc_K": ("mean Tc / K", "{:.1f}"),
    "tc_spread_K": ("spread", "{:.1f}"),
    "tc_min_K": ("from", "{:.1f}"),
    "tc_max_K": ("to", "{:.1f}"),
    "tc_model_std_K": ("± model", "{:.1f}"),
    "n_cells": ("cells", "{}"),
    "n_failed": ("failed", "{}"),
    "energy_range_eV_per_atom": ("E range / eV/atom", "{:.3f}"),
    "occupancy_deviation": ("occupancies off by", "{:.3f}"),
    "temperature_K": ("weights at / K", "{:.0f}"),
}
_OF_A_CELL = (
    "id", "reduced_formula", "space_group", "n_atoms", "weight", "tc_K", "tc_K_std", "energy_eV_per_atom", "geometry",
    "in_domain", "how", "error",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class OrderTable(PlainTable):
    """One row a parent, columns of `onnes.propose.ordered_prediction.SUMMARY`.

    Attributes
    ----------
    cells
        The ordered cells of all parents with their predictions and their ``weight``, which sums to 1 over the cells of a
        parent that have a Tc.
    """

    cells: CrystalTable
    headings = _HEADINGS

    def shown(self) -> list[str]:
        """Columns that hold anything."""
        return [name for name in self.headings if self.table[name].null_count < len(self)]

    def to_json(self, columns: Sequence[str] | None = None) -> str:
        """Return JSON, a list with one object a parent; ``cells`` holds its ordered cells, without their coordinates."""
        if columns is not None:
            return super().to_json(columns)
        found = [
            {name: row[name] for name in ("parent_id", *_OF_A_CELL) if name in row} for row in self.cells.to_dicts()
        ]
        rows = self.to_dicts()
        for row in rows:
            own = [cell for cell in found if cell.get("parent_id") == row["parent_id"]]
            row["cells"] = [{name: cell[name] for name in _OF_A_CELL if name in cell} for cell in own]
        return json.dumps(rows, indent=1)


def order(
    crystals: Crystals,
    *,
    temperature_K: float | None = None,
    relax: bool = False,
    ordering: Method = "enumerate",
    rank: Rank = "auto",
    max_cell_atoms: int = MAX_CELL_ATOMS,
    limit: int | None = LIMIT,
    model: str = "structure",
    potential: str = DEFAULT_POTENTIAL,
    seed: int = 0,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> OrderTable:
    """Predict Tc of crystals with partly occupied sites: mean, spread and range over their ordered cells.

    Parameters
    ----------
    crystals
        Crystals with partly occupied sites, see `onnes.tools.inputs.as_table`.
    temperature_K
        Weigh the cells by degeneracy times exp(-E/kT), best at the temperature at which the disorder froze; by the
        degeneracy alone, as in a random alloy, without it.
    relax
        Relax the cells first; otherwise they have the average lattice.
    ordering
        ``enumerate``, all cells that symmetry does not make equal, or ``sqs``, quasi-random cells of the largest size.
    rank
        Which cells are kept where there are too many: ``ewald``, ``energy`` (of the potential), ``size``, or ``auto``,
        see `onnes.propose.disorder.disorder_candidates`.
    max_cell_atoms, limit
        Largest cell, and most cells of one parent; None for all.
    model
        Superconductivity model, as for `onnes.predict`.
    potential
        Who relaxes, and whose energy ranks with ``rank="energy"``.
    seed
        Of random choices.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of cells relaxed, where asked, and then of those predicted.

    Returns
    -------
    OrderTable
        One row a parent; the spread over the cells tells what order does, the model's own standard deviation stands
        beside it. A parent that has no ordered cell, or none with a Tc, has ``error``.

    Raises
    ------
    ConfigError
        For a bad limit or temperature, for another potential where none is needed, or without icet (extra
        ``generate``).

    Examples
    --------
    >>> import onnes
    >>> found = onnes.order("examples/disordered/Nb0.75Zr0.25.cif", max_cell_atoms=4)
    >>> found["n_cells"], round(sum(found.cells["weight"]), 6)
    ([7], 1.0)
    """
    from onnes.potentials.potential import load_potential
    from onnes.potentials.relaxation import RelaxSettings
    from onnes.propose.ordered_prediction import ordered_prediction

    needed = relax or rank == "energy"
    if potential != DEFAULT_POTENTIAL and not needed:
        raise ConfigError(f"nothing to do for the potential {potential}; relax, or rank by energy")
    settings: dict[str, Any] = {"method": ordering, "rank": rank, "max_cell_atoms": max_cell_atoms}
    found = ordered_prediction(
        as_table(crystals),
        temperature_K=temperature_K,
        relax=RelaxSettings() if relax else None,
        potential=load_potential(potential, device=device) if needed else None,
        model=model,
        device=device,
        on_rows=on_rows,
        limit=limit,
        seed=seed,
        **settings,
    )
    return OrderTable(found.summary, wrap(found.cells))
