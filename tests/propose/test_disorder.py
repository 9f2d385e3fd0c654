"""Ordered cells of the disordered crystals in examples, the stage that makes them, and their Tc."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.potentials.fakes import FakePotential

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_table
from onnes.crystals.readers import read_crystals
from onnes.crystals.schema import concat, is_open, values, with_columns
from onnes.crystals.table import to_structures
from onnes.errors import ConfigError
from onnes.flow.stage import StageContext, StageKind, stage_class
from onnes.potentials.relaxation import RelaxSettings
from onnes.propose import ordered_prediction as module
from onnes.propose.disorder import disorder_candidates, is_disordered, opened, replay_disorder
from onnes.propose.ordered_prediction import BOLTZMANN_EV_PER_K, ordered_prediction
from onnes.propose.stages import Order, OrderSettings

if TYPE_CHECKING:
    import pyarrow as pa

pytest.importorskip("icet")
NAMES = ["Be2Hf2Nb", "Nb0.75Zr0.25", "YBa2Cu3O6.5"]


@pytest.fixture(scope="module")
def parents(pytestconfig: pytest.Config) -> pa.Table:
    return read_crystals(pytestconfig.rootpath / "examples" / "disordered")


@pytest.fixture(scope="module")
def cells(parents: pa.Table) -> pa.Table:
    return disorder_candidates(parents, max_cell_atoms=26, limit=8)


def _of(table: pa.Table, parent: str) -> pa.Table:
    return table.filter(np.array([name == parent for name in values(table, "parent_id")]))


def test_every_example_gives_cells_of_its_composition(parents: pa.Table, cells: pa.Table) -> None:
    assert values(parents, "id") == NAMES
    assert is_disordered(parents).all()
    assert is_open(cells).all()
    assert set(values(cells, "source")) == {"disorder"}
    formulas = {name: set(values(_of(cells, name), "reduced_formula")) for name in NAMES}
    assert formulas == {"Be2Hf2Nb": {"Hf2Be2Nb"}, "Nb0.75Zr0.25": {"ZrNb3"}, "YBa2Cu3O6.5": {"Ba4Y2Cu6O13"}}
    counts = {name: _of(cells, name).num_rows for name in NAMES}
    assert counts == {"Be2Hf2Nb": 8, "Nb0.75Zr0.25": 8, "YBa2Cu3O6.5": 7}


def test_cells_keep_the_density_of_sites(parents: pa.Table, cells: pa.Table) -> None:
    for parent in NAMES:
        average = next(s for s, name in zip(to_structures(parents), NAMES, strict=True) if name == parent)
        for lattice, _, numbers in CrystalBatch.from_table(_of(cells, parent)):
            per_atom = abs(np.linalg.det(lattice)) / len(numbers)
            assert per_atom == pytest.approx(average.volume / average.composition.num_atoms, rel=1e-6)


def test_ewald_energies_rank_where_charges_balance(cells: pa.Table) -> None:
    said = [note.split("Ewald energy ")[1] for note in values(_of(cells, "YBa2Cu3O6.5"), "notes")]
    energies = [float(text.split()[0]) for text in said]
    assert energies[0] == 0
    assert energies == sorted(energies)
    assert energies[-1] > 0.5  # the one with its oxygen side by side
    assert not any("Ewald" in note for note in values(_of(cells, "Nb0.75Zr0.25"), "notes"))


def test_rows_can_be_replayed(parents: pa.Table, cells: pa.Table) -> None:
    structures = dict(zip(values(parents, "id"), to_structures(parents), strict=True))
    for i, (parent, how) in enumerate(zip(values(cells, "parent_id"), values(cells, "how"), strict=True)):
        lattice, frac, numbers = CrystalBatch.from_table(cells).crystal(i)
        made = replay_disorder(structures[parent], how)
        np.testing.assert_allclose(made.lattice.matrix, lattice, atol=1e-8)
        np.testing.assert_allclose(made.frac_coords, frac, atol=1e-8)
        assert [site.specie.Z for site in made] == numbers.tolist()


def test_how_tells_weight_and_deviation(cells: pa.Table) -> None:
    for how, note in zip(values(cells, "how"), values(cells, "notes"), strict=True):
        operation = json.loads(how)
        assert operation["op"] == "disorder"
        assert 0 < operation["degeneracy"] <= operation["of"]
        assert f"weight {operation['degeneracy']}/{operation['of']}" in note
        assert f"up to {operation['deviation']:.3f}" in note
    by_parent = {parent: json.loads(values(_of(cells, parent), "how")[0]) for parent in NAMES}
    assert by_parent["YBa2Cu3O6.5"]["of"] == 7 * 2
    assert by_parent["Be2Hf2Nb"]["deviation"] == 0.125


def test_the_seed_fixes_what_is_drawn(parents: pa.Table) -> None:
    alloy = parents.slice(1, 1)
    first, again, other = (disorder_candidates(alloy, max_cell_atoms=8, limit=8, seed=seed) for seed in (1, 1, 2))
    assert first.equals(again)
    assert first["id"] != other["id"]


def test_the_lowest_in_energy_come_first(parents: pa.Table) -> None:
    class LikesLargeCells(FakePotential):
        def evaluate(self, batch, *, forces=True, features=False):
            out = super().evaluate(batch, forces=forces, features=features)
            object.__setattr__(out, "energies_eV", -(batch.n_atoms.astype(float) ** 2))
            return out

    alloy = parents.slice(1, 1)
    table = disorder_candidates(alloy, max_cell_atoms=8, limit=3, rank="energy", potential=LikesLargeCells())
    assert values(table, "n_atoms") == [4, 4, 4] or values(table, "n_atoms") == [8, 8, 8]
    assert values(table, "energy_eV_per_atom") == sorted(values(table, "energy_eV_per_atom"))
    assert set(values(table, "potential")) == {"fake"}


def test_quasi_random_cells(parents: pa.Table) -> None:
    table = disorder_candidates(parents.slice(1, 1), method="sqs", max_cell_atoms=8, limit=2)
    assert set(values(table, "n_atoms")) == {8}
    assert json.loads(values(table, "how")[0])["method"] == "sqs"


def test_split_sites_are_not_both_occupied(parents: pa.Table) -> None:
    from pymatgen.core import Lattice, Structure

    row = parents.slice(1, 1)
    split = Structure(
        Lattice.cubic(4.0), [{"Nb": 0.5}, {"Nb": 0.5}, "N"], [[0, 0, 0.04], [0, 0, -0.04], [0.5, 0.5, 0.5]]
    )
    occupancies = [[{"Z": 41, "occupancy": 0.5}], [{"Z": 41, "occupancy": 0.5}], [{"Z": 7, "occupancy": 1.0}]]
    row = with_columns(
        row,
        {
            "lattice": [split.lattice.matrix.ravel().tolist()],
            "frac_coords": [split.frac_coords.ravel().tolist()],
            "atomic_numbers": [[41, 41, 7]],
            "site_occupancies": [occupancies],
        },
    )
    table = disorder_candidates(row, max_cell_atoms=4)
    assert table.num_rows > 0
    for structure in to_structures(table):
        distances = structure.distance_matrix + 9 * np.eye(len(structure))
        assert distances.min() > 1.0


def test_parents_that_cannot_be_ordered_say_why(parents: pa.Table) -> None:
    mixed = concat([known_table(["Nb3Sn"]), parents.slice(2, 1)])
    errors = values(disorder_candidates(mixed, max_cell_atoms=8), "error")
    assert "no partly occupied site" in errors[0]
    assert "more than 8" in errors[1]


@pytest.mark.parametrize(("settings", "message"), [({"limit": 0}, "limit"), ({"rank": "energy"}, "potential")])
def test_wrong_settings_are_refused(parents: pa.Table, settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        disorder_candidates(parents, **settings)


def test_the_stage_replaces_disordered_crystals(parents: pa.Table) -> None:
    assert stage_class("order") is Order
    assert Order.kind is StageKind.EXPANDER
    table = opened(concat([known_table(["Nb3Sn"]), parents.take([1, 2])]))
    assert is_open(table).all()
    stage = Order(OrderSettings(max_cell_atoms=12, limit=4))
    out = stage.apply(table, StageContext("order-them"))
    assert set(values(table, "id")) <= set(values(out, "id"))
    rejected = dict(zip(values(out, "id"), values(out, "rejected_by"), strict=True))
    assert rejected["Nb3Sn"] is None
    assert rejected["Nb0.75Zr0.25"] == rejected["YBa2Cu3O6.5"] == "order-them"
    assert "replaced by 4 ordered cells" in values(out, "reason")
    order = values(out, "id")
    assert values(out, "parent_id")[order.index("Nb0.75Zr0.25") + 1] == "Nb0.75Zr0.25"
    assert is_open(out).sum() == 1 + 4 + 1


def test_the_stage_reports_what_it_cannot_order(parents: pa.Table) -> None:
    out = Order(OrderSettings(max_cell_atoms=5)).apply(opened(parents.slice(2, 1)), StageContext("order"))
    assert out.num_rows == 1
    assert "more than 5" in values(out, "error")[0]


@pytest.fixture
def known_tc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model by which Tc is 10 K plus the number of the row, and the energy falls with it."""

    def predict(table, **_):
        rows = is_open(table)
        index = np.cumsum(rows) - 1.0
        columns = {"tc_K": 10 + index, "tc_K_std": np.full(len(rows), 2.0), "energy_eV_per_atom": -0.01 * index}
        return with_columns(table, {name: np.where(rows, column, np.nan) for name, column in columns.items()})

    monkeypatch.setattr("onnes.models.prediction.predict_table", predict)


