import json

import jsonschema
import pytest

from onnes.serve.description import describe, descriptions
from onnes.tools.registry import tools
from tests.serve import fakes
from tests.serve.schemas import FILE, current

RENEW = "clients see another schema; if that is meant: python -m tests.serve.schemas"
NAMES = [spec.name for spec in tools()]


def test_all_tools_are_in_the_file():
    assert list(json.loads(FILE.read_text(encoding="utf-8"))) == NAMES, RENEW


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_that_of_the_file(name):
    kept = json.loads(FILE.read_text(encoding="utf-8")).get(name)
    assert json.loads(json.dumps(current()[name])) == kept, RENEW


@pytest.mark.parametrize("name", NAMES)
def test_both_are_schemas_of_objects(name):
    about = describe(name)
    for schema in (about.input_schema, about.output_schema):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"


def test_descriptions_are_short_enough_for_small_models():
    assert all(len(one.description) < 500 for one in descriptions())
    assert sum(len(json.dumps(one.input_schema)) for one in descriptions()) < 60_000


def test_a_changed_signature_changes_the_schema(monkeypatch):
    from onnes.tools import registry

    monkeypatch.setitem(registry._TOOLS, "erase", fakes.FAKES["erase"])
    schema = describe("erase").input_schema
    assert schema["required"] == ["what"]
    assert schema["properties"]["what"]["maxLength"] == 20
