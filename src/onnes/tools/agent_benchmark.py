"""Benchmark of finding superconductors again: models, planners and chance on a pool with known answers.

A planner gets the pool as a crystal table with the columns of the models, without any measured Tc, and says in which order it
would look at the rows. `PLANNERS` holds those that take part; a language model registers itself there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from onnes.crystals.schema import floats, values, with_columns
from onnes.errors import ConfigError
from onnes.tools.pool_predictions import NEAREST, PoolPredictions, predict_candidates
from onnes.training.benchmarks.rediscovery import (
    MIN_TC_K,
    RATIO,
    Pool,
    draw_pool,
    load_candidates,
    superconducting_systems,
    training_systems,
    within,
)
from onnes.training.benchmarks.report import Benchmark
from onnes.training.benchmarks.retrieval import (
    PRECISION_AT,
    Retrieval,
    chance,
    enrichment,
    expected_hits,
    retrieval,
    top,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

Planner = Callable[[pa.Table], Sequence[str]]
"""Takes a pool, gives the ids of its rows, the most promising first; those it leaves out come last, in random order."""

BAR = 3.0
"""How many times better than chance a ranking should find superconductors again."""
NEAR_HULL_EV = 0.08
"""Largest energy above hull (eV/atom) of the set that the metals come from: MP-20 (Xie et al., ICLR 2022)."""
REDRAWS = 100
RANDOM = "random"
STRUCTURE, EXPERIMENTAL = "structure: Tc", "experimental: probability"
_COLUMNS = (
    "ranking", "recall in the top 10 %", "times random", "95 %", *(f"precision at {k}" for k in PRECISION_AT),
    "times random, without cuprates", "near the hull", "all hidden", "all hidden, without cuprates",
    "systems new to the data, alike / all", "no doped relative, alike / all",
)  # fmt: skip


def benchmark_agent(
    *,
    planners: Mapping[str, Planner] | None = None,
    seed: int = 0,
    plots: Path | None = None,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Hide measured superconductors among metals and see which ranking finds them.

    Parameters
    ----------
    planners
        By name; default `PLANNERS`.
    seed
        Of the pools.
    plots
        Folder for ROC and precision-recall curves.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call.

    Raises
    ------
    ConfigError
        Without the data, or for a planner that names a row twice or one that is not in the pool.
    """
    predictions = predict_candidates(load_candidates(), device=device, on_rows=on_rows)
    return score_rankings(predictions, PLANNERS if planners is None else planners, seed=seed, plots=plots)


# --- rankings --------------------------------------------------------------------------------------------------------


def model_scores(table: pa.Table) -> dict[str, Floats]:
    """Scores of the models alone and of the baselines for each row of a table of predictions, larger first, shape (n,)."""
    probability, share = floats(table, "exp_superconductor_probability"), floats(table, NEAREST[0])
    return {
        STRUCTURE: floats(table, "tc_K"),
        EXPERIMENTAL: probability,
        "experimental: probability × Tc": probability * floats(table, "exp_tc_K"),
        "5 nearest compositions: share": share,
        "5 nearest compositions: share × Tc": share * floats(table, NEAREST[1]),
        "energy above hull alone": -floats(table, "e_above_hull_eV_per_atom"),
    }


def planner_score(name: str, planner: Planner, table: pa.Table) -> Floats:
    """Turn the order of a planner into a score, shape (n,): larger first, NaN for rows that it leaves out.

    Raises
    ------
    ConfigError
        When it names a row twice, or one that is not in the table.
    """
    ids = {row: i for i, row in enumerate(values(table, "id"))}
    order = list(planner(table.drop_columns([column for column in NEAREST if column in table.column_names])))
    if len(set(order)) < len(order) or not set(order) <= set(ids):
        raise ConfigError(f"planner {name!r} must name rows of the pool, each at most once")
    score = np.full(len(ids), np.nan)
    for position, row in enumerate(order):
        score[ids[row]] = len(ids) - position
    return score


def rule_order(table: pa.Table) -> list[str]:
    """Order of `onnes.campaign.judgement.judge` with its default weights; rows that it does not judge are left out."""
    from onnes.campaign.judgement import judge

    judged = judge(table)
    ranks = zip(values(judged, "judged_rank"), values(judged, "id"), strict=True)
    return [row for _, row in sorted((rank, row) for rank, row in ranks if rank is not None)]


