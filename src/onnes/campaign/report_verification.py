"""What a report says of the first-principles verification of a candidate."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from onnes.campaign.report_values import Frozen, Value, value_of
from onnes.verify.chain import RESULT
from onnes.verify.result import Coupling, PhononMode, StepSummary, Verification
from onnes.verify.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_MODES = 12
COMPARED = {
    "tc_K": "dft_tc_K",
    "lambda_": "dft_lambda",
    "omega_log_K": "dft_omega_log_K",
    "omega2_K": "dft_omega2_K",
    "dos_ef_states_per_eV": "dft_dos_ef_states_per_eV",
    "min_phonon_THz": "dft_min_phonon_THz",
    "energy_eV_per_atom": "dft_energy_eV_per_atom",
}
"""Columns that stand side by side: of the models, and of the verification."""
OF_COUPLING = (
    "dft_lambda", "dft_lambda_std", "dft_omega_log_K", "dft_omega2_K", "dft_tc_K", "dft_tc_lo_K", "dft_tc_hi_K",
    "dft_alpha2f",
)  # fmt: skip
"""Columns that mean something only under the verdicts `WITH_COUPLING`."""
WITH_COUPLING = (Verdict.SUPERCONDUCTOR, Verdict.NO_SUPERCONDUCTIVITY)

_KEY = re.compile(r"[0-9A-Za-z_-]{1,100}(/[0-9A-Za-z_-]{1,100})?")


class TcAtMuStar(Frozen):
    """Tc (K) by both methods at one Coulomb parameter."""

    mu_star: float
    allen_dynes_K: float | None
    eliashberg_K: float | None


class CouplingLine(Frozen):
    """Electron-phonon coupling by one method."""

    method: str
    q_grid: str
    plateau_Ry: tuple[float, float] | None
    lambda_: float | None
    lambda_std: float | None
    omega_log_K: float | None
    omega2_K: float | None
    tc: list[TcAtMuStar]
    remarks: list[str]


class Details(Frozen):
    """What lies in the folder of the verification beside what the table has."""

    file: str
    """Relative to the campaign."""
    sha256: str
    cell: str
    couplings: list[CouplingLine]
    modes: list[PhononMode]
    """Those that count most for lambda; where there are imaginary ones, these, lowest first."""
    n_modes: int
    steps: list[StepSummary]
    wall_s: float
    cpu_s: float


class VerificationPart(Frozen):
    """The verification of one candidate; its numbers are among the candidate's results."""

    verdict: str
    details: Details | None
    remark: str | None
    """Why there are no details."""


def verified_value(row: Mapping[str, Any], writers: Mapping[str, str], column: str) -> Value:
    """Value of a row; none of `OF_COUPLING` under a verdict that gives no coupling."""
    if column in OF_COUPLING and row.get("dft_verdict") not in WITH_COUPLING:
        return Value(value=None, result_id=None)
    return value_of(row, writers, column)


def verification_part(row: Mapping[str, Any], work: Path | None) -> VerificationPart | None:
    """Collect what is shown of a row's verification.

    Parameters
    ----------
    row
        Of the campaign's results.
    work
        Folder of the verifications of the campaign.

    Returns
    -------
    VerificationPart or None
        None for a row without a verdict. Whatever is wrong with the folder becomes a remark.
    """
    verdict = row.get("dft_verdict")
    if verdict is None:
        return None
    if not row.get("dft_key"):
        return VerificationPart(verdict=verdict, details=None, remark=None)
    found = None if work is None else read_verification(work, row["dft_key"])
    if work is None or found is None:
        return VerificationPart(verdict=verdict, details=None, remark="its folder is not here, or cannot be read")
    if found.verdict != verdict:
        remark = f"its folder has meanwhile come to the verdict {found.verdict.value}; run the campaign again to take it over"
        return VerificationPart(verdict=verdict, details=None, remark=remark)
    path = work / row["dft_key"] / RESULT
    return VerificationPart(verdict=verdict, details=_details(found, path, path.relative_to(work.parent)), remark=None)


def read_verification(work: Path, key: str) -> Verification | None:
    """Read the result of one verification; None where it is missing or cannot be read.

    Parameters
    ----------
    work
        Folder of the verifications.
    key
        Folder of this one inside it. Anything but one or two plain names is not looked for.
    """
    if not _KEY.fullmatch(key):
        return None
    try:
        return Verification.model_validate_json((work / key / RESULT).read_bytes())
    except (OSError, ValidationError):
        return None


def _details(found: Verification, path: Path, name: Path) -> Details:
    couplings = (found.coupling, found.coarse_coupling, found.interpolated_coupling)
    modes = () if found.coupling is None else found.coupling.modes
    return Details(
        file=name.as_posix(),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        cell=_cell(found),
        couplings=[_coupling_line(one) for one in couplings if one is not None],
        modes=_strongest(modes),
        n_modes=len(modes),
        steps=list(found.steps),
        wall_s=found.wall_s,
        cpu_s=found.cpu_s,
    )


def _cell(found: Verification) -> str:
    atoms = f"{found.formula}, {found.n_atoms} atom{'s' if found.n_atoms > 1 else ''} in the primitive cell"
    how = f"relaxed with {found.functional}" if found.relaxed else "as given, not relaxed"
    stress = "" if found.stress_pressure_GPa is None else f", at {found.stress_pressure_GPa:.1f} GPa in this functional"
    return f"{atoms}; {how}{stress}"


def _coupling_line(coupling: Coupling) -> CouplingLine:
    eliashberg = coupling.tc_eliashberg_K or (None,) * len(coupling.tc_allen_dynes_K)
    tcs = zip(coupling.mu_star, coupling.tc_allen_dynes_K, eliashberg, strict=False)
    return CouplingLine(
        method=coupling.method,
        q_grid="×".join(map(str, coupling.q_grid)),
        plateau_Ry=coupling.plateau_Ry,
        lambda_=coupling.lambda_,
        lambda_std=coupling.lambda_std,
        omega_log_K=coupling.omega_log_K,
        omega2_K=coupling.omega2_K,
        tc=[TcAtMuStar(mu_star=mu, allen_dynes_K=one, eliashberg_K=other) for mu, one, other in tcs],
        remarks=list(coupling.remarks),
    )


def _strongest(modes: tuple[PhononMode, ...]) -> list[PhononMode]:
    """The modes that a reader looks for first."""
    imaginary = sorted((mode for mode in modes if mode.frequency_THz < 0), key=lambda mode: mode.frequency_THz)
    coupled = sorted((mode for mode in modes if mode.lambda_ > 0), key=lambda mode: -mode.weight * mode.lambda_)
    return (imaginary or coupled)[:MAX_MODES]
