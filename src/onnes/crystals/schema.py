"""The crystal table: one Arrow row a crystal, column names with units, missing is null."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_OCCUPANCY = pa.struct([("Z", pa.int16()), ("occupancy", pa.float64())])

# Order is the order of the columns on disk.
COLUMNS: dict[str, pa.DataType] = {
    "id": pa.string(),
    "crystal_hash": pa.string(),
    "source": pa.string(),
    "parent_id": pa.string(),
    "how": pa.string(),
    "proposal_score": pa.float64(),  # by which the method that proposed the row ranked it, larger is better
    "notes": pa.string(),  # what the reader noticed
    "lattice": pa.list_(pa.float64()),
    "frac_coords": pa.list_(pa.float64()),
    "atomic_numbers": pa.list_(pa.int16()),
    "site_occupancies": pa.list_(pa.list_(_OCCUPANCY)),
    "input_lattice": pa.list_(pa.float64()),
    "input_frac_coords": pa.list_(pa.float64()),
    "geometry": pa.string(),
    "pressure_GPa": pa.float64(),
    "formula": pa.string(),
    "reduced_formula": pa.string(),
    "n_atoms": pa.int32(),
    "space_group": pa.int16(),
    "prototype": pa.string(),
    "known_as": pa.string(),
    "is_novel": pa.bool_(),
    "potential": pa.string(),
    "energy_eV_per_atom": pa.float64(),
    "forces_max_eV_per_A": pa.float64(),
    "relax_steps": pa.int32(),
    "relax_converged": pa.bool_(),
    "formation_energy_eV_per_atom": pa.float64(),
    "e_above_hull_eV_per_atom": pa.float64(),
    "hull_reference": pa.string(),
    "hull_coverage": pa.int32(),
    "decomposes_to": pa.string(),
    "volume_scale": pa.float64(),  # volume that the energy belongs to, relative to that of the geometry before the scan
    "formation_energy_median_eV_per_atom": pa.float64(),
    "formation_energy_iqr_eV_per_atom": pa.float64(),
    "is_metal_probability": pa.float64(),
    "is_metal_probability_std": pa.float64(),
    "band_gap_eV": pa.float64(),
    "magnetic_probability": pa.float64(),
    "magmom_max_muB": pa.float64(),
    "is_magnetic": pa.bool_(),
    "dos_ef_states_per_eV": pa.float64(),
    "lambda_": pa.float64(),
    "lambda_std": pa.float64(),
    "omega_log_K": pa.float64(),
    "omega_log_K_std": pa.float64(),
    "omega2_K": pa.float64(),
    "omega2_K_std": pa.float64(),
    "mu_star": pa.float64(),
    "tc_K": pa.float64(),
    "tc_K_std": pa.float64(),
    "tc_lo_K": pa.float64(),
    "tc_hi_K": pa.float64(),
    "tc_mu016_K": pa.float64(),
    "tc_above_5K_probability": pa.float64(),
    "tc_model": pa.string(),  # the model that the numbers from lambda_ on come from
    "alpha2f": pa.list_(pa.float32()),
    "electronic_tc_K": pa.float64(),  # of the model that reads N(E_F)
    "electronic_tc_lo_K": pa.float64(),
    "electronic_tc_hi_K": pa.float64(),
    "debye_K": pa.float64(),
    "debye_K_std": pa.float64(),
    "density_g_per_cm3": pa.float64(),
    "bulk_modulus_GPa": pa.float64(),
    "bulk_modulus_spread_GPa": pa.float64(),
    "shear_modulus_GPa": pa.float64(),
    "shear_modulus_spread_GPa": pa.float64(),
    "youngs_modulus_GPa": pa.float64(),
    "poisson_ratio": pa.float64(),
    "pugh_ratio": pa.float64(),
    "universal_anisotropy": pa.float64(),
    "debye_from_moduli_K": pa.float64(),
    "debye_from_moduli_spread_K": pa.float64(),
    "mechanically_stable": pa.bool_(),
    "elastic_tensor_GPa": pa.list_(pa.float64()),  # Voigt notation, 36 numbers, in the frame of the lattice
    "elastic_potential": pa.string(),
    "dft_verdict": pa.string(),
    "dft_reason": pa.string(),
    "dft_level": pa.string(),
    "dft_method": pa.string(),  # functional, pseudopotentials, cut-off, grids and program of the numbers below
    "dft_confidence": pa.string(),
    "dft_energy_eV_per_atom": pa.float64(),
    "dft_dos_ef_states_per_eV": pa.float64(),  # of the row's cell, both spins
    "dft_lambda": pa.float64(),
    "dft_lambda_std": pa.float64(),
    "dft_omega_log_K": pa.float64(),
    "dft_omega2_K": pa.float64(),
    "dft_tc_K": pa.float64(),  # Allen-Dynes, mu* = 0.10
    "dft_tc_lo_K": pa.float64(),  # over mu*, methods and smearings
    "dft_tc_hi_K": pa.float64(),
    "dft_min_phonon_THz": pa.float64(),
    "dft_alpha2f": pa.list_(pa.float32()),
    "dft_key": pa.string(),  # folder of the work, inside the folder of all work
    "min_phonon_THz": pa.float64(),
    "phonon_grade": pa.string(),
    "phonon_reason": pa.string(),  # potential, supercell, displacement and lowest mode of each calculation
    "phonon_supercell": pa.string(),  # repetitions of the primitive cell, such as 4x4x4
    "max_phonon_THz": pa.float64(),
    "heat_capacity_300K_J_per_mol_K": pa.float64(),  # of one mole of atoms
    "in_domain": pa.bool_(),
    "domain_distance": pa.float64(),
    "warnings": pa.string(),
    "error": pa.string(),
    "rejected_by": pa.string(),
    "reason": pa.string(),
    "runs": pa.list_(pa.string()),  # the stage runs the row went through, "stage:run id", oldest first
}
_names = list(COLUMNS)
GEOMETRY_DEPENDENT = tuple(_names[_names.index("formation_energy_eV_per_atom") : _names.index("error")])
"""Columns whose values become void when the crystal moves."""
GEOMETRY_COLUMNS = ("lattice", "frac_coords", "atomic_numbers")


def column(name: str, values: Sequence[Any] | NDArray[Any]) -> pa.Array:
    """Make an Arrow array of the type that the table prescribes; NaN becomes null.

    Examples
    --------
    >>> column("tc_K", [9.2, float("nan")]).to_pylist()
    [9.2, None]
    """
    kind = COLUMNS[name]
    if pa.types.is_floating(kind):
        array = np.array([np.nan if v is None else v for v in values], dtype=float)
        return pa.array(array, type=kind, mask=np.isnan(array))
    return pa.array(list(values), type=kind)


def with_columns(table: pa.Table, values: Mapping[str, Sequence[Any] | NDArray[Any]]) -> pa.Table:
    """Return the table with columns added or replaced, in the order of `COLUMNS`; extra columns stay behind them."""
    for name, data in values.items():
        array = column(name, data)
        index = table.schema.get_field_index(name)
        table = table.append_column(name, array) if index < 0 else table.set_column(index, name, array)
    return ordered(table)


def ordered(table: pa.Table) -> pa.Table:
    """Put the columns in the order of `COLUMNS`, unknown ones last in the order in which they came."""
    known = [name for name in COLUMNS if name in table.column_names]
    return table.select(known + [name for name in table.column_names if name not in COLUMNS])


def values(table: pa.Table, name: str) -> list[Any]:
    """Values of a column as Python objects; all null when the table lacks it."""
    return table[name].to_pylist() if name in table.column_names else [None] * table.num_rows


def floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Values of a number column, shape (n,), null as NaN; all NaN when the table lacks it."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return np.array(table[name].to_pylist(), dtype=float)


def is_open(table: pa.Table) -> NDArray[np.bool_]:
    """Rows that are still in the race (no error, not rejected), shape (n,)."""
    return np.array(
        [e is None and r is None for e, r in zip(values(table, "error"), values(table, "rejected_by"), strict=True)],
        dtype=bool,
    )


def concat(tables: Sequence[pa.Table]) -> pa.Table:
    """Stack tables; a column that one of them lacks is null there."""
    return ordered(pa.concat_tables(tables, promote_options="default").combine_chunks())
