import json

import pytest

import onnes
from onnes.errors import ConfigError
from onnes.models import weights
from onnes.models.weights import weight_names, weights_sha256
from onnes.physics.reference import Reference
from onnes.potentials.fingerprints import potential_sha256
from onnes.potentials.potential import potential_names
from onnes.tools import doctor
from onnes.tools.doctor import examine


@pytest.fixture(scope="module")
def found():
    return examine()


def test_versions_and_sha256(found) -> None:
    assert found["onnes"] == onnes.__version__
    assert found["packages"]["torch"] != "missing"
    assert set(found["potentials"]) == set(potential_names())
    assert found["potentials"]["sevennet-0"] == potential_sha256("sevennet-0")
    assert found["models"] == {name: weights_sha256(name) for name in weight_names()}
    assert found["cores"] >= 1
    assert found["threads_per_process"] == "1"
    assert found["cuda"]
    json.dumps(found)


def test_whole_installation_has_no_faults(found) -> None:
    if found["faults"] and all("reference" in fault or "parquet" in fault for fault in found["faults"]):
        pytest.skip("the package has no reference file yet")
    assert found["faults"] == []
    reference = Reference.shipped("sevennet-0")
    assert found["reference"]["sha256"] == reference.sha256
    assert found["reference"]["with_energy"] <= found["reference"]["phases"] == reference.table.num_rows


def test_missing_package_is_a_fault(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "_PACKAGES", ("numpy", "a-package-that-nobody-has"))
    found = examine()
    assert found["packages"]["a-package-that-nobody-has"] == "missing"
    assert any("pip install a-package-that-nobody-has" in fault for fault in found["faults"])


def test_damaged_weights_are_a_fault(monkeypatch, tmp_path) -> None:
    folder = tmp_path / "broken"
    weights.save_weights(folder, {}, {"kind": "test"}, "")
    (folder / "model.safetensors").write_bytes(b"junk")
    monkeypatch.setattr(weights, "shipped_folder", lambda: tmp_path)
    found = examine()
    assert found["models"]["broken"].startswith("unusable: ")
    assert any("changed or damaged" in fault for fault in found["faults"])


def test_no_weights_are_a_fault(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(weights, "shipped_folder", lambda: tmp_path / "none")
    assert any("no weights are installed" in fault for fault in examine()["faults"])


@pytest.mark.parametrize("error", [ConfigError("not a reference file"), FileNotFoundError("sevennet-0.parquet")])
def test_missing_reference_is_a_fault(monkeypatch, error) -> None:
    def fail(_potential):
        raise error

    monkeypatch.setattr(Reference, "shipped", fail)
    found = examine()
    assert found["reference"] == {}
    assert str(error) in found["faults"]
