"""Which elements stand for each other in known crystals: pairs of crystals that differ in one element only."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.prototype_label import anonymous_prototype
from onnes.training.data import TRAINING_BUCKETS, read_data
from onnes.training.prototype_labels import cached_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DATA = "mp_structures"
_DIGITS = 3


def labelled_crystals(*, on_rows: Callable[[int], None] | None = None) -> tuple[list[str], np.ndarray]:
    """Distinct prototype labels of the known crystals of the Materials Project, and the bucket of each, shape (n,).

    Parameters
    ----------
    on_rows
        Called with the number of crystals done since the last call.

    Raises
    ------
    ConfigError
        Without the data.
    """
    table = read_data(DATA)
    labels = cached_labels(CrystalBatch.from_table(table), on_rows=on_rows)
    buckets = table["md5_bucket"].to_pylist()
    found = {label: bucket for label, bucket in zip(labels, buckets, strict=True) if label is not None}
    return list(found), np.array(list(found.values()), np.int64)


def substitution_counts(labels: Iterable[str]) -> dict[tuple[str, str], float]:
    """Count how often two elements occupy the same site of a prototype while all its other sites carry the same.

    Elements that share such a surrounding are one family; in a family of n elements each pair counts 1 / (n - 1), so
    that every element counts once and the large families of rare-earth compounds do not drown the others.

    Parameters
    ----------
    labels
        Prototype labels with elements; a repeated one counts once.

    Returns
    -------
    Weight of each pair of symbols in alphabetical order, in the order of the pairs.

    Examples
    --------
    >>> substitution_counts(["AB_cF8_225_a_b:N-Nb", "AB_cF8_225_a_b:C-Nb", "AB_cF8_225_a_b:C-Ti"])
    {('C', 'N'): 1.0, ('Nb', 'Ti'): 1.0}
    """
    families: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    orders: dict[str, int] = {}
    for label in set(labels):
        prototype, elements = anonymous_prototype(label)
        orders[prototype.label] = len(prototype.equivalent)
        for order in prototype.equivalent:
            placed = [elements[i] for i in order]
            for slot, element in enumerate(placed):
                families[(prototype.label, slot, *placed[:slot], None, *placed[slot + 1 :])].add(element)
    counts: dict[tuple[str, str], float] = defaultdict(float)
    for (name, *_), family in families.items():
        for one, other in combinations(sorted(family), 2):
            # A prototype with equivalent slots has shown each family once for each of their orders.
            counts[one, other] += 1 / (len(family) - 1) / orders[name]
    return {pair: round(weight, _DIGITS) for pair, weight in sorted(counts.items())}


def compute_substitution_counts(*, on_rows: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Count over the training buckets; the file ``data/substitution_counts.json`` of the room ``propose`` holds it.

    Parameters
    ----------
    on_rows
        Called with the number of crystals done since the last call.

    Returns
    -------
    dict
        ``crystals``: distinct labels that were counted; ``pairs``: for each element the weights of the ones after it.

    Raises
    ------
    ConfigError
        Without the data.
    """
    labels, buckets = labelled_crystals(on_rows=on_rows)
    training = [label for label, bucket in zip(labels, buckets, strict=True) if bucket in TRAINING_BUCKETS]
    pairs: dict[str, dict[str, float]] = defaultdict(dict)
    for (one, other), weight in substitution_counts(training).items():
        pairs[one][other] = weight
    return {"crystals": len(training), "pairs": dict(pairs)}
