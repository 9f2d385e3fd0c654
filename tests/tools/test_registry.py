import importlib
import inspect

import pytest

import onnes
from onnes.errors import ConfigError
from onnes.tools.registry import tool, tools


def test_every_tool_can_be_imported_and_is_documented():
    for spec in tools():
        function = spec.function()
        assert function.__name__ == spec.name
        assert inspect.getdoc(function)
        assert spec.summary
        assert spec.cost
        assert spec.effect in ("read", "compute", "submit", "write")


def test_names_are_unique_and_are_those_of_the_package():
    names = [spec.name for spec in tools()]
    assert len(names) == len(set(names))
    assert set(names) == set(onnes.__all__) - {"__version__"}
    for name in names:
        assert getattr(onnes, name) is tool(name).function()


def test_tools_that_make_files_say_so():
    assert {spec.name for spec in tools() if spec.effect == "write"} == {"screen", "discover", "report"}


def test_an_unknown_tool_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown tool 'guess'; known: .*predict"):
        tool("guess")
    with pytest.raises(AttributeError, match="guess"):
        _ = onnes.guess


def test_the_function_propose_is_not_hidden_by_the_room_of_that_name():
    import onnes.propose.sources

    assert callable(onnes.propose)
    assert not inspect.ismodule(onnes.propose)
    assert len(onnes.propose(elements=["Nb", "N"], prototypes=["B1"])) == 1
    assert len(onnes.propose(elements=["Nb", "N"], prototypes=["B1"])) == 1
    assert inspect.ismodule(importlib.import_module("onnes.propose.sources"))
