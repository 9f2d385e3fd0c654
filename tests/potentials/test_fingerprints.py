import hashlib
import subprocess
import sys

import pytest

from onnes.errors import ModelError
from onnes.potentials import fingerprints
from onnes.potentials.fingerprints import potential_sha256, weights_file
from onnes.potentials.potential import load_potential, potential_names


@pytest.mark.parametrize("name", ["sevennet-0", "chgnet"])
def test_same_file_as_the_adapter_loads(name) -> None:
    assert potential_sha256(name) == load_potential(name).sha256


def test_every_adapter_has_its_file() -> None:
    prints = {potential_sha256(name) for name in potential_names()}
    assert len(prints) == len(potential_names())
    for name in potential_names():
        assert potential_sha256(name) == hashlib.sha256(weights_file(name).read_bytes()).hexdigest()


def test_found_without_torch() -> None:
    code = "import sys; from onnes.potentials.fingerprints import potential_sha256 as p; p('sevennet-0'); print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_unknown_potential() -> None:
    with pytest.raises(ModelError, match="'mace'; known: chgnet"):
        weights_file("mace")


def test_package_or_file_that_is_not_there(monkeypatch) -> None:
    monkeypatch.setitem(fingerprints._FILES, "gone", ("a_package_that_nobody_has", "x.pth"))
    monkeypatch.setitem(fingerprints._FILES, "half", ("chgnet", "pretrained/none.pth"))
    with pytest.raises(ModelError, match="pip install a_package_that_nobody_has"):
        weights_file("gone")
    with pytest.raises(ModelError, match=r"does not ship pretrained/none\.pth"):
        weights_file("half")
