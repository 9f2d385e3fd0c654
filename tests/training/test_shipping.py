import json

import numpy as np
import pytest

from onnes.errors import ConfigError
from onnes.models.metal import load_metal_model
from onnes.models.superconductivity import load_superconductivity_model
from onnes.training import metals, shipping
from onnes.training import superconductivity as training
from onnes.training.shipping import TRUE_NEGATIVE_RATE, TRUE_NEGATIVE_RATES, train_model
from tests.training.made_up import POTENTIALS, QUICK, electron_phonon_data, metal_data, metal_recipe, recipe

SETTINGS = QUICK.model_copy(update={"members": 2, "epochs": 10})
STRUCTURE = recipe(name="structure", heads=SETTINGS, moments="chgnet")
ELECTRONIC = recipe(
    name="electronic", potentials=POTENTIALS, electronic=True, fallback="structure", electronic_gain=8.0, heads=SETTINGS
)


@pytest.fixture(scope="module")
def data():
    return electron_phonon_data(800)


@pytest.fixture
def labels(data, monkeypatch):
    monkeypatch.setattr(training, "load_data", lambda recipes, **_: data)
    return data


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Folder and configuration of one training, the rows of each fit, and the number of epochs."""
    fitted, ticks, plain = [], [], training.fit_superconductivity

    def spy(data, rows, *rest, **how):
        fitted.append(rows)
        return plain(data, rows, *rest, **how)

    folder = tmp_path_factory.mktemp("weights") / "structure"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "load_data", lambda recipes, **_: data)
        patch.setattr(training, "fit_superconductivity", spy)
        config = train_model(STRUCTURE, folder, on_epoch=lambda: ticks.append(1))
    return folder, config, fitted, len(ticks)


def test_superconductivity_model_is_trained_scored_and_written(data, trained) -> None:
    folder, config, fitted, epochs = trained
    # five folds of one member; scored is one that never saw the validation rows; shipped is one that saw all
    assert len(fitted) == 7
    assert all(not (rows & ~data.training).any() for rows in fitted[:-1])
    np.testing.assert_array_equal(fitted[-2], data.training)
    assert fitted[-1].all()
    assert epochs == (5 * 1 + 2 * 2) * 10
    assert config["validation"]["n"] == data.validation.sum()
    assert config["validation"]["tc_r2"] > 0.5
    assert 0.7 < config["validation"]["lambda_coverage"] <= 1
    assert config["training_rows"] == 800
    written = json.loads((folder / "config.json").read_text())
    assert {k: v for k, v in written.items() if k != "sha256"} == json.loads(json.dumps(config))


def test_written_model_is_the_one_that_was_trained(data, trained) -> None:
    folder, config, *_ = trained
    model = load_superconductivity_model(str(folder))
    assert model.calibration._asdict() == config["calibration"]
    assert model.calibration.floor > 0
    assert model.calibration.probability_scale != 1.0
    assert (model.potentials, model.moments, model.electronic) == (("sevennet-0",), "chgnet", False)
    found = model.predict(data.features["sevennet-0"])
    assert np.abs(found["tc_K"] - data.tc_K).mean() < 0.5 * np.abs(data.tc_K - data.tc_K.mean()).mean()


def test_thresholds_rise_with_the_true_negative_rate(data, trained) -> None:
    folder, config, *_ = trained
    thresholds = [config["thresholds_K"][str(rate)] for rate in TRUE_NEGATIVE_RATES]
    assert thresholds == sorted(thresholds)
    tc = load_superconductivity_model(str(folder)).predict(data.features["sevennet-0"])["tc_K"]
    for rate, threshold in zip(TRUE_NEGATIVE_RATES, thresholds, strict=True):
        assert (tc[data.tc_K <= 5] <= threshold).mean() > rate - 0.03
    assert config["validation"]["threshold_K"] == config["thresholds_K"][str(TRUE_NEGATIVE_RATE)]


def test_card_holds_the_numbers(trained) -> None:
    folder, config, *_ = trained
    card = (folder / "README.md").read_text()
    assert card.startswith("# structure: ")
    assert f"Tc MAE\n  {config['validation']['tc_mae_K']:.2f} K" in card
    assert f"({config['validation']['n']} rows)" in card
    assert f"cover {config['validation']['lambda_coverage']:.1%} of lambda" in card
    assert f"predicted Tc above {config['validation']['threshold_K']:.1f} K" in card
    assert f"95.0% at {config['thresholds_K']['0.95']:.1f} K" in card
    assert "**Limits**" in card
    assert "N(E_F)" not in card


def test_electronic_model_is_trained_on_what_it_can_read(labels, tmp_path) -> None:
    config = train_model(ELECTRONIC, tmp_path / "electronic")
    assert config["training_rows"] == labels.has_dos.sum()
    assert config["validation"]["n"] == (labels.validation & labels.has_dos).sum()
    assert (config["electronic"], config["fallback"]) == (True, "structure")
    model = load_superconductivity_model(str(tmp_path / "electronic"))
    assert model.heads.columns == (((0, 25), (50, 53)), ((25, 50), (50, 53)))
    assert model.heads.n_members == 4
    assert model.heads.ensembles[1].x_gain[-1] == 8.0
    found = model.predict(labels.inputs(POTENTIALS, electronic=True))
    np.testing.assert_array_equal(np.isnan(found["tc_K"]), ~labels.has_dos)
    assert "N(E_F)" in (tmp_path / "electronic" / "README.md").read_text()


def test_metal_model_is_trained_scored_and_written(monkeypatch, tmp_path) -> None:
    data = metal_data(600)
    asked = []

    def load(potentials, **_):
        asked.append(potentials)
        return data

    monkeypatch.setattr(metals, "load_metal_data", load)
    config = train_model(metal_recipe(epochs=10), tmp_path / "metal")
    assert asked == [("sevennet-0",)]
    assert config["validation"]["auc"] > 0.9
    assert config["recipe"]["heads"]["loss"] == "binary"
    card = (tmp_path / "metal" / "README.md").read_text()
    assert f"ROC-AUC {config['validation']['auc']:.3f}" in card
    p = load_metal_model(str(tmp_path / "metal")).predict(data.features)
    assert ((p > 0.5) == data.is_metal).mean() > 0.85


def test_recipe_by_name_and_by_file(monkeypatch, tmp_path) -> None:
    seen = []
    monkeypatch.setattr(shipping, "_train_superconductivity", lambda recipe, *_: seen.append(recipe.name) or {})
    monkeypatch.setattr(shipping, "_train_metal", lambda recipe, *_: seen.append(recipe.name) or {})
    file = tmp_path / "mine.toml"
    file.write_text('kind = "metal"\nname = "mine"\npotentials = ["chgnet"]\n[heads]\nloss = "binary"\n')
    for source in ("fast", "metal", file, str(file), STRUCTURE):
        train_model(source, tmp_path)
    assert seen == ["fast", "metal", "mine", "mine", "structure"]


def test_spectrum_recipe_is_not_taken_for_another(tmp_path, monkeypatch) -> None:
    """Its data are one's own: without the file it is that file which is missed."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"spectra\.parquet"):
        train_model("spectrum", tmp_path / "weights")


def test_unknown_model(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"no recipe phonons: .*structure"):
        train_model("phonons", tmp_path)


@pytest.mark.parametrize("name", ["structure", "electronic", "fast", "metal"])
def test_without_data(monkeypatch, tmp_path, name) -> None:
    monkeypatch.setenv("ONNES_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="ONNES_DATA"):
        train_model(name, tmp_path / name)
    assert not (tmp_path / name).exists()
