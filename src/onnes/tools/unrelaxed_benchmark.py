"""Benchmark of energies without relaxation: substituted candidates, as proposed, scanned in volume, and relaxed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_table
from onnes.crystals.schema import concat, values
from onnes.physics.hull import hull_of
from onnes.physics.reference import Reference
from onnes.potentials.evaluation import evaluate_each
from onnes.potentials.potential import DEFAULT_POTENTIAL, load_potential
from onnes.potentials.relaxation import relax_batch
from onnes.potentials.unrelaxed import volume_scan
from onnes.propose.sources import ProposalRequest
from onnes.propose.sources import propose as run_proposal
from onnes.training.benchmarks.report import Benchmark

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PARENTS = ("Nb3Sn", "MgB2", "NbN", "V3Ga", "ZrV2", "NiAl", "MgCNi3", "YNi2B2C", "NbSe2", "HfBe5")
CANDIDATES = 60
COARSE_SCALES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
LIMIT_EV_PER_ATOM = 0.1
"""Above the hull: what a gate before relaxation decides about."""
_COLUMNS = (
    "energy", "MAE / meV/atom", "bias / meV/atom", "median error / meV/atom", "rank correlation", "recall below the limit",
    "precision", "s / crystal", "ratio",
)  # fmt: skip


def candidates(n: int = CANDIDATES, *, seed: int = 0) -> pa.Table:
    """Substituted crystals of well-known parents, at the volume that the atomic radii suggest."""
    each = -(-n // len(PARENTS))
    tables = []
    for name in PARENTS:
        parent = known_table([name])
        request = ProposalRequest(method="neighbour", parents=parent, max_substituted=2, limit=each, seed=seed)
        tables.append(run_proposal(request))
    return concat([table.slice(0, each) for table in tables]).slice(0, n)


def benchmark_unrelaxed(
    *,
    count: int = CANDIDATES,
    potential: str = DEFAULT_POTENTIAL,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Hold energies without relaxation against those of the relaxed crystals, by the same potential.

    Parameters
    ----------
    count
        Candidates.
    potential
        Its name; the package must ship a reference for it.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call.
    """
    loaded = load_potential(potential, device=device)
    table = candidates(count)
    batch = CrystalBatch.from_table(table)
    evaluate_each(batch.select(range(2)), loaded, forces=False)
    now = time.process_time if device == "cpu" else time.perf_counter
    clock = [now()]
    given = evaluate_each(batch, loaded, forces=False)[0].energies_eV / batch.n_atoms
    clock.append(now())
    scan = volume_scan(batch, loaded)
    clock.append(now())
    coarse = volume_scan(batch, loaded, scales=COARSE_SCALES)
    clock.append(now())
    relaxed = relax_batch(batch, loaded, on_done=on_rows)
    clock.append(now())
    seconds = np.diff(clock) / len(batch)
    truth = np.where(relaxed.converged, relaxed.energies_eV / batch.n_atoms, np.nan)
    scanned = scan.energies_eV_per_atom
    coarse_energies = coarse.energies_eV_per_atom
    rows = np.isfinite(truth) & np.isfinite(given) & np.isfinite(scanned) & np.isfinite(coarse_energies)
    shift = _hull_shift(values(table, "formula"), potential)
    cells, numbers = [], {}
    for name, energies, spent in (
        ("as proposed", given, seconds[0]),
        ("lowest of 20 volumes, 0.8 to 1.2", scanned, seconds[1]),
        ("lowest of 7 volumes, 0.7 to 1.3", coarse_energies, seconds[2]),
        ("relaxed", truth, seconds[-1]),
    ):
        score = _score(energies[rows], truth[rows], shift[rows])
        spread = {"s_per_crystal": float(spent), "ratio": float(seconds[-1] / spent)}
        cells.append((name, *_texts(score | spread)))
        numbers |= {f"{name}: {key}": value for key, value in (score | spread).items()}
    change = np.abs(relaxed.batch.volumes / batch.volumes - 1)[rows]
    inside = ~np.isin(scan.volume_scales[rows], scan.scales[[0, -1]])
    within = 1e3 * np.abs(scanned - truth)[rows][inside].mean()
    notes = [
        f"{int(rows.sum())} of {len(batch)} candidates: up to two kinds of sites substituted in {', '.join(PARENTS)} (seed 0), volumes "
        f"guessed from atomic radii; {int((~np.isfinite(truth)).sum())} did not relax and are left out of the errors",
        f"relaxation (fmax 0.02 eV/Å, symmetry kept, {relaxed.evaluations / len(batch):.1f} evaluations a crystal) changes the volume by {np.median(change):.1%} in the median, "
        f"{np.quantile(change, 0.9):.1%} at the 90 % mark; {int((~inside).sum())} scans over 20 volumes end at the first or last one; the others have an MAE of {within:.0f} meV/atom",
        f"limit: {1e3 * LIMIT_EV_PER_ATOM:.0f} meV/atom above the shipped reference's hull; {_share(truth - shift):.0%} of the relaxed "
        "candidates lie below it (the precision of a random filter)",
        f"{potential}, energies without forces for all but the last; seconds of processor time on a CPU",
    ]
    return Benchmark("Energies without relaxation", _COLUMNS, cells, notes, numbers)


def _hull_shift(formulas: list[str], potential: str) -> Floats:
    """Energy of the hull at each composition (eV/atom), shape (n,); NaN where the reference lacks an element."""
    hull = hull_of(Reference.find(None, potential))
    places = [hull.place(formula, 0.0) for formula in formulas]
    return np.array([np.nan if place is None else -place.e_above_hull_eV_per_atom for place in places])


def _share(above: Floats) -> float:
    return float((above[np.isfinite(above)] < LIMIT_EV_PER_ATOM).mean())


def _score(found: Floats, truth: Floats, hull: Floats) -> dict[str, float]:
    """Errors in meV/atom, order and decision of the energies above the hull, where that is known."""
    from scipy.stats import rankdata

    error = 1e3 * (found - truth)
    placed = np.isfinite(hull)
    found_above, above = (found - hull)[placed], (truth - hull)[placed]
    said, true = found_above < LIMIT_EV_PER_ATOM, above < LIMIT_EV_PER_ATOM
    return {
        "mae_meV_per_atom": float(np.abs(error).mean()),
        "bias_meV_per_atom": float(error.mean()),
        "median_error_meV_per_atom": float(np.median(np.abs(error))),
        "rank_correlation": float(np.corrcoef(rankdata(found_above), rankdata(above))[0, 1]),
        "recall": float((said & true).sum() / max(true.sum(), 1)),
        "precision": float((said & true).sum() / max(said.sum(), 1)),
    }


def _texts(score: dict[str, float]) -> tuple[str, ...]:
    forms = ("{:.0f}", "{:+.0f}", "{:.0f}", "{:.3f}", "{:.2f}", "{:.2f}", "{:.3f}", "{:.1f}")
    return tuple(form.format(value) for form, value in zip(forms, score.values(), strict=True))
