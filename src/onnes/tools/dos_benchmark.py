"""Benchmark of the level ``dos``: N(E_F) from first principles against the table that the ``electronic`` model learned from."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import floats, values
from onnes.errors import ConfigError
from onnes.models.superconductivity import electronic_features
from onnes.training.benchmarks.report import Benchmark
from onnes.training.data import VALIDATION_BUCKETS, read_data
from onnes.training.feature_cache import cache_folder, cached_features
from onnes.training.recipe import superconductivity_recipe
from onnes.training.superconductivity import fit_superconductivity, load_data
from onnes.verify.chain import Crystal, verify
from onnes.verify.dos import SIGMA_EV, TRAINING_SCALE
from onnes.verify.inputs import elements_of, grids, primitive_atoms
from onnes.verify.pseudopotentials import find_pseudopotentials
from onnes.verify.settings import RunSettings, VerifySettings
from onnes.verify.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from onnes.verify.result import Verification

    Floats = NDArray[np.float64]

CRYSTALS, MAX_ATOMS = 20, 4
MIN_TABLE_DOS_PER_ATOM = 0.05
"""States/eV and atom, both spins: below it the table holds semiconductors, some with negative values."""
MAX_COST = 2.5e8
"""Plane waves x bands^1.6 x k points of the two runs: some five minutes on one core."""
_BAND_POWER, _SCF_SHARE = 1.6, 6
_BOHR_A = 0.529177
_COLUMNS = (
    "crystal", "atoms", "verdict", "cut-off / Ry", "processor time / s", "N(E_F), table", "N(E_F), computed", "difference",
    "Tc label / K", "Tc with table's / K", "Tc with computed / K",
)  # fmt: skip


def drawn(count: int = CRYSTALS, *, buckets: Sequence[int] = tuple(VALIDATION_BUCKETS), seed: int = 0) -> pa.Table:
    """Draw crystals of the training table of N(E_F) that are affordable, spread over the elements.

    One after the other the crystal is taken that has the largest share of elements which no crystal before it has; where several
    have, the first of a seeded shuffle.

    Parameters
    ----------
    count
        How many.
    buckets
        Composition buckets to draw from; by default those that no shipped model was trained on.
    seed
        Of the shuffle.

    Returns
    -------
    pyarrow.Table
        Rows of the table, with ``cost`` in the units of `MAX_COST`.
    """
    table = read_data("epc_dft_alexandria")
    per_atom = floats(table, "dos_ef_states_per_eV") / floats(table, "n_atoms")
    small = (floats(table, "n_atoms") <= MAX_ATOMS) & (per_atom >= MIN_TABLE_DOS_PER_ATOM)
    rows = np.flatnonzero(small & np.isin(floats(table, "md5_bucket"), list(buckets)))
    rows = np.random.default_rng(seed).permutation(rows)
    table = table.take(rows)
    elements = [set(numbers) for numbers in values(table, "atomic_numbers")]
    seen: set[int] = set()
    chosen: list[int] = []
    costs: dict[int, float] = {}
    left = list(range(table.num_rows))
    while len(chosen) < count and left:
        best = max(left, key=lambda i: (len(elements[i] - seen) / len(elements[i]), -i))
        left.remove(best)
        if not elements[best] - seen and seen:  # every element that is left has been seen: begin again
            seen.clear()
            left.append(best)
            left.sort()
            continue
        costs[best] = cost(table.slice(best, 1))
        if costs[best] <= MAX_COST:
            chosen.append(best)
            seen |= elements[best]
    return table.take(chosen).append_column("cost", [[costs[i] for i in chosen]])


def cost(row: pa.Table) -> float:
    """Estimate the work of the level ``dos`` for a table of one crystal, in the units of `MAX_COST`; infinite where there is no pseudopotential."""
    import spglib

    from onnes.errors import VerificationError

    batch = CrystalBatch.from_table(row)
    atoms = primitive_atoms(batch.lattices[0], batch.frac_coords, batch.atomic_numbers)
    settings = VerifySettings(level="dos")
    try:
        pseudos = find_pseudopotentials(elements_of(atoms), level="dos")
    except VerificationError:
        return float("inf")
    cutoff = max(pseudo.ecutwfc_Ry for pseudo in pseudos.values())
    bands = 0.6 * sum(pseudos[symbol].valence for symbol in atoms.get_chemical_symbols())
    waves = atoms.get_volume() / _BOHR_A**3 * cutoff**1.5 / (6 * np.pi**2)
    chosen = grids(atoms, settings, settings.of_level())
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    points = [
        len(set(spglib.get_ir_reciprocal_mesh(grid, cell, is_shift=[0, 0, 0])[0].tolist()))  # pyright: ignore[reportOptionalSubscript, reportArgumentType]
        for grid in (chosen.dense, chosen.k)
    ]
    return float(waves * bands**_BAND_POWER * (points[0] + _SCF_SHARE * points[1]))


@dataclass(frozen=True)
class _Task:
    """One crystal of the table."""

    number: int
    crystal: Crystal
    folder: Path

    def done(self) -> tuple[int, Verification]:
        """Verify it in this process."""
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = "1"
        return self.number, verify(self.crystal, VerifySettings(level="dos"), self.folder, run=RunSettings())


def computed(
    table: pa.Table, *, workers: int = 2, folder: Path | None = None, on_rows: Callable[[int], None] | None = None
) -> list[Verification]:
    """Verify each crystal at level ``dos``; what is finished in the cache folder is not computed again.

    Returns
    -------
    list of Verification
        In the order of the rows.

    Raises
    ------
    ConfigError
        Without Quantum ESPRESSO or pseudopotentials.
    """
    batch = CrystalBatch.from_table(table)
    place = folder or cache_folder() / "verify"
    tasks = []
    for i in range(len(batch)):
        one = batch.select([i])
        tasks.append(_Task(i, Crystal(one.lattices[0], one.frac_coords, one.atomic_numbers), place))
    found: dict[int, Verification] = {}
    with ProcessPoolExecutor(workers) as pool:
        for future in as_completed([pool.submit(task.done) for task in tasks]):
            number, result = future.result()
            if result.verdict is Verdict.NOT_AVAILABLE:
                raise ConfigError(f"{result.reason}; {result.advice}")
            found[number] = result
            if on_rows:
                on_rows(1)
    return [found[i] for i in range(len(batch))]


def benchmark_dos(
    *,
    count: int = CRYSTALS,
    workers: int = 2,
    plots: Path | None = None,
    folder: Path | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Hold N(E_F) of the level ``dos`` against the training table, and the Tc that the ``electronic`` model makes of either.

    Parameters
    ----------
    count
        Crystals, see `drawn`.
    workers
        Calculations at a time.
    plots
        Folder for a figure.
    folder
        Where the calculations lie; the cache folder by default.
    on_rows
        Called with the number of crystals done since the last call.

    Returns
    -------
    Benchmark
        One row a crystal; the correction of each is the mean ratio of the others (leave-one-out), so that no crystal corrects
        itself.

    Raises
    ------
    ConfigError
        Without the table, Quantum ESPRESSO or pseudopotentials.
    """
    table = drawn(count)
    found = computed(table, workers=workers, folder=folder, on_rows=on_rows)
    n_atoms = floats(table, "n_atoms")
    truth = floats(table, "dos_ef_states_per_eV") / n_atoms
    dos = np.array([(one.dos_ef_states_per_eV or np.nan) / one.n_atoms for one in found])
    good = np.isfinite(dos)
    ratios = np.log(truth[good] / dos[good])
    left_out = np.full(len(dos), np.nan)
    left_out[good] = dos[good] * np.exp((ratios.sum() - ratios) / max(len(ratios) - 1, 1))
    scaled = TRAINING_SCALE * dos
    tc = _tc_of_models(table, {"table": truth * n_atoms, "computed": scaled * n_atoms}, on_rows)
    label = floats(table, "tc_K")
    formulas = values(table, "reduced_formula")
    rows = [
        (
            formulas[i], str(int(n_atoms[i])), found[i].verdict.value, f"{found[i].ecutwfc_Ry:.0f}", f"{found[i].cpu_s:.0f}",
            f"{truth[i]:.3f}", f"{dos[i]:.3f}", f"{dos[i] / truth[i] - 1:+.0%}", f"{label[i]:.2f}", f"{tc['table'][i]:.2f}",
            f"{tc['computed'][i]:.2f}",
        )
        for i in range(len(found))
    ]  # fmt: skip
    numbers = {
        "crystals": float(len(found)),
        "failed": float((~good).sum()),
        "r": _correlation(dos[good], truth[good]),
        "median_difference": _median_difference(dos[good], truth[good]),
        "r_corrected": _correlation(left_out[good], truth[good]),
        "median_difference_corrected": _median_difference(left_out[good], truth[good]),
        "factor": float(np.exp(ratios.mean())),
        "mean_cpu_s": float(np.mean([one.cpu_s for one in found])),
        "max_cpu_s": float(np.max([one.cpu_s for one in found])),
    } | {f"tc_mae_{name}_K": float(np.abs(values_ - label)[good].mean()) for name, values_ in tc.items()}
    if plots is not None:
        _plot(plots / "dos.svg", formulas, truth, dos)
    notes = [
        f"drawn with seed 0 from composition buckets 80-89: at most {MAX_ATOMS} atoms, N(E_F) of at "
        f"least {MIN_TABLE_DOS_PER_ATOM} states/eV and atom in the table, estimated work below {MAX_COST:.1e}, spread over the elements",
        f"N(E_F): states/eV and atom, both spins, Gaussian of {SIGMA_EV} eV; r = {numbers['r']:.3f}, median difference "
        f"{numbers['median_difference']:.1%}; {numbers['failed']:.0f} failed",
        f"with a constant factor from the other crystals (leave-one-out; over all {numbers['factor']:.3f}): r = {numbers['r_corrected']:.3f}, "
        f"median difference {numbers['median_difference_corrected']:.1%}",
        f"Tc of `electronic`, trained on buckets 0-79, against the label, mean absolute error: {numbers['tc_mae_table_K']:.2f} K with the "
        f"table's N(E_F), {numbers['tc_mae_computed_K']:.2f} K with the computed one times {TRAINING_SCALE}; `structure`, which needs "
        f"none: {numbers['tc_mae_without_K']:.2f} K",
        f"{numbers['mean_cpu_s']:.0f} s of processor time a crystal in the mean, {numbers['max_cpu_s']:.0f} s at most; "
        f"{found[0].functional}, {found[0].pseudopotentials[0].provider.upper()} pseudopotentials, pw.x {found[0].programs.get('pw', '')}",
    ]
    return Benchmark("N(E_F) from first principles against the training table", _COLUMNS, rows, notes, numbers)


