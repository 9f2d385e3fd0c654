import importlib
import inspect
from typing import Annotated, get_type_hints

import pytest
from pydantic import TypeAdapter

import onnes
from onnes.errors import ConfigError
from onnes.tools.call import INJECTED, Made, SetResult, arguments_of
from onnes.tools.registry import tool, tools

NAMES = [spec.name for spec in tools()]


@pytest.mark.parametrize("name", NAMES)
def test_every_tool_says_what_it_is(name):
    spec = tool(name)
    assert spec.summary
    assert spec.cost
    assert spec.effect in ("read", "compute", "submit", "write")
    if spec.target:
        assert inspect.getdoc(spec.function())
    else:
        with pytest.raises(ConfigError, match=f"onnes call {name}"):
            spec.function()


@pytest.mark.parametrize("name", NAMES)
def test_every_action_is_there_and_is_explained_to_who_calls_it(name):
    action = tool(name).action_function()
    assert action.__name__ == name
    first = (inspect.getdoc(action) or "").splitlines()[0]
    assert 40 < len(first) < 300, first
    assert first.endswith(".")
    parameters = inspect.signature(action).parameters
    assert next(iter(parameters)) == "study"
    for parameter in parameters.values():
        assert parameter.name in ("study", "crystals") or parameter.kind is parameter.KEYWORD_ONLY, parameter


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_is_described_bounded_and_flat(name):
    schema = arguments_of(name).model_json_schema()
    assert schema["additionalProperties"] is False
    assert "$defs" not in schema
    assert not set(INJECTED) & set(schema["properties"])
    for key, about in schema["properties"].items():
        assert about.get("description"), f"{name}: {key} is not described"
        for part in about.get("anyOf", [about]):
            kind = part.get("type")
            if kind in ("integer", "number"):
                bounds = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}
                assert all(bound & set(part) for bound in bounds), f"{name}: {key} has no bounds"
            if kind == "string":
                assert {"enum", "const", "maxLength"} & set(part), f"{name}: {key} may be of any length"
            if kind == "array":
                assert "maxItems" in part, f"{name}: {key} may be of any length"
            assert kind != "object", f"{name}: {key} is not flat"


@pytest.mark.parametrize("name", NAMES)
def test_one_name_will_do_where_a_list_is_asked_for(name):
    model = arguments_of(name)
    for key, about in model.model_json_schema()["properties"].items():
        if about.get("type") == "array":
            one = about["items"].get("enum", ["Nb"])[0]
            field = model.model_fields[key]
            adapter = TypeAdapter(Annotated[field.annotation, *field.metadata])
            assert adapter.validate_python(f"[{one}]") == adapter.validate_python([one]) == (one,)


@pytest.mark.parametrize("name", NAMES)
def test_no_argument_is_a_place_outside_the_study(name):
    for key in arguments_of(name).model_fields:
        assert not {"path", "file", "folder", "out", "reference", "plots", "url"} & set(key.split("_")), key


@pytest.mark.parametrize("name", NAMES)
def test_a_tool_that_makes_a_set_returns_rows(name):
    spec = tool(name)
    returned = get_type_hints(spec.action_function())["return"]
    assert (returned is Made) == spec.makes_set
    if name in ("status", "result", "cancel"):
        assert returned is SetResult


def test_names_are_unique_and_hold_those_of_the_package():
    assert len(NAMES) == len(set(NAMES))
    public = {getattr(onnes, name) for name in onnes.__all__ if name != "__version__"}
    assert public == {spec.function() for spec in tools() if spec.target}


def test_tools_that_write_say_so():
    assert {spec.name for spec in tools() if spec.effect == "write"} == {"measure", "report"}
    assert [spec.name for spec in tools() if spec.effect == "submit"] == ["verify"]


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
