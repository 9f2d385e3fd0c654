from types import SimpleNamespace

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal, known_table
from onnes.crystals.schema import COLUMNS, floats, values, with_columns
from onnes.crystals.table import crystal_table
from onnes.models import features, prediction
from onnes.models.prediction import predict_table
from onnes.physics.allen_dynes import allen_dynes_tc_K
from tests.models.made_up import metal_model, superconductivity_model
from tests.models.test_spectra_of_moments import trapezoid_moments
from tests.potentials.fakes import FakePotential, fcc, fcc_batch

NAMES = ["Nb3Sn", "MgB2", "NbN", "V3Si", "Pb", "Cu", "Si", "NaCl", "Fe"]
BLOCK = 2 * FakePotential.n_features
SCALE = [30, 900, 1, 1, 1, 1]
"""Of the fake's features: mean and standard deviation of Z, Z squared, 1."""


class Magnetic(FakePotential):
    """Knows the moments of iron."""

    def evaluate(self, batch, *, forces=True, features=False):
        out = super().evaluate(batch, forces=forces, features=features)
        object.__setattr__(out, "magmoms_muB", np.where(batch.atomic_numbers == 26, 2.2, 0.0))
        return out


@pytest.fixture
def models(monkeypatch):
    """Random models on the features of fake potentials: quick, and of known answers nowhere."""

    def make(*, faults=None, **changes):
        shape = {"width": 2 * BLOCK, "x_scale": SCALE}
        by_name = {
            "structure": superconductivity_model(**shape, **{"name": "structure", "moments": "chgnet", **changes}),
            "electronic": superconductivity_model(
                **shape, name="electronic", electronic=True, fallback="structure", seed=50, moments="chgnet"
            ),
            "alone": superconductivity_model(**shape, name="alone", seed=90),
        }
        metals = metal_model(width=BLOCK, potentials=("sevennet-l3i5",), x_scale=SCALE)
        fakes = {name: FakePotential(name, **(faults or {})) for name in by_name["structure"].potentials}
        fakes["chgnet"] = Magnetic("chgnet", **(faults or {}))
        monkeypatch.setattr(features, "load_potential", lambda name, device="cpu": fakes[name])
        monkeypatch.setattr(prediction, "load_superconductivity_model", by_name.__getitem__)
        monkeypatch.setattr(
            prediction, "load_weights", lambda name: SimpleNamespace(config={"kind": "superconductivity"})
        )
        monkeypatch.setattr(prediction, "load_metal_model", lambda name: metals)
        return by_name

    return make


def _table(numbers=(13, 29, 41), **how):
    batch = fcc_batch(numbers, **how)
    return crystal_table(
        batch,
        ids=[f"z{z}" if numbers.count(z) == 1 else f"{i}" for i, z in enumerate(numbers)],
        source="tests",
        identified=False,
    )


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


def test_numbers_are_those_of_the_model(models) -> None:
    model = models()["structure"]
    out = predict_table(_table())
    z = np.array([13, 29, 41])
    block = np.stack([z, z**2, np.ones(3), *np.zeros((3, 3))], axis=1).astype(np.float32)
    wanted = model.predict(np.concatenate([block, block], axis=1))
    for name in (
        "lambda_",
        "lambda_std",
        "omega_log_K",
        "tc_K",
        "tc_hi_K",
        "tc_above_5K_probability",
        "domain_distance",
    ):
        np.testing.assert_allclose(floats(out, name), wanted[name], rtol=1e-5, err_msg=name)
    assert len(set(values(out, "tc_K"))) == 3
    assert values(out, "tc_model") == ["structure"] * 3


def test_model_without_moments_asks_for_none(models) -> None:
    models()
    table = _table((13, 26))
    assert values(predict_table(table), "magmom_max_muB") == [0.0, 2.2]
    alone = predict_table(table, model="alone")
    assert values(alone, "magmom_max_muB") == [None, None]
    assert values(alone, "tc_model") == ["alone"] * 2
    assert all(v is not None for v in values(alone, "tc_K"))


@pytest.fixture
def many(models):
    models()
    return predict_table(_table(tuple(range(3, 93))))


