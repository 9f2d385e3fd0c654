from dataclasses import replace

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.errors import ModelError
from onnes.models.superconductivity import (
    N_ELECTRONIC,
    TARGETS,
    TC_THRESHOLD_K,
    Calibration,
    SuperconductivityModel,
    electronic_features,
    lambda_of_tc,
    load_superconductivity_model,
)
from onnes.models.weights import save_weights
from onnes.physics.allen_dynes import allen_dynes_tc_K
from tests.models.made_up import (
    CALIBRATION,
    POTENTIALS,
    WIDTH,
    features,
    metal_model,
    superconductivity_config,
    superconductivity_model,
)
from tests.potentials.fakes import fcc


@pytest.fixture(scope="module")
def model():
    return superconductivity_model()


@pytest.fixture(scope="module")
def found(model):
    return model.predict(features(60))


def test_every_column_has_a_value_for_every_row(found) -> None:
    assert all(array.shape == (60,) for array in found.values())
    assert all(np.isfinite(array).all() for array in found.values())
    assert (found["mu_star"] == 0.10).all()


def test_tc_is_allen_dynes_of_the_mean_moments(found) -> None:
    for name, mu_star in (("tc_K", 0.10), ("tc_mu016_K", 0.16)):
        wanted = allen_dynes_tc_K(found["lambda_"], found["omega_log_K"], found["omega2_K"], mu_star=mu_star)
        np.testing.assert_allclose(found[name], wanted)
    assert (found["tc_mu016_K"] < found["tc_K"]).all()


def test_moments_are_geometric_means_of_the_members(model, found) -> None:
    members = model.heads.predict(features(60))
    np.testing.assert_allclose(found["lambda_"], np.exp(members["ln_lambda"]).prod(0) ** (1 / 4))
    np.testing.assert_allclose(found["debye_K"], np.exp(members["ln_debye_K"]).prod(0) ** (1 / 4))
    np.testing.assert_allclose(found["omega_log_K_std"], np.exp(members["ln_omega_log_K"]).std(0))


def test_omega2_never_falls_below_omega_log(model, found) -> None:
    raw = model.heads.predict(features(60))["ln_omega2_ratio"]
    assert (raw < 0).any()  # the heads themselves would break it
    assert (found["omega2_K"] >= found["omega_log_K"] * (1 - 1e-12)).all()


def test_interval_holds_tc_and_widens_with_the_calibration(model, found) -> None:
    assert (found["tc_lo_K"] <= found["tc_K"]).all()
    assert (found["tc_K"] <= found["tc_hi_K"]).all()
    for change in ({"tc_factor": 3.2}, {"floor": 0.5}):
        wide = replace(model, calibration=CALIBRATION._replace(**change)).predict(features(60))
        assert (wide["tc_hi_K"] - wide["tc_lo_K"] > found["tc_hi_K"] - found["tc_lo_K"]).all()


def test_interval_by_hand(model, found) -> None:
    spread = model.heads.predict(features(60))["ln_lambda"].std(0)
    sigma = np.sqrt((1.7 * spread) ** 2 + 0.2**2)
    np.testing.assert_allclose(model.sigma(model.heads.predict(features(60))["ln_lambda"]), sigma)
    for name, sign in (("tc_lo_K", -1), ("tc_hi_K", 1)):
        shifted = found["lambda_"] * np.exp(sign * 1.6 * sigma)
        np.testing.assert_allclose(found[name], allen_dynes_tc_K(shifted, found["omega_log_K"], found["omega2_K"]))


@pytest.mark.parametrize("mu_star", [0.10, 0.16])
def test_lambda_of_tc_inverts_allen_dynes(mu_star) -> None:
    rng = np.random.default_rng(0)
    log_K = rng.uniform(40, 1000, 200)
    two_K = log_K * rng.uniform(1.0, 1.8, 200)
    for tc_K in (0.1, 5.0, 20.0):
        lam = lambda_of_tc(tc_K, log_K, two_K, mu_star=mu_star)
        assert (lam > mu_star).all()
        np.testing.assert_allclose(allen_dynes_tc_K(lam, log_K, two_K, mu_star=mu_star), tc_K, rtol=1e-6)
    lam = rng.uniform(0.3, 3, 20)
    tc = allen_dynes_tc_K(lam, log_K[:20], two_K[:20], mu_star=mu_star)
    back = [
        lambda_of_tc(t, w[None], w2[None], mu_star=mu_star)[0]
        for t, w, w2 in zip(tc, log_K, two_K, strict=False)
    ]  # fmt: skip
    np.testing.assert_allclose(back, lam, rtol=1e-6)


def test_probability_is_a_half_at_the_predicted_tc(model) -> None:
    lam, log_K, two_K = np.array([0.5, 0.9]), np.array([300.0, 150.0]), np.array([340.0, 160.0])
    tc = allen_dynes_tc_K(lam, log_K, two_K)
    for i in range(2):
        p = model.probability_above(tc[i], lam, log_K, two_K, np.array([0.1, 0.5]))
        assert p[i] == pytest.approx(0.5, abs=1e-6)


def test_probability_falls_with_the_threshold_and_rises_with_lambda(model) -> None:
    n = 40
    log_K, two_K, sigma = np.full(n, 250.0), np.full(n, 280.0), np.full(n, 0.3)
    lam = np.linspace(0.2, 2.5, n)
    before = np.ones(n)
    for threshold in (0.5, 1.0, 5.0, 10.0, 30.0):
        p = model.probability_above(threshold, lam, log_K, two_K, sigma)
        assert ((p >= 0) & (p <= 1)).all()
        assert (np.diff(p) > 0).all()
        assert (p < before).all()
        before = p


