"""Benchmark of the models' speed: against plain passes of their potentials and against an equivariant ensemble."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import is_open, values
from onnes.errors import CrystalError
from onnes.models.features import _MAX_ATOMS, _MAX_CRYSTALS
from onnes.models.prediction import predict_table
from onnes.models.superconductivity import load_superconductivity_model
from onnes.potentials.potential import DEFAULT_POTENTIAL, load_potential
from onnes.training.benchmarks.report import Benchmark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from onnes.models.superconductivity import SuperconductivityModel
    from onnes.potentials.potential import Potential

    Seconds = dict[str, float]
    Contestant = Callable[[pa.Table], Seconds]

ENSEMBLE: dict[str, Any] = {"mul": 32, "layers": 2}
"""Size of the networks of the equivariant ensemble, as published (arXiv:2401.16611)."""
LMAX = (3, 1)
"""Degrees of its tensors: those of the published screening weights, which are compared with, and of the training."""
_TURN = 256
_WARM_ROWS, _WARM_TURNS = 32, 3  # e3nn compiles during the first passes
_NEIGHBOURS = 30.0  # scales the untrained network and says nothing of its speed
_GRAPHS = "graphs"


class _PlainPass:
    """Energies by one potential, crystals packed and batched beforehand; nothing else is timed."""

    def __init__(self, potential: Potential, device: str) -> None:
        self.potential = potential
        kind = device.partition(":")[0]
        self.limits = _MAX_ATOMS[kind], _MAX_CRYSTALS[kind]

    def __call__(self, part: pa.Table) -> Seconds:
        batch = CrystalBatch.from_table(part)
        pieces = [batch.select(chunk) for chunk in batch.batches(*self.limits)]
        began = time.perf_counter()
        for piece in pieces:
            self.potential.evaluate(piece, forces=False, features=False)
        return {_plain(self.potential.name): time.perf_counter() - began}


class _Prediction:
    """`predict_table` from table to table; counts the rows that failed."""

    def __init__(self, model: str, device: str) -> None:
        self.model, self.device = model, device
        self.failed = 0

    def __call__(self, part: pa.Table) -> Seconds:
        began = time.perf_counter()
        done = predict_table(part, model=self.model, device=self.device)
        seconds = time.perf_counter() - began
        self.failed += sum(error is not None for error in values(done, "error"))
        return {self.model: seconds}


class _Member:
    """Graphs of one turn, and one pass over them by a member of each degree."""

    def __init__(self, device: str) -> None:
        from onnes.models.spectrum_network import SpectrumNetwork

        self.device = device
        self.networks = {
            lmax: SpectrumNetwork(n_neighbours=_NEIGHBOURS, lmax=lmax, **ENSEMBLE).eval().to(device) for lmax in LMAX
        }

    def __call__(self, part: pa.Table) -> Seconds:
        import torch

        from onnes.models.spectrum import MAX_ATOMS_A_PASS
        from onnes.models.spectrum_network import CrystalGraphs

        batch = CrystalBatch.from_table(part)
        began = time.perf_counter()
        graphs = CrystalGraphs.of(batch, device=self.device)
        chunks = [torch.from_numpy(rows).to(self.device) for rows in batch.batches(MAX_ATOMS_A_PASS, MAX_ATOMS_A_PASS)]
        inputs = [graphs.select(rows).inputs() for rows in chunks]
        found = {_GRAPHS: time.perf_counter() - began}
        for lmax, network in self.networks.items():
            began = time.perf_counter()
            with torch.no_grad():
                for arguments in inputs:
                    network(**arguments).cpu().numpy()
            found[_forward(lmax)] = time.perf_counter() - began
        return found


def benchmark_model_speed(
    table: pa.Table,
    *,
    models: Sequence[str] = ("fast", "structure"),
    members: int = 100,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Time predictions, plain passes of the potentials and an equivariant ensemble, in turns over the same crystals.

    Each turn takes 256 random rows through everything; the order rotates from turn to turn, so that what else the
    machine does falls on all alike. Of the ensemble one member is run: M members take the time of the graphs once and that
    of the pass M times.

    Parameters
    ----------
    table
        Crystal table, such as the Alexandria electron-phonon set. Rows that are not open are left out.
    models
        Superconductivity models.
    members
        Networks of the ensemble.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call.

    Returns
    -------
    Benchmark
        ``values`` holds crystals per second (``rate``), ratios and seconds by name.

    Raises
    ------
    CrystalError
        When the table has no open row.
    ModelError
        For an unknown model or potential.

    Examples
    --------
    >>> from onnes.crystals.known import known_table
    >>> benchmark_model_speed(known_table(), models=("fast",)).values["fast: ratio to plain"]  # doctest: +SKIP
    0.8
    """
    table = table.filter(is_open(table))
    if not table.num_rows:
        raise CrystalError("the table has no open row to measure on: give crystals without error or rejected_by")
    chosen = {name: load_superconductivity_model(name) for name in models}
    potentials = dict.fromkeys([DEFAULT_POTENTIAL, *(p for model in chosen.values() for p in model.potentials)])
    predictions = [_Prediction(name, device) for name in models]
    warm = table.slice(0, _WARM_ROWS)
    contestants: list[Contestant] = [_PlainPass(load_potential(name, device=device), device) for name in potentials]
    contestants += [*predictions, _Member(device)]
    for _ in range(_WARM_TURNS):
        for contestant in contestants:
            contestant(warm)
    for prediction in predictions:
        prediction.failed = 0
    turns = _measure(table, contestants, on_rows)
    notes = [f"{p.model}: {p.failed} crystals failed" for p in predictions if p.failed]
    return _report(turns, table.num_rows, chosen, members, device, notes)