@pytest.mark.usefixtures("known_tc")
def test_mean_and_spread_are_weighted_by_degeneracy(parents: pa.Table) -> None:
    found = ordered_prediction(parents.slice(1, 1), max_cell_atoms=4)
    [row] = found.summary.to_pylist()
    g = np.array([json.loads(how)["degeneracy"] for how in values(found.cells, "how")], float)
    tc = 10 + np.arange(7.0)
    mean = (g * tc).sum() / g.sum()
    assert row["parent_id"] == "Nb0.75Zr0.25"
    assert row["n_cells"] == 7
    assert row["occupancy_deviation"] == 0
    assert row["tc_K"] == pytest.approx(mean)
    assert row["tc_spread_K"] == pytest.approx(np.sqrt((g * (tc - mean) ** 2).sum() / g.sum()))
    assert (row["tc_min_K"], row["tc_max_K"], row["tc_model_std_K"]) == pytest.approx((10, 16, 2))
    np.testing.assert_allclose(found.cells["weight"].to_numpy(), g / g.sum())


@pytest.mark.usefixtures("known_tc")
def test_boltzmann_weights_favour_low_energies(parents: pa.Table) -> None:
    found = ordered_prediction(parents.slice(1, 1), max_cell_atoms=4, temperature_K=500)
    g = np.array([json.loads(how)["degeneracy"] for how in values(found.cells, "how")], float)
    expected = g * np.exp(
        4 * 0.01 * np.arange(7) / (BOLTZMANN_EV_PER_K * 500)
    )  # the largest of these cells has 4 atoms
    np.testing.assert_allclose(found.cells["weight"].to_numpy(), expected / expected.sum())


