"""Electron-phonon coupling interpolated by `q2r.x` and `matdyn.x` between the computed wave vectors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.integrate import trapezoid

from onnes.errors import VerificationError
from onnes.physics.phonon_grade import GradeTolerances
from onnes.physics.spectra import K_PER_MEV, Moments, spectral_moments
from onnes.verify.phonon_output import THZ_PER_RY
from onnes.verify.result import Coupling
from onnes.verify.smeared import EV_PER_RY, FEWEST_POINTS, MU_STARS, SmearedSpectra, no_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_LINE = re.compile(r"Broadening +(\S+) +lambda +(\S+) +dos\(Ef\) +(\S+) +omega_ln \[K\] +(\S+)")
IMAGINARY = "imaginary frequencies"
"""How the remark on interpolated modes with omega^2 < 0 begins."""
_CLIPPED = 0.005  # share of lambda from which on a clipped negative part is told of
_AGREES = 0.05
_AGAIN = "run matdyn.x with la2F again"


def interpolated_coupling(
    folder: Path, grid: tuple[int, int, int], *, mu_stars: Sequence[float] = MU_STARS
) -> Coupling:
    """Read what `matdyn.x` with ``la2F`` wrote.

    Parameters
    ----------
    folder
        Folder with the file ``lambda`` and one file ``a2F.dos<i>`` for each smearing.
    grid
        Divisions of the grid of computed wave vectors.
    mu_stars
        Coulomb pseudopotentials.

    Returns
    -------
    Coupling
        Its moments are integrals over alpha2F without the negative values that the interpolation leaves. Without lambda and
        Tc where interpolated frequencies are imaginary, or where lambda(sigma) has no plateau.

    Raises
    ------
    VerificationError
        When a file is missing or not whole.

    Notes
    -----
    The interpolation changes the result (for aluminium on 2x2x2 from 0.32 to 0.39), so it must not be mixed with the sum
    over the grid of `onnes.verify.coupling.coupling_of`.
    """
    sigmas, lambdas, dos = _table(folder / "lambda")
    files = [_spectrum(folder / f"a2F.dos{i}") for i in range(1, len(sigmas) + 1)]
    omega_Ry = files[0].omega_Ry
    if any(one.omega_Ry.shape != omega_Ry.shape or not np.allclose(one.omega_Ry, omega_Ry) for one in files):
        raise VerificationError(f"the spectra in {folder} have different frequencies: {_AGAIN}")
    remarks = []
    if min(grid) < FEWEST_POINTS:
        remarks.append(f"coarse grid: interpolated from {min(grid)} computed q points along a direction; use more")
    lowest = float(omega_Ry[0]) * THZ_PER_RY
    if lowest < -GradeTolerances().interpolated_THz:
        remarks.append(
            f"{IMAGINARY} down to {lowest:.2f} THz on the interpolated mesh: unstable, or too few q points; no lambda"
        )
        fields = {"method": "interpolated", "q_grid": grid, "curve": (), "mu_star": tuple(mu_stars)}
        return Coupling.model_validate(no_result() | fields | {"remarks": tuple(remarks)})
    positive = omega_Ry > 0
    omega = omega_Ry[positive] * EV_PER_RY * 1e3
    raw = np.array([one.alpha2f[positive] for one in files])
    spectra = _spectra(grid, sigmas, dos, omega, raw)
    remarks += _remarks(spectra, lambdas, raw)
    return spectra.coupling(mu_stars, remarks=remarks)


class _File(NamedTuple):
    omega_Ry: Floats
    alpha2f: Floats


def _table(path: Path) -> tuple[Floats, Floats, Floats]:
    """Widths (Ry), lambda and N(E_F) of the file ``lambda``."""
    rows = []
    for words in _LINE.findall(_read(path)):
        try:
            rows.append([float(word) for word in words])
        except ValueError:  # stars
            rows.append([float(words[0]), np.nan, float(words[2]), np.nan])
    if not rows:
        raise VerificationError(f"{path} has no line with broadening and lambda: {_AGAIN}")
    table = np.array(rows)
    return table[:, 0], table[:, 1], table[:, 2]


def _spectrum(path: Path) -> _File:
    """Frequencies and total alpha2F: lines of omega, the total, and the part of each mode; a last line with lambda."""
    text = _read(path)
    body = [line for line in text.splitlines() if line.strip() and line.split()[0] not in ("#", "lambda")]
    try:
        table = np.array([[float(word) for word in line.split()] for line in body])
    except ValueError as error:
        raise VerificationError(f"{path} cannot be read ({error}): {_AGAIN}") from error
    if table.ndim != 2 or len(table) < 2 or table.shape[1] < 5 or "lambda =" not in text:
        raise VerificationError(f"{path} is incomplete: {_AGAIN}")
    if not (np.diff(table[:, 0]) > 0).all():
        raise VerificationError(f"the frequencies in {path} do not increase: {_AGAIN}")
    return _File(table[:, 0], table[:, 1])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise VerificationError(f"{path} cannot be read ({error.strerror}): {_AGAIN}") from error


def _spectra(grid: tuple[int, int, int], sigmas: Floats, dos: Floats, omega: Floats, raw: Floats) -> SmearedSpectra:
    """Moments are of the clipped spectra; omega_log of a width whose raw spectrum is impossible stays, to be rejected."""
    clipped = np.maximum(raw, 0.0)
    moments, before = spectral_moments(omega, clipped), spectral_moments(omega, raw)
    noticed = np.flatnonzero(raw.any(0))
    omega_max = float(omega[noticed[-1]]) * K_PER_MEV if len(noticed) else 0.0
    with np.errstate(invalid="ignore"):
        wrong = before.omega_log_K > omega_max
    omega_log = np.where(wrong, before.omega_log_K, moments.omega_log_K)
    kept = Moments(moments.lambda_, omega_log, moments.omega2_K)
    return SmearedSpectra("interpolated", grid, sigmas, dos, kept, omega, clipped, omega_max)


def _remarks(spectra: SmearedSpectra, lambdas: Floats, raw: Floats) -> list[str]:
    out = []
    negative = trapezoid(2 * np.maximum(-raw, 0.0) / spectra.omega_meV, spectra.omega_meV)
    share = negative / np.where(spectra.moments.lambda_ > 0, spectra.moments.lambda_, np.nan)
    told = np.flatnonzero(share > _CLIPPED)
    if len(told):
        worst = int(told[np.argmax(share[told])])
        out.append(
            f"negative alpha2F was set to 0 at {len(told)} of {len(share)} smearings; at {spectra.sigmas_Ry[worst]:.3f} Ry it took "
            f"{100 * share[worst]:.1f} % of lambda away"
        )
    window = spectra.window
    apart = np.abs(lambdas[window] / spectra.moments.lambda_[window] - 1)
    if spectra.plateau is not None and apart.max() > _AGREES:
        out.append(f"lambda differs by up to {100 * apart.max():.0f} % from what matdyn.x states")
    return out
