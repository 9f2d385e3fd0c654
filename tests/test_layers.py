import tomllib
from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[1]


def test_rooms_import_only_leftwards(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_every_room_has_its_place_in_the_order():
    rooms = {f"onnes.{path.parent.name}" for path in (ROOT / "src" / "onnes").glob("*/__init__.py")}
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (contract,) = (c for c in linter["contracts"] if c["type"] == "layers")
    layers = set(contract["layers"])
    assert rooms <= layers
    assert layers - rooms <= {"onnes.errors", "onnes.figure", "onnes.version"}
    assert "ignore_imports" not in contract