def _measure(table: pa.Table, contestants: list[Contestant], on_rows: Callable[[int], None] | None) -> list[Seconds]:
    """Seconds of every contestant in every turn."""
    order = np.random.default_rng(0).permutation(table.num_rows)
    turns: list[Seconds] = []
    for turn, start in enumerate(range(0, table.num_rows, _TURN)):
        part = table.take(np.sort(order[start : start + _TURN]))
        first = turn % len(contestants)
        found: Seconds = {}
        for contestant in contestants[first:] + contestants[:first]:
            found |= contestant(part)
        turns.append(found)
        if on_rows:
            on_rows(part.num_rows)
    return turns


def _report(
    turns: list[Seconds], n: int, chosen: dict[str, SuperconductivityModel], members: int, device: str, notes: list[str]
) -> Benchmark:
    """Rates and ratios from the sums over all turns."""
    import torch

    total = {name: sum(turn[name] for turn in turns) for name in turns[0]}
    ensembles = {lmax: total[_GRAPHS] + members * total[_forward(lmax)] for lmax in LMAX}
    many = ensembles[LMAX[0]]
    numbers = {"crystals": float(n), "e3nn graphs: s": total[_GRAPHS]}
    numbers |= {f"e3nn lmax {lmax} one member: s": total[_forward(lmax)] for lmax in LMAX}
    rows: list[tuple[str, ...]] = []

    def add(what: str, key: str, seconds: float, plain: float) -> None:
        to_plain, to_ensemble = plain / seconds, many / seconds
        rows.append((what, f"{n / seconds:.2f}", f"{to_plain:.3f}", f"{to_ensemble:.2f}"))
        numbers.update({f"{key}: rate": n / seconds, f"{key}: ratio to plain": to_plain})
        numbers[f"{key}: ratio to e3nn"] = to_ensemble

    for names in dict.fromkeys([(DEFAULT_POTENTIAL,), *(model.potentials for model in chosen.values())]):
        seconds = _plain_seconds(total, names)
        add(f"plain pass of {' and '.join(names)}", _plain(*names), seconds, seconds)
    for name, model in chosen.items():
        add(f"onnes, model {name}", name, total[name], _plain_seconds(total, model.potentials))
        each = np.array([_plain_seconds(turn, model.potentials) / turn[name] for turn in turns])
        low, median, high = np.quantile(each, (0.25, 0.5, 0.75))
        notes.append(
            f"{name}: ratio to the plain pass by turn, median {median:.3f} (quartiles {low:.3f} to {high:.3f})"
        )
    base = _plain_seconds(total, (DEFAULT_POTENTIAL,))
    for lmax, seconds in ensembles.items():
        add(f"equivariant ensemble, lmax {lmax}, {members} members", f"e3nn lmax {lmax}", seconds, base)
    numbers["memory_GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return Benchmark(
        f"Speed of the models, {n} crystals, one process on {device}",
        ("what", "crystals / s", "rate over plain pass", f"rate over ensemble, lmax {LMAX[0]}"),
        rows,
        [*_conditions(chosen, members, len(turns), numbers["memory_GB"], torch.get_num_threads()), *notes],
        numbers,
    )


def _conditions(
    chosen: dict[str, SuperconductivityModel], members: int, turns: int, memory_GB: float, threads: int
) -> list[str]:
    size = ", ".join(f"{name} {value}" for name, value in ENSEMBLE.items())
    extra = [
        f"; {name} also asks {model.moments} for magnetic moments"
        for name, model in chosen.items()
        if model.moments and model.moments not in model.potentials
    ]
    return [
        f"{turns} turns of up to {_TURN} random rows, all in one run, the order rotated; {threads} thread(s); peak memory of "
        f"the process {memory_GB:.2f} GB",
        "plain pass: energies alone (no forces, no features), crystals packed and batched beforehand; a model is compared "
        f"with the potentials whose features it reads, the equivariant networks with {DEFAULT_POTENTIAL}",
        "onnes: from table to table, with reading, features, heads, empirical alpha2F, metal model and domain"
        + "".join(extra),
        f"equivariant network: random weights, {size}, cutoff 4 A, single precision (published: double), batched as by "
        f"the spectrum model; lmax {LMAX[0]} is that of the published screening weights, lmax {LMAX[1]} that of the published "
        "training notebooks",
        f"ensemble: time of the graphs once and {members} times that of one member's pass; reading, swapping weights and "
        "Tc are left out",
    ]


def _forward(lmax: int) -> str:
    return f"forward {lmax}"


def _plain(*names: str) -> str:
    return "plain " + " + ".join(names)


def _plain_seconds(seconds: Seconds, names: tuple[str, ...]) -> float:
    """Seconds of the plain passes of some potentials, one after another."""
    return sum(seconds[_plain(name)] for name in names)
