"""Actions of first-principles verification: run it, and look how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from onnes.campaign.study import Study
from onnes.campaign.value import plain_text
from onnes.crystals.schema import values
from onnes.errors import ConfigError, VerificationError
from onnes.tools.actions.inputs import OneCrystal, crystals_of, left_over
from onnes.tools.call import CrystalIds, Made

if TYPE_CHECKING:
    from onnes.verify.result import Coupling, Verification
    from onnes.verify.settings import Grid
    from onnes.verify.state import VerificationState

WORK = "verification"
"""Folder of a study with the work of all verifications."""
MOST_VERIFIED = 20
_TEXT = 2000

LevelName = Literal["dos", "smoke", "screen", "final"]
GridText = Annotated[
    str | None,
    Field(max_length=11, pattern=r"^\d{1,3}x\d{1,3}x\d{1,3}$", description="As in 2x2x2; by default of the level."),
]


class StepLine(BaseModel):
    """One step."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: str
    """``running``, ``done``, ``failed`` or ``interrupted``."""
    tries: int
    wall_s: float
    message: str
    """What went wrong in the last try, and what was changed for it."""


class LambdaPoint(BaseModel):
    """Coupling at one smearing."""

    model_config = ConfigDict(frozen=True)

    sigma_Ry: float
    lambda_: float
    omega_log_K: float | None
    on_plateau: bool


class TcLine(BaseModel):
    """Tc for one Coulomb parameter."""

    model_config = ConfigDict(frozen=True)

    mu_star: float
    allen_dynes_K: float
    eliashberg_K: float


class VerificationReport(BaseModel):
    """A verification as it stands now."""

    model_config = ConfigDict(frozen=True)

    crystal: str
    formula: str | None
    state: Literal["none", "running", "done", "interrupted"]
    """``none``: nobody has begun one, or nothing was there to begin it with. An interrupted one goes on with the same `verify`."""
    level: str | None = None
    levels: list[str] = []
    """All levels of which there is work, the last one first."""
    folder: str | None = None
    """Of the work, relative to the study."""
    steps: list[StepLine] = []
    verdict: str | None = None
    reason: str = ""
    advice: str = ""
    method: str = ""
    lambda_: float | None = None
    lambda_std: float | None = None
    lambda_curve: list[LambdaPoint] = []
    tc: list[TcLine] = []
    tc_lo_K: float | None = None
    tc_hi_K: float | None = None
    min_phonon_THz: float | None = None
    dos_ef_states_per_eV: float | None = None
    """Of the primitive cell, both spins."""
    remarks: list[str] = []
    wall_s: float = 0.0


def verify(
    study: Study,
    crystals: CrystalIds,
    *,
    level: Annotated[
        LevelName,
        Field(
            description="dos: is it a metal (minutes). smoke: the chain on the coarsest grids, no physics. screen: hours. final: a day."
        ),
    ] = "smoke",
    functional: Annotated[
        Literal["PBE", "PBEsol", "LDA"] | None, Field(description="That of the pseudopotentials by default.")
    ] = None,
    relax: Annotated[
        bool | None, Field(description="Relax atoms and cell first; by default what the level says.")
    ] = None,
    q_grid: GridText = None,
    k_grid: GridText = None,
    dense_k_grid: GridText = None,
    interpolate: Annotated[bool | None, Field(description="Fourier interpolation of the phonons as well.")] = None,
    bands: Annotated[bool | None, Field(description="Bands along the path of high symmetry as well.")] = None,
    max_atoms: Annotated[int, Field(ge=1, le=60, description="Larger primitive cells are not begun.")] = 12,
    ranks: Annotated[int, Field(ge=1, le=256, description="MPI processes of a program.")] = 1,
    hours: Annotated[
        float | None, Field(gt=0, le=1000, description="Stop cleanly after so long (h); no limit by default.")
    ] = None,
    on_rows: Callable[[int], None] | None = None,
) -> Made:
    """Verify crystals by first principles (Quantum ESPRESSO): verdict, lambda over the smearings, Tc (K) with its range, phonons, N(E_F). Minutes to hours a crystal; `verification` shows the steps."""
    from onnes.tools.verify import verify as run
    from onnes.verify.settings import RunSettings
    from onnes.verify.stages import VerifyStage, VerifyStageSettings

    table = crystals_of(study, crystals, tool="verify", at_most=MOST_VERIFIED)
    pseudos = study.settings.get("pseudos")  # a place: what a person wrote into study.toml, and no argument
    found = run(
        table, level=level, pseudos=pseudos, functional=functional, relax=relax, q_grid=_grid(q_grid), k_grid=_grid(k_grid),
        dense_k_grid=_grid(dense_k_grid), interpolate=interpolate, bands=bands, max_atoms=max_atoms,
        out=study.folder / WORK, run=RunSettings(ranks=ranks, hours=hours), on_rows=on_rows,
    )  # fmt: skip
    if set(values(found.table, "dft_verdict")) <= {"not_available", None}:
        # No set is kept of it: the same call shall compute once something is installed.
        raise VerificationError("; ".join(_said(found.table)) or "there is no open row to verify")
    stage = VerifyStage(VerifyStageSettings(level=level, pseudos=pseudos, ranks=ranks))
    return Made(
        found.table,
        shown=(*tuple(found.headings)[2:], "dft_reason", "dft_confidence", "dft_method"),
        remarks=(*left_over(table), *_said(found.table)),
        fingerprints=stage.fingerprints(),
    )


