"""Compositions of a chemical space, filtered and ranked."""

from __future__ import annotations

from math import gcd

import numpy as np
import pytest

from onnes.errors import ConfigError
from onnes.propose.compositions import (
    above_predicted_hull,
    balanced,
    compositions,
    oxidation_states,
    stoichiometries,
)


def test_stoichiometries_are_all_there() -> None:
    found = [tuple(row.values()) for row in stoichiometries(["Al", "Cu", "O"], n_elements=[3], max_atoms=7)]
    expected = {
        (i, j, k) for i in range(1, 8) for j in range(1, 8) for k in range(1, 8) if i + j + k <= 7 and gcd(i, j, k) == 1
    }
    assert set(found) == expected
    assert len(found) == len(expected)
    assert list(stoichiometries(["Al", "Cu"], n_elements=[1, 2], max_atoms=2)) == [
        {"Al": 1},
        {"Cu": 1},
        {"Al": 1, "Cu": 1},
    ]
    few = list(stoichiometries(["Al", "Cu"], n_elements=[2], max_atoms=9, max_each=2))
    assert few == [{"Al": 1, "Cu": 1}, {"Al": 1, "Cu": 2}, {"Al": 2, "Cu": 1}]


@pytest.mark.parametrize(
    "formula",
    [
        {"Li": 15, "Si": 4},  # silicon between -4 and -3
        {"Fe": 3, "O": 4},  # iron between 2 and 3
        {"Mg": 1, "B": 2},
        {"Nb": 3, "Sn": 1},
        {"Sr": 1, "Ti": 1, "O": 3},
        {"Mg": 1, "C": 1, "Ni": 3},
        {"La": 1, "H": 10},
        {"Y": 1, "Ba": 2, "Cu": 3, "O": 7},
        {"Na": 3, "F": 1},  # sodium between 0 and 1
    ],
)
def test_formulas_that_pass(formula: dict) -> None:
    assert balanced(formula)


def test_formulas_that_fail() -> None:
    assert not balanced({"Na": 1, "F": 2})
    assert not balanced({"Mg": 1, "O": 5})
    assert not balanced({"O": 1, "F": 3})
    assert not balanced({"Li": 15, "Si": 4}, max_between=0)
    assert not balanced({"Fe": 3, "O": 4}, max_between=0)
    assert balanced({"Fe": 2, "O": 3}, max_between=0)


def test_metals_alone() -> None:
    assert balanced({"Ni": 1, "Al": 1})
    assert not balanced({"Ni": 1, "Al": 1}, metals_pass=False)  # neither is ever negative
    assert balanced({"Cu": 3, "Au": 1}, metals_pass=False)  # gold is
    assert balanced({"Si": 1})


def test_elements_between_their_states_are_counted() -> None:
    assert [balanced({"Ni": 3, "S": 2}, max_between=most) for most in (0, 1, 2)] == [False, True, True]


def test_states() -> None:
    assert oxidation_states("Li", "icsd24") == (0, 1)
    assert oxidation_states("O", "icsd24") == (-2, -1)
    assert oxidation_states("Nb", "smact14")[0] == -1


def test_filter_and_order() -> None:
    found = compositions(["Na", "F"], max_atoms=4)
    assert found.formulas == ("NaF", "Na2F", "Na3F")
    assert (found.listed, found.balanced, found.energies_eV_per_atom) == (5, 3, ())
    everything = compositions(["Na", "F"], max_atoms=4, states=None)
    assert set(everything.formulas) == {"NaF", "Na2F", "NaF2", "Na3F", "NaF3"}


def test_limit_is_a_seeded_sample() -> None:
    space = ["Nb", "Ti", "N", "C"]
    some = compositions(space, limit=20, seed=3)
    assert len(set(some.formulas)) == 20
    assert some == compositions(reversed(space), limit=20, seed=3)
    assert some.formulas != compositions(space, limit=20, seed=4).formulas
    assert set(some.formulas) < set(compositions(space).formulas)


def test_model_decides() -> None:
    energies = {"NaF": 0.0, "Na2F": 0.04, "Na3F": np.nan}

    def model(formulas):
        return np.array([energies[formula] for formula in formulas])

    found = compositions(["Na", "F"], max_atoms=4, energy=model)
    assert found.formulas == ("NaF", "Na2F")
    assert found.energies_eV_per_atom == (0.0, 0.04)
    assert compositions(["Na", "F"], max_atoms=4, energy=model, threshold_eV_per_atom=0.01).formulas == ("NaF",)
    assert compositions(["Na", "F"], max_atoms=4, energy=model, limit=1).formulas == ("NaF",)


def test_distance_to_the_predicted_hull_by_hand() -> None:
    energies = {"Al2O3": -3.0, "AlO": -2.0, "Al3O": -2.0, "AlO4": np.nan}
    above = above_predicted_hull(lambda formulas: np.array([energies[f] for f in formulas]))(list(energies))
    # On the line from Al2O3 to Al, and on the one from Al3O to Al2O3.
    line = -2.0 + (0.5 - 0.25) / (0.6 - 0.25) * (-3.0 + 2.0)
    assert above[:3] == pytest.approx([0.0, -2.0 - line, 0.0])
    assert np.isnan(above[3])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"elements": ["Xx", "Nb"]}, "not an element"),
        ({"elements": ["Ne", "Nb"]}, "noble gases"),
        ({"elements": ["Nb"], "n_elements": (2,)}, "make no formulas"),
        ({"elements": ["Nb", "N"], "limit": 0}, "count from 1"),
        ({"elements": ["H", "B", "C", "N", "O", "Nb", "Ti", "V", "Y", "La"], "n_elements": (5,), "max_atoms": 25}, "stoichiometries"),
    ],
)  # fmt: skip
def test_wrong_requests(wrong: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        compositions(**wrong)


def test_without_smact(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "smact", None)
    with pytest.raises(ConfigError, match=r"onnes\[generate\]"):
        oxidation_states.__wrapped__("Nb", "icsd24")
