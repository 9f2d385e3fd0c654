"""Benchmark of the gates of a funnel: what each lets through, held against labels and against chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnes.training.benchmarks.labelled_sets import hull_sets, metal_set, tc_set
from onnes.training.benchmarks.operating import Confusion
from onnes.training.benchmarks.plots.ranking import precision_recall
from onnes.training.benchmarks.report import Benchmark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from onnes.training.benchmarks.operating import LabelledSet

RECALLS = (0.98, 0.9)
"""Recalls for which a threshold is recommended."""
_COLUMNS = (
    "gate", "labelled set", "threshold", "TP / FN / FP / TN", "precision", "recall", "passed",
    "random filter: precision / recall", "average precision",
)  # fmt: skip


@dataclass(frozen=True)
class FunnelGate:
    """One gate as a funnel has it.

    Attributes
    ----------
    name
        Of the step.
    column
        What it judges.
    limit
        The bound in use.
    upper
        Whether rows above the bound are rejected, instead of those below.
    model
        Superconductivity model, metal model or potential that made the column.
    """

    name: str
    column: str
    limit: float
    upper: bool = False
    model: str = ""


def benchmark_gates(
    gates: Sequence[FunnelGate],
    *,
    recalls: Sequence[float] = RECALLS,
    plots: Path | None = None,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Score every gate on a labelled set of its own, at its threshold and at those that keep chosen recalls.

    The models are trained below bucket 80, unlike the shipped ones, which have seen all rows. Thresholds for the recall
    are chosen there as well, on out-of-fold predictions, and scored on 80-89. A gate on a column for which there is no
    labelled set is named in the notes.

    Parameters
    ----------
    gates
        Of the funnel, in its order.
    recalls
        For each, the strictest threshold is given that keeps it in each of five folds of the training buckets.
    plots
        Folder for precision-recall curves.
    device
        Where features and energies are computed that are not cached yet.
    on_rows
        Called with the number of crystals done since the last call.
    """
    sets: dict[tuple[str, str], list[LabelledSet]] = {}
    rows: list[tuple[str, ...]] = []
    values: dict[str, float] = {}
    left_out: list[str] = []
    for gate in gates:
        key = (gate.column, gate.model)
        if key not in sets:
            sets[key] = _labelled(gate, device, on_rows)
        if not sets[key]:
            left_out.append(f"{gate.name} ({gate.column})")
        for labelled in sets[key]:
            found, numbers = _score(gate, labelled, recalls)
            rows += found
            values |= numbers
        if plots is not None and sets[key]:
            _draw(plots, gate, sets[key])
    notes = [
        "one gate at a time, on the rows named, not on what the gates before it let through; composition buckets 80-89 "
        "unless WBM, whose crystals no model and no threshold has seen",
        "models are trained on buckets 0-79; the shipped ones have seen all rows and are not scored here",
        "for a recall: the strictest threshold that keeps it in each of five folds of buckets 0-79, on predictions by models "
        "that never saw the formula",
        "passed: share of the rows that pass; a random filter that passes the same share has that recall, and the share of "
        "positives as its precision, which is also the average precision of a random order",
        "hull: energies of the potential as they come, against its own hull, the crystal's own formula taken out of the "
        "competitors (Materials Project) or not among them (WBM); the potential was trained on Materials Project crystals",
        "not measured, no labelled set: " + (", ".join(left_out) or "no gate"),
    ]  # fmt: skip
    return Benchmark("Gates of the funnel", _COLUMNS, rows, notes, values)


def _labelled(gate: FunnelGate, device: str, on_rows: Callable[[int], None] | None) -> list[LabelledSet]:
    """Labelled sets of the column that a gate judges; none where there is no such set."""
    if gate.column == "is_metal_probability":
        return [metal_set(gate.model, device=device, on_rows=on_rows)]
    if gate.column == "tc_K":
        return [tc_set(gate.model, device=device, on_rows=on_rows)]
    if gate.column == "e_above_hull_eV_per_atom":
        return hull_sets(gate.model, device=device, on_rows=on_rows)
    return []


def _score(
    gate: FunnelGate, labelled: LabelledSet, recalls: Sequence[float]
) -> tuple[list[tuple[str, ...]], dict[str, float]]:
    """Table rows and numbers of one gate on one labelled set: at its own threshold and at those for some recalls."""
    from sklearn.metrics import average_precision_score

    sign = -1.0 if gate.upper else 1.0
    precision = float(average_precision_score(labelled.truth, labelled.score))
    source = labelled.label.partition(",")[0]
    rows, values = [], {f"{gate.name}, {source}: average_precision": precision}
    points = {"in use": sign * gate.limit} | {f"for recall {r:g}": labelled.threshold_for_recall(r) for r in recalls}
    for name, threshold in points.items():
        c = Confusion.of(labelled.truth, labelled.score >= threshold)
        rows.append((
            gate.name, labelled.label, f"{'at most' if gate.upper else 'at least'} {sign * threshold:.3g} ({name})",
            f"{c.true_positive} / {c.false_negative} / {c.false_positive} / {c.true_negative}",
            f"{c.precision:.3f}", f"{c.recall:.3f}", f"{c.pass_rate:.3f}", f"{c.prevalence:.3f} / {c.pass_rate:.3f}",
            f"{precision:.3f}",
        ))  # fmt: skip
        numbers = {"threshold": sign * threshold, "precision": c.precision, "recall": c.recall, "passed": c.pass_rate}
        values |= {f"{gate.name}, {source}: {key}, {name}": value for key, value in numbers.items()}
        values[f"{gate.name}, {source}: prevalence"] = c.prevalence
    return rows, values


def _draw(folder: Path, gate: FunnelGate, sets: list[LabelledSet]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    curves = {labelled.label.partition(",")[0]: (labelled.truth, labelled.score) for labelled in sets}
    precision_recall(folder / f"gate-{gate.name}.svg", curves, mark=-gate.limit if gate.upper else gate.limit)
