"""Twenty files that no reader may take for a crystal, with the word that their error must contain."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

LOOP = """loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""


def cif(
    sites: str = "Nb1 Nb 0.0 0.0 0.0 1.0\nNb2 Nb 0.5 0.5 0.5 1.0\n",
    *,
    a: str = "3.3",
    gamma: str = "90",
    loop: str = LOOP,
) -> str:
    """CIF text of a P1 crystal."""
    cell = f"_cell_length_a {a}\n_cell_length_b 3.3\n_cell_length_c 3.3\n"
    angles = f"_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma {gamma}\n"
    return f"data_test\n{cell}{angles}_symmetry_space_group_name_H-M 'P 1'\n{loop}{sites}"


def poscar(first: str = "3.3 0.0 0.0", atoms: str = "0.0 0.0 0.0\n0.5 0.5 0.5\n", elements: str = "Nb\n") -> str:
    """POSCAR text of bcc niobium."""
    return f"Nb\n1.0\n{first}\n0.0 3.3 0.0\n0.0 0.0 3.3\n{elements}2\nDirect\n{atoms}"


def _many_atoms() -> str:
    lines = [
        f"Nb{i} Nb {x / 25:.4f} {y / 20:.4f} {z / 20:.4f} 1.0" for i, (x, y, z) in enumerate(np.ndindex(25, 20, 20))
    ]
    return (
        cif("\n".join(lines) + "\n", a="80.0")
        .replace("length_b 3.3", "length_b 60")
        .replace("length_c 3.3", "length_c 60")
    )


TEXTS: dict[str, tuple[str, str]] = {
    "nan_cell.cif": (cif(a="nan"), "_cell_length_a"),
    "zero_volume.cif": (cif(gamma="0"), "_cell_angle_gamma"),
    "unknown_element.cif": (cif("Qq1 Qq1 0.0 0.0 0.0 1.0\n"), "Qq1"),
    "same_site.cif": (cif("Nb1 Nb 0 0 0 1.0\nTi1 Ti 0 0 0 1.0\n"), "two atoms on one site"),
    "too_close.cif": (cif("Nb1 Nb 0 0 0 1.0\nTi1 Ti 0.0303 0 0 1.0\n"), "0.100 A apart"),
    "truncated_loop.cif": (cif("Nb1 Nb 0.0 0.0 0.0 1.0\nNb2 Nb 0.5\n"), "truncated"),
    "lonely_atom.cif": (
        cif("H1 H 0 0 0 1.0\n", a="100")
        .replace("length_b 3.3", "length_b 100")
        .replace("length_c 3.3", "length_c 100"),
        "1e+06 cubic angstrom per atom",
    ),
    "empty.cif": ("", "empty"),
    "no_cell.cif": ("data_x\n" + LOOP + "Nb1 Nb 0 0 0 1.0\n", "_cell_length_a"),
    "ten_thousand_atoms.cif": (_many_atoms(), "10000 sites"),
    "negative_occupancy.cif": (cif("Nb1 Nb 0 0 0 1.0\nTi1 Ti 0.5 0.5 0.5 -0.5\n"), "occupancy -0.5"),
    "poscar_named_cif.cif": (poscar(), "no data_ block"),
    "bad_number.vasp": (poscar(first="3.3 abc 0.0"), "line 3"),
    "missing_atoms.vasp": (poscar(atoms="0.0 0.0 0.0\n"), "1 coordinate lines for 2 atoms"),
    "notes.txt": ("a page of notes\n", "unknown kind of file"),
    "no_lattice.extxyz": ("1\nProperties=species:S:1:pos:R:3\nNb 0 0 0\n", "no Lattice"),
    "not_a_crystal.json": (json.dumps({"hello": "world"}), "no crystal"),
}
PARQUET_AND_BINARY = {
    "binary_junk.cif": "binary",
    "no_geometry.parquet": "no column lattice",
    "not_parquet.parquet": "not a Parquet file",
}


def write_malformed(folder: Path) -> dict[str, str]:
    """Write the twenty files; returns what the error of each file must contain, by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (text, _) in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "binary_junk.cif").write_bytes(np.random.default_rng(0).bytes(4000) + b"\x00")
    (folder / "not_parquet.parquet").write_bytes(b"PAR1 but not really")
    pq.write_table(pa.table({"id": ["a"], "formula": ["Nb"]}), folder / "no_geometry.parquet")
    return {name: word for name, (_, word) in TEXTS.items()} | PARQUET_AND_BINARY
