import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal, known_table
from onnes.crystals.schema import COLUMNS, values, with_columns
from onnes.crystals.table import crystal_table
from onnes.models import features, prediction
from onnes.models.prediction import predict_table
from tests.models.made_up import metal_model, superconductivity_model
from tests.potentials.fakes import FakePotential, fcc, fcc_batch

NAMES = ["Nb3Sn", "MgB2", "NbN", "V3Si", "Pb", "Cu", "Si", "NaCl", "Fe"]


@pytest.fixture
def models(monkeypatch):
    """Random models on the features of fake potentials: quick, and of known answers nowhere."""

    def make(*, faults=None, **changes):
        width = 2 * 4 * FakePotential.n_features
        model = superconductivity_model(width=width, **changes)
        fakes = {name: FakePotential(name, **(faults or {})) for name in model.potentials}
        monkeypatch.setattr(features, "load_potential", lambda name, device="cpu": fakes[name])
        monkeypatch.setattr(prediction, "load_superconductivity_model", lambda name: model)
        monkeypatch.setattr(prediction, "load_metal_model", lambda name: metal_model(width=width))
        return model

    return make


def _table(numbers=(13, 29, 41), **how):
    batch = fcc_batch(numbers, **how)
    return crystal_table(batch, ids=[f"z{z}" for z in numbers], source="tests", identified=False)


def test_columns_and_types(models) -> None:
    models()
    seen = []
    out = predict_table(_table(), on_rows=seen.append)
    assert sum(seen) == 3
    assert values(out, "id") == ["z13", "z29", "z41"]
    assert values(out, "error") == [None] * 3
    for name in prediction.COLUMNS:
        assert name in out.column_names
    for field in out.schema:
        assert field.type == COLUMNS[field.name], field.name
    assert values(out, "geometry") == ["input"] * 3
    assert values(out, "potential") == ["sevennet-0"] * 3


def test_energy_is_that_of_the_first_potential_unless_there_is_one(models) -> None:
    models()
    table = with_columns(_table(), {"potential": [None, "dft", None], "energy_eV_per_atom": [None, -1.5, None]})
    out = predict_table(table)
    wanted = FakePotential().evaluate(fcc_batch((13, 29, 41))).energies_eV / 4
    np.testing.assert_allclose(values(out, "energy_eV_per_atom"), [wanted[0], -1.5, wanted[2]])
    assert values(out, "potential") == ["sevennet-0", "dft", "sevennet-0"]


def test_closed_rows_are_left_alone(models) -> None:
    models()
    table = with_columns(_table(), {"error": ["broken", None, None], "rejected_by": [None, None, "gate"]})
    out = predict_table(table)
    assert [v is None for v in values(out, "tc_K")] == [True, False, True]
    assert values(out, "error") == ["broken", None, None]
    assert values(out, "rejected_by") == [None, None, "gate"]


def test_failed_row_gets_its_error_and_no_numbers(models) -> None:
    models(faults={"raises_for": [29]})
    out = predict_table(_table())
    assert [e is None for e in values(out, "error")] == [True, False, True]
    assert "ValueError" in values(out, "error")[1]
    for name in ("tc_K", "is_metal_probability", "in_domain", "energy_eV_per_atom", "warnings"):
        assert values(out, name)[1] is None, name
    alone = predict_table(_table((13, 41)))
    np.testing.assert_allclose([values(out, "tc_K")[i] for i in (0, 2)], values(alone, "tc_K"), rtol=1e-6)


def test_warnings_say_why_a_row_is_out_of_domain(models, monkeypatch) -> None:
    model = models(max_atoms=4)
    monkeypatch.setattr(
        type(model.domain), "distance", lambda self, x: np.where(x[:, 0] == 41, 2.5, 0.5)
    )  # the fake's first feature is Z
    batch = CrystalBatch.of([fcc(13), fcc(29, cells=2), fcc(41), fcc(79), fcc(13)])
    table = crystal_table(batch, ids=list("abcde"), source="tests", identified=False)
    table = with_columns(table, {"pressure_GPa": [0.5, 0.0, 0.0, None, -150.0]})
    out = predict_table(table)
    assert values(out, "warnings") == [
        None,
        "8 atoms, trained up to 4",
        "unlike the training crystals (distance 2.50, edge 1)",
        "elements not in the training data: Au",
        "at -150 GPa, trained at ambient pressure",
    ]
    assert values(out, "in_domain") == [True, False, False, False, False]


def test_empty_table(models) -> None:
    models()
    assert predict_table(_table().slice(0, 0)).num_rows == 0


@pytest.fixture(scope="module")
def known(shipped):
    out = predict_table(known_table(NAMES))
    return {row["id"]: row for row in out.to_pylist()}


@pytest.mark.parametrize("name", ["Nb3Sn", "MgB2", "NbN", "V3Si", "Pb"])
def test_known_superconductors(known, name) -> None:
    assert known[name]["tc_K"] > 1


@pytest.mark.parametrize("name", ["Nb3Sn", "MgB2", "NbN", "V3Si", "Pb"])
def test_known_superconductors_are_metals_that_may_superconduct(known, name) -> None:
    row = known[name]
    assert row["is_metal_probability"] > 0.5
    assert row["tc_hi_K"] > 5
    assert row["in_domain"]
    assert row["error"] is None


@pytest.mark.parametrize("name", ["Si", "NaCl"])
def test_no_metals(known, name) -> None:
    assert known[name]["is_metal_probability"] < 0.5


def test_copper_stays_normal(known) -> None:
    assert known["Cu"]["tc_K"] < 1
    assert known["Cu"]["is_metal_probability"] > 0.5


def test_iron_is_flagged(known) -> None:
    assert not known["Fe"]["in_domain"]
    assert "magnetic" in known["Fe"]["warnings"]
    assert known["Fe"]["magmom_max_muB"] > 1.5


def test_numbers_of_the_shipped_model_hang_together(known) -> None:
    for row in known.values():
        assert 0 <= row["tc_lo_K"] <= row["tc_K"] <= row["tc_hi_K"]
        assert row["omega2_K"] >= row["omega_log_K"] > 20
        assert row["tc_mu016_K"] <= row["tc_K"]
        assert 0 < row["lambda_"] < 4
        assert row["tc_K_std"] >= 0


def test_shipped_model_orders_frequencies_as_masses_do(known) -> None:
    assert known["Pb"]["omega_log_K"] < known["Nb3Sn"]["omega_log_K"] < known["MgB2"]["omega_log_K"]


def test_hydride_under_pressure_is_warned_of(shipped) -> None:
    row = predict_table(known_table(["H3S"])).to_pylist()[0]
    assert row["pressure_GPa"] > 100
    assert not row["in_domain"]
    assert f"at {row['pressure_GPa']:g} GPa" in row["warnings"]


def test_supercell_has_the_same_tc(shipped, known) -> None:
    batch = CrystalBatch.from_structures([known_crystal("MgB2") * (1, 1, 2)])
    row = predict_table(crystal_table(batch, ids=["double"], source="tests")).to_pylist()[0]
    assert row["tc_K"] == pytest.approx(known["MgB2"]["tc_K"], rel=0.02)
