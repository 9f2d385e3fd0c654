"""Electron-phonon coupling on the grid of computed wave vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import VerificationError
from onnes.physics.phonons import MEV_PER_THZ
from onnes.physics.spectra import K_PER_MEV, Moments
from onnes.verify.phonon_output import ACOUSTIC_LIMIT_THZ, N_ACOUSTIC
from onnes.verify.result import Coupling, PhononMode
from onnes.verify.smeared import FEWEST_POINTS, MU_STARS, SmearedSpectra, no_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from onnes.verify.phonon_output import QPoint

    Floats = NDArray[np.float64]

BROADENING_THZ = 0.12
"""Standard deviation of the Gaussian that stands for each mode in alpha2F; about 6 K."""

_STEPS_PER_WIDTH, _WIDTHS_BEYOND = 6, 6
_SAME_DOS = 1e-3


def coupling_of(
    points: Sequence[QPoint],
    grid: tuple[int, int, int],
    *,
    n_atoms: int,
    mu_stars: Sequence[float] = MU_STARS,
    broadening_THz: float = BROADENING_THZ,
) -> Coupling:
    """Sum the modes of all wave vectors to lambda, alpha2F and Tc.

    Parameters
    ----------
    points
        One of each star of the grid, any order.
    grid
        Divisions nq1, nq2, nq3.
    n_atoms
        Atoms of the computed cell.
    mu_stars
        Coulomb pseudopotentials.
    broadening_THz
        Width of a mode in alpha2F. lambda, omega_log and omega_2 are sums over the modes and do not depend on it.

    Returns
    -------
    Coupling
        Without lambda, Tc and curve where a mode is unstable, without lambda and Tc where lambda(sigma) has no plateau;
        `onnes.verify.judgement.judge_coupling` says so in words.

    Raises
    ------
    VerificationError
        When the stars do not make up the grid, or the wave vectors are of different crystals or runs.

    Notes
    -----
    With w_q the share of a star in the grid, lambda = sum of w_q lambda_qnu, and
    alpha2F(omega) = (omega/2) sum of w_q lambda_qnu g(omega - omega_qnu). Allen, Phys. Rev. B 6, 2577 (1972) has the
    mode's frequency in place of omega in front of the sum, which is the same for narrow g; with omega the broadening leaves
    lambda as it is and a soft mode's tail does not diverge in the integral of alpha2F/omega. The acoustic modes at Gamma are
    left out: their lambda is 0/0.
    """
    points = list(points)
    _check_set(points, grid, n_atoms)
    sigmas, dos = points[0].sigmas_Ry, points[0].dos
    if any(point.is_unstable.any() for point in points):
        return Coupling.model_validate(
            no_result()
            | {
                "method": "q grid",
                "q_grid": grid,
                "curve": (),
                "mu_star": tuple(mu_stars),
                "modes": phonon_modes(points, slice(-1, None)),
                "remarks": ("unstable modes: the others do not add up to a lambda that means anything",),
            }
        )
    frequencies, weighted = _modes_of_grid(points)
    omega, alpha2f = _broadened(frequencies, weighted, broadening_THz)
    spectra = SmearedSpectra(
        "q grid",
        grid,
        sigmas,
        dos,
        _moments(frequencies * MEV_PER_THZ * K_PER_MEV, weighted),
        omega * MEV_PER_THZ,
        alpha2f,
        float(frequencies.max(initial=0.0)) * MEV_PER_THZ * K_PER_MEV,
    )
    return spectra.coupling(mu_stars, phonon_modes(points, spectra.window), _remarks(points, grid, n_atoms))


def phonon_modes(points: Sequence[QPoint], window: slice) -> tuple[PhononMode, ...]:
    """List every mode of every wave vector, with lambda averaged over a window of smearings; 0 for acoustic ones at Gamma."""
    out = []
    for point in points:
        lambdas = np.where(point.is_acoustic, 0.0, np.nan_to_num(point.lambdas[window].mean(0)))
        symmetries = point.symmetries or (None,) * len(lambdas)
        out += [
            PhononMode(
                q=point.q, weight=point.weight, frequency_THz=float(frequency), lambda_=float(lam), symmetry=symmetry
            )
            for frequency, lam, symmetry in zip(point.frequencies_THz, lambdas, symmetries, strict=True)
        ]
    return tuple(out)


def _check_set(points: list[QPoint], grid: tuple[int, int, int], n_atoms: int) -> None:
    wanted, have = int(np.prod(grid)), sum(point.weight for point in points)
    label = "x".join(map(str, grid))
    if have != wanted:
        raise VerificationError(
            f"incomplete q set: the stars of {len(points)} q points have {have} of the {wanted} points of the {label} grid; "
            "compute what is missing, each q point once"
        )
    first = points[0]
    for point in points:
        if len(point.frequencies_THz) != 3 * n_atoms:
            raise VerificationError(f"q = {point.q} has {len(point.frequencies_THz)} modes, not 3 x {n_atoms} atoms")
        same = point.sigmas_Ry.shape == first.sigmas_Ry.shape and np.allclose(point.sigmas_Ry, first.sigmas_Ry)
        if not same or not np.allclose(point.dos, first.dos, rtol=_SAME_DOS):
            raise VerificationError(
                f"q = {point.q} and {first.q} have different smearings or N(E_F): they are of different runs; compute all q "
                "points from one self-consistent calculation"
            )


def _modes_of_grid(points: list[QPoint]) -> tuple[Floats, Floats]:
    """Frequencies (THz, (m,)) of the modes that count, and w_q lambda at each smearing (s, m)."""
    total = sum(point.weight for point in points)
    frequencies = np.concatenate([point.frequencies_THz for point in points])
    weighted = np.concatenate([point.weight / total * point.lambdas for point in points], axis=1)
    kept = ~np.concatenate([point.is_acoustic for point in points])
    return frequencies[kept], weighted[:, kept]


def _moments(omega_K: Floats, weighted: Floats) -> Moments:
    """Moments of the mode sums, arrays of shape (s,)."""
    lam = weighted.sum(1)
    safe = np.where(lam > 0, lam, np.nan)
    log, square = (weighted * np.log(omega_K)).sum(1), (weighted * omega_K**2).sum(1)
    return Moments(lam, np.exp(log / safe), np.sqrt(square / safe))


def _broadened(frequencies: Floats, weighted: Floats, width: float) -> tuple[Floats, Floats]:
    """Frequencies (THz, (n,)) and alpha2F (s, n)."""
    top = float(frequencies.max(initial=0.0)) + _WIDTHS_BEYOND * width
    omega = np.linspace(0.0, top, int(np.ceil(top / width * _STEPS_PER_WIDTH)) + 1)
    gauss = np.exp(-0.5 * ((omega - frequencies[:, None]) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    return omega, 0.5 * omega * (weighted @ gauss)


def _remarks(points: list[QPoint], grid: tuple[int, int, int], n_atoms: int) -> list[str]:
    out = []
    if min(grid) < FEWEST_POINTS:
        share = f"Gamma has a weight of 1/{int(np.prod(grid))}"
        reason = (
            f"{share} and no optical mode that couples, so lambda comes out too low"
            if n_atoms == 1
            else f"{share}, so its optical modes count too much, and lambda often comes out too high"
        )
        out.append(f"coarse grid: {reason}; use at least {FEWEST_POINTS} points along each direction")
    acoustic = max(
        (float(point.frequencies_THz[point.is_acoustic].max()) for point in points if point.is_gamma), default=0
    )
    if acoustic > ACOUSTIC_LIMIT_THZ:
        out.append(
            f"the {N_ACOUSTIC} acoustic modes at Gamma reach {acoustic:.2f} THz instead of 0: soft modes elsewhere are as "
            "uncertain; raise the cut-off of the wave functions"
        )
    return out
