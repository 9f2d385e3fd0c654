"""Small references made by hand."""

import pyarrow as pa

from onnes.physics.reference import SCHEMA, Reference

# reduced formula, energy in eV/atom (None: known, not computed), id
PHASES = [
    ("Nb", -10.10, "Nb-bcc"),
    ("Nb", -9.95, "Nb-fcc"),
    ("Sn", -4.00, "Sn-beta"),
    ("Al", -3.75, "Al-fcc"),
    ("O2", -4.95, "O2"),
    ("Nb3Sn", -8.70, "Nb3Sn-A15"),
    ("Nb3Sn", -8.60, "Nb3Sn-other"),
    ("Nb6Sn5", -7.45, "Nb6Sn5"),
    ("NbSn2", -6.15, "NbSn2"),
    ("NbSn", -6.80, "NbSn-high"),
    ("Nb3Al", -8.70, "Nb3Al-A15"),
    ("Nb2Al", -8.28, "Nb2Al"),
    ("NbAl3", -5.70, "NbAl3"),
    ("NbO2", -7.80, "NbO2"),
    ("Nb2O5", -7.95, "Nb2O5"),
    ("NbAlO4", -7.75, "NbAlO4"),
    ("Nb4AlSn", None, "never-computed"),
    ("HfNb", -9.90, "HfNb"),
]


def reference(phases=PHASES, *, potential="sevennet-0", prototypes=None, name="by hand"):
    formulas = [formula for formula, _, _ in phases]
    table = pa.table(
        {
            "id": [row_id for _, _, row_id in phases],
            "source": ["tests"] * len(phases),
            "reduced_formula": formulas,
            "n_atoms": [4] * len(phases),
            "prototype": prototypes or [None] * len(phases),
            "energy_eV_per_atom": [energy for _, energy, _ in phases],
            "forces_max_eV_per_A": [0.0] * len(phases),
            "relaxed": [False] * len(phases),
        }
    ).cast(SCHEMA)
    return Reference(name, potential, "0" * 64, "tests", table, "", {"coverage": "18 rows"})
