"""A small made-up campaign that the report tests share."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from ase.data import atomic_numbers

from onnes.campaign.report_data import ReportData, StageCount, report_data
from onnes.crystals.schema import with_columns

EVIL = "<script>alert('x')</script>/../../etc"
META = {
    "title": "Around Be2Nb3",
    "potential": "sevennet-0 (sha256 " + "a" * 64 + ")",
    "reference": "alexandria-small",
    "settings": '[hull]\nmax_eV_per_atom = 0.2\nnote = "<b>"',
    "seed": "0",
}
WRITERS = {"tc_K": "tc", "tc_lo_K": "tc", "lambda_": "tc", "e_above_hull_eV_per_atom": "hull", "lattice": "relax"}
COUNTS = [
    StageCount("relax", "Relaxation", 12, 11, 0, 1, 41.5, {}),
    StageCount("hull", "Convex hull", 11, 8, 3, 0, 1.25, {"above 0.2 eV/atom": 2, "reason <i>": 1}),
    StageCount("tc", "Critical temperature", 8, 6, 1, 1, 3.0, {"Tc below 5 K": 1}),
]
_A, _C = 6.0, 3.3
_SITES = [
    *[(0.0, 0.0, 0.0), (0.5, 0.5, 0.0)],
    *[(0.18, 0.68, 0.5), (-0.18, 0.32, 0.5), (0.32, 0.18, 0.5), (0.68, -0.18, 0.5)],
    *[(0.39, 0.89, 0.0), (-0.39, 0.11, 0.0), (0.11, 0.39, 0.0), (0.89, -0.39, 0.0)],
]


def u3si2_row(name: str, two: str, four: str, light: str, **more: Any) -> dict[str, Any]:
    """One crystal of the U3Si2 type (P4/mbm): ``two`` on 2a, ``four`` on 4h, ``light`` on 4g."""
    tc = more.get("tc_K")
    return {
        "id": name,
        "source": "substitution",
        "parent_id": "Be2Nb3",
        "how": f"2a: Nb -> {two}; 4h: Nb -> {four}",
        "lattice": [_A, 0.0, 0.0, 0.0, _A, 0.0, 0.0, 0.0, _C],
        "frac_coords": [x for site in _SITES for x in site],
        "atomic_numbers": [atomic_numbers[s] for s in [two] * 2 + [four] * 4 + [light] * 4],
        "geometry": "sevennet-0",
        "formula": f"{light}4{two}2{four}4",
        "reduced_formula": f"{light}2{two}{four}2",
        "n_atoms": 10,
        "space_group": 127,
        "prototype": "A2BC2_tP10_127_g_a_h:Be-Hf-Nb",
        "mu_star": 0.1,
        "tc_K_std": None if tc is None else 0.1 * tc,
        "tc_lo_K": None if tc is None else 0.8 * tc,
        "tc_hi_K": None if tc is None else 1.3 * tc,
        "tc_mu016_K": None if tc is None else 0.55 * tc,
        "lambda_": None if tc is None else 0.4 + 0.03 * tc,
        "omega_log_K": 243.756,
        "hull_coverage": 4,
        "is_metal_probability": 0.987654,
        "magmom_max_muB": 0.02,
        "in_domain": True,
        "is_novel": True,
        "runs": ["relax:r1", "hull:h1", "tc:t1"],
        **more,
    }


def sample_table() -> pa.Table:
    """Six survivors, four rejected rows and two failed ones, in no order."""
    hull = "e_above_hull_eV_per_atom"
    rows = [
        u3si2_row("known", "Nb", "Nb", "Be", tc_K=5.4321, **{hull: 0.0}, is_novel=False, known_as="mp-11272"),
        u3si2_row("tie-high", "Nb", "Zr", "Be", tc_K=6.0, **{hull: 0.09}),
        u3si2_row(EVIL, "Hf", "Nb", "Be", tc_K=7.123456, **{hull: 0.0491234}, warnings="beware of <b>this</b>"),
        u3si2_row("tie-low", "Zr", "Nb", "Be", tc_K=6.0, **{hull: 0.04}, hull_coverage=0),
        u3si2_row("no-tc", "Ti", "Nb", "Be", tc_K=None, **{hull: 0.01}, in_domain=False),
        u3si2_row("magnet", "Fe", "Nb", "Be", tc_K=float("nan"), magmom_max_muB=2.2, relax_converged=False),
        u3si2_row("high-1", "Ta", "Nb", "Al", **{hull: 0.3}, rejected_by="hull", reason="above 0.2 eV/atom"),
        u3si2_row("high-2", "Ta", "Ta", "Al", **{hull: 0.5}, rejected_by="hull", reason="above 0.2 eV/atom"),
        u3si2_row("high-3", "V", "Ta", "Al", rejected_by="hull", reason="reason <i>"),
        u3si2_row("cold", "Sc", "Nb", "Be", tc_K=1.2, rejected_by="tc", reason="Tc below 5 K"),
        u3si2_row("broken", "Y", "Nb", "Be", error="NaN force <u>", runs=["relax:r1"]),
        u3si2_row("unread", "Y", "Y", "Be", error="no cell", runs=None),
    ]
    rows[2]["input_lattice"] = [1.01 * x for x in rows[2]["lattice"]]
    rows[2]["input_frac_coords"] = rows[2]["frac_coords"]
    names = sorted({name for row in rows for name in row} - {"id"})
    table = pa.table({"id": [row["id"] for row in rows]})
    return with_columns(table, {name: [row.get(name) for row in rows] for name in names})


def sample_data(top: int = 50) -> ReportData:
    """Report data of the sample campaign."""
    return report_data(sample_table(), COUNTS, META, WRITERS, top=top)
