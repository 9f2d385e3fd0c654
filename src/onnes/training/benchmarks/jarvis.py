"""Benchmark on the leaderboard of JARVIS: computed Tc of crystals, 30 test rows, of which the data hold some."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow.compute as pc

from onnes.crystals.schema import floats, values
from onnes.errors import ConfigError
from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.training.benchmarks.bootstrap import paired_interval
from onnes.training.benchmarks.report import Benchmark
from onnes.training.data import TRAINING_BUCKETS, read_data
from onnes.training.electron_phonon import MORE_DATA, load_electron_phonon
from onnes.training.recipe import read_recipe
from onnes.training.superconductivity import fit_superconductivity, predict_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from onnes.training.electron_phonon import ElectronPhononData
    from onnes.training.recipe import SuperconductivityRecipe

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

MU_STAR_JARVIS = 0.085
"""Coulomb pseudopotential of the labels: with it lambda and omega_log give them exactly."""
N_PUBLISHED = 30
"""Test rows of the published scores."""
PUBLISHED_MAE_K = (("CFID", 2.00), ("CGCNN", 2.57), ("ALIGNN", 2.03), ("AtomGPT", 1.52))
"""Scores on the leaderboard, task Tc_supercon, all 30 test rows, official training rows."""


@dataclass(frozen=True, eq=False)
class LeaderboardRows:
    """The rows of the task among P rows of electron-phonon data.

    Attributes
    ----------
    test
        Test rows, shape (P,).
    official
        Official training and validation rows, whatever their formula, shape (P,).
    tc_K
        The leaderboard's labels, shape (P,); NaN where there is none.
    same_formula
        Rows that are no test rows but have the formula of one, shape (P,).
    unphysical
        Number of official training rows that were left out because lambda or omega_log is unphysical.
    """

    test: Mask
    official: Mask
    tc_K: Floats
    same_formula: Mask
    unphysical: int

    @property
    def training(self) -> Mask:
        """Official training and validation rows without the formulas of the test rows."""
        return self.official & ~self.same_formula


@dataclass(frozen=True, eq=False)
class _Result:
    """Absolute errors of Tc on the n test rows by S ensembles, shape (S, n), and what else was measured."""

    name: str
    n_training: int
    errors_K: Floats
    lambda_mae: float
    omega_log_mae_K: float


def leaderboard_rows(data: ElectronPhononData) -> LeaderboardRows:
    """Find the rows of the task in loaded data.

    Parameters
    ----------
    data
        From `onnes.training.electron_phonon.load_electron_phonon`.

    Raises
    ------
    ConfigError
        When the data file and the loaded rows differ, or when there is no test row.
    """
    whole = read_data(MORE_DATA).filter(pc.field("in_leaderboard_tc_benchmark"))
    table = whole.filter(pc.field("label_physical"))
    rows = np.flatnonzero(~data.scored)
    if len(rows) != table.num_rows or not np.allclose(data.lambda_[rows], floats(table, "lambda_")):
        raise ConfigError(
            f"{len(rows)} JARVIS crystals are loaded, {MORE_DATA} has {table.num_rows}: a crystal has no features, so "
            "the leaderboard's split cannot be assigned; take a recipe whose potentials know all elements"
        )
    split = np.full(len(data), "", dtype="U5")
    split[rows] = values(table, "leaderboard_tc_split")
    tc_K = np.full(len(data), np.nan)
    tc_K[rows] = floats(table, "tc_K")
    test = split == "test"
    if not test.any():
        raise ConfigError(f"{MORE_DATA} has no row with leaderboard_tc_split 'test': get the complete data file")
    official = np.isin(split, ("train", "val"))
    unphysical = sum(name in ("train", "val") for name in values(whole, "leaderboard_tc_split")) - int(official.sum())
    return LeaderboardRows(test, official, tc_K, np.isin(data.groups, data.groups[test]) & ~test, unphysical)


def benchmark_jarvis(
    recipe: SuperconductivityRecipe | None = None,
    *,
    seeds: int = 1,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Train a recipe on JARVIS, and on JARVIS and Alexandria, and score Tc on the leaderboard's test rows.

    No row in training has the formula of a test row. Tc follows from the predicted lambda and omega_log by the formula of
    the labels: McMillan and Allen-Dynes without f1 and f2, mu* = 0.085.

    Parameters
    ----------
    recipe
        ``structure`` by default. It must not read N(E_F), which JARVIS does not give; a teacher is left out.
    seeds
        Ensembles trained from different seeds; mean and standard deviation are reported.
    device
        Where features are computed that are not cached yet.
    on_rows
        Called with the number of crystals whose features are there.

    Returns
    -------
    Benchmark
        Mean absolute errors with 95 % bootstrap intervals, beside the median of the training rows and published scores.

    Raises
    ------
    ConfigError
        For a recipe that reads N(E_F), or without the data.

    Examples
    --------
    >>> print(benchmark_jarvis(read_recipe("fast")).markdown())  # doctest: +SKIP
    """
    recipe = recipe or cast("SuperconductivityRecipe", read_recipe("structure"))
    if recipe.electronic:
        raise ConfigError(
            f"recipe {recipe.name} reads N(E_F), which JARVIS does not give: take one without, such as structure"
        )
    # a teacher would have seen formulas of the test rows among its unlabelled crystals
    recipe = recipe.model_copy(update={"teacher": None})
    data = load_electron_phonon(recipe.potentials, device=device, on_rows=on_rows)
    task = leaderboard_rows(data)
    more = data.scored & np.isin(data.buckets, TRAINING_BUCKETS)
    results = [
        _run(f"{recipe.name}, JARVIS", data, task, task.training, recipe, seeds),
        _run(f"{recipe.name}, JARVIS and Alexandria", data, task, task.training | (more & ~task.same_formula), recipe, seeds),
    ]  # fmt: skip
    return _report(data, task, results, int((more & task.same_formula).sum()), seeds)


