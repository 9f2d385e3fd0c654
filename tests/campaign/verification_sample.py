"""A campaign whose rows were verified: aluminium, MgB2 and an unstable crystal from recorded runs, and some that were not."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from onnes.campaign.report_data import ReportData, StageCount, report_data
from onnes.crystals.schema import with_columns
from onnes.verify.columns import columns_of
from onnes.verify.coupling import coupling_of
from onnes.verify.inputs import primitive_atoms
from onnes.verify.interpolated import interpolated_coupling
from onnes.verify.judgement import judge_coupling
from onnes.verify.result import StepSummary, UsedPseudopotential, Verification
from onnes.verify.verdict import Judgement, Verdict
from tests.verify.recordings import RECORDED, recorded

BOHR_A = 0.529177210903
KEYS = {"al": "a1" * 8, "mgb2": "b2" * 8, "sc": "c3" * 8, "no-plateau": "d4" * 8, "absent": "", "broken": "e5" * 8}
WRITERS = {
    "tc_K": "tc", "tc_lo_K": "tc", "tc_hi_K": "tc", "lambda_": "tc", "omega_log_K": "tc", "lattice": "relax",
    **dict.fromkeys(
        ("dft_verdict", "dft_reason", "dft_tc_K", "dft_tc_lo_K", "dft_tc_hi_K", "dft_lambda", "dft_omega_log_K", "dft_dos_ef_states_per_eV"),
        "verify",
    ),
}  # fmt: skip
COUNTS = [StageCount("verify", "First-principles verification", 6, 6, 0, 0, 90.0, {})]
_FCC = 7.5 * BOHR_A / 2 * (1 - np.eye(3))
_A, _C = 5.826 * BOHR_A, 5.826 * BOHR_A * 1.1421
_HEXAGONAL = np.array([[_A, 0, 0], [-_A / 2, _A * np.sqrt(3) / 2, 0], [0, 0, _C]])
CRYSTALS = {
    "al": (_FCC, [[0, 0, 0]], [13]),
    "mgb2": (_HEXAGONAL, [[0, 0, 0], [1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]], [12, 5, 5]),
    "sc": (5.03 * BOHR_A * np.eye(3), [[0, 0, 0]], [13]),
    "no-plateau": (_FCC * 1.02, [[0, 0, 0]], [41]),
    "absent": (_FCC * 1.1, [[0, 0, 0]], [82]),
    "broken": (_FCC * 1.05, [[0, 0, 0]], [22]),
}
FORMULAS = {"al": "Al", "mgb2": "MgB2", "sc": "Al", "no-plateau": "Nb", "absent": "Pb", "broken": "Ti"}
TC_K = {"al": 1.9, "mgb2": 31.0, "sc": 3.0, "no-plateau": 9.0, "absent": 7.0, "broken": None}


def _made(name: str, judgement: Judgement, **values: Any) -> Verification:
    atoms = primitive_atoms(*CRYSTALS[name])
    elements = [FORMULAS[name]] if name != "mgb2" else ["Mg", "B"]
    pseudos = tuple(
        UsedPseudopotential(
            element=element, file=f"{element}.pz-vbc.UPF", sha256=element.lower().ljust(64, "0"), functional="LDA", provider="debian",
            ecutwfc_Ry=15, ecutrho_Ry=60, lower_confidence=False,
        )
        for element in elements
    )  # fmt: skip
    return Verification(
        key=KEYS[name], level="smoke", verdict=judgement.verdict, step=judgement.step, reason=judgement.reason,
        advice=judgement.advice, formula=FORMULAS[name], n_atoms=len(atoms), lattice=tuple(atoms.cell.array.ravel()),
        frac_coords=tuple(atoms.get_scaled_positions().ravel()), atomic_numbers=tuple(atoms.numbers.tolist()),
        **{"functional": "LDA", "pseudopotentials": pseudos, "programs": {"pw": "6.7MaX", "ph": "6.7MaX"}, "relaxed": True, **values},
    )  # fmt: skip


def _computed(name: str, run: str, **values: Any) -> Verification:
    grid, points = recorded(run)
    coupling = coupling_of(points, grid, n_atoms=len(CRYSTALS[name][2]))
    frequencies = np.concatenate([point.frequencies_THz for point in points])
    known = {
        "coupling": coupling, "ecutwfc_Ry": 15.0, "ecutrho_Ry": 60.0, "k_grid": (8, 8, 8), "dense_k_grid": (16, 16, 16),
        "energy_eV_per_atom": -57.3, "fermi_eV": 8.2, "dos_ef_states_per_eV": 0.36, "min_phonon_THz": float(frequencies.min()),
        "max_phonon_THz": float(frequencies.max()), "stress_pressure_GPa": 0.2,
    }  # fmt: skip
    return _made(name, judge_coupling(points, coupling), **(known | values))


@cache
def verifications() -> dict[str, Verification]:
    """By the id of the row."""
    grid, points = recorded("al2")
    steps = (
        StepSummary(name="relax", state="done", tries=1, wall_s=22.5, cpu_s=20.0),
        StepSummary(name="phonons_4x4x4_01", state="done", tries=2, wall_s=61.25, cpu_s=58.0, message="alpha_mix 0.3"),
    )
    return {
        "al": _computed(
            "al", "al4", coarse_coupling=coupling_of(points, grid, n_atoms=1), steps=steps, wall_s=83.75, cpu_s=78.0,
            interpolated_coupling=interpolated_coupling(RECORDED / "al2", grid),
        ),
        "mgb2": _computed("mgb2", "mgb2", lower_confidence=("GTH pseudopotentials: no <b>core</b> correction",)),
        "sc": _computed("sc", "sc2"),
        "no-plateau": _made("no-plateau", Judgement(Verdict.NOT_CONVERGED, "collect", "lambda(sigma) has no plateau")),
        "absent": _made(
            "absent", Judgement(Verdict.NOT_AVAILABLE, "", "Quantum ESPRESSO is not there: ph not found", "install it"),
            pseudopotentials=(), programs={}, relaxed=False,
        ),
        "broken": _made("broken", Judgement(Verdict.FAILED, "relax", "out of memory", "use more ranks")),
    }  # fmt: skip


def verified_row(name: str) -> dict[str, Any]:
    """One row of the results; the cell of aluminium is the cubic one, four times the computed."""
    lattice, frac, numbers = CRYSTALS[name]
    if name == "al":
        lattice = 7.5 * BOHR_A * np.eye(3)
        frac, numbers = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], [13] * 4
    tc = TC_K[name]
    predicted = {} if tc is None else {
        "tc_K": tc, "tc_lo_K": 0.7 * tc, "tc_hi_K": 1.4 * tc, "lambda_": 0.4 + tc / 50, "lambda_std": 0.05,
        "omega_log_K": 310.0, "alpha2f": (0.4 * np.exp(-(((np.arange(101) - 14) / 5) ** 2))).tolist(),
    }  # fmt: skip
    return {
        "id": name, "lattice": np.ravel(lattice).tolist(), "frac_coords": np.ravel(frac).tolist(), "atomic_numbers": numbers,
        "geometry": "sevennet-0", "formula": FORMULAS[name], "reduced_formula": FORMULAS[name], "n_atoms": len(numbers),
        "mu_star": 0.1, "runs": ["relax:r1", "tc:t1", "verify:v1"], "energy_eV_per_atom": -3.7, **predicted,
        **columns_of(verifications()[name], len(numbers)),
    }  # fmt: skip


def verified_table(names: tuple[str, ...] = tuple(CRYSTALS)) -> pa.Table:
    """Results of the campaign; the simple-cubic crystal was rejected, and one more row was never verified."""
    rows = [verified_row(name) for name in names]
    plain = verified_row("al")
    rows.append(
        {key: value for key, value in plain.items() if not key.startswith("dft_")} | {"id": "plain", "tc_K": 0.5}
    )
    for row in rows:
        if row["id"] == "sc":
            row |= {"rejected_by": "phonons", "reason": "soft"}
    columns = sorted({key for row in rows for key in row} - {"id"})
    table = pa.table({"id": [row["id"] for row in rows]})
    return with_columns(table, {key: [row.get(key) for row in rows] for key in columns})


def write_work(folder: Path) -> Path:
    """Folders of the verifications as a campaign keeps them."""
    work = folder / "verification"
    for found in verifications().values():
        if found.key:
            (work / found.key).mkdir(parents=True)
            (work / found.key / "result.json").write_text(found.model_dump_json(indent=1), encoding="utf-8")
    return work


def verified_data(work: Path | None, table: pa.Table | None = None) -> ReportData:
    """Numbers of the report."""
    rows = verified_table() if table is None else table
    return report_data(rows, COUNTS, {"title": "Verified"}, WRITERS, work=work)
