"""Benchmark of structure prediction: given composition and template, do the free parameters come out right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from onnes.crystals.free_parameters import FreeParameters, free_parameters
from onnes.models.generation.generative_model import DEFAULT_GENERATOR, load_generator
from onnes.models.generation.packed import pack
from onnes.models.generation.sampler import SamplerSettings, sample
from onnes.propose.template_guesses import TemplateGuesses
from onnes.training.benchmarks.report import Benchmark
from onnes.training.data import VALIDATION_BUCKETS
from onnes.training.generator_data import generator_data, without_symmetry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from onnes.models.generation.generative_model import GenerativeModel

TARGETS = 500
MIN_FREE = 3
SOURCES = ("mp_structures", "epc_dft_alexandria")
_CLASSES = ((3, 3), (4, 6), (7, 36))
_BATCH = 125
_COLUMNS = ("method", "match rate / %", "error / (V/N)^(1/3)")


@dataclass(frozen=True)
class MatchScore:
    """Matched share of the targets, and the error of the matched ones.

    Attributes
    ----------
    match_rate
        Share of all targets.
    rms
        Mean root-mean-square distance of the matched ones over the cube root of the volume of an atom.
    by_free
        Match rate by number of free coordinates, for the ranges of the benchmark.
    """

    match_rate: float
    rms: float
    by_free: tuple[float, ...]


def csp_targets(count: int = TARGETS, *, seed: int = 0, in_order: bool = True) -> list[FreeParameters]:
    """Crystals of the validation buckets with at least three free coordinates, a seeded sample.

    ``in_order`` as in `onnes.crystals.free_parameters.free_parameters`.
    """
    data = generator_data(VALIDATION_BUCKETS, sources=SOURCES, in_order=in_order)
    pool = [one for one in data.crystals if one.template.n_free_total >= MIN_FREE]
    rows = np.sort(np.random.default_rng(seed).permutation(len(pool))[:count])
    return [pool[row] for row in rows]


def match_score(guesses: Sequence[FreeParameters | None], targets: Sequence[FreeParameters]) -> MatchScore:
    """Hold guesses against targets; a missing guess is no match."""
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Structure

    # The tolerances of the published match rates.
    matcher = StructureMatcher(ltol=0.3, stol=0.5, angle_tol=10.0)

    def structure(one: FreeParameters) -> Structure:
        lattice, frac, numbers = one.crystal()
        return Structure(lattice, numbers.tolist(), frac)

    found = [
        None if guess is None else matcher.get_rms_dist(structure(guess), structure(target))
        for guess, target in zip(guesses, targets, strict=True)
    ]
    matched = np.array([one is not None for one in found])
    free = np.array([one.template.n_free_total for one in targets])
    rates = [matched[(free >= low) & (free <= high)] for low, high in _CLASSES]
    rms = float(np.mean([one[0] for one in found if one is not None])) if matched.any() else float("nan")
    return MatchScore(float(matched.mean()), rms, tuple(float(r.mean()) if len(r) else float("nan") for r in rates))


def sampled(
    model: GenerativeModel,
    targets: Sequence[FreeParameters],
    settings: SamplerSettings,
    *,
    seed: int = 0,
    on_rows: Callable[[int], None] | None = None,
) -> list[FreeParameters]:
    """One sample of the free parameters of each target, its template and elements given."""
    torch.set_num_threads(1)
    packed = pack(targets, model.keys)
    memory = model.types.recall(packed)
    generator = torch.Generator().manual_seed(seed)
    made: dict[int, FreeParameters] = {}
    for rows in packed.n_sites.argsort(stable=True).split(_BATCH):
        part = packed.take(rows)
        known = memory[rows, : part.elements.shape[1]]
        found = sample(model.network, part, generator, settings, memory=known)
        for place, row in enumerate(rows.tolist()):
            made[row] = found.free_parameters(place, targets[row].template)
        if on_rows:
            on_rows(len(rows))
    return [made[row] for row in range(len(targets))]


def benchmark_csp(
    *,
    count: int = TARGETS,
    model: str = DEFAULT_GENERATOR,
    settings: SamplerSettings | None = None,
    seeds: int = 3,
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Predict free parameters of crystals of the validation buckets.

    Parameters
    ----------
    count
        Targets.
    model
        Generator.
    settings
        Of the sampler.
    seeds
        Runs of one sample each; their mean and spread is given.
    on_rows
        Called with the number of samples drawn since the last call.
    """
    settings = settings or SamplerSettings()
    generator, targets = load_generator(model), csp_targets(count)
    known = TemplateGuesses(generator_data().crystals)
    plain = [without_symmetry(one) for one in targets]
    as_filed = csp_targets(count, in_order=False)
    filed = TemplateGuesses(generator_data(in_order=False).crystals)
    scores = {
        "mean of the template, atoms as in the file": [
            match_score([filed.mean(one, matched=False) for one in as_filed], as_filed)
        ],
        "mean of the template": [match_score([known.mean(one, matched=False) for one in targets], targets)],
        "mean of the template, elements matched": [match_score([known.mean(one) for one in targets], targets)],
        "nearest crystal of the template": [match_score([known.nearest(one) for one in targets], targets)],
    }
    for name, asked in ((f"{model}, template given", targets), (f"{model}, without template", plain)):
        made = [sampled(generator, asked, settings, seed=seed, on_rows=on_rows) for seed in range(seeds)]
        scores[name] = [match_score(one, targets) for one in made]
    rows = [(*_row(name, found), *_by_free(found)) for name, found in scores.items()]
    unseen = sum(one.template.key not in generator.keys for one in targets)
    ranges = [
        f"{low} free" if low == high else f"{low} to {high}" if high < 36 else f"{low} and more"
        for low, high in _CLASSES
    ]
    notes = [
        f"{len(targets)} crystals of composition buckets 80-89 of mp_structures and epc_dft_alexandria with at most 12 atoms and at least "
        f"{MIN_FREE} free coordinates; no formula was seen in training; {unseen} have a template that was not",
        f"one sample a target, {settings.steps} steps, {seeds} seeds; StructureMatcher with stol 0.5, ltol 0.3, angle_tol 10; the error is that of the matched ones",
        "given: elements, number of atoms and, with the template, space group, Wyckoff positions and which element is on which",
        "mean: of lattice parameters and, circular, of coordinates over the training crystals of the template, the first atom standing for its orbit and orbits as "
        "they come in the file; the same with the atom that stands for its orbit chosen and orbits of one letter sorted by electronegativity and coordinates, as the generator "
        "has them; and with orbits matched by number of atoms and electronegativity of their elements; crystals at different origins that are equally good are "
        "averaged as they come; nearest: the training crystal of the template with the most similar elements, its parameters taken over (substitution)",
        "published on mp_20 (up to 20 atoms, crystals without free coordinates among them, random split), another and easier set: DiffCSP 51.5 / 0.063 without "
        "template, DiffCSP++ 80.3 / 0.030 with it",
    ]
    columns = (*_COLUMNS, *(f"match rate / %, {one}" for one in ranges))
    return Benchmark("Structure prediction", columns, rows, notes, {"n": float(len(targets)), **_values(scores)})


