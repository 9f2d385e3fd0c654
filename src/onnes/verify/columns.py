"""A verification as columns of the crystal table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.physics.allen_dynes import MU_STAR, allen_dynes_tc_K
from onnes.verify.verdict import Verdict

if TYPE_CHECKING:
    from onnes.verify.result import Coupling, Verification

DFT_COLUMNS = (
    "dft_verdict", "dft_reason", "dft_level", "dft_method", "dft_confidence", "dft_energy_eV_per_atom",
    "dft_dos_ef_states_per_eV", "dft_lambda", "dft_lambda_std", "dft_omega_log_K", "dft_omega2_K", "dft_tc_K", "dft_tc_lo_K",
    "dft_tc_hi_K", "dft_min_phonon_THz", "dft_alpha2f", "dft_key",
)  # fmt: skip
DOS_COLUMN = "dos_ef_states_per_eV"
"""What a model that reads N(E_F) takes; only the level ``dos`` has it on the scale of that model."""
NORMAL, LOWER = "normal", "lower"
_COARSE = "coarse grid"
_WITH_TC = (Verdict.SUPERCONDUCTOR, Verdict.NO_SUPERCONDUCTIVITY)


def columns_of(verification: Verification, n_atoms: int, key: str | None = None) -> dict[str, Any]:
    """Return the values of a row's columns.

    Parameters
    ----------
    verification
        Of the row's crystal.
    n_atoms
        Atoms of the row's cell, to which N(E_F) is scaled: the computed one is primitive.
    key
        Folder of the work; that of the verification by default.

    Returns
    -------
    dict
        A value of each of `DFT_COLUMNS`, None where the verification has none; and of ``dos_ef_states_per_eV`` where it is
        known on the scale of the models. Tc is that of Allen and Dynes with mu* = 0.10, as in the columns of the models; its
        range is over mu*, both methods and the smearings of the plateau.
    """
    cells = n_atoms / verification.n_atoms
    coupling = verification.coupling if verification.verdict in _WITH_TC else None
    computed = verification.energy_eV_per_atom is not None
    found: dict[str, Any] = {
        "dft_verdict": verification.verdict.value,
        "dft_reason": "; ".join(filter(None, (verification.reason, verification.advice))) or None,
        "dft_level": verification.level,
        "dft_method": method_of(verification) if computed else None,
        "dft_confidence": confidence_of(verification) if computed else None,
        "dft_energy_eV_per_atom": verification.energy_eV_per_atom,
        "dft_dos_ef_states_per_eV": _times(verification.dos_ef_states_per_eV, cells),
        "dft_min_phonon_THz": verification.min_phonon_THz,
        "dft_lambda": coupling and coupling.lambda_,
        "dft_lambda_std": coupling and coupling.lambda_std,
        "dft_omega_log_K": coupling and coupling.omega_log_K,
        "dft_omega2_K": coupling and coupling.omega2_K,
        "dft_tc_K": coupling and _tc_K(coupling),
        "dft_tc_lo_K": coupling and coupling.tc_lo_K,
        "dft_tc_hi_K": coupling and coupling.tc_hi_K,
        "dft_alpha2f": list(coupling.alpha2f) if coupling and coupling.alpha2f else None,
        "dft_key": key or verification.key or None,
    }
    if verification.dos_ef_training_scale_states_per_eV is not None:
        found[DOS_COLUMN] = _times(verification.dos_ef_training_scale_states_per_eV, cells)
    return found


def failed_columns(level: str, reason: str) -> dict[str, Any]:
    """Columns of a row whose verification could not even begin or end."""
    said = {"dft_verdict": Verdict.FAILED.value, "dft_reason": reason, "dft_level": level}
    return dict.fromkeys(DFT_COLUMNS) | said


def method_of(verification: Verification) -> str:
    """Say in one line what computed the numbers.

    Examples
    --------
    >>> from onnes.verify.result import Verification
    >>> method_of(Verification(
    ...     key="", level="dos", verdict="metallic", formula="Al", n_atoms=1, functional="PBE", ecutwfc_Ry=30, ecutrho_Ry=120,
    ...     k_grid=(6, 6, 6), dense_k_grid=(12, 12, 12), programs={"pw": "6.7MaX"},
    ... ))
    'PBE; 30/120 Ry; k 6x6x6, dense 12x12x12; Quantum ESPRESSO 6.7MaX'
    """
    files = ", ".join(f"{one.file} ({one.provider})" for one in verification.pseudopotentials)
    cutoffs = f"{verification.ecutwfc_Ry:g}/{verification.ecutrho_Ry:g} Ry" if verification.ecutwfc_Ry else ""
    named = (
        ("k", verification.k_grid),
        ("dense", verification.dense_k_grid),
        ("q", verification.coupling and verification.coupling.q_grid),
    )
    grids = ", ".join(f"{name} {'x'.join(map(str, grid))}" for name, grid in named if grid)
    cell = "relaxed" if verification.relaxed else ""
    versions = "/".join(dict.fromkeys(filter(None, verification.programs.values())))
    program = f"Quantum ESPRESSO {versions}" if versions else ""
    return "; ".join(filter(None, (verification.functional, files, cutoffs, grids, cell, program)))


def confidence_of(verification: Verification) -> str:
    """``normal``, or ``lower`` with the reasons: soft pseudopotentials, few wave vectors."""
    remarks = verification.coupling.remarks if verification.coupling else ()
    reasons = [*verification.lower_confidence, *(remark for remark in remarks if remark.startswith(_COARSE))]
    return f"{LOWER}: {'; '.join(reasons)}" if reasons else NORMAL


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _tc_K(coupling: Coupling) -> float | None:
    if coupling.lambda_ is None:
        return None
    for mu_star, tc in zip(coupling.mu_star, coupling.tc_allen_dynes_K, strict=True):
        if np.isclose(mu_star, MU_STAR):
            return tc
    moments = [np.nan if value is None else value for value in (coupling.omega_log_K, coupling.omega2_K)]
    return float(allen_dynes_tc_K(coupling.lambda_, moments[0], moments[1]))