def test_probability_is_the_share_of_the_distribution_of_lambda(model) -> None:
    """By drawing: lambda log-normal, its width the scale of the calibration times sigma."""
    lam, log_K, two_K, sigma = (np.array([x]) for x in (0.6, 220.0, 250.0, 0.25))
    p = model.probability_above(5.0, lam, log_K, two_K, sigma)[0]
    drawn = lam * np.exp(1.1 * sigma * np.random.default_rng(1).normal(size=20000))
    assert p == pytest.approx((allen_dynes_tc_K(drawn, 220.0, 250.0) > 5).mean(), abs=0.012)
    wide = replace(model, calibration=CALIBRATION._replace(probability_scale=5.0))
    assert abs(wide.probability_above(5.0, lam, log_K, two_K, sigma)[0] - 0.5) < abs(p - 0.5)


def test_probability_column_speaks_of_five_kelvin(model, found) -> None:
    assert TC_THRESHOLD_K == 5.0
    p = found["tc_above_5K_probability"]
    np.testing.assert_array_equal(p > 0.5, found["tc_K"] > 5)
    assert 0 < (p > 0.5).mean() < 1


def test_missing_features_give_missing_numbers(model) -> None:
    x = features(3)
    x[1] = np.nan
    for name, array in model.predict(x).items():
        if name != "mu_star":
            assert np.isnan(array).tolist() == [False, True, False], name


def test_electronic_features_by_hand() -> None:
    batch = CrystalBatch.of([(4 * np.eye(3), np.zeros((1, 3)), [13]), fcc(29), fcc(41), fcc(79), fcc(47)])
    found = electronic_features(np.array([0.4, 8.0, np.nan, 0.0, -1.0]), batch)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], np.log([0.4, 0.4 / 64, 0.4]), rtol=1e-6)
    np.testing.assert_allclose(found[1], np.log([2.0, 8 / batch.volumes[1], 8.0]), rtol=1e-6)
    assert np.isnan(found[2:]).all()


def test_electronic_model_reads_the_density_of_states() -> None:
    model = superconductivity_model(electronic=True)
    x = features(8, width=WIDTH + N_ELECTRONIC)
    more = x.copy()
    more[:, -N_ELECTRONIC:] += 1
    assert (np.abs(model.predict(more)["lambda_"] - model.predict(x)["lambda_"]) > 1e-4).all()
    unknown = x.copy()
    unknown[2:4, -N_ELECTRONIC:] = np.nan
    for name in ("lambda_", "tc_K", "tc_above_5K_probability", "domain_distance"):
        assert np.isnan(model.predict(unknown)[name]).tolist() == [False] * 2 + [True] * 2 + [False] * 4, name


@pytest.mark.parametrize("electronic", [False, True])
def test_saved_and_loaded(tmp_path, electronic) -> None:
    model = superconductivity_model(electronic=electronic, fallback="other", moments="chgnet")
    tensors = {**model.heads.tensors(), **model.domain.tensors()}
    save_weights(tmp_path / "mine", tensors, superconductivity_config(model), "")
    loaded = load_superconductivity_model(str(tmp_path / "mine"))
    assert isinstance(loaded, SuperconductivityModel)
    assert loaded.potentials == POTENTIALS
    assert loaded.heads.columns == model.heads.columns
    assert loaded.calibration == CALIBRATION
    assert isinstance(loaded.calibration, Calibration)
    assert (loaded.max_atoms, loaded.elements) == (12, model.elements)
    assert (loaded.electronic, loaded.fallback, loaded.moments) == (electronic, "other", "chgnet")
    x = features(20, width=WIDTH + N_ELECTRONIC * electronic)
    read, made = loaded.predict(x), model.predict(x)
    for name in ("lambda_", "omega_log_K", "tc_K", "tc_hi_K", "tc_above_5K_probability", "domain_distance"):
        np.testing.assert_allclose(read[name], made[name], rtol=0.05, atol=0.02)


def test_model_of_another_kind_is_refused(tmp_path) -> None:
    config = {"kind": "metal", "potentials": ["sevennet-0"], "targets": ["metal_logit"]}
    save_weights(tmp_path / "metal", metal_model().heads.tensors(), config, "")
    with pytest.raises(ModelError, match="is of kind 'metal'; give one of kind 'superconductivity'"):
        load_superconductivity_model(str(tmp_path / "metal"))


def test_unknown_model() -> None:
    with pytest.raises(ModelError, match="unknown model 'crystal-ball'"):
        load_superconductivity_model("crystal-ball")


@pytest.mark.parametrize(
    ("name", "potentials", "electronic", "fallback"),
    [
        ("structure", ("sevennet-0", "sevennet-l3i5"), False, None),
        ("electronic", ("sevennet-0", "sevennet-l3i5"), True, "structure"),
        ("fast", ("sevennet-0",), False, None),
    ],
)
def test_shipped_model(shipped, name, potentials, electronic, fallback) -> None:
    loaded = load_superconductivity_model(name)
    assert loaded.name == name
    assert loaded.potentials == potentials
    assert (loaded.electronic, loaded.fallback) == (electronic, fallback)
    assert loaded.heads.targets == TARGETS
    assert len(loaded.elements) > 60
    assert loaded.max_atoms >= 12
    assert loaded.heads.n_members >= 5
    assert loaded.heads.x_mean.shape == (
        sum({"sevennet-0": 2048, "sevennet-l3i5": 2304}[p] for p in potentials) + 3 * electronic,
    )
    assert 0 < loaded.calibration.floor < 1
    assert 1 < loaded.calibration.lambda_factor < 4
