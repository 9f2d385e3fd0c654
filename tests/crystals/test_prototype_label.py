"""Prototype labels without their elements."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal
from onnes.crystals.prototype_label import anonymous_prototype
from onnes.crystals.symbols import symbols
from onnes.crystals.symmetry import describe, prototype_of


def half_heusler(elements: tuple[int, int, int]) -> str:
    """Elements at 0, 1/4 and 1/2 of the body diagonal of a face-centred cube."""
    lattice = 3.0 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]], float)
    return prototype_of(lattice, np.array([[0.0] * 3, [0.25] * 3, [0.5] * 3]), np.array(elements))


@pytest.mark.parametrize("name", ["Nb3Sn", "MgB2", "YBa2Cu3O7", "LaFeAsO", "Be2Nb3", "HfBe13"])
def test_the_label_alone_is_that_of_the_identity(name: str) -> None:
    crystal = CrystalBatch.from_structures([known_crystal(name)]).crystal(0)
    assert prototype_of(*crystal) == describe(*crystal).prototype


def test_crystals_of_one_prototype_share_what_is_left_whatever_their_alphabet() -> None:
    first, second = (
        anonymous_prototype(prototype_of(*CrystalBatch.from_structures([structure]).crystal(0)))
        for structure in (known_crystal("MgB2"), known_crystal("MgB2").replace_species({"Mg": "Al"}))
    )
    assert first[0] == second[0]
    assert first[1] == ("Mg", "B")
    assert second[1] == ("Al", "B")


def test_equivalent_slots_are_exactly_those_that_symmetry_exchanges() -> None:
    # The atom at 1/4 has four neighbours of each other kind; the other two sites are alike.
    labels = {order: half_heusler(order) for order in permutations((22, 28, 50))}
    assert len(set(labels.values())) == 3
    prototypes = {anonymous_prototype(label)[0] for label in labels.values()}
    assert len(prototypes) == 1
    prototype = prototypes.pop()
    assert len(prototype.equivalent) == 2
    fixed = [i for i in range(3) if all(order[i] == i for order in prototype.equivalent)]
    for order, label in labels.items():
        middle = anonymous_prototype(label)[1][fixed[0]]
        assert middle == symbols()[order[1]]


def test_slots_come_by_amount() -> None:
    prototype, elements = anonymous_prototype("A2B3C7D_oP13_47_t_aqr_beqrs_h:Ba-Cu-O-Y")
    assert prototype.amounts == (1, 2, 3, 7)
    assert elements == ("Y", "Ba", "Cu", "O")
    assert prototype.equivalent == ((0, 1, 2, 3),)
