import numpy as np
import pytest

from onnes.errors import ModelError
from onnes.models.metal import load_metal_model
from onnes.models.weights import load_weights, save_weights
from tests.models.made_up import features, metal_model


def test_probability_is_the_mean_over_the_members() -> None:
    model, x = metal_model(), features(20)
    p = model.predict(x)
    logits = model.heads.predict(x)["metal_logit"]
    np.testing.assert_allclose(p, (1 / (1 + np.exp(-logits))).mean(0))
    assert p.shape == (20,)
    assert ((p > 0) & (p < 1)).all()


def test_missing_features() -> None:
    x = features(2)
    x[0, 3] = np.nan
    assert np.isnan(metal_model().predict(x)).tolist() == [True, False]


def test_saved_and_loaded(tmp_path) -> None:
    model = metal_model()
    config = {"potentials": list(model.potentials), "targets": ["metal_logit"]}
    save_weights(tmp_path / "mine", model.heads.tensors(), config, "")
    np.testing.assert_allclose(
        load_metal_model(str(tmp_path / "mine")).predict(features(9)), model.predict(features(9)), atol=0.01
    )


def test_potentials_and_gain_are_read_back(tmp_path) -> None:
    model = metal_model(potentials=("sevennet-0", "chgnet"), x_gain=[2.0] * 30)
    config = {"potentials": ["sevennet-0", "chgnet"], "targets": ["metal_logit"]}
    save_weights(tmp_path / "mine", model.heads.tensors(), config, "")
    loaded = load_metal_model(str(tmp_path / "mine"))
    assert loaded.potentials == ("sevennet-0", "chgnet")
    assert loaded.heads.x_gain.tolist() == [2.0] * 30


def test_unknown_model() -> None:
    with pytest.raises(ModelError, match="unknown model"):
        load_metal_model("alchemy")


def test_shipped_model_was_good_on_held_out_formulas() -> None:
    try:
        validation = load_weights("metal").config["validation"]
    except ModelError:
        pytest.skip("the package has no metal weights yet")
    assert validation["auc"] > 0.95
    assert validation["n"] > 1000
    assert load_metal_model().potentials == ("sevennet-0",)