PLANNERS: dict[str, Planner] = {"rule planner": rule_order}
"""Planners by name that take part in `benchmark_agent`; register more here."""


# --- pools -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A pool of m rows, their predictions, chemical systems, whether they are cuprates, and the scores of all rankings."""

    pool: Pool
    table: pa.Table
    systems: NDArray[np.str_]
    cuprate: Bools
    scores: dict[str, Floats]

    @classmethod
    def of(cls, predictions: PoolPredictions, planners: Mapping[str, Planner], allowed: Bools, seed: int) -> _Drawn:
        candidates = predictions.candidates
        pool = draw_pool(candidates, allowed, seed=seed)
        table = predictions.table.take(pa.array(pool.rows))
        table = with_columns(table, {"id": [f"{i:04d}" for i in range(len(pool))]})  # the old ones tell the kinds apart
        scores = model_scores(table)
        scores |= {name: planner_score(name, planner, table) for name, planner in planners.items()}
        return cls(pool, table, candidates.systems[pool.rows], candidates.cuprate[pool.rows], scores)

    def found(self, name: str) -> Retrieval:
        """What a ranking finds."""
        if name == RANDOM:
            return chance(len(self.pool), int(self.pool.hidden.sum()))
        return retrieval(self.scores[name], self.pool.hidden, self.systems)

    def times_random(self, name: str, *, cuprates: bool = True) -> float:
        """Enrichment of a ranking; without cuprates both the hidden ones and the others are left out."""
        kept = np.ones(len(self.pool), bool) if cuprates else ~self.cuprate
        return 1.0 if name == RANDOM else enrichment(self.scores[name][kept], self.pool.hidden[kept])

    def times_random_of(self, name: str, sought: Bools) -> float:
        """Recall of some of the hidden rows in the top tenth of the whole pool over that of a random order; NaN without any."""
        k = top(len(self.pool))
        if not sought.any():
            return np.nan
        return (
            1.0 if name == RANDOM else expected_hits(self.scores[name], sought, k) * len(self.pool) / (k * sought.sum())
        )

    def formulas(self, rows: Bools) -> list[str]:
        """Reduced formulas of some rows, in alphabetical order."""
        return sorted(f for f, one in zip(values(self.table, "reduced_formula"), rows, strict=True) if one)


def score_rankings(
    predictions: PoolPredictions, planners: Mapping[str, Planner], *, seed: int = 0, plots: Path | None = None
) -> Benchmark:
    """Draw the pools and score models, planners and chance on them; see `benchmark_agent`."""
    candidates = predictions.candidates
    stable = floats(predictions.table, "e_above_hull_eV_per_atom") <= NEAR_HULL_EV
    everything = np.ones(len(stable), bool)
    pools = {"alike": candidates.alike, "near the hull": candidates.alike & stable, "all hidden": everything}
    alike, near, whole = (_Drawn.of(predictions, planners, allowed, seed) for allowed in pools.values())
    left_out = set(candidates.systems.tolist())
    (new, lone), (all_new, all_lone) = (_subsets(drawn, left_out) for drawn in (alike, whole))
    rows, lowest = [], {}
    numbers = {"n": float(len(alike.pool)), "n_hidden": float(alike.pool.hidden.sum())}
    for name in (RANDOM, *alike.scores):
        found = alike.found(name)
        bar = {
            "without cuprates": alike.times_random(name, cuprates=False),
            "all hidden": whole.times_random(name),
            "all hidden, without cuprates": whole.times_random(name, cuprates=False),
        }
        parts = {
            "new systems": alike.times_random_of(name, new),
            "new systems, all hidden": whole.times_random_of(name, all_new),
            "no doped relative": alike.times_random_of(name, lone),
            "no doped relative, all hidden": whole.times_random_of(name, all_lone),
        }
        numbers |= _numbers(name, found, {**bar, "near the hull": near.times_random(name), **parts})
        lowest[name] = min(found.enrichment, *bar.values())
        a, b, c, d = parts.values()
        rows.append((
            name, f"{found.recall:.2f}", f"{found.enrichment:.2f}", "{:.2f} to {:.2f}".format(*found.interval),
            *(f"{p:.2f}" for p in found.precision), f"{bar['without cuprates']:.2f}", f"{near.times_random(name):.2f}",
            f"{bar['all hidden']:.2f}", f"{bar['all hidden, without cuprates']:.2f}", f"{a:.2f} / {b:.2f}", f"{c:.2f} / {d:.2f}",
        ))  # fmt: skip
    if plots is not None:
        _draw(plots, alike)
    notes = [
        _verdict(lowest), _planners(planners), *_conditions(predictions, alike, whole, seed),
        f"near the hull: {int(near.pool.hidden.sum())} formulas with a crystal at most {NEAR_HULL_EV:g} eV/atom above it (SevenNet-0, "
        f"not relaxed), in a pool of {len(near.pool)}; the metals come from a set that was cut there, the superconductors do not",
        *_counts(alike, new, lone), _parts(int(all_new.sum()), int(all_lone.sum()), whole), *_redraws(predictions, planners, pools), *_finds(alike),
    ]  # fmt: skip
    return Benchmark("Measured superconductors found again among unlabelled metals", _COLUMNS, rows, notes, numbers)


