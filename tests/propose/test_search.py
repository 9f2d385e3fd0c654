"""Random search with a potential of pairs, whose lowest crystals are the close-packed ones."""

from __future__ import annotations

import numpy as np
import pytest
from tests.potentials.fakes import FakePotential, fcc

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import values
from onnes.errors import ConfigError
from onnes.potentials.relaxation import RelaxSettings, relax_batch
from onnes.propose.plausible import Plausible
from onnes.propose.random_crystals import RandomSettings, replay_random
from onnes.propose.relaxed_rows import Found, distinct, relaxed_table
from onnes.propose.rows import Proposal, encode
from onnes.propose.search import random_search
from onnes.propose.statistics import typical_volume

SMALL = RandomSettings(max_atoms=2)


def fcc_energy():
    relaxed = relax_batch(CrystalBatch.of([fcc(13)]), FakePotential(), RelaxSettings(fmax_eV_per_A=1e-3))
    return float(relaxed.energies_eV[0]) / 4


@pytest.fixture(scope="module")
def result():
    return random_search("Al", potential=FakePotential(), n=24, keep=2, crystals=SMALL, seed=1)


def test_finds_the_close_packed_crystals(result) -> None:
    table = result.table
    energies = values(table, "energy_eV_per_atom")
    assert energies[0] == pytest.approx(fcc_energy(), abs=0.02)
    assert energies == sorted(energies)
    assert values(table, "prototype")[0] in {"A_cF4_225_a:Al", "A_hP2_194_c:Al"}
    assert values(table, "error") == [None, None]
    assert values(table, "geometry") == values(table, "potential") == ["fake", "fake"]
    assert values(table, "relax_converged") == [True, True]
    assert max(values(table, "forces_max_eV_per_A")) < 0.02
    assert result.drawn == 24
    assert result.trace[-1] == (24, energies[0])
    assert result.reached_target is None
    assert all(1 <= place <= 24 for place in result.places)
    assert len(set(result.places)) == 2


def test_rows_replay_to_their_random_start(result) -> None:
    for row in result.table.to_pylist():
        start = replay_random(row["how"])
        np.testing.assert_allclose(start.lattice.matrix.ravel(), row["input_lattice"], atol=1e-9)
        np.testing.assert_allclose(start.frac_coords.ravel(), row["input_frac_coords"], atol=1e-9)
        assert not np.allclose(row["lattice"], row["input_lattice"])


def test_same_seed_same_table(result) -> None:
    again = random_search("Al", potential=FakePotential(), n=24, keep=2, crystals=SMALL, seed=1)
    assert again.table.equals(result.table)
    assert again.trace == result.trace


def test_target_ends_the_search(result) -> None:
    done = []
    found = random_search(
        "Al", potential=FakePotential(), n=60, keep=1, crystals=SMALL, batch=4, seed=1,
        target_energy_eV_per_atom=values(result.table, "energy_eV_per_atom")[0] + 0.005, on_rows=done.append,
    )  # fmt: skip
    assert found.reached_target
    assert found.drawn < 60
    assert sum(done) == found.drawn
    unreachable = random_search(
        "Al", potential=FakePotential(), n=4, keep=1, crystals=SMALL, target_energy_eV_per_atom=-99.0
    )
    assert unreachable.reached_target is False
    assert unreachable.drawn == 4


def test_symmetry_that_holds_a_crystal_on_a_saddle_is_given_up() -> None:
    """Body-centred cubic is a saddle of pair forces; drawn alone, the last relaxation must leave it."""
    only_cubic = RandomSettings(max_atoms=1, space_groups=(229,))
    found = random_search("Al", potential=FakePotential(), n=1, keep=1, crystals=only_cubic)
    assert found.refined == 2
    assert values(found.table, "space_group") != [229]
    assert values(found.table, "energy_eV_per_atom")[0] == pytest.approx(fcc_energy(), abs=0.05)


def test_failures_are_counted_and_nothing_found_is_an_empty_table() -> None:
    found = random_search("Al", potential=FakePotential(nan_for=[13]), n=3, crystals=SMALL)
    assert found.table.num_rows == 0
    assert "how" in found.table.column_names
    assert found.failures["relaxation failed"] == 3
    assert found.trace == []


def test_holes_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(Plausible, "of", classmethod(lambda cls, _: cls({"Al": 5.0})))
    found = random_search("Al", potential=FakePotential(), n=3, crystals=SMALL)
    assert found.table.num_rows == 0
    assert found.failures["fell into a hole of the potential: energy"] == 3


def test_what_is_plausible() -> None:
    edge = np.cbrt(typical_volume([13]))
    sound = (edge * np.eye(3), np.zeros((1, 3)), np.array([13]))
    limits = Plausible({"Al": -3.0})
    assert limits.fault(sound, -3.1) is None
    assert limits.fault(sound, -9.0) == "fell into a hole of the potential: energy"
    assert Plausible({}).fault(sound, -9.0) is None
    assert limits.fault((0.8 * sound[0], *sound[1:]), -3.1) == "fell into a hole of the potential: volume"
    close = (edge * np.diag([2.0, 1, 1]), np.array([[0, 0, 0], [0.1, 0, 0]]), np.array([13, 13]))
    assert limits.fault(close, -3.1) == "fell into a hole of the potential: distance"


def found(crystal, energy, seed=0):
    lattice, frac, numbers = crystal
    proposal = Proposal(lattice, frac, np.array(numbers), None, encode({"op": "composition", "seed": seed}))
    return Found(proposal, 1, (lattice, frac, np.array(numbers)), energy_eV_per_atom=energy, converged=True)


def test_distinct_by_label_or_structure() -> None:
    a = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * 2.02
    primitive = (a, np.zeros((1, 3)), [13])
    crystals = [found(fcc(13), -3.0), found(primitive, -2.999, 1), found(primitive, -2.9, 2)]
    slightly = found((fcc(13)[0], fcc(13)[1] + np.array([[0.004, 0, 0]] + [[0, 0, 0]] * 3), [13] * 4), -2.99, 3)
    scaled = found((1.045 / 1.0 * np.array(fcc(13)[0]), *fcc(13)[1:]), -3.0, 4)
    assert distinct(crystals, 5) == [crystals[0], crystals[2]]
    assert distinct([crystals[0], slightly], 5) == [crystals[0]]
    assert distinct([crystals[0], crystals[2]], 1) == [crystals[0]]
    assert len(distinct([crystals[0], scaled], 2, thorough=False)) == 2


def test_rows_that_did_not_converge_say_so() -> None:
    crystal = found(fcc(13), -3.0)
    table = relaxed_table([Found(crystal.proposal, 1, crystal.geometry, -3.0, 0.4, 7)], "fake")
    assert values(table, "error") == ["not relaxed after 7 steps"]


@pytest.mark.parametrize("wrong", [{"n": 0}, {"keep": 0}, {"batch": 0}])
def test_wrong_counts(wrong: dict) -> None:
    with pytest.raises(ConfigError, match="1 or more"):
        random_search("Al", potential=FakePotential(), **wrong)
