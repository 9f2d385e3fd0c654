"""Ranked substitutions of whole elements."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from onnes.errors import ConfigError, CrystalError
from onnes.propose.ranking import codes_of_formulas, formula_codes, in_order, likely_replacements, ranked_families

EVERY = np.ones(95, bool)


def row(**shares: float) -> np.ndarray:
    from onnes.propose.periodic import atomic_number

    found = np.zeros(95)
    for symbol, share in shares.items():
        found[atomic_number(symbol)] = share
    return found


def test_branch_and_bound_finds_what_trying_everything_finds() -> None:
    random = np.random.default_rng(0)
    own = np.array([3, 5, 7])
    rows = random.dirichlet(np.full(12, 0.3), 3)
    found, probabilities = likely_replacements(rows, own, 0.002)
    expected = {}
    for choice in product(range(12), repeat=3):
        if len(set(choice)) < 3 or choice == tuple(own):
            continue
        p = float(np.prod([1.0 if z == o else rows[i, z] for i, (z, o) in enumerate(zip(choice, own, strict=True))]))
        if p > 0.002:
            expected[choice] = p
    assert len(found) == len(expected) > 20
    for choice, p in zip(found.tolist(), probabilities.tolist(), strict=True):
        assert p == pytest.approx(expected[tuple(choice)])


def test_scores_of_parents_of_one_prototype_add_up_whatever_their_alphabet() -> None:
    labels = ["A2B_hP3_191_c_b:B-Mg", "AB2_hP3_191_b_c:Al-B"]
    given = [{12: row(Sc=0.3), 5: row()}, {13: row(Sc=0.1, Ti=0.2), 5: row()}]
    (family,) = ranked_families(labels, given, allowed=EVERY, threshold=0.01)
    assert family.elements.tolist() == [[21, 5], [22, 5]]
    np.testing.assert_allclose(family.scores, [0.4, 0.2])
    np.testing.assert_allclose(family.probabilities, [0.3, 0.2])
    assert family.parents.tolist() == [0, 1]


def test_a_crystal_that_symmetry_makes_of_another_counts_as_the_same() -> None:
    # Either site of the CsCl type may become gold, the result is one crystal; and no parent is proposed.
    labels = ["AB_cP2_221_a_b:Ni-Ti", "AB_cP2_221_a_b:Al-Ni"]
    given = [{28: row(Au=0.1), 22: row(Al=0.5)}, {28: row(), 13: row(Ti=0.5, Au=0.2)}]
    (family,) = ranked_families(labels, given, allowed=EVERY, threshold=0.01)
    found = [frozenset(pair) for pair in family.elements.tolist()]
    assert sorted(found, key=sorted) == [frozenset({13, 79}), frozenset({22, 79}), frozenset({28, 79})]
    assert family.scores[found.index(frozenset({28, 79}))] == pytest.approx(0.2)
    assert family.scores[found.index(frozenset({13, 79}))] == pytest.approx(0.05)


def test_what_is_fixed_forbidden_or_known_is_left_out() -> None:
    labels = ["A3B_cP8_223_c_a:Nb-Sn"]
    given = [{41: row(V=0.3, Ta=0.3), 50: row(Ge=0.3, Ga=0.2)}]
    everything = ranked_families(labels, given, allowed=EVERY, threshold=0.01)[0]
    assert len(everything.scores) == 8
    fixed = ranked_families(labels, given, allowed=EVERY, fixed={41}, threshold=0.01)[0]
    assert fixed.elements.tolist() == [[32, 41], [31, 41]]
    allowed = EVERY.copy()
    allowed[73] = False
    assert (ranked_families(labels, given, allowed=allowed, threshold=0.01)[0].elements != 73).all()
    known = codes_of_formulas(["V3Ga", "Ta3Sn", "VGa3"])
    left = ranked_families(labels, given, allowed=EVERY, known=known, threshold=0.01)[0].elements.tolist()
    assert len(left) == 6
    assert [31, 23] not in left
    assert [50, 73] not in left


def test_formulas_do_not_depend_on_which_site_an_element_is_on() -> None:
    codes = formula_codes(np.array([[22, 28, 50], [28, 22, 50], [50, 28, 22]]), (1, 1, 2))
    assert codes[0] == codes[1] != codes[2]


def test_families_are_merged_by_score() -> None:
    labels = ["A3B_cP8_223_c_a:Nb-Sn", "AB_cF8_225_a_b:N-Nb"]
    given = [{41: row(V=0.3, Ta=0.1), 50: row()}, {41: row(Ta=0.2), 7: row()}]
    families = ranked_families(labels, given, allowed=EVERY, threshold=0.01)
    assert [float(family.scores[i]) for family, i in in_order(families)] == pytest.approx([0.3, 0.2, 0.1])


def test_too_many_elements_are_refused() -> None:
    label = "ABCDEFGHIJ_aP10_1_a_a_a_a_a_a_a_a_a_a:Al-B-C-F-Fe-H-K-Li-N-O"
    with pytest.raises(CrystalError, match="more than 7"):
        ranked_families([label], [{}], allowed=EVERY, threshold=0.1)


@pytest.mark.parametrize("formula", ["", "Xx2O", "Nb0.5Zr0.5"])
def test_bad_formulas_are_refused(formula: str) -> None:
    with pytest.raises(ConfigError):
        codes_of_formulas([formula])