@pytest.mark.usefixtures("known_tc")
def test_parents_without_cells_are_in_the_summary(parents: pa.Table) -> None:
    found = ordered_prediction(parents.take([1, 2]), max_cell_atoms=4)
    by_parent = {row["parent_id"]: row for row in found.summary.to_pylist()}
    assert (by_parent["YBa2Cu3O6.5"]["n_cells"], by_parent["YBa2Cu3O6.5"]["n_failed"]) == (0, 0)
    assert "more than 4" in by_parent["YBa2Cu3O6.5"]["error"]
    assert by_parent["Nb0.75Zr0.25"]["error"] is None


@pytest.mark.usefixtures("known_tc")
def test_a_cell_too_small_for_the_composition_says_so(parents: pa.Table) -> None:
    [row] = ordered_prediction(parents.slice(2, 1), max_cell_atoms=12).summary.to_pylist()
    assert row["occupancy_deviation"] == 0.5  # the oxygen that is there half the time is there, or not


@pytest.mark.usefixtures("known_tc")
def test_cells_are_counted_when_relaxed_and_when_predicted(parents: pa.Table) -> None:
    done: list[int] = []
    settings = {"max_cell_atoms": 4, "limit": 2, "on_rows": done.append}
    ordered_prediction(parents.slice(1, 1), relax=RelaxSettings(max_steps=1), potential=FakePotential(), **settings)
    assert sum(done) == 2  # the model of these tests does not count


def test_relaxation_needs_a_potential(parents: pa.Table) -> None:
    with pytest.raises(ConfigError, match="potential"):
        ordered_prediction(parents, relax=RelaxSettings())
    with pytest.raises(ConfigError, match="temperature"):
        ordered_prediction(parents, temperature_K=0)
    assert set(module.SUMMARY) >= {"tc_K", "tc_spread_K", "tc_min_K", "tc_max_K"}


@pytest.mark.slow
def test_examples_have_a_tc_with_a_spread(parents: pa.Table) -> None:
    found = ordered_prediction(parents, max_cell_atoms=26, limit=6)
    for row in found.summary.to_pylist():
        assert row["error"] is None
        assert row["n_cells"] >= 2
        assert row["tc_min_K"] <= row["tc_K"] <= row["tc_max_K"]
        assert row["tc_spread_K"] > 0
    alloy = found.summary.to_pylist()[1]
    assert 5 < alloy["tc_K"] < 25  # measured: 10.8 K
