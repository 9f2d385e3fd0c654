"""Probabilities of replacements by their four scores."""

from __future__ import annotations

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal
from onnes.crystals.orbits import expand
from onnes.errors import ConfigError, CrystalError
from onnes.propose.ions import ionic_probabilities
from onnes.propose.metallic import metallic_probabilities
from onnes.propose.observed import PRIOR, counted_probabilities, observed_probabilities
from onnes.propose.oxidation import can_balance, oxidation_states
from onnes.propose.replacement import allowed_elements, replacement_probabilities


def test_the_ionic_model_is_that_of_pymatgen_with_a_floor() -> None:
    import json
    from pathlib import Path

    from pymatgen.core import Species, structure_prediction
    from pymatgen.core.structure_prediction.substitution_probability import SubstitutionProbability

    path = Path(structure_prediction.__file__).parent / "data" / "lambda.json"
    rows = [[one, other, max(weight, 0)] for one, other, weight in json.loads(path.read_text(encoding="utf-8"))]
    model = SubstitutionProbability(rows, alpha=0)
    for number, charge, name in ((11, 1, "Na+"), (8, -2, "O2-"), (22, 4, "Ti4+")):
        ion = Species.from_str(name)
        expected = np.zeros(95)
        for other in model.species:
            if other.Z < 95 and number != other.Z:
                expected[other.Z] += model.cond_prob(other, ion)
        np.testing.assert_allclose(ionic_probabilities(number, charge), expected, atol=1e-12)


def test_an_ion_that_was_never_seen_is_named() -> None:
    with pytest.raises(CrystalError, match="no Te2-"):
        ionic_probabilities(52, -2)


@pytest.mark.parametrize("table", [metallic_probabilities(), observed_probabilities()])
def test_tables_are_distributions(table: np.ndarray) -> None:
    used = [z for z in range(1, 93) if z not in (2, 10, 18, 36, 54, 85, 86, 87)]
    np.testing.assert_allclose(table[used].sum(axis=1), 1, atol=1e-9)
    assert not table.diagonal().any()
    assert (table >= 0).all()


def test_counts_weigh_against_the_metallic_probabilities() -> None:
    table = counted_probabilities({"Nb": {"Ta": 30.0}, "Mo": {"Nb": 10.0}})
    prior = metallic_probabilities()
    assert table[41, 73] == pytest.approx((30 + PRIOR * prior[41, 73]) / (40 + PRIOR))
    assert table[41, 42] == pytest.approx((10 + PRIOR * prior[41, 42]) / (40 + PRIOR))
    assert table[73, 41] > table[41, 73]
    np.testing.assert_allclose(table[26], prior[26])


def test_oxidation_states_by_composition_then_by_bond_valence() -> None:
    assert oxidation_states({56: 1, 22: 1, 8: 3}) == {56: 2, 22: 4, 8: -2}
    assert oxidation_states({41: 3, 50: 1}) is None
    assert oxidation_states({41: 1}) is None
    spinel = expand(227, (8.39, 8.39, 8.39, 90, 90, 90), [(26, (0.125,) * 3), (26, (0.5,) * 3), (8, (0.2549,) * 3)])
    magnetite = CrystalBatch.of([spinel]).to_structures()[0]
    assert oxidation_states({26: 3, 8: 4}, magnetite) == {26: 3, 8: -2}
    # Three irons share eight charges; a structure without a balance of bond valences changes nothing.
    mixed = oxidation_states({26: 3, 8: 4})
    assert mixed == {26: 3, 8: -2}
    assert oxidation_states({26: 3, 8: 4}, known_crystal("Nb3Sn")) == mixed


def test_balance_allows_one_common_state_an_element() -> None:
    assert can_balance(((11, 1), (17, 1)))
    assert not can_balance(((11, 2), (17, 1)))
    assert can_balance(((38, 2), (22, 1), (40, 1), (8, 6)))


def test_auto_is_ionic_where_ions_balance_and_metallic_elsewhere() -> None:
    salt, metal = {11: 1, 17: 1}, {41: 3, 50: 1}
    np.testing.assert_array_equal(
        replacement_probabilities(salt, "auto")[11], replacement_probabilities(salt, "ionic")[11]
    )
    np.testing.assert_array_equal(replacement_probabilities(metal, "auto")[41], metallic_probabilities()[41])
    with pytest.raises(CrystalError, match="no oxidation states balance"):
        replacement_probabilities(metal, "ionic")


def test_neighbours_share_alike_and_unknown_scores_are_refused() -> None:
    found = replacement_probabilities({64: 1}, "neighbour")[64]
    assert np.flatnonzero(found).tolist() == [63, 65]
    assert found.sum() == pytest.approx(1)
    with pytest.raises(ConfigError, match="observed"):
        replacement_probabilities({64: 1}, "best")  # type: ignore[arg-type]


def test_elements_beyond_the_tables_stay() -> None:
    assert not replacement_probabilities({96: 1}, "observed")[96].any()


def test_allowed_elements_never_hold_noble_gases_or_what_is_excluded() -> None:
    everything = allowed_elements((), ())
    assert not everything[[2, 10, 18, 36, 54, 86, 93, 94, 85, 87]].any()
    assert everything[[1, 41, 43, 92]].all()
    assert np.flatnonzero(allowed_elements(["Nb", "V", "He"], ["V"])).tolist() == [41]
    with pytest.raises(ConfigError, match="no element is left"):
        allowed_elements(["He"], ())
    with pytest.raises(ConfigError, match="Xx"):
        allowed_elements(["Xx"], ())
