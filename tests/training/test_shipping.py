import json

import numpy as np
import pytest

from onnes.errors import ConfigError
from onnes.models.metal import load_metal_model
from onnes.models.superconductivity import load_superconductivity_model
from onnes.training import metals, shipping, structure
from onnes.training.shipping import train_model
from tests.training.made_up import QUICK, metal_data, structure_data

SETTINGS = QUICK.model_copy(update={"members": 2, "epochs": 10})


def test_structure_model_is_trained_scored_and_written(monkeypatch, tmp_path) -> None:
    data = structure_data(800)
    monkeypatch.setattr(structure, "load_structure_data", lambda **_: data)
    fitted, plain = [], structure.fit_structure

    def spy(data, rows, *rest, **how):
        fitted.append(rows)
        return plain(data, rows, *rest, **how)

    monkeypatch.setattr(structure, "fit_structure", spy)
    ticks = []
    config = train_model("structure", tmp_path / "structure", SETTINGS, on_epoch=lambda: ticks.append(1))
    # scored on a model that never saw the validation rows; shipped is one that saw all
    np.testing.assert_array_equal(fitted[0], data.training)
    assert fitted[1].all()
    assert len(ticks) == 2 * 2 * 10
    assert config["validation"]["n"] == data.validation.sum()
    assert config["validation"]["tc_r2"] > 0.5
    assert config["training_rows"] == 800
    written = json.loads((tmp_path / "structure" / "config.json").read_text())
    assert {k: v for k, v in written.items() if k != "sha256"} == config
    model = load_superconductivity_model(str(tmp_path / "structure"))
    assert model.interval == tuple(config["interval"])
    assert model.interval[1] > 0
    found = model.predict(data.features)
    assert np.abs(found["tc_K"] - data.tc_K).mean() < 0.5 * np.abs(data.tc_K - data.tc_K.mean()).mean()


def test_card_holds_the_numbers(monkeypatch, tmp_path) -> None:
    data = structure_data(400)
    monkeypatch.setattr(structure, "load_structure_data", lambda **_: data)
    config = train_model("structure", tmp_path / "s", SETTINGS.model_copy(update={"epochs": 2}))
    card = (tmp_path / "s" / "README.md").read_text()
    assert f"Tc MAE\n  {config['validation']['tc_mae_K']:.2f} K" in card
    assert f"({config['validation']['n']} rows)" in card
    assert "**Limits**" in card


def test_metal_model_is_trained_scored_and_written(monkeypatch, tmp_path) -> None:
    data = metal_data(600)
    monkeypatch.setattr(metals, "load_metal_data", lambda **_: data)
    settings = SETTINGS.model_copy(update={"loss": "binary"})
    config = train_model("metal", tmp_path / "metal", settings)
    assert config["validation"]["auc"] > 0.9
    card = (tmp_path / "metal" / "README.md").read_text()
    assert f"ROC-AUC {config['validation']['auc']:.3f}" in card
    p = load_metal_model(str(tmp_path / "metal")).predict(data.features)
    assert ((p > 0.5) == data.is_metal).mean() > 0.85


def test_unknown_model(tmp_path) -> None:
    with pytest.raises(ConfigError, match="unknown model 'phonons'; one of structure, metal"):
        train_model("phonons", tmp_path)


def test_without_data(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ONNES_DATA", str(tmp_path / "nowhere"))
    for name in shipping.MODELS:
        with pytest.raises(ConfigError, match="ONNES_DATA"):
            train_model(name, tmp_path / name)