def _run(
    name: str, data: ElectronPhononData, task: LeaderboardRows, rows: Mask, recipe: SuperconductivityRecipe, seeds: int
) -> _Result:
    """Train ``seeds`` ensembles on some rows and predict the test rows."""
    errors, lambdas, frequencies = [], [], []
    for seed in range(seeds):
        heads = recipe.heads.model_copy(update={"seed": recipe.heads.seed + seed})
        with warnings.catch_warnings():
            # JARVIS has no label of omega2, N(E_F) and the Debye temperature; these outputs are NaN and not used
            warnings.filterwarnings("ignore", "Mean of empty slice|Degrees of freedom", RuntimeWarning)
            model = fit_superconductivity(data, rows, recipe.model_copy(update={"heads": heads}))
        found = predict_rows(model, data, task.test)
        tc = allen_dynes_tc_K(found["lambda_"], found["omega_log_K"], mu_star=MU_STAR_JARVIS, strong_coupling=False)
        errors.append(np.abs(tc - task.tc_K[task.test]))
        lambdas.append(np.abs(found["lambda_"] - data.lambda_[task.test]).mean())
        frequencies.append(np.abs(found["omega_log_K"] - data.omega_log_K[task.test]).mean())
    return _Result(name, int(rows.sum()), np.array(errors), float(np.mean(lambdas)), float(np.mean(frequencies)))


def _report(
    data: ElectronPhononData, task: LeaderboardRows, results: list[_Result], left_out: int, seeds: int
) -> Benchmark:
    """Table, conditions and numbers."""
    n, groups, truth = int(task.test.sum()), data.groups[task.test], task.tc_K[task.test]
    median = float(np.median(task.tc_K[task.training]))
    constant = np.abs(truth - median)
    low, high = paired_interval(constant, groups)
    rows: list[tuple[str, ...]] = [
        (f"{name}, published", "official", str(N_PUBLISHED), f"{mae:.2f}", "") for name, mae in PUBLISHED_MAE_K
    ]
    rows.append(
        (f"median of the training rows ({median:.2f} K)", str(int(task.training.sum())), str(n), f"{constant.mean():.2f}",
         f"{low:.2f} to {high:.2f}")
    )  # fmt: skip
    numbers = {"n_test": float(n), "constant: tc_mae_K": float(constant.mean())}
    gains = []
    for result in results:
        each, error = result.errors_K.mean(1), result.errors_K.mean(0)
        low, high = paired_interval(error, groups)
        cell = f"{each.mean():.2f}" + (f" ± {each.std(ddof=1):.2f}" if seeds > 1 else "")
        rows.append((result.name, str(result.n_training), str(n), cell, f"{low:.2f} to {high:.2f}"))
        numbers |= {
            f"{result.name}: tc_mae_K": float(each.mean()),
            f"{result.name}: tc_mae_low_K": low,
            f"{result.name}: tc_mae_high_K": high,
            f"{result.name}: lambda_mae": result.lambda_mae,
            f"{result.name}: omega_log_mae_K": result.omega_log_mae_K,
        }
        low, high = paired_interval(constant - error, groups)
        gains.append(
            f"{result.name}: error of the median minus ours {low:.2f} to {high:.2f} K (95 %, paired); MAE of lambda "
            f"{result.lambda_mae:.3f}, of omega_log {result.omega_log_mae_K:.0f} K"
        )
    return Benchmark(
        "Tc of JARVIS crystals, leaderboard task Tc_supercon",
        ("model", "training rows", "test rows", "Tc MAE / K", "95 % interval / K"),
        rows,
        [*_conditions(task, left_out, seeds, float(constant.max()) / n), *gains],
        numbers,
    )


def _conditions(task: LeaderboardRows, left_out: int, seeds: int, hottest_K: float) -> list[str]:
    n = int(task.test.sum())
    return [
        f"published scores are those of all {N_PUBLISHED} test rows, ours those of the {n} in the data: they do not rank "
        f"against each other; a single row contributes {hottest_K:.2f} K to the error of the median",
        f"Tc by the formula of the labels, without f1 and f2, mu* = {MU_STAR_JARVIS}, from predicted lambda and omega_log",
        f"JARVIS: official training and validation rows; {int((task.official & task.same_formula).sum())} with the formula "
        f"of a test row and {task.unphysical} with an unphysical label are left out",
        f"Alexandria: buckets 0-79; {left_out} rows with the formula of a test row are left out",
        f"{seeds} seed(s); intervals by bootstrap over the test formulas",
    ]