def _numbers(name: str, found: Retrieval, times_random: Mapping[str, float]) -> dict[str, float]:
    """Numbers of one ranking for machines."""
    return {
        f"{name}: recall": found.recall,
        f"{name}: times random": found.enrichment,
        f"{name}: times random, from": found.interval[0],
        f"{name}: times random, to": found.interval[1],
        **{f"{name}: precision at {k}": p for k, p in zip(PRECISION_AT, found.precision, strict=True)},
        **{f"{name}: times random, {kind}": x for kind, x in times_random.items()},
    }


def _subsets(drawn: _Drawn, left_out: set[str]) -> tuple[Bools, Bools]:
    """Hidden rows with new systems, and hidden rows without a doped relative, each of shape (m,).

    New: in no table of measured or computed superconductivity of the training buckets. Without a doped relative: no
    reported superconductor that was trained on holds all elements.
    """
    seen = training_systems()
    new = drawn.pool.hidden & ~np.isin(drawn.systems, list(seen["reports"] | seen["computed"]))
    return new, drawn.pool.hidden & ~within(drawn.systems, superconducting_systems() - left_out)


# --- words -----------------------------------------------------------------------------------------------------------


def _verdict(lowest: Mapping[str, float]) -> str:
    """Which rankings reach the bar on both pools, with and without cuprates."""
    reached = [f"{name} ({least:.2f})" for name, least in lowest.items() if least >= BAR]
    missed = [f"{name} ({least:.2f})" for name, least in lowest.items() if least < BAR and name != RANDOM]
    return (
        f"at least {BAR:g} times random alike and all hidden, each with and without cuprates (the least of the four): {', '.join(reached) or 'none'}; less: "
        f"{', '.join(missed) or 'none'}"
    )


def _planners(planners: Mapping[str, Planner]) -> str:
    rules = (
        ""
        if planners.get("rule planner") is not rule_order
        else (
            " The rules judge targets by all criteria of onnes.campaign.judgement with the default weights, price, hazards and "
            "what the model of measurements says among them"
        )
    )
    return f"planners that took part: {', '.join(planners) or 'none'}; they see no measured Tc.{rules}"


def _conditions(predictions: PoolPredictions, alike: _Drawn, whole: _Drawn, seed: int) -> list[str]:
    models = predictions.models
    rows = "; ".join(
        f"{name} {models[name].n_rows} rows, {models[name].n_left_out} left out"
        for name in ("structure", "experimental")
    )
    hidden, everything = int(alike.pool.hidden.sum()), int(whole.pool.hidden.sum())
    return [
        f"hidden: ordered crystals of buckets 80-89 with a measured Tc of at least {MIN_TC_K:g} K, {hidden} formulas; {RATIO} times as "
        f"many metals of the same buckets (band gap 0 in the Materials Project, in no table of superconductivity), {len(alike.pool)} "
        "in all; one crystal a formula, at most 20 atoms in the cell, two or three elements on both sides, for the metals at hand are "
        f"like that; all hidden: {everything} of any size and number of elements among {len(whole.pool) - everything} of the same "
        f"metals; pools of seed {seed}",
        "no chemical system of any candidate, hidden or not, occurs in the rows that the models and the nearest "
        f"compositions come from, buckets 0-79 of the shipped recipes: {rows}. The shipped weights have seen all rows and take no part",
        f"cuprates: {int((alike.pool.hidden & alike.cuprate).sum())} of {hidden} hidden, "
        f"{int((whole.pool.hidden & whole.cuprate).sum())} of all {everything}; left out on both sides",
        "times random: recall in the top 10 % over that of a random order, 95 %: chemical systems resampled; of random itself: "
        "the hypergeometric distribution. Equal scores count as a random order",
        "experimental reads the composition alone. The settings of its networks, not their weights, were once chosen on "
        "buckets 80-89; nothing was chosen on these pools",
        "nothing is known of the metals: some may superconduct, so precision is a lower bound. Which polymorph was measured is not "
        "known either: 3DSC joins crystals and measurements by composition",
    ]


