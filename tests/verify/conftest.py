import pytest

from onnes.verify.programs import version_of
from tests.verify.replay import Replay


@pytest.fixture
def replay(tmp_path, monkeypatch):
    """Programs that play recordings, and pseudopotentials of aluminium."""
    monkeypatch.setenv("ESPRESSO_PSEUDO", str(tmp_path / "pseudos"))
    monkeypatch.setenv("CP2K_DATA_DIR", str(tmp_path))
    version_of.cache_clear()
    return Replay(tmp_path)
