import hashlib
import json

import numpy as np
import pytest

from onnes.errors import ModelError
from onnes.models import weights
from onnes.models.weights import load_weights, save_weights, weight_names, weights_folder, weights_sha256


@pytest.fixture
def folder(tmp_path):
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.float16)}
    return save_weights(tmp_path / "mine", tensors, {"kind": "test", "targets": ["x"]}, "# mine\n")


def test_saved_and_loaded(folder) -> None:
    loaded = load_weights(str(folder))
    np.testing.assert_array_equal(loaded.tensors["a"], [[0, 1, 2], [3, 4, 5]])
    assert loaded.tensors["b"].dtype == np.float16
    assert loaded.config["kind"] == "test"
    assert loaded.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert weights_sha256(str(folder)) == loaded.sha256
    assert (folder / "README.md").read_text() == "# mine\n"


def test_changed_tensors_are_refused(folder) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    for read in (load_weights, weights_sha256):
        with pytest.raises(ModelError, match="changed or damaged, install the package again"):
            read(str(folder))


def test_changed_configuration_is_refused(folder) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": "0" * 64}))
    with pytest.raises(ModelError, match="0000000000000000"):
        load_weights(str(folder))


def test_unknown_name(tmp_path) -> None:
    with pytest.raises(ModelError, match="unknown model 'nothing'; shipped: "):
        load_weights("nothing")
    with pytest.raises(ModelError, match="unknown model"):
        weights_folder(str(tmp_path))  # a folder without a configuration


def test_every_shipped_set_is_whole() -> None:
    assert {"structure", "electronic", "fast", "metal", "experimental", "generator"} <= set(weight_names())
    for name in weight_names():
        loaded = load_weights(name)
        assert loaded.name == name
        assert (weights_folder(name) / "README.md").read_text().startswith(f"# {name}")
        keys = ["kind", "validation", "licence", "training_data", "split"]
        if loaded.config.get("kind") in ("superconductivity", "metal"):
            keys += ["potentials", "targets", "recipe", "training_rows"]
        for key in keys:
            assert key in loaded.config, (name, key)
        assert all(np.isfinite(tensor).all() for tensor in loaded.tensors.values())


def test_package_without_weights(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(weights, "shipped_folder", lambda: tmp_path / "weights")
    assert weight_names() == []
    with pytest.raises(ModelError, match="unknown model 'metal'"):
        load_weights("metal")