def _counts(alike: _Drawn, new: Bools, lone: Bools) -> list[str]:
    seen = training_systems()
    own = {
        "structure": seen["computed"],
        "experimental": seen["reports"] | seen["background"],
        "any of them": frozenset.union(*seen.values()),
    }
    hidden = alike.pool.hidden
    without = ", ".join(
        f"{name} {int((hidden & ~np.isin(alike.systems, list(one))).sum())}" for name, one in own.items()
    )
    return [
        f"hidden formulas whose systems do not occur in the whole training data of a ranking, nothing left out: {without}. Systems "
        f"new to the data: in no table of measured or computed superconductivity, {int(new.sum())}: {', '.join(alike.formulas(new))}. No "
        f"doped relative: no reported superconductor that was trained on has all their elements, {int(lone.sum())}: "
        f"{', '.join(alike.formulas(lone))}",
    ]


def _parts(new: int, lone: int, whole: _Drawn) -> str:
    """How few the last two columns rest on."""
    k, n = top(len(whole.pool)), len(whole.pool)
    return (
        f"of all hidden, {new} have new systems and {lone} no doped relative; one formula more or less in the top {k} of {n} "
        f"changes their columns by {n / k / max(new, 1):.2f} and {n / k / max(lone, 1):.2f}"
    )


def _redraws(predictions: PoolPredictions, planners: Mapping[str, Planner], pools: Mapping[str, Bools]) -> list[str]:
    """Mean and spread of the enrichment over pools of other seeds, for rankings that judge each row by itself."""
    scores = model_scores(predictions.table)
    scores |= {n: planner_score(n, one, predictions.table) for n, one in planners.items() if one is rule_order}
    notes = []
    for kind, allowed in pools.items():
        drawn = [draw_pool(predictions.candidates, allowed, seed=seed) for seed in range(1, REDRAWS + 1)]
        found = {name: np.array([enrichment(score[p.rows], p.hidden) for p in drawn]) for name, score in scores.items()}
        text = "; ".join(
            f"{name} {x.mean():.2f} ± {x.std():.2f} ({(x >= BAR).mean():.0%})" for name, x in found.items()
        )
        notes.append(
            f"{kind}, times random over {REDRAWS} other draws of metals and of crystals of a formula, mean and standard deviation "
            f"(share of draws at {BAR:g} or more): {text}"
        )
    return notes


def _finds(alike: _Drawn) -> list[str]:
    """What the rankings bring to the top tenth, formula by formula."""
    notes = []
    for name, score in alike.scores.items():
        order = np.argsort(-np.where(np.isnan(score), -np.inf, score), kind="stable")[: top(len(alike.pool))]
        rows = alike.pool.hidden & np.isin(np.arange(len(alike.pool)), order)
        notes.append(f"{name} finds {', '.join(alike.formulas(rows)) or 'none'}")
    return notes


def _draw(folder: Path, alike: _Drawn) -> None:
    from onnes.training.benchmarks.plots.ranking import precision_recall, roc

    folder.mkdir(parents=True, exist_ok=True)
    baselines = set(model_scores(alike.table)) - {STRUCTURE, EXPERIMENTAL}
    curves = {
        name: (alike.pool.hidden, np.where(np.isnan(score), np.nanmin(score, initial=0.0) - 1, score))  # they come last
        for name, score in alike.scores.items()
        if name not in baselines
    }
    roc(folder / "agent-roc.svg", curves)
    precision_recall(folder / "agent-precision-recall.svg", curves)
