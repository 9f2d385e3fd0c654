"""The known phases behind the shipped reference, gathered from the data files and the package's own list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_table
from onnes.crystals.schema import concat, values
from onnes.crystals.table import crystal_table
from onnes.training.data import read_data

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ATOMS = 60


def known_phases(*, max_atoms: int = MAX_ATOMS) -> tuple[pa.Table, dict[str, str]]:
    """Crystals that are known, smallest first, and notes on where they come from.

    Hypothetical crystals with no computed stability (substitution sets of other works) are not among them.

    Returns
    -------
    table
        Crystal table with formula, prototype and space group; rows with more than ``max_atoms`` atoms left out.
    notes
        Sources and the coverage of the Materials Project's formulas.
    """
    parts: list[pa.Table] = [_own()]
    seen: set[str] = set()
    for name, ids, table in _sources():
        sizes = [len(numbers) for numbers in table["atomic_numbers"].to_pylist()]
        rows = [i for i, row in enumerate(ids) if sizes[i] <= max_atoms and row not in seen and not seen.add(row)]
        batch = CrystalBatch.from_table(table.take(rows))
        parts.append(crystal_table(batch, ids=[ids[i] for i in rows], source=name))
    table = concat(parts).sort_by([("n_atoms", "ascending"), ("id", "ascending")])
    return table, _coverage(table)


def _own() -> pa.Table:
    table = known_table()
    table = table.filter(pc.field("pressure_GPa") == 0.0)
    return table.set_column(
        table.schema.get_field_index("id"), "id", pa.array([f"known:{i}" for i in values(table, "id")])
    )


def _sources() -> Iterator[tuple[str, list[str], pa.Table]]:
    """(source name, ids, rows with geometry), best known first."""
    elements = read_data("elemental_reference_energies")
    elements = elements.filter(pc.field("atomic_numbers").is_valid())
    names = zip(elements["element"].to_pylist(), elements["source"].to_pylist(), strict=True)
    yield "elements", [f"element:{element}:{source}".replace(" ", "_") for element, source in names], elements
    mp = read_data("mp_structures")
    yield "Materials Project", mp["id"].to_pylist(), mp
    measured = read_data("tc_exp_3dsc_mp")
    measured = measured.filter(pc.field("is_ordered") & ~pc.field("synth_doped"))
    yield "Materials Project (3DSC)", measured["mp_id"].to_pylist(), measured
    for name in ("matbench_phonons", "elasticity_binaries", "phonon_heat_capacity_binaries"):
        table = read_data(name)
        yield name, [str(i) for i in table["id"].to_pylist()], table
    for name, source in (("epc_dft_alexandria", "Alexandria"), ("epc_dft_jarvis3d", "JARVIS-DFT")):
        table = read_data(name)
        yield source, [str(i) for i in table["id"].to_pylist()], table


def _coverage(table: pa.Table) -> dict[str, str]:
    """How many of the Materials Project's formulas are among the known phases."""
    have = set(values(table, "reduced_formula"))
    wanted = set(read_data("mp_formation_energy_by_composition")["reduced_formula"].to_pylist())
    covered = len(have & wanted) / len(wanted)
    return {
        "sources": "Materials Project, Alexandria, JARVIS-DFT (CC BY 4.0) and published structure determinations",
        "coverage": f"{len(have)} formulas; {covered:.0%} of the {len(wanted)} formulas of the Materials Project (2019)",
    }
