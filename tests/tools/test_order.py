import json

import numpy as np
import pyarrow as pa
import pytest

import onnes
from onnes.crystals.readers import read_crystals
from onnes.crystals.schema import with_columns
from onnes.crystals.table import to_structures
from onnes.errors import ConfigError
from onnes.models.weights import weight_names
from onnes.potentials import potential as registry
from onnes.tools.order import OrderTable
from onnes.tools.registry import tool
from onnes.tools.result import CrystalTable

pytest.importorskip("icet")


@pytest.fixture(scope="module")
def alloy(pytestconfig):
    return read_crystals(pytestconfig.rootpath / "examples" / "disordered" / "Nb0.75Zr0.25.cif")


@pytest.fixture
def counted(monkeypatch):
    """A model by which Tc is the number of the row."""

    def predict(table, **_):
        rows = np.arange(table.num_rows, dtype=float)
        return with_columns(table, {"tc_K": rows, "tc_K_std": rows * 0 + 1, "energy_eV_per_atom": rows * 0})

    monkeypatch.setattr("onnes.models.prediction.predict_table", predict)


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setitem(registry._ADAPTERS, "fake", ("tests.potentials.fakes", "FakePotential"))


def test_a_tc_with_its_spread(alloy) -> None:
    if not {"structure", "metal"} <= set(weight_names()):
        pytest.skip("the weights are not installed; train them")
    done: list[int] = []
    found = onnes.order(alloy, max_cell_atoms=4, limit=3, on_rows=done.append)
    assert sum(done) == 3
    [row] = found.to_dicts()
    assert row["n_cells"] == 3
    assert row["tc_min_K"] < row["tc_K"] < row["tc_max_K"]
    assert row["tc_spread_K"] > 0
    assert 5 < row["tc_K"] < 30  # measured: 10.8 K
    assert row["energy_range_eV_per_atom"] > 0
    weights, tc = np.array(found.cells["weight"]), np.array(found.cells["tc_K"])
    assert row["tc_K"] == pytest.approx((weights * tc).sum() / weights.sum())


@pytest.mark.usefixtures("counted")
def test_face_and_cells(alloy) -> None:
    found = onnes.order(alloy, max_cell_atoms=4)
    assert isinstance(found, OrderTable)
    assert isinstance(found.cells, CrystalTable)
    assert len(found.cells) == 7
    text = repr(found)
    assert "mean Tc / K" in text
    assert "occupancies off by" in text
    assert "weights at / K" not in text  # no temperature was given
    [row] = json.loads(found.to_json())
    assert [cell["tc_K"] for cell in row["cells"]] == list(range(7))
    assert "lattice" not in row["cells"][0]
    assert json.loads(found.to_json(["tc_K"])) == [{"tc_K": row["tc_K"]}]


@pytest.mark.usefixtures("counted")
def test_a_structure_is_as_good_as_its_file(alloy) -> None:
    from_structure = onnes.order(to_structures(alloy), max_cell_atoms=4)
    assert from_structure["tc_K"] == onnes.order(alloy, max_cell_atoms=4)["tc_K"]
    assert from_structure["n_cells"] == [7]


@pytest.mark.usefixtures("counted")
def test_parents_are_kept_apart(pytestconfig, alloy) -> None:
    other = read_crystals(pytestconfig.rootpath / "examples" / "disordered" / "Be2Hf2Nb.cif")
    found = onnes.order(pa.concat_tables([alloy, other]), max_cell_atoms=10, limit=2)
    assert found["parent_id"] == ["Nb0.75Zr0.25", "Be2Hf2Nb"]
    assert [len(row["cells"]) for row in json.loads(found.to_json())] == [2, 2]
    assert found["occupancy_deviation"][1] > 0.1


@pytest.mark.usefixtures("counted", "fake")
def test_the_potential_relaxes_or_ranks(alloy) -> None:
    relaxed = onnes.order(alloy, max_cell_atoms=4, limit=2, relax=True, potential="fake")
    assert relaxed.cells["geometry"] == ["fake", "fake"]
    ranked = onnes.order(alloy, max_cell_atoms=4, limit=2, rank="energy", potential="fake")
    assert ranked.cells["geometry"] == ["input", "input"]
    assert ranked.cells["potential"] == ["fake", "fake"]
    with pytest.raises(ConfigError, match="rank by energy"):
        onnes.order(alloy, potential="fake")


def test_registered() -> None:
    assert tool("order").function() is onnes.order
    assert tool("order").effect == "compute"