def test_alpha2f_has_the_moments_of_the_row(many) -> None:
    spectra = np.array(values(many, "alpha2f"))
    moments = trapezoid_moments(spectra)
    for have, name in zip(moments, ("lambda_", "omega_log_K", "omega2_K"), strict=True):
        np.testing.assert_allclose(have, floats(many, name), rtol=1e-3, err_msg=name)


def test_alpha2f_is_sound(many) -> None:
    spectra = np.array(values(many, "alpha2f"))
    assert spectra.shape == (90, 101)
    assert (spectra >= 0).all()
    assert (spectra[:, [0, -1]] == 0).all()
    assert (spectra.max(1) > 0).all()


def test_tc_is_allen_dynes_of_the_moments_of_the_row(many) -> None:
    moments = [floats(many, name) for name in ("lambda_", "omega_log_K", "omega2_K")]
    np.testing.assert_allclose(floats(many, "tc_K"), allen_dynes_tc_K(*moments), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(
        floats(many, "tc_mu016_K"), allen_dynes_tc_K(*moments, mu_star=0.16), rtol=1e-6, atol=1e-9
    )
    assert (floats(many, "tc_lo_K") <= floats(many, "tc_K")).all()
    assert (floats(many, "tc_K") <= floats(many, "tc_hi_K")).all()


def test_rows_with_a_density_of_states_use_it_and_others_fall_back(models) -> None:
    by_name = models()
    numbers = (13, 29, 41, 13, 29, 41)
    table = with_columns(_table(numbers), {"dos_ef_states_per_eV": [2.0, None, 9.0, None, 0.0, -1.0]})
    out = predict_table(table, model="electronic")
    assert values(out, "error") == [None] * 6
    assert values(out, "tc_model") == ["electronic", "structure", "electronic", "structure", "structure", "structure"]
    plain = predict_table(_table(numbers))
    for name in ("lambda_", "omega_log_K", "tc_K", "tc_lo_K", "tc_above_5K_probability", "domain_distance"):
        electronic, structure = floats(out, name), floats(plain, name)
        np.testing.assert_allclose(electronic[[1, 3, 4, 5]], structure[[1, 3, 4, 5]], rtol=1e-6, err_msg=name)
        assert (np.abs(electronic[[0, 2]] / structure[[0, 2]] - 1) > 1e-6).all(), name
    more = with_columns(table, {"dos_ef_states_per_eV": [3.0, None, 9.0, None, None, None]})
    changed = floats(predict_table(more, model="electronic"), "lambda_") != floats(out, "lambda_")
    assert changed.tolist() == [True] + [False] * 5
    moments = trapezoid_moments(np.array(values(out, "alpha2f")))
    np.testing.assert_allclose(moments[0], floats(out, "lambda_"), rtol=1e-3)
    assert by_name["electronic"].electronic


def test_without_any_density_of_states_all_rows_fall_back(models) -> None:
    models()
    out = predict_table(_table(), model="electronic")
    assert values(out, "tc_model") == ["structure"] * 3
    np.testing.assert_allclose(values(out, "tc_K"), values(predict_table(_table()), "tc_K"), rtol=1e-6)


def test_phonons_are_asked_of_the_first_potential(models, monkeypatch) -> None:
    models()
    asked = []

    def spy(predicted, batch, potential, *, device):
        asked.append((potential, device))
        return {**predicted, "alpha2f": np.zeros((len(batch), 101))}

    monkeypatch.setattr(prediction, "with_spectra", spy)
    predict_table(_table(), phonons=True)
    predict_table(_table())
    assert asked == [("sevennet-0", "cpu"), (None, "cpu")]


def test_spectrum_model_brings_its_own_spectra(models, monkeypatch) -> None:
    models()
    asked = []
    columns = {name: np.full(3, 0.7) for name in prediction.NUMBERS}
    spectra = np.tile(np.where(np.arange(101) < 20, 0.5, 0.0), (3, 1))

    def predict(model, batch, *, device):
        asked.append((model, len(batch), device))
        return {**columns, "domain_distance": np.full(3, np.nan), "alpha2f": spectra}

    own = SimpleNamespace(elements=frozenset({13, 41}), max_atoms=20)
    monkeypatch.setattr(prediction, "load_weights", lambda name: SimpleNamespace(config={"kind": "spectrum"}))
    monkeypatch.setattr(prediction, "load_spectrum_model", {"mine": own}.__getitem__)
    monkeypatch.setattr(prediction, "spectrum_columns", predict)
    out = predict_table(_table(), model="mine")
    assert asked == [(own, 3, "cpu")]
    np.testing.assert_allclose(np.array(values(out, "alpha2f")), spectra, rtol=1e-6)
    assert values(out, "lambda_") == [0.7] * 3
    assert values(out, "domain_distance") == [None] * 3
    assert values(out, "tc_model") == ["mine"] * 3
    assert values(out, "warnings") == [None, "elements not in the training data: Cu", None]
    assert values(out, "potential") == ["sevennet-l3i5"] * 3  # that of the metal model
    assert values(out, "magmom_max_muB") == [0.0] * 3


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
    for name in ("tc_K", "is_metal_probability", "in_domain", "energy_eV_per_atom", "warnings", "alpha2f", "tc_model"):
        assert values(out, name)[1] is None, name
    alone = predict_table(_table((13, 41)))
    np.testing.assert_allclose([values(out, "tc_K")[i] for i in (0, 2)], values(alone, "tc_K"), rtol=1e-6)


def test_warnings_say_why_a_row_is_out_of_domain(models, monkeypatch) -> None:
    model = models(max_atoms=4, elements=frozenset({13, 26, 29, 41}))["structure"]
    monkeypatch.setattr(
        type(model.domain), "distance", lambda self, x: np.where(np.isclose(x[:, 0], 41 / 30), 2.5, 0.5)
    )  # the fake's first feature is Z
    batch = CrystalBatch.of([fcc(13), fcc(29, cells=2), fcc(41), fcc(79), fcc(13), fcc(26)])
    table = crystal_table(batch, ids=list("abcdef"), source="tests", identified=False)
    table = with_columns(table, {"pressure_GPa": [0.5, 0.0, 0.0, None, -150.0, 0.0]})
    out = predict_table(table)
    assert values(out, "warnings") == [
        None,
        "8 atoms, trained up to 4",
        "unlike the training crystals (distance 2.50, edge 1)",
        "elements not in the training data: Au",
        "at -150 GPa, trained at ambient pressure",
        "magnetic (CHGNet moment 2.2 muB)",
    ]
    assert values(out, "in_domain") == [True, False, False, False, False, False]


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
        moments = trapezoid_moments(np.array([row["alpha2f"]]))
        assert [m[0] for m in moments] == pytest.approx([row["lambda_"], row["omega_log_K"], row["omega2_K"]], rel=1e-3)
        assert (row["tc_above_5K_probability"] > 0.5) == (row["tc_K"] > 5)
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
    assert "hydride" in row["warnings"]


def test_shipped_electronic_model_uses_the_density_of_states(shipped, known) -> None:
    table = with_columns(known_table(["Nb", "Pb"]), {"dos_ef_states_per_eV": [1.5, None]})
    niobium, lead = predict_table(table, model="electronic").to_pylist()
    assert (niobium["tc_model"], lead["tc_model"]) == ("electronic", "structure")
    assert lead["tc_K"] == pytest.approx(known["Pb"]["tc_K"], rel=1e-4)
    more = predict_table(with_columns(table, {"dos_ef_states_per_eV": [3.0, None]}), model="electronic").to_pylist()[0]
    assert more["lambda_"] > niobium["lambda_"]  # more electrons at the Fermi level couple more


def test_supercell_has_the_same_tc(shipped, known) -> None:
    batch = CrystalBatch.from_structures([known_crystal("MgB2") * (1, 1, 2)])
    row = predict_table(crystal_table(batch, ids=["double"], source="tests")).to_pylist()[0]
    assert row["tc_K"] == pytest.approx(known["MgB2"]["tc_K"], rel=0.02)
