"""Free parameters guessed without a model: from crystals that have the same template."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.electronegativity import electronegativity_places
from onnes.crystals.free_parameters import FreeParameters
from onnes.propose.similarity import element_distances

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_OTHER_PATTERN = 2.0  # what each pair of orbits costs that shares an element in one crystal and not in the other


class TemplateGuesses:
    """Known crystals, sorted by template.

    Orbits with the same letter are matched by how many atoms their element has in the cell, then by electronegativity.

    Parameters
    ----------
    known
        Crystals to guess from.
    """

    def __init__(self, known: Sequence[FreeParameters]) -> None:
        self._groups: dict[str, list[FreeParameters]] = defaultdict(list)
        for one in known:
            self._groups[one.template.key].append(one)

    def mean(self, template: FreeParameters, *, matched: bool = True) -> FreeParameters | None:
        """Means of the lattice parameters and circular means of the coordinates; None for a template that is not known.

        Parameters
        ----------
        template
            Template and elements; its own parameters are not looked at.
        matched
            Match orbits by their elements; otherwise those of one letter are taken in their stored order.
        """
        group = self._groups.get(template.template.key)
        if not group:
            return None
        order = _order if matched else _stored_order
        lattice = np.mean([one.lattice_parameters for one in group], axis=0)
        turns = np.exp(2j * np.pi * np.array([one.coordinates[order(one)] for one in group])).mean(0)
        return _with(template, lattice, np.angle(turns) / (2 * np.pi) % 1.0, order(template))

    def nearest(self, template: FreeParameters) -> FreeParameters | None:
        """Parameters of the crystal whose elements are the most alike, orbit by orbit: substitution in a known crystal."""
        group = self._groups.get(template.template.key)
        if not group:
            return None
        own = template.elements[_order(template)]
        others = np.array([one.elements[_order(one)] for one in group])
        distances = np.nan_to_num(element_distances()[own, others], posinf=10.0).mean(1)
        patterns = (others[:, :, None] == others[:, None]) != (own[:, None] == own)
        best = group[int((distances + _OTHER_PATTERN * patterns.sum((1, 2)) / 2).argmin())]
        return _with(template, best.lattice_parameters, best.coordinates[_order(best)], _order(template))


def _with(template: FreeParameters, lattice: Floats, ordered: Floats, order: Ints) -> FreeParameters:
    coordinates = np.zeros_like(template.coordinates)
    coordinates[order] = ordered
    return FreeParameters(template.template, template.elements, lattice, coordinates)


def _stored_order(one: FreeParameters) -> Ints:
    names = one.template.positions
    return np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)


def _order(one: FreeParameters) -> Ints:
    """Orbits by letter, then by atoms of their element in the cell, then by electronegativity."""
    counts = np.bincount(one.template.orbit_of_site)
    atoms: Counter[int] = Counter()
    for z, count in zip(one.elements.tolist(), counts.tolist(), strict=True):
        atoms[z] += count
    places = electronegativity_places()
    keys = [
        (position, atoms[z], places[z])
        for position, z in zip(one.template.positions, one.elements.tolist(), strict=True)
    ]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)
