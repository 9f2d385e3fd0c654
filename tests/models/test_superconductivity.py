import numpy as np
import pytest

from onnes.errors import ModelError
from onnes.models.superconductivity import TARGETS, SuperconductivityModel, load_superconductivity_model
from onnes.models.weights import save_weights
from onnes.physics.allen_dynes import allen_dynes_tc_K
from tests.models.made_up import features, superconductivity_model


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
    np.testing.assert_allclose(found["omega_log_K_std"], np.exp(members["ln_omega_log_K"]).std(0))


def test_omega2_never_falls_below_omega_log(model, found) -> None:
    raw = model.heads.predict(features(60))["ln_omega2_ratio"]
    assert (raw < 0).any()  # the heads themselves would break it
    assert (found["omega2_K"] >= found["omega_log_K"] * (1 - 1e-12)).all()


def test_interval_holds_tc_and_widens_with_the_calibration(found) -> None:
    assert (found["tc_lo_K"] <= found["tc_K"]).all()
    assert (found["tc_K"] <= found["tc_hi_K"]).all()
    wide = superconductivity_model(interval=(3.2, 0.2)).predict(features(60))
    assert (wide["tc_hi_K"] - wide["tc_lo_K"] > found["tc_hi_K"] - found["tc_lo_K"]).all()


def test_missing_features_give_missing_numbers(model) -> None:
    x = features(3)
    x[1] = np.nan
    for name, array in model.predict(x).items():
        if name != "mu_star":
            assert np.isnan(array).tolist() == [False, True, False], name


def test_saved_and_loaded(model, tmp_path) -> None:
    config = {
        "potentials": list(model.potentials), "targets": list(TARGETS), "interval": list(model.interval),
        "max_atoms": 12, "elements": sorted(model.elements),
    }  # fmt: skip
    save_weights(tmp_path / "mine", {**model.heads.tensors(), **model.domain.tensors()}, config, "")
    loaded = load_superconductivity_model(str(tmp_path / "mine"))
    assert isinstance(loaded, SuperconductivityModel)
    assert (loaded.max_atoms, loaded.elements, loaded.interval) == (12, model.elements, model.interval)
    read, made = loaded.predict(features(20)), model.predict(features(20))
    for name in ("lambda_", "omega_log_K", "tc_K", "tc_hi_K", "domain_distance"):
        np.testing.assert_allclose(read[name], made[name], rtol=0.03, atol=0.02)


def test_unknown_model() -> None:
    with pytest.raises(ModelError, match="unknown model 'crystal-ball'"):
        load_superconductivity_model("crystal-ball")


def test_shipped_model(shipped) -> None:
    loaded = load_superconductivity_model()
    assert loaded.potentials == ("sevennet-0", "chgnet")
    assert loaded.heads.targets == TARGETS
    assert len(loaded.elements) > 60
    assert loaded.max_atoms >= 12
    assert loaded.heads.n_members >= 5
