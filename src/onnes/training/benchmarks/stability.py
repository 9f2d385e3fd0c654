"""Benchmark of the energies of potentials: total energies, formation energies, energies above hull."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from onnes.training.benchmarks.corrections import published_corrections
from onnes.training.benchmarks.plots.parity import parity
from onnes.training.benchmarks.plots.ranking import precision_recall
from onnes.training.benchmarks.report import Benchmark
from onnes.training.benchmarks.same_entries import above_competitors, above_hull, hull_of_entries
from onnes.training.benchmarks.stability_data import mp_formation, unseen_energies, unseen_formation
from onnes.training.data import TRAINING_BUCKETS, VALIDATION_BUCKETS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from onnes.training.benchmarks.stability_data import Formation

    Floats = NDArray[np.float64]
    OnRows = Callable[[int], None] | None

MAX_ATOMS: Mapping[str, tuple[int, ...]] = {"sevennet-0": (26, 10), "sevennet-l3i5": (10,)}
"""Largest cells of the Materials Project crystals, by potential: the slower one is compared on the smaller cells."""
SCORED = 2000
"""Formation energies that are scored, drawn from the validation buckets."""
STABLE_eV = 0.05
_COLUMNS = (
    "quantity", "energies", "rows", "MAE / meV/atom", "bias / meV/atom", "stable", "precision", "recall", "F1",
    "F1 of calling all stable",
)  # fmt: skip


@dataclass(eq=False)
class _Report:
    """Rows of the table and the same numbers by name."""

    rows: list[tuple[str, ...]] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)

    def add(
        self, quantity: str, energies: str, truth: Floats, found: Floats, *, stable_eV: float | None = None
    ) -> None:
        """Score energies in eV/atom; those above a hull as stable or not as well."""
        good = np.isfinite(truth) & np.isfinite(found)
        numbers = error(truth[good], found[good])
        cells = [quantity, energies, f"{numbers['n']:.0f}", f"{numbers['mae_meV']:.1f}", f"{numbers['bias_meV']:+.1f}"]
        if stable_eV is None:
            cells += [""] * 5
        else:
            numbers |= stable_or_not(truth[good], found[good], stable_eV)
            cells += [f"{numbers[name]:.3f}" for name in ("stable", "precision", "recall", "f1", "f1_all")]
        self.rows.append(tuple(cells))
        self.values |= {f"{quantity}, {energies}: {name}": value for name, value in numbers.items()}


def error(truth: Floats, found: Floats) -> dict[str, float]:
    """Mean absolute error and mean of found minus true, in meV/atom, of energies in eV/atom, shape (n,)."""
    difference = 1e3 * (found - truth)
    return {
        "n": float(len(truth)),
        "mae_meV": float(np.abs(difference).mean()),
        "bias_meV": float(difference.mean()),
    }


def stable_or_not(truth: Floats, found: Floats, limit: float = STABLE_eV) -> dict[str, float]:
    """Classify by energy above hull (eV/atom, shape (n,)): stable up to a limit.

    Returns
    -------
    dict
        Share of stable crystals, precision, recall, F1, and F1 of calling every crystal stable.
    """
    is_stable, said = truth <= limit, found <= limit
    hits, share = float((is_stable & said).sum()), float(is_stable.mean())
    precision, recall = hits / max(said.sum(), 1), hits / max(is_stable.sum(), 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-12)
    return {"stable": share, "precision": precision, "recall": recall, "f1": f1, "f1_all": 2 * share / (1 + share)}


def benchmark_stability(
    *,
    max_atoms: Mapping[str, tuple[int, ...]] = MAX_ATOMS,
    plots: Path | None = None,
    device: str = "cpu",
    on_rows: OnRows = None,
) -> Benchmark:
    """Hold the energies of potentials against DFT.

    Total energies are those of WBM crystals, which the potentials have not seen. Formation energies and energies above
    hull are those of Materials Project crystals, which they were trained on. The corrections of the formation energies
    are fitted on buckets 0-79. The scores are those of 80-89.

    Parameters
    ----------
    max_atoms
        Largest cells, by potential; each limit is a measurement of its own.
    plots
        Folder for parity and precision-recall plots of the first potential.
    device
        Where energies are computed that are not cached yet.
    on_rows
        Called with the number of crystals done since the last call.
    """
    report = _Report()
    notes = [
        "every energy is that of the published (DFT) geometry; nothing is relaxed; bias: potential minus DFT",
        "SevenNet was trained on MPtrj, which holds Materials Project crystals: their rows show how well it fits and how "
        "its errors add up in a hull, not how it does on new crystals; WBM crystals are new to it",
        f"formation energies: the potential's energy minus its own elements; corrected: one constant for each element, "
        f"anion and metal with a Hubbard U, fitted on buckets 0-79; a seeded draw of {SCORED} compounds of 80-89, or all",
        "above hull: of all compounds of 80-89 over the same entries, DFT and potential; over competitors: the "
        "crystal's own formula taken out, negative where a crystal is the stable one (what a screening computes for a "
        f"new formula); WBM crystals are placed on the hull of the Materials Project crystals; stable: up to {STABLE_eV} eV/atom",
    ]  # fmt: skip
    first = True
    for potential, limits in max_atoms.items():
        _totals(report, potential, device, on_rows)
        for limit in limits:
            notes.append(_formations(report, potential, limit, plots if first else None, device, on_rows))
            first = False
    return Benchmark("Energies and stability", _COLUMNS, report.rows, notes, report.values)


def _totals(report: _Report, potential: str, device: str, on_rows: OnRows) -> None:
    found = unseen_energies(potential, device=device, on_rows=on_rows)
    report.add("total energy, WBM, raw DFT", potential, found.raw, found.potential)
    report.add("total energy, WBM, corrected DFT", potential, found.corrected, found.potential)


def _formations(report: _Report, potential: str, limit: int, plots: Path | None, device: str, on_rows: OnRows) -> str:
    """Formation energies and energies above hull with one potential and one limit on the cells; a note on the rows."""
    known = mp_formation(potential, limit, device=device, on_rows=on_rows)
    new = unseen_formation(potential, device=device, on_rows=on_rows)
    label = f"{potential}, cells to {limit} atoms"
    scored = np.flatnonzero(known.inside(VALIDATION_BUCKETS))
    drawn = np.random.default_rng(0).permutation(scored)[:SCORED]
    corrections = known.corrections(TRAINING_BUCKETS)
    corrected, new_corrected = known.corrected(corrections), new.corrected(corrections)
    report.add("formation energy, MP", f"{label}, uncorrected", known.dft[drawn], known.potential[drawn])
    report.add("formation energy, MP", f"{label}, corrected", known.dft[drawn], corrected[drawn])
    report.add("formation energy, WBM", f"{label}, corrected", new.dft, new_corrected)
    # A crystal without an energy of the potential is no competitor for DFT's energies either.
    dft = np.where(np.isfinite(known.potential), known.dft, np.nan)
    truth = _heights(known, new, dft, new.dft, scored, on_rows)
    for name, ours, ours_new in (
        ("corrected", corrected, new_corrected),
        ("uncorrected", known.potential, new.potential),
    ):
        found = _heights(known, new, ours, ours_new, scored, on_rows)
        for quantity, heights in found.items():
            report.add(quantity, f"{label}, {name}", truth[quantity], heights, stable_eV=STABLE_eV)
        if plots is not None and name == "corrected":
            _draw(plots, known.dft[drawn], corrected[drawn], truth, found)
    fitted = int(known.inside(TRAINING_BUCKETS).sum())
    return (
        f"{label}: {int(np.isfinite(known.potential).sum())} entries of the Materials Project, "
        f"{len(set(known.formulas))} formulas; corrections fitted on {fitted} compounds; in eV an atom, in brackets those of the "
        "Materials Project: "
        + ", ".join(f"{n} {corrections.values.get(n, 0.0):.2f} ({x:.2f})" for n, x in published_corrections().items())
    )


def _heights(
    known: Formation, new: Formation, energies: Floats, new_energies: Floats, scored: NDArray[np.int64], on_rows: OnRows
) -> dict[str, Floats]:
    """Energies above the hull of the Materials Project crystals, by quantity."""
    hull = hull_of_entries(known.formulas, energies)
    formulas = [known.formulas[i] for i in scored]
    return {
        "above hull, MP": above_hull(hull, formulas, energies[scored]),
        "above competitors, MP": above_competitors(hull, formulas, energies[scored], on_rows=on_rows),
        "above hull, WBM": above_hull(hull, new.formulas, new_energies),
    }


def _draw(folder: Path, dft: Floats, ours: Floats, truth: dict[str, Floats], found: dict[str, Floats]) -> None:
    """Parity of formation energies, precision against recall of stable crystals."""
    folder.mkdir(parents=True, exist_ok=True)
    parity(folder / "formation-energy.svg", dft, ours, unit="eV/atom", name="formation energy")
    curves = {}
    for name in ("above competitors, MP", "above hull, WBM"):
        good = np.isfinite(truth[name]) & np.isfinite(found[name])
        curves[name] = (truth[name][good] <= STABLE_eV, -found[name][good])
    precision_recall(folder / "stability.svg", curves, mark=-STABLE_eV)
