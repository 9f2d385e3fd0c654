"""Benchmark of substitution: known crystals found again among the best proposals from other crystals of their prototype."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.prototype_label import AnonymousPrototype, anonymous_prototype
from onnes.errors import CrystalError
from onnes.propose.periodic import NOBLE_GASES, atomic_number
from onnes.propose.ranking import codes_of_formulas, crystal_codes, ranked_families
from onnes.propose.replacement import Score, allowed_elements, replacement_probabilities
from onnes.training.benchmarks.report import Benchmark
from onnes.training.data import TRAINING_BUCKETS, VALIDATION_BUCKETS
from onnes.training.substitution_counts import DATA, labelled_crystals

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

TARGETS = 300
FIRST = 200
THRESHOLD = 1e-3
SCORES: tuple[Score, ...] = ("observed", "ionic", "metallic", "auto")
_TERNARY = 3
_SIZES = (1, 3, 10, 30, 100, 300)
_COLUMNS = ("score", f"among the first {FIRST}", "random ranking", "ratio", "among all", "proposals, median")


@dataclass(frozen=True, eq=False)
class RecallTask:
    """Known crystals to be found, and the parents from which they should be proposed.

    Attributes
    ----------
    targets, parents
        Prototype labels with elements, by prototype.
    known
        Formulas that are left out of the proposals (`onnes.propose.ranking.codes_of_formulas`).
    """

    targets: Mapping[AnonymousPrototype, list[str]]
    parents: Mapping[AnonymousPrototype, list[str]]
    known: Mapping[tuple[int, ...], Ints]


@dataclass(frozen=True, eq=False)
class Recall:
    """What became of the targets, in the order of the task; shapes (targets,).

    Attributes
    ----------
    ranks
        Place among the proposals from 0, or infinity for a crystal that is not proposed.
    pools
        Number of proposals.
    parents
        Number of parents.
    """

    ranks: Floats
    pools: Ints
    parents: Ints

    def among(self, first: float) -> float:
        """Share of the targets among the first so many."""
        return float((self.ranks < first).mean())

    def expected(self, first: int) -> float:
        """The same for a random order of the same proposals."""
        return float(np.where(np.isfinite(self.ranks), np.minimum(1.0, first / np.maximum(self.pools, 1)), 0).mean())


def recall_task(
    labels: Sequence[str],
    buckets: Ints,
    *,
    target_buckets: Collection[int] = VALIDATION_BUCKETS,
    parent_buckets: Collection[int] = TRAINING_BUCKETS,
    n: int = TARGETS,
    seed: int = 0,
) -> RecallTask:
    """Draw ternary crystals whose prototype has members among the parents.

    Parameters
    ----------
    labels, buckets
        From `onnes.training.substitution_counts.labelled_crystals`.
    target_buckets, parent_buckets
        Where targets, and parents and known formulas, come from.
    n, seed
        How many targets, drawn with that seed.
    """
    sides: list[dict[AnonymousPrototype, list[str]]] = [defaultdict(list), defaultdict(list)]
    known: set[str] = set()
    for label, bucket in zip(labels, buckets.tolist(), strict=True):
        prototype, elements = anonymous_prototype(label)
        if bucket in parent_buckets:
            known.add("".join(f"{s}{n}" for s, n in zip(elements, prototype.amounts, strict=True)))
        if len(elements) == _TERNARY and (bucket in parent_buckets or bucket in target_buckets):
            sides[bucket in parent_buckets][prototype].append(label)
    possible = [(prototype, label) for prototype in sides[0] if prototype in sides[1] for label in sides[0][prototype]]
    drawn = Random(seed).sample(possible, min(n, len(possible)))
    targets: dict[AnonymousPrototype, list[str]] = defaultdict(list)
    for prototype, label in drawn:
        targets[prototype].append(label)
    return RecallTask(targets, {prototype: sides[1][prototype] for prototype in targets}, codes_of_formulas(known))


def recall(
    task: RecallTask,
    probabilities: Callable[[Mapping[int, int]], Mapping[int, Floats]],
    *,
    threshold: float = THRESHOLD,
    on_rows: Callable[[int], None] | None = None,
) -> Recall:
    """Propose from the parents of each target's prototype, and look the target up.

    Parameters
    ----------
    task
        From `recall_task`.
    probabilities
        Those of the replacements in a crystal of given amounts; a CrystalError leaves this parent out.
    threshold
        Smallest probability of a proposal.
    on_rows
        Called with the number of targets done since the last call.
    """
    allowed = allowed_elements(None, NOBLE_GASES)
    ranks, pools, parents = [], [], []
    for prototype, targets in task.targets.items():
        labels = task.parents[prototype]
        given = [_of_parent(label, probabilities) for label in labels]
        family = ranked_families(labels, given, allowed=allowed, known=task.known, threshold=threshold)
        codes = crystal_codes(family[0].elements, prototype) if family else np.zeros(0, np.int64)
        for target in targets:
            numbers = np.array([[atomic_number(symbol) for symbol in anonymous_prototype(target)[1]]])
            found = np.flatnonzero(codes == crystal_codes(numbers, prototype))
            ranks.append(float(found[0]) if len(found) else np.inf)
            pools.append(len(codes))
            parents.append(len(labels))
        if on_rows:
            on_rows(len(targets))
    return Recall(np.array(ranks), np.array(pools), np.array(parents))


def _of_parent(
    label: str, probabilities: Callable[[Mapping[int, int]], Mapping[int, Floats]]
) -> Mapping[int, Floats] | None:
    prototype, elements = anonymous_prototype(label)
    try:
        return probabilities({atomic_number(s): n for s, n in zip(elements, prototype.amounts, strict=True)})
    except CrystalError:
        return None


def benchmark_substitution(
    *, targets: int = TARGETS, seed: int = 0, on_rows: Callable[[int], None] | None = None
) -> Benchmark:
    """Count the known ternary crystals that are among the best proposals from the others of their prototype.

    Targets are drawn from the validation buckets, parents are all members of their prototypes in the training buckets,
    and formulas of the training buckets are left out of the proposals. A target is found when a proposal puts the same
    elements on the same sites, and so has its formula and its prototype label.

    Parameters
    ----------
    targets
        Number of targets.
    seed
        Of their choice.
    on_rows
        Called with the number of crystals labelled, and of targets done, since the last call.

    Raises
    ------
    ConfigError
        Without the data.
    """
    task = recall_task(*labelled_crystals(on_rows=on_rows), n=targets, seed=seed)
    cells: list[tuple[str, ...]] = []
    numbers: dict[str, float] = {}
    results: dict[Score, Recall] = {}
    for score in SCORES:
        found = recall(task, partial(replacement_probabilities, score=score), on_rows=on_rows)
        results[score] = found
        share, chance = found.among(FIRST), found.expected(FIRST)
        cells.append((score, *_texts(found, share, chance)))
        numbers |= {f"{score}: recall": share, f"{score}: random": chance, f"{score}: ratio": share / max(chance, 1e-9)}
    shown = results["observed"]
    n = len(shown.ranks)
    notes = [
        f"{n} of the ternary crystals of `{DATA}` in buckets 80 to 89 whose prototype (the label without elements) has members in "
        f"buckets 0 to 79 (seed {seed}); parents: these members, {np.median(shown.parents):.0f} in the median",
        "proposals: substitutions of whole elements with a probability above "
        f"{THRESHOLD:g} from one parent, ranked by the sum over the parents; formulas of buckets 0 to 79 are left out, as known; every "
        "element up to uranium but the noble gases may be put in",
        f"random ranking: the expected share when the same proposals come in any order; standard error of the shares about {0.5 / n**0.5:.1%}",
        "observed, by number of parents: " + _by_size(shown),
    ]
    return Benchmark("Known crystals found again by substitution", _COLUMNS, cells, notes, numbers)


def _texts(found: Recall, share: float, chance: float) -> tuple[str, ...]:
    every = found.among(np.inf)
    ratio = share / max(chance, 1e-9)
    return f"{share:.1%}", f"{chance:.1%}", f"{ratio:.1f}", f"{every:.1%}", f"{np.median(found.pools):.0f}"


def _by_size(found: Recall) -> str:
    texts = []
    for low, high in pairwise((*_SIZES, np.inf)):
        inside = (found.parents >= low) & (found.parents < high)
        if inside.any():
            name = f"{low} or more" if high == np.inf else f"{low} to {high - 1}"
            texts.append(f"{(found.ranks[inside] < FIRST).mean():.0%} of {inside.sum()} with {name}")
    return ", ".join(texts)