def _tc_of_models(
    table: pa.Table, dos_states_per_eV: Mapping[str, Floats], on_rows: Callable[[int], None] | None
) -> dict[str, Floats]:
    """Tc (K) by ``electronic`` with each of these N(E_F) of the cells, and by ``structure``; shapes (n,).

    Both are trained here, below the validation buckets: the shipped weights have seen every row.
    """
    electronic, structure = superconductivity_recipe("electronic"), superconductivity_recipe("structure")
    data = load_data([electronic, structure], on_rows=on_rows)
    batch = CrystalBatch.from_table(table)
    features = cached_features(batch, tuple(data.features)).values
    blocks = {recipe.name: [features[name] for name in recipe.potentials] for recipe in (electronic, structure)}
    model = fit_superconductivity(data, data.training, electronic)
    found = {
        name: model.predict(np.concatenate([*blocks["electronic"], electronic_features(dos, batch)], axis=1))["tc_K"]
        for name, dos in dos_states_per_eV.items()
    }
    alone = fit_superconductivity(data, data.training, structure)
    return found | {"without": alone.predict(np.concatenate(blocks["structure"], axis=1))["tc_K"]}


def _correlation(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def _median_difference(a: Floats, truth: Floats) -> float:
    return float(np.median(np.abs(a / truth - 1)))


def _plot(path: Path, formulas: list[str], truth: Floats, dos: Floats) -> None:
    from onnes.figure import clean, diagonal
    from onnes.figure import drawn as figure_file

    with figure_file(path) as figure:
        axes = clean(figure.add_subplot())
        diagonal(axes, (0, float(1.1 * np.nanmax([truth, dos]))))
        axes.plot(truth, dos, "o", ms=3)
        for name, x, y in zip(formulas, truth, dos, strict=True):
            axes.annotate(name, (x, y), fontsize=5, xytext=(3, 2), textcoords="offset points")
        axes.set_xlabel("N(E_F) of the table / states per eV and atom")
        axes.set_ylabel("N(E_F) computed")
