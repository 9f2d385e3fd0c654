"""What a calculation of the electron-phonon coupling amounts to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.verify.plateau import MAX_SPREAD
from onnes.verify.verdict import Judgement, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnes.verify.phonon_output import QPoint
    from onnes.verify.result import Coupling

MIN_TC_K = 0.1
"""Lowest Tc that is called superconductivity. Lambda is then so near mu* that Tc changes by powers of ten with either, and
only a dilution refrigerator could tell."""
COLLECT = "collect"
"""Name of the step that adds up the wave vectors."""


def judge_coupling(points: Sequence[QPoint], coupling: Coupling, *, min_tc_K: float = MIN_TC_K) -> Judgement:
    """Give the verdict on a complete set of wave vectors.

    Parameters
    ----------
    points
        As given to `onnes.verify.coupling.coupling_of`, in the order in which they were computed.
    coupling
        What it returned.
    min_tc_K
        Lowest Tc that is called superconductivity (K); compared with the highest Tc over mu*, methods and smearings, so that
        a crystal is called no superconductor only when every estimate says so.

    Returns
    -------
    Judgement
        The first that applies of

        * ``unstable``: a mode with omega^2 < 0, but for acoustic ones at Gamma below 1 THz. There is no Tc then, whatever
          the other modes say: the crystal is not the one that would form.
        * ``not_converged``: lambda(sigma) has no plateau.
        * ``no_superconductivity``: Tc below ``min_tc_K``.
        * ``superconductor``.
    """
    if any(point.is_unstable.any() for point in points):
        return _unstable(points)
    if coupling.lambda_ is None or coupling.plateau_Ry is None or coupling.tc_lo_K is None or coupling.tc_hi_K is None:
        return _not_converged(coupling)
    low, high = coupling.plateau_Ry
    seen = (
        f"lambda = {coupling.lambda_:.3f} +- {coupling.lambda_std:.3f} at smearings of {low:.3f} to {high:.3f} Ry, omega_log = "
        f"{coupling.omega_log_K:.0f} K"
    )
    mu_star = f"mu* of {min(coupling.mu_star):.2f} to {max(coupling.mu_star):.2f}"
    if coupling.tc_hi_K < min_tc_K:
        reason = f"{seen}: Tc is below {min_tc_K:g} K for {mu_star}"
        return Judgement(Verdict.NO_SUPERCONDUCTIVITY, COLLECT, reason, _finer(coupling))
    reason = f"{seen}: Tc is {coupling.tc_lo_K:.2g} to {coupling.tc_hi_K:.2g} K for {mu_star}"
    return Judgement(Verdict.SUPERCONDUCTOR, COLLECT, reason, _finer(coupling))


def _unstable(points: Sequence[QPoint]) -> Judgement:
    counts = [int(point.is_unstable.sum()) for point in points]
    lowest = [float(np.where(point.is_unstable, point.frequencies_THz, np.inf).min(initial=np.inf)) for point in points]
    i = int(np.argmin(lowest))
    q = ", ".join(f"{x:.4g}" for x in points[i].q)
    n_unstable = sum(point.weight * count for point, count in zip(points, counts, strict=True))
    n_modes = sum(point.weight * len(point.frequencies_THz) for point in points)
    reason = f"{n_unstable} of {n_modes} modes of the grid are imaginary; the lowest is {lowest[i]:.2f} THz at q = ({q}) 2 pi/alat"
    acoustic = all(not (point.is_unstable & ~point.is_acoustic).any() for point in points)
    advice = (
        "only the acoustic modes at Gamma are imaginary, which the sum rule forbids: raise the cut-offs and the k grid"
        if acoustic
        else "follow the mode: displace the atoms along it in a supercell that fits q and relax, or compute another phase "
        "or pressure; a denser k grid first if the frequency is near 0"
    )
    return Judgement(Verdict.UNSTABLE, f"phonons-{i + 1}", reason, advice)


def _not_converged(coupling: Coupling) -> Judgement:
    curve = coupling.curve
    if curve:
        lambdas = [point.lambda_ for point in curve]
        path = (
            f"lambda goes from {lambdas[0]:.3f} at {curve[0].sigma_Ry:.3f} Ry to {lambdas[-1]:.3f} at {curve[-1].sigma_Ry:.3f} Ry "
            f"(lowest {min(lambdas):.3f}, highest {max(lambdas):.3f})"
        )
    else:
        path = "there is no lambda at any smearing"
    reason = f"lambda(sigma) has no plateau, no window of smearings within {100 * MAX_SPREAD:.0f} %: {path}"
    advice = "use a denser dense k grid, so that smaller smearings count, and a finer grid of q points"
    return Judgement(Verdict.NOT_CONVERGED, COLLECT, reason, advice)


def _finer(coupling: Coupling) -> str:
    coarse = any(remark.startswith("coarse grid") for remark in coupling.remarks)
    return "the grid of q points is coarse: confirm on a finer one" if coarse else ""
