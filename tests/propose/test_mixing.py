"""Which sites are likely to exchange atoms."""

from __future__ import annotations

import numpy as np
import pytest
from tests.potentials.fakes import FakePotential

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_table
from onnes.crystals.neighbours import neighbour_edges
from onnes.crystals.schema import with_columns
from onnes.crystals.table import crystal_table
from onnes.errors import ConfigError
from onnes.potentials.potential import Evaluation
from onnes.propose.mixing import BOLTZMANN_EV_PER_K, equilibrium_exchange, site_mixing

BOND_EV = 0.02


class Bonds(FakePotential):
    """Each bond between like atoms below 2.6 A costs `BOND_EV`."""

    def __init__(self, bond_eV: float = BOND_EV) -> None:
        super().__init__("bonds")
        self.bond_eV = bond_eV

    def evaluate(self, batch, *, forces=True, features=False):
        del forces, features
        (source, target), _, owners = neighbour_edges(batch, 2.6)
        like = batch.atomic_numbers[source] == batch.atomic_numbers[target]
        return Evaluation(0.5 * self.bond_eV * np.bincount(owners[like], minlength=len(batch)))


def _ordered_iron_cobalt():
    crystal = (2.85 * np.eye(3), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), [26, 27])
    return crystal_table(CrystalBatch.of([crystal]), ids=["FeCo"], source="test")


@pytest.mark.parametrize("ratio", [0.25, 1.0, 2.0, 7.0])
@pytest.mark.parametrize("energy", [-0.4, -0.01, 0.0, 0.05, 0.3, 2.0])
def test_exchange_is_in_balance(energy: float, ratio: float) -> None:
    share = equilibrium_exchange(energy, 900.0, ratio)
    other = ratio * share
    assert 0 < share < 1
    assert 0 < other <= 1
    odds = share * other / ((1 - share) * (1 - other))
    assert odds == pytest.approx(np.exp(-energy / (BOLTZMANN_EV_PER_K * 900.0)), rel=1e-6)


def test_exchange_grows_with_temperature_and_stops_at_random() -> None:
    shares = [equilibrium_exchange(0.3, t) for t in (300, 900, 2000, 1e6)]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(0.5, abs=0.01)
    assert equilibrium_exchange(5.0, 300.0) == pytest.approx(np.exp(-5.0 / (2 * BOLTZMANN_EV_PER_K * 300)), rel=1e-3)


def test_energies_are_those_of_the_bonds() -> None:
    # Caesium chloride: an atom on the other site has eight neighbours of its kind, one less if it changed with a neighbour.
    [row] = site_mixing(_ordered_iron_cobalt(), Bonds(), min_atoms=54).to_pylist()
    assert {row["element_a"], row["element_b"]} == {"Fe", "Co"}
    assert row["lowest_swap_energy_eV"] == pytest.approx(14 * BOND_EV)
    assert 14 * BOND_EV < row["swap_energy_eV"] < 16 * BOND_EV
    neighbours = 8 / 27
    assert row["swap_energy_eV"] == pytest.approx((16 - 2 * neighbours) * BOND_EV)
    assert row["full_swap_energy_eV"] == pytest.approx(0, abs=1e-12)
    assert row["radius_ratio"] < 1.15


def test_verdicts_follow_the_temperature() -> None:
    verdicts = [
        site_mixing(_ordered_iron_cobalt(), Bonds(), temperature_K=t)["verdict"][0].as_py() for t in (300, 900, 6000)
    ]
    assert verdicts == ["ordered", "partly mixed", "mixed"]


def test_the_free_energy_is_least_at_the_equilibrium() -> None:
    temperature = 1500.0
    [row] = site_mixing(_ordered_iron_cobalt(), Bonds(), temperature_K=temperature).to_pylist()

    def free_energy(share: float) -> float:
        entropy = -2 * (share * np.log(share) + (1 - share) * np.log(1 - share))
        return (share * row["swap_energy_eV"] - BOLTZMANN_EV_PER_K * temperature * entropy) / 2

    at = row["foreign_on_a"]
    assert row["mixing_free_energy_eV_per_atom"] == pytest.approx(free_energy(at))
    assert free_energy(at) < min(free_energy(0.9 * at), free_energy(1.1 * at), 0)


def test_another_order_may_be_lower() -> None:
    [row] = site_mixing(_ordered_iron_cobalt(), Bonds(-BOND_EV)).to_pylist()
    assert row["verdict"] == "another order is lower"


def test_sites_of_different_number_and_elements_of_different_size() -> None:
    rows = site_mixing(known_table(["Be2Nb3", "V3Ga"]), Bonds(), max_radius_ratio=1.15).to_pylist()
    by_id = {row["id"]: row for row in rows}
    assert by_id["Be2Nb3"]["verdict"] == "no pair"  # beryllium is much smaller
    assert by_id["V3Ga"]["foreign_on_b"] == pytest.approx(3 * by_id["V3Ga"]["foreign_on_a"])
    assert by_id["V3Ga"]["full_swap_energy_eV"] is None
    assert by_id["V3Ga"]["disorder"] == pytest.approx(
        by_id["V3Ga"]["foreign_on_a"] / 0.25
    )  # a random alloy has a quarter


def test_failures_stay_in_their_row() -> None:
    class Fails(Bonds):
        def evaluate(self, batch, *, forces=True, features=False):
            if 31 in batch.atomic_numbers:
                raise ValueError("no gallium")
            return super().evaluate(batch, forces=forces, features=features)

    rows = site_mixing(known_table(["V3Ga", "NaCl"]), Fails()).to_pylist()
    assert "no gallium" in rows[0]["error"]
    assert rows[1]["verdict"] == "no pair"


def test_errors_are_kept_and_rejected_rows_left_out() -> None:
    table = known_table(["NaCl", "V3Ga", "Al"])
    columns = {"error": ["broken", None, None], "rejected_by": [None, "size", None]}
    done: list[int] = []
    rows = site_mixing(with_columns(table, columns), Bonds(), on_rows=done.append).to_pylist()
    assert [(row["verdict"], row["error"]) for row in rows] == [(None, "broken"), ("no pair", None)]
    assert sum(done) == 3


@pytest.mark.parametrize("settings", [{"temperature_K": 0}, {"max_radius_ratio": 0.9}])
def test_wrong_settings_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError):
        site_mixing(_ordered_iron_cobalt(), Bonds(), **settings)
