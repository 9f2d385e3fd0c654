"""Benchmark of guidance: what the generator makes when it is asked for a high Tc, against what it makes unasked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import floats, is_open, values
from onnes.errors import ConfigError
from onnes.models.generation.generative_model import DEFAULT_GENERATOR
from onnes.models.generation.sampler import SamplerSettings
from onnes.models.prediction import predict_table
from onnes.potentials.potential import DEFAULT_POTENTIAL, load_potential
from onnes.potentials.tables import relax_table
from onnes.propose.diffusion import diffusion_candidates
from onnes.tools.generation_benchmark import RELAX, compositionally_valid, structurally_valid
from onnes.training.benchmarks.report import Benchmark
from onnes.training.generator_data import generator_data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SAMPLES = 200
TARGET_TC_K = 20.0
USUAL_TC_K = 1.0
"""Near the median of the labels: crystals asked for this are of the kind that has a label, without a high Tc."""
STRENGTHS = (1.0, 2.0)
JUDGE = "structure"
_COLUMNS = (
    "samples", "mean Tc / K", "ratio", "95 %", "median Tc / K", "Tc of at least 5 K / %", "in domain", "valid / %", "balanced / %",
    "relaxed / %", "metals / %", "formula in training / %",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Judged:
    """Samples after relaxation.

    Attributes
    ----------
    tc_K
        Of the relaxed samples inside the domain of the judge, shape (d,).
    shares
        Of all samples: structurally valid, compositionally valid, relaxed, metals, formula seen in training.
    """

    tc_K: Floats
    shares: dict[str, float]


def benchmark_guidance(
    *,
    count: int = SAMPLES,
    model: str = DEFAULT_GENERATOR,
    target_tc_K: float = TARGET_TC_K,
    strengths: tuple[float, ...] = STRENGTHS,
    judge: str = JUDGE,
    potential: str = DEFAULT_POTENTIAL,
    seed: int = 0,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Generate without and with a condition on Tc, relax, and let a model judge that took no part.

    Parameters
    ----------
    count
        Samples of each kind.
    model
        Generator.
    target_tc_K
        Tc that is asked for.
    strengths
        How strongly, see `onnes.models.generation.sampler.SamplerSettings.guidance`.
    judge
        Superconductivity model; it must not be the one that guides. Here nothing but the generator's own conditions guides.
    potential
        Who relaxes.
    seed
        The templates drawn are the same with and without guidance.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals relaxed since the last call.

    Raises
    ------
    ConfigError
        For a target that is not above `USUAL_TC_K`.
    """
    if target_tc_K <= USUAL_TC_K:
        raise ConfigError(f"ask for more than the usual {USUAL_TC_K:g} K, or there is nothing to compare")
    trained = set(generator_data().formulas)
    low, high = (float(np.log1p(tc)) for tc in (USUAL_TC_K, target_tc_K))
    asked: dict[str, tuple[Mapping[str, float], float]] = {
        "unasked": ({}, 1.0),
        f"asked for {USUAL_TC_K:g} K, strength 1": ({"ln_tc": low}, 1.0),
    }
    asked |= {f"asked for {target_tc_K:g} K, strength {one:g}": ({"ln_tc": high}, one) for one in strengths}
    found: dict[str, Judged] = {}
    for name, (conditions, strength) in asked.items():
        sampler = SamplerSettings(guidance=strength)
        table = diffusion_candidates(count, model=model, sampler=sampler, conditions=conditions, seed=seed)
        found[name] = _judged(table, judge, potential, device, trained, on_rows)
    free = found["unasked"]
    rows, numbers = [], {}
    for name, one in found.items():
        ratio = float(one.tc_K.mean() / free.tc_K.mean())
        first, last = _interval(one.tc_K, free.tc_K)
        numbers |= {f"{name}: mean_tc_K": float(one.tc_K.mean()), f"{name}: ratio": ratio}
        numbers |= {f"{name}: {share}": value for share, value in one.shares.items()}
        rows.append((
            name, f"{one.tc_K.mean():.2f} ± {one.tc_K.std(ddof=1) / np.sqrt(len(one.tc_K)):.2f}", f"{ratio:.2f}", f"{first:.2f} to {last:.2f}",
            f"{np.median(one.tc_K):.2f}", f"{100 * (one.tc_K >= 5).mean():.0f}", str(len(one.tc_K)),
            *(f"{100 * share:.1f}" for share in one.shares.values()),
        ))  # fmt: skip
    notes = [
        f"{count} samples of each kind from the same templates, seed {seed}; asked for {target_tc_K:g} K by the generator's own condition (classifier-free guidance)",
        f"asking for any Tc asks for a kind of crystal as well, the metals whose Tc was computed: compare with the row asked for {USUAL_TC_K:g} K, too",
        f"judge: {judge}, which did not guide; it learned from the same labels as the generator's condition. Mean Tc, its standard error and the ratio over relaxed samples "
        "inside the judge's domain, metals or not; interval of the ratio: bootstrap over samples",
        f"relaxed by {potential} to {RELAX.fmax_eV_per_A:g} eV/A in at most {RELAX.max_steps} steps; valid: structurally, before relaxation; balanced: SMACT",
    ]
    return Benchmark("Guidance towards a high Tc", _COLUMNS, rows, notes, numbers)


def _judged(
    table: pa.Table,
    judge: str,
    potential: str,
    device: str,
    trained: set[str],
    on_rows: Callable[[int], None] | None,
) -> Judged:
    formulas = values(table, "reduced_formula")
    sound = structurally_valid(CrystalBatch.from_table(table))
    balanced = compositionally_valid(formulas)
    usable = table.filter(pa.array(is_open(table)))
    relaxed = relax_table(usable, load_potential(potential, device=device), RELAX, on_rows=on_rows)
    done = is_open(relaxed)
    told = predict_table(relaxed.filter(pa.array(done)), model=judge, device=device)
    tc = floats(told, "tc_K")
    inside = np.array([bool(one) for one in values(told, "in_domain")]) & np.isfinite(tc)
    metals = floats(told, "is_metal_probability") >= 0.5
    shares = {
        "valid": float(sound.mean()),
        "balanced": float(balanced.mean()),
        "relaxed": float(done.sum() / table.num_rows),
        "metals": float(metals.sum() / table.num_rows),
        "formula in training": float(np.mean([formula in trained for formula in formulas])),
    }
    return Judged(tc[inside], shares)


def _interval(guided: Floats, free: Floats, *, draws: int = 2000) -> tuple[float, float]:
    """95 % interval of the ratio of the means."""
    rng = np.random.default_rng(0)
    means = [one[rng.integers(0, len(one), (draws, len(one)))].mean(1) for one in (guided, free)]
    ratios = means[0] / means[1]
    return float(np.quantile(ratios, 0.025)), float(np.quantile(ratios, 0.975))