def verification(
    study: Study,
    crystals: OneCrystal,
    *,
    level: Annotated[LevelName | None, Field(description="That level; the one worked on last by default.")] = None,
) -> VerificationReport:
    """Show the first-principles verification of one crystal, while it runs or after: steps with times (s), verdict, reason and advice, lambda over the smearings, Tc (K) by both methods."""
    from onnes.verify.state import verification_states
    from onnes.verify.tables import crystal_of, place_of

    table = crystals_of(study, crystals, tool="verification")
    if table.num_rows > 1:
        first = ", ".join(f"{crystals[0]}/{one}" for one in values(table, "id")[:3])
        raise ConfigError(
            f"verification takes one crystal, and {crystals[0]} holds {table.num_rows}; name one, such as {first}"
        )
    formula = values(table, "reduced_formula")[0]
    folder = study.folder / WORK / place_of(crystal_of(table, 0))
    states = verification_states(folder)
    chosen = next((one for one in states if level in (None, one.settings.level)), None)
    if chosen is None:
        said = values(table, "dft_reason")[0]
        return VerificationReport(
            crystal=crystals[0], formula=formula, state="none", verdict=values(table, "dft_verdict")[0],
            levels=[one.settings.level for one in states], reason=plain_text(said, _TEXT) if said else "",
        )  # fmt: skip
    return VerificationReport(
        crystal=crystals[0], formula=formula, state=chosen.state, level=chosen.settings.level,
        levels=[one.settings.level for one in states], steps=_lines(chosen),
        folder=(folder / chosen.key).relative_to(study.folder).as_posix(), **_results(chosen.result),
    )  # fmt: skip


def _grid(text: str | None) -> Grid | None:
    if text is None:
        return None
    a, b, c = map(int, text.split("x"))
    return (a, b, c)


def _said(table: Any) -> list[str]:
    """Reasons why rows have no answer, each once."""
    pairs = zip(values(table, "dft_verdict"), values(table, "dft_reason"), strict=True)
    return list(dict.fromkeys(reason for verdict, reason in pairs if verdict == "not_available" and reason))


def _lines(state: VerificationState) -> list[StepLine]:
    return [
        StepLine(
            name=one.name, state=one.state, tries=one.tries, wall_s=one.wall_s,
            message=plain_text("; ".join(filter(None, (one.message, one.change))), _TEXT),
        )
        for one in state.steps
    ]  # fmt: skip


def _results(found: Verification | None) -> dict[str, Any]:
    from onnes.verify.columns import method_of

    if found is None:
        return {}
    coupling = found.coupling
    kept: dict[str, Any] = {
        "verdict": found.verdict.value, "reason": found.reason, "advice": found.advice, "method": method_of(found),
        "min_phonon_THz": found.min_phonon_THz, "dos_ef_states_per_eV": found.dos_ef_states_per_eV, "wall_s": found.wall_s,
        "remarks": [*found.lower_confidence, *(coupling.remarks if coupling else ())],
    }  # fmt: skip
    if coupling is None:
        return kept
    return kept | {
        "lambda_": coupling.lambda_, "lambda_std": coupling.lambda_std, "lambda_curve": _curve(coupling),
        "tc_lo_K": coupling.tc_lo_K, "tc_hi_K": coupling.tc_hi_K,
        "tc": [
            TcLine(mu_star=mu, allen_dynes_K=first, eliashberg_K=second)
            for mu, first, second in zip(coupling.mu_star, coupling.tc_allen_dynes_K, coupling.tc_eliashberg_K, strict=False)
        ],
    }  # fmt: skip


def _curve(coupling: Coupling) -> list[LambdaPoint]:
    low, high = coupling.plateau_Ry or (1.0, 0.0)
    return [
        LambdaPoint(
            sigma_Ry=one.sigma_Ry,
            lambda_=one.lambda_,
            omega_log_K=one.omega_log_K,
            on_plateau=low <= one.sigma_Ry <= high,
        )
        for one in coupling.curve
    ]
