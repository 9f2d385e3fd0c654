"""Benchmark of the moduli: a potential's elastic tensors against those of density-functional theory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import concat, floats, values
from onnes.crystals.table import crystal_table
from onnes.models.composition import composition_features
from onnes.potentials.elasticity import elastic_table
from onnes.potentials.potential import DEFAULT_POTENTIAL, load_potential
from onnes.potentials.relaxation import RelaxSettings
from onnes.potentials.tables import relax_table
from onnes.training.benchmarks.plots.parity import parity
from onnes.training.benchmarks.report import Benchmark
from onnes.training.data import read_data
from onnes.training.feature_cache import cache_folder, cached_features, piece_key
from onnes.training.trainer import TrainSettings, fit_heads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DATA = "elasticity_binaries"
CRYSTALS = 300
FMAX_EV_PER_A = 0.005
_PIECE = 10
_NETWORKS = TrainSettings(members=4, hidden=64, epochs=30)
_VERSION = "1"  # changes when the same crystals get other moduli
_COLUMNS = (
    "moduli", "n", "bulk MAE / GPa", "bulk bias / GPa", "bulk median error / GPa", "n", "shear MAE / GPa", "shear bias / GPa",
    "median of shear / DFT",
)  # fmt: skip


def benchmark_elasticity(
    names: Sequence[str] = (DEFAULT_POTENTIAL,),
    *,
    crystals: int = CRYSTALS,
    plots: Path | None = None,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Relax binary crystals, compute their elastic tensors, and compare the moduli with those of the Materials Project.

    Parameters
    ----------
    names
        Potentials; the difference of the first to each other one is held against its error.
    crystals
        Size of the random sample (seed 0).
    plots
        Folder for parity plots.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call; finished ones are kept in the cache folder.
    """
    truth, rest = sampled(crystals)
    runs = {name: _Run(name, cached_moduli(_crystals(truth), name, device=device, on_rows=on_rows)) for name in names}
    bulk, shear = (floats(truth, f"{kind}_modulus_vrh_GPa") for kind in ("bulk", "shear"))
    baselines = {
        "median of the other rows": _medians(rest, len(bulk)),
        "trees on composition and volume": _trees(rest, truth),
        f"networks on the features of {names[0]}": _networks(rest, truth, names[0], device),
    }
    table: list[tuple[str, ...]] = [(name, *_cells(found, (bulk, shear))) for name, found in baselines.items()]
    notes = [
        f"{len(bulk)} random binary crystals of the Materials Project (seed 0), VRH averages; the "
        "potentials were trained on energies, forces and stresses of such crystals, never on moduli; the baselines on the "
        f"{rest.num_rows} rows of other formulas"
    ]
    numbers: dict[str, float] = {}
    for run in runs.values():
        table.append(run.cells(bulk, shear))
        notes.append(run.remark())
        numbers |= run.numbers(bulk, shear)
        if plots is not None:
            plots.mkdir(parents=True, exist_ok=True)
            parity(plots / f"bulk-modulus-{run.name}.svg", bulk, run.bulk, unit="GPa", name="bulk modulus")
            parity(plots / f"shear-modulus-{run.name}.svg", shear, run.shear, unit="GPa", name="shear modulus")
    first, *others = runs.values()
    notes += [_spread(first, other, bulk, shear) for other in others]
    return Benchmark("Elastic moduli against density-functional theory", _COLUMNS, table, notes, numbers)


def sampled(crystals: int) -> tuple[pa.Table, pa.Table]:
    """Random rows of the data (seed 0), smallest crystals first, and the rows of all other formulas."""
    data = read_data(DATA)
    chosen = np.random.default_rng(0).permutation(data.num_rows)[:crystals]
    truth = data.take(pa.array(chosen)).sort_by([("n_atoms", "ascending"), ("id", "ascending")])
    formulas = set(truth["reduced_formula"].to_pylist())
    return truth, data.filter(pa.array([formula not in formulas for formula in data["reduced_formula"].to_pylist()]))


def cached_moduli(
    table: pa.Table, potential: str, *, device: str = "cpu", on_rows: Callable[[int], None] | None = None
) -> pa.Table:
    """Relax and compute elastic tensors, a few crystals at a time, each piece kept on disk.

    Parameters
    ----------
    table
        Crystal table.
    potential
        Its name.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call.
    """
    folder = cache_folder() / "elasticity"
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, table.num_rows, _PIECE):
        piece = table.slice(start, _PIECE)
        path = folder / f"{potential}-{_VERSION}-{piece_key(CrystalBatch.from_table(piece), potential)}.parquet"
        if not path.exists():
            loaded = load_potential(potential, device=device)
            relaxed = relax_table(piece, loaded, RelaxSettings(fmax_eV_per_A=FMAX_EV_PER_A))
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            pq.write_table(elastic_table(relaxed, loaded), temporary)
            temporary.replace(path)
        parts.append(pq.read_table(path))
        if on_rows:
            on_rows(piece.num_rows)
    return concat(parts)


