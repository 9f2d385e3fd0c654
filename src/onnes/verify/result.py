"""What a verification found, as it is kept and shown."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from onnes.verify.verdict import Verdict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UsedPseudopotential(_Frozen):
    """One pseudopotential that was used."""

    element: str
    file: str
    sha256: str
    functional: str
    provider: str
    """``directory``, ``gth`` or ``debian``."""
    ecutwfc_Ry: float
    ecutrho_Ry: float
    lower_confidence: bool


class SmearingPoint(_Frozen):
    """Electron-phonon coupling at one width of the double delta."""

    sigma_Ry: float
    lambda_: float
    omega_log_K: float | None
    dos_ef_states_per_eV: float
    """Per computed cell, both spins."""


class PhononMode(_Frozen):
    """One mode of one q point, at the smearing that stands for the plateau."""

    q: tuple[float, float, float]
    """Cartesian, in 2 pi / alat."""
    weight: int
    """Number of q points of the star."""
    frequency_THz: float
    """Negative for an imaginary frequency."""
    lambda_: float
    symmetry: str | None = None


class Coupling(_Frozen):
    """Electron-phonon coupling on one grid of q points."""

    method: str
    """``q grid`` (sum over the computed q points) or ``interpolated`` (Fourier interpolation by q2r and matdyn)."""
    q_grid: tuple[int, int, int]
    curve: tuple[SmearingPoint, ...]
    plateau_Ry: tuple[float, float] | None
    """First and last sigma of the plateau; None where there is none."""
    lambda_: float | None
    lambda_std: float | None
    """Half the range of lambda over the plateau."""
    omega_log_K: float | None
    omega2_K: float | None
    mu_star: tuple[float, ...]
    tc_allen_dynes_K: tuple[float, ...]
    """One for each mu*."""
    tc_eliashberg_K: tuple[float, ...]
    tc_lo_K: float | None
    """Lowest and highest Tc over mu*, both methods and the sigmas of the plateau."""
    tc_hi_K: float | None
    alpha2f: tuple[float, ...] | None
    """On ``ALPHA2F_GRID_MEV``."""
    modes: tuple[PhononMode, ...] = ()
    remarks: tuple[str, ...] = ()


class StepSummary(_Frozen):
    """One step, for reports."""

    name: str
    state: str
    tries: int
    wall_s: float
    cpu_s: float
    message: str = ""


class Verification(_Frozen):
    """The result of one verification; written to ``result.json`` of its folder."""

    key: str
    """Name of the folder: content hash of crystal, settings, pseudopotentials."""
    level: str
    verdict: Verdict
    step: str = ""
    reason: str = ""
    advice: str = ""
    formula: str
    n_atoms: int
    """Atoms of the primitive cell that was computed; every number "per cell" here is per this cell."""
    lattice: tuple[float, ...] = ()
    """Of that cell, Å, row vectors; relaxed where the level relaxes."""
    frac_coords: tuple[float, ...] = ()
    atomic_numbers: tuple[int, ...] = ()
    relaxed: bool = False
    pressure_GPa: float = 0.0
    """Target of the relaxation; else of the input."""
    stress_pressure_GPa: float | None = None
    """Pressure of the computed cell in this functional."""
    functional: str = ""
    pseudopotentials: tuple[UsedPseudopotential, ...] = ()
    ecutwfc_Ry: float | None = None
    ecutrho_Ry: float | None = None
    k_grid: tuple[int, int, int] | None = None
    dense_k_grid: tuple[int, int, int] | None = None
    programs: dict[str, str] = {}
    """Version of each program."""
    energy_eV_per_atom: float | None = None
    fermi_eV: float | None = None
    gap_eV: float | None = None
    dos_ef_states_per_eV: float | None = None
    """N(E_F) per computed cell, both spins."""
    dos_ef_training_scale_states_per_eV: float | None = None
    """The same, brought to the scale of the table that the ``electronic`` model was trained on (`onnes.verify.dos`)."""
    min_phonon_THz: float | None = None
    max_phonon_THz: float | None = None
    coupling: Coupling | None = None
    """On the finest grid of q points that was computed."""
    coarse_coupling: Coupling | None = None
    interpolated_coupling: Coupling | None = None
    lower_confidence: tuple[str, ...] = ()
    """Why the numbers deserve less trust than the method could give."""
    steps: tuple[StepSummary, ...] = ()
    wall_s: float = 0.0
    cpu_s: float = 0.0
