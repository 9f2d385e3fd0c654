"""Random crystals of a chemical space as a table."""

from __future__ import annotations

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import is_open, values
from onnes.errors import ConfigError
from onnes.propose.composition_candidates import composition_candidates
from onnes.propose.random_crystals import RandomSettings, replay_random

SMALL = RandomSettings(max_atoms=5)


@pytest.fixture(scope="module")
def table():
    return composition_candidates(["Nb", "Ti", "N"], per_formula=3, limit=20, crystals=SMALL, seed=2)


def test_table(table) -> None:
    assert table.num_rows == 20
    assert is_open(table).all()
    assert len(set(values(table, "reduced_formula"))) == 7
    assert set(values(table, "source")) == {"composition"}
    assert values(table, "parent_id") == [None] * 20
    assert max(values(table, "n_atoms")) <= 5
    assert len(set(values(table, "id"))) == 20


def test_rows_replay(table) -> None:
    for row, (lattice, frac, _) in zip(table.to_pylist(), CrystalBatch.from_table(table), strict=True):
        again = replay_random(row["how"])
        np.testing.assert_allclose(again.lattice.matrix, lattice, atol=1e-9)
        np.testing.assert_allclose(again.frac_coords, frac, atol=1e-9)


def test_same_seed_same_table(table) -> None:
    settings = {"per_formula": 3, "limit": 20, "crystals": SMALL}
    assert composition_candidates(["N", "Ti", "Nb"], **settings, seed=2).equals(table)
    assert not composition_candidates(["N", "Ti", "Nb"], **settings, seed=3).equals(table)


def test_formulas_and_model() -> None:
    done = []
    found = composition_candidates(formulas=["NbN", "Nb2N"], per_formula=2, crystals=SMALL, on_rows=done.append)
    assert values(found, "reduced_formula") == ["NbN", "NbN", "Nb2N", "Nb2N"]
    assert done == [2, 2]

    def only_nitrides(formulas):
        return np.array([0.0 if formula in {"NbN", "Nb3N"} else 1.0 for formula in formulas])

    chosen = composition_candidates(["Nb", "N"], energy=only_nitrides, per_formula=1, crystals=SMALL)
    assert values(chosen, "reduced_formula") == ["NbN", "Nb3N"]


def test_a_formula_without_crystals_is_a_row_with_its_failures() -> None:
    tight = RandomSettings(max_atoms=2, volume_factors=(0.2, 0.2), min_distance=1.2)
    found = composition_candidates(formulas=["NbN"], per_formula=1, crystals=tight)
    assert values(found, "error") == ["no random crystal of NbN: 30 atoms too close or cell too long"]
    assert values(found, "reduced_formula") == ["NbN"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "either elements"),
        ({"elements": ["Nb"], "formulas": ["NbN"]}, "either elements"),
        ({"formulas": ["NbN"], "limit": 0}, "1 or more"),
        ({"elements": ["Nb", "N"], "energy": lambda f: np.full(len(f), 9.0)}, "none of .* stoichiometries is left"),
    ],
)
def test_wrong_requests(wrong: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        composition_candidates(**wrong)