@dataclass(frozen=True, eq=False)
class _Run:
    """Moduli of one potential."""

    name: str
    table: pa.Table

    @property
    def bulk(self) -> Floats:
        return floats(self.table, "bulk_modulus_GPa")

    @property
    def shear(self) -> Floats:
        return floats(self.table, "shear_modulus_GPa")

    def cells(self, bulk: Floats, shear: Floats) -> tuple[str, ...]:
        return (self.name, *_cells((self.bulk, self.shear), (bulk, shear)))

    def remark(self) -> str:
        failed = sum(error is not None for error in values(self.table, "error"))
        unstable = sum(stable is False for stable in values(self.table, "mechanically_stable"))
        no_shear = int((np.isfinite(self.bulk) & ~np.isfinite(self.shear)).sum())
        return (
            f"{self.name}: {failed} crystals failed (no moduli), {unstable} are unstable against a homogeneous deformation; {no_shear} of "
            "these have no positive definite tensor, hence no shear modulus, and their bulk modulus is Voigt's"
        )

    def numbers(self, bulk: Floats, shear: Floats) -> dict[str, float]:
        return {
            f"{self.name}: bulk_mae_GPa": float(np.nanmean(np.abs(self.bulk - bulk))),
            f"{self.name}: shear_mae_GPa": float(np.nanmean(np.abs(self.shear - shear))),
            f"{self.name}: n_bulk": float(np.isfinite(self.bulk).sum()),
            f"{self.name}: n_shear": float(np.isfinite(self.shear).sum()),
        }


def _crystals(data: pa.Table) -> pa.Table:
    batch = CrystalBatch.from_table(data)
    return crystal_table(batch, ids=[str(i) for i in data["id"].to_pylist()], source=DATA)


def _error_cells(found: Floats, truth: Floats, *, median: bool = True) -> tuple[str, ...]:
    error = (found - truth)[np.isfinite(found)]
    cells = [str(len(error)), f"{np.abs(error).mean():.1f}", f"{error.mean():+.1f}"]
    return tuple([*cells, f"{np.median(np.abs(error)):.1f}"] if median else cells)


def _cells(found: tuple[Floats, Floats], truth: tuple[Floats, Floats]) -> tuple[str, ...]:
    """Errors of (bulk, shear) moduli."""
    ratio = f"{np.nanmedian(found[1] / truth[1]):.2f}"
    return (*_error_cells(found[0], truth[0]), *_error_cells(found[1], truth[1], median=False), ratio)


def _medians(rest: pa.Table, n: int) -> tuple[Floats, Floats]:
    bulk, shear = (float(np.median(floats(rest, f"{kind}_modulus_vrh_GPa"))) for kind in ("bulk", "shear"))
    return np.full(n, bulk), np.full(n, shear)


def _trees(rest: pa.Table, truth: pa.Table) -> tuple[Floats, Floats]:
    """Extremely randomized trees of the logarithms of the moduli, on composition and volume per atom."""
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(200, max_features=0.3, min_samples_leaf=2, random_state=0)
    targets = [np.log(floats(rest, f"{kind}_modulus_vrh_GPa")) for kind in ("bulk", "shear")]
    forest.fit(_inputs(rest), np.stack(targets, axis=1))
    bulk, shear = np.exp(forest.predict(_inputs(truth))).T
    return bulk, shear


def _networks(rest: pa.Table, truth: pa.Table, potential: str, device: str) -> tuple[Floats, Floats]:
    """Networks of the logarithms of the moduli, on the potential's pooled atom features at the given geometry."""
    features, wanted = (
        cached_features(CrystalBatch.from_table(data), (potential,), device=device).of((potential,))
        for data in (rest, truth)
    )
    targets = np.log(np.stack([floats(rest, f"{kind}_modulus_vrh_GPa") for kind in ("bulk", "shear")], axis=1))
    known, given = np.isfinite(features).all(axis=1), np.isfinite(wanted).all(axis=1)
    heads = fit_heads(features[known], targets[known], ("bulk", "shear"), (1.0, 1.0), _NETWORKS)
    bulk, shear = np.full((2, len(wanted)), np.nan)
    found = heads.predict(wanted[given])
    bulk[given], shear[given] = np.exp(found["bulk"].mean(0)), np.exp(found["shear"].mean(0))
    return bulk, shear


def _inputs(data: pa.Table) -> Floats:
    batch = CrystalBatch.from_table(data)
    volumes = np.log(batch.volumes / batch.n_atoms)
    return np.column_stack([composition_features(data["reduced_formula"].to_pylist()), volumes]).astype(float)


def _spread(first: _Run, second: _Run, bulk: Floats, shear: Floats) -> str:
    """Whether two potentials disagree where the first errs."""
    from scipy.stats import spearmanr

    parts = []
    for kind, mine, theirs, truth in (
        ("bulk", first.bulk, second.bulk, bulk), ("shear", first.shear, second.shear, shear),
    ):  # fmt: skip
        rows = np.isfinite(mine) & np.isfinite(theirs)
        rank = spearmanr(np.abs(mine - theirs)[rows], np.abs(mine - truth)[rows])[0]
        mean = np.abs((mine + theirs)[rows] / 2 - truth[rows]).mean()
        parts.append(f"{kind}: rank correlation of difference and error {rank:.2f}, MAE of their mean {mean:.1f} GPa")
    return f"{first.name} and {second.name}, " + "; ".join(parts)
