"""Distances between elements."""

from __future__ import annotations

import numpy as np
import pytest

from onnes.errors import ConfigError
from onnes.propose.similarity import element_distance, element_distances, replacement_distance


def test_it_is_a_distance() -> None:
    table = element_distances()
    assert np.array_equal(table, table.T)
    assert (np.diag(table) == 0).all()
    known = np.isfinite(table[41])
    sub = table[np.ix_(known, known)]
    through = (sub[:, :, None] + sub[None]).min(axis=1)
    assert (sub <= through + 1e-12).all()  # the triangle inequality


@pytest.mark.parametrize(
    ("element", "kin", "stranger"),
    [("Nb", "Ta", "Sn"), ("Hf", "Zr", "Re"), ("Ba", "Sr", "Be"), ("La", "Ce", "Sn"), ("Ga", "Al", "O"), ("Fe", "Co", "K")],
)  # fmt: skip
def test_kindred_elements_are_near(element: str, kin: str, stranger: str) -> None:
    assert element_distance(element, kin) < 0.75 < element_distance(element, stranger)
    assert element_distance(element, kin) == element_distance(kin, element)


def test_elements_without_a_size_are_infinitely_far() -> None:
    assert element_distance("Nb", "He") == np.inf
    assert element_distance("Cm", "Nb") == np.inf
    assert element_distance("He", "He") == element_distance("Cm", "Cm") == 0
    with pytest.raises(ConfigError, match="Qq"):
        element_distance("Nb", "Qq")


def test_replacements_count_each_atom() -> None:
    one = element_distance("Nb", "V")
    assert replacement_distance([41, 41, 50, 50], [23, 41, 50, 50]) == pytest.approx(one / 2)
    assert replacement_distance([41, 50], [41, 50]) == 0