def benchmark_perov_5(
    *,
    model: str = "perov-5",
    count: int | None = None,
    settings: SamplerSettings | None = None,
    seeds: int = 1,
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Predict the test crystals of perov_5's published split without symmetry, for comparison with published figures.

    Parameters
    ----------
    model
        Folder that ``onnes train perov-5`` wrote.
    count
        The first so many targets; all by default.
    settings
        Of the sampler.
    seeds
        Runs of one sample each.
    on_rows
        Called with the number of samples drawn since the last call.
    """
    settings = settings or SamplerSettings()
    generator = load_generator(model)
    targets = generator_data(sources=("perov_5",), part="test", max_atoms=5).crystals[:count]
    plain = [without_symmetry(one) for one in targets]
    rng = np.random.default_rng(0)
    scores = {
        "ideal cube, coin flip": [match_score([_cube(one, bool(rng.integers(2))) for one in targets], targets)],
        "ideal cube, larger cation on A": [match_score([_cube(one, None) for one in targets], targets)],
        f"{Path(model).name}, without template": [
            match_score(sampled(generator, plain, settings, seed=seed, on_rows=on_rows), targets) for seed in range(seeds)
        ],
    }  # fmt: skip
    notes = [
        f"{len(targets)} test crystals of the published split, trained on its training part alone; one sample a target, {settings.steps} steps, {seeds} seeds; elements and "
        "number of atoms given; StructureMatcher with stol 0.5, ltol 0.3, angle_tol 10; the error is that of the matched ones",
        "the split is by crystal: formulas of the test part occur in the training part with the sites exchanged",
        "all crystals are distorted cubes of one structure type: a match says little more than that the two cations are on the right sites; the error says how well the "
        "distortion is known",
        "published: DiffCSP 52.0 / 0.076, CDVAE 45.3 / 0.114",
    ]
    return Benchmark(
        "Structure prediction, perov_5", _COLUMNS, [_row(*one) for one in scores.items()], notes, _values(scores)
    )


_ANIONS = (7, 8, 9, 16)  # of perov_5, mixed ones among them


def _cube(target: FreeParameters, swapped: bool | None) -> FreeParameters | None:
    """The ideal perovskite of the target's composition; cations swapped, or (None) the larger one on A."""
    from ase.data import covalent_radii

    numbers = target.crystal()[2]
    anions = numbers[np.isin(numbers, _ANIONS)]
    cations = sorted(numbers[~np.isin(numbers, _ANIONS)].tolist(), key=lambda z: (-covalent_radii[z], z))
    if len(cations) != 2:
        return None
    a, b = reversed(cations) if swapped else cations
    frac = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    return free_parameters(4.0 * np.eye(3), frac, np.array([a, b, *anions]))


def _row(name: str, scores: Sequence[MatchScore]) -> tuple[str, ...]:
    rates = np.array([score.match_rate for score in scores])
    spread = f" ± {100 * rates.std(ddof=1):.1f}" if len(scores) > 1 else ""
    return name, f"{100 * rates.mean():.1f}{spread}", f"{np.mean([score.rms for score in scores]):.3f}"


def _by_free(scores: Sequence[MatchScore]) -> tuple[str, ...]:
    return tuple(f"{100 * rate:.1f}" for rate in np.mean([score.by_free for score in scores], axis=0))


def _values(scores: Mapping[str, Sequence[MatchScore]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, runs in scores.items():
        found[f"{name}: match_rate"] = float(np.mean([run.match_rate for run in runs]))
        found[f"{name}: rms"] = float(np.mean([run.rms for run in runs]))
    return found
