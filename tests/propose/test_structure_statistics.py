import json
from importlib.resources import files

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.errors import ConfigError
from onnes.propose import statistics, structure_statistics
from onnes.propose.structure_statistics import ANIONS, MIN_CRYSTALS, compute_structure_statistics, propensities
from onnes.propose.wyckoff import fillings
from onnes.training.data import data_folder


def cubes(rows):
    """Crystals of given atomic numbers in a cube of given volume."""
    made = []
    for numbers, volume in rows:
        frac = np.arange(len(numbers))[:, None] / len(numbers) * np.ones(3)
        made.append((np.cbrt(volume) * np.eye(3), frac, numbers))
    return CrystalBatch.of(made)


def test_volumes_of_a_made_up_world() -> None:
    """Additive volumes come back, an outlier in ten notwithstanding; rare elements have none."""
    random = np.random.default_rng(0)
    metals = {13: 16.0, 29: 12.0, 41: 18.0}
    rows = []
    for i in range(60):
        numbers = random.choice(list(metals), 3).tolist()
        rows.append((numbers, sum(metals[z] for z in numbers) * (1.8 if i % 10 == 0 else 1.0)))
    rows += [([13, 8], 10.0 + 9.0)] * MIN_CRYSTALS
    rows += [([13, 13, 8], 2 * 10.0 + 9.0)] * MIN_CRYSTALS
    rows += [([79], 17.0)] * (MIN_CRYSTALS - 1)
    found = structure_statistics._volumes(cubes(rows))
    assert found["Nb"] == [None, pytest.approx(18, rel=0.01)]
    assert found["Al"] == [pytest.approx(10, rel=0.01), pytest.approx(16, rel=0.01)]
    assert found["O"] == [pytest.approx(9, rel=0.01), None]
    assert "Au" not in found


def test_propensities_make_the_expected_numbers_the_observed_ones() -> None:
    """AB cells that prefer 225 and 221; A6B2 cells, which 223 can hold and 225 with its few sites hardly."""
    crystals = [(225, (1, 1))] * 60 + [(221, (1, 1))] * 20 + [(223, (2, 6))] * 9 + [(62, (4, 8))] * 5
    weights = propensities(crystals)
    assert weights.sum() == pytest.approx(1)
    observed = np.ones(230)
    expected = np.ones(230)
    for group, counts in crystals:
        fits = np.array([fillings(g, counts).weight > 0 for g in range(1, 231)])
        observed[group - 1] += 1
        expected += np.where(fits, weights, 0) / weights[fits].sum()
    seen = [g - 1 for g in (225, 221, 223, 62)]
    assert expected[seen] == pytest.approx(observed[seen], rel=0.05)
    assert weights[222] > weights[220] / 4  # as counts they would stand 10 to 21, over all crystals


def test_the_same_elements_count_as_anions_where_the_volumes_are_used() -> None:
    assert frozenset(ANIONS) == statistics._ANIONS


@pytest.mark.slow
def test_shipped_numbers_are_those_of_the_data() -> None:
    try:
        data_folder()
    except ConfigError:
        pytest.skip("no training data")
    shipped = json.loads(files("onnes.propose").joinpath("data/structure_statistics.json").read_text())
    assert json.loads(json.dumps(compute_structure_statistics())) == shipped
