import numpy as np
import pytest

import onnes
from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal
from onnes.crystals.schema import with_columns
from onnes.crystals.symmetry import describe
from onnes.models import properties as models
from onnes.models.properties import PROPERTY_COLUMNS, property_table
from onnes.models.weights import weight_names
from onnes.potentials import potential as registry
from onnes.potentials.elasticity import ELASTIC_COLUMNS
from onnes.tools.inputs import as_table
from onnes.tools.properties import PropertyTable
from onnes.tools.registry import tool
from tests.potentials.fakes import barium_titanate, fcc

NAMES = ["Nb", "NaCl", "Fe"]

pytestmark = pytest.mark.skipif(
    not {"structure", "metal"} <= set(weight_names()), reason="the weights are not installed; train them"
)


@pytest.fixture(scope="module")
def found():
    done = []
    table = onnes.properties([known_crystal(name, primitive=True) for name in NAMES], on_rows=done.append)
    assert sum(done) == 2 * len(NAMES)
    return table


def test_metal_salt_and_magnet(found) -> None:
    assert found["error"] == [None] * 3
    metal = found["is_metal_probability"]
    assert metal[0] > 0.9
    assert metal[1] < 0.1
    assert found["is_magnetic"] == [False, False, True]
    assert found["magmom_max_muB"][2] > 1.5


def test_numbers_of_niobium(found) -> None:
    """Measured: 8.57 g/cm3, 170 GPa, 276 K."""
    assert found["density_g_per_cm3"][0] == pytest.approx(8.57, rel=0.02)
    assert found["bulk_modulus_GPa"][0] == pytest.approx(170, rel=0.15)
    assert found["debye_K"][0] == pytest.approx(276, rel=0.3)
    assert found["debye_K_std"][0] > 0


def test_every_column_is_there(found) -> None:
    assert {*PROPERTY_COLUMNS, *ELASTIC_COLUMNS} <= set(found.table.column_names)
    assert found["geometry"] == ["input"] * 3
    assert found["elastic_potential"] == ["sevennet-0"] * 3
    assert all(0 <= std < 0.5 for std in found["is_metal_probability_std"])


def test_face(found) -> None:
    assert isinstance(found, PropertyTable)
    text = repr(found)
    for word in ("K / GPa", "θ(moduli) / K", "P(metal)", "moment / μB"):
        assert word in text
    assert "± K" not in text  # nothing was refined


def test_relaxed_and_refined() -> None:
    squeezed = known_crystal("Al", primitive=True).scale_lattice(15.5)
    table = onnes.properties(squeezed, relax=True, refine=True)
    assert table["geometry"] == ["sevennet-0"]
    assert table["forces_max_eV_per_A"][0] < 0.005
    assert table["bulk_modulus_GPa"][0] == pytest.approx(79, rel=0.15)  # measured
    assert 0 < table["bulk_modulus_spread_GPa"][0] < 20
    assert table["debye_from_moduli_spread_K"][0] > 0


def test_relaxation_keeps_small_distortions_and_pressure(monkeypatch) -> None:
    fakes = {"flat": "FlatPotential", "fake": "FakePotential"}
    adapters = {name: ("tests.potentials.fakes", factory) for name, factory in fakes.items()}
    monkeypatch.setattr(registry, "_ADAPTERS", adapters)
    monkeypatch.setattr(registry, "_LOADED", {})
    monkeypatch.setattr(models, "property_table", lambda table, **_: table)
    found = onnes.properties(CrystalBatch.of([barium_titanate()]), relax=True, potential="flat")
    assert found["geometry"] == ["flat"]
    [crystal] = CrystalBatch.from_table(found.table)
    assert describe(*crystal, symprec=0.01).space_group == 99
    table = with_columns(as_table(CrystalBatch.of([fcc(29), fcc(29)])), {"pressure_GPa": [20.0, 0.0]})
    found = onnes.properties(table, relax=True, potential="fake")
    assert found["pressure_GPa"] == [20.0, 0.0]
    assert found["density_g_per_cm3"][0] > 1.03 * found["density_g_per_cm3"][1]


def test_a_bad_row_stays_with_its_error() -> None:
    table = as_table([known_crystal("Al", primitive=True), known_crystal("Nb", primitive=True)])
    table = with_columns(table, {"error": [None, "broken before"]})
    out = onnes.properties(table)
    assert out["error"] == [None, "broken before"]
    assert out["bulk_modulus_GPa"][1] is None
    assert out.n_failed == 1


def test_std_is_that_of_the_members() -> None:
    from onnes.models.features import crystal_features
    from onnes.models.metal import load_metal_model

    table = as_table(known_crystal("NaCl", primitive=True))
    filled = property_table(table)
    model = load_metal_model()
    features = crystal_features(CrystalBatch.from_table(table), model.potentials)
    members = model.predict_members(features.of(model.potentials))[:, 0]
    assert filled["is_metal_probability"].to_pylist()[0] == pytest.approx(members.mean(), abs=1e-4)
    assert filled["is_metal_probability_std"].to_pylist()[0] == pytest.approx(np.std(members), abs=1e-4)


def test_registered() -> None:
    assert tool("properties").function() is onnes.properties
    assert tool("properties").effect == "compute"
