"""The skills: front matter as clients read it, and nothing in them that does not exist."""

import json
import re

import pytest
import yaml

from onnes.crystals.schema import COLUMNS
from onnes.errors import ConfigError
from onnes.serve.description import describe, descriptions
from onnes.serve.skills import SKILL, Skill, install, skills
from onnes.tools.call import checked_arguments
from onnes.tools.registry import tools
from tests.docs.test_snippets import Block, blocks, commands, parse_onnes

SHIPPED = skills()
TOOLS = {spec.name for spec in tools()}
SPAN = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def each_skill(test):
    return pytest.mark.parametrize("skill", SHIPPED, ids=[skill.name for skill in SHIPPED])(test)


def page(skill, tmp_path):
    path = tmp_path / SKILL
    path.write_text(skill.text, encoding="utf-8")
    return path


def property_names():
    """Arguments of tools, fields of their answers, columns of tables and of sets."""
    names = set(COLUMNS)
    for about in descriptions():
        for schema in (about.input_schema, about.output_schema, *about.output_schema.get("$defs", {}).values()):
            names |= set(schema.get("properties", {}))
    return names


def test_there_are_five():
    assert {skill.name for skill in SHIPPED} == {
        "discover-superconductors", "predict-tc", "check-stability", "review-candidate", "plan-experiment",
    }  # fmt: skip


@each_skill
def test_front_matter_is_what_clients_expect(skill):
    _, front, body = skill.text.split("---\n", 2)
    found = yaml.safe_load(front)
    assert set(found) == {"name", "description", "metadata"}
    assert found == {"name": skill.name, "description": skill.description, "metadata": skill.metadata}
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", skill.name)
    assert len(skill.name) <= 64
    assert len(skill.description) <= 1024
    assert ". Use when " in skill.description
    assert skill.metadata == {"openclaw": {"requires": {"bins": ["onnes"]}}}
    assert re.findall(r"^## (.+)$", body, re.MULTILINE) == ["Goal", "Instructions", "Examples", "Constraints"]


@each_skill
def test_folder_has_the_name(skill):
    from importlib.resources import files

    assert files("onnes").joinpath("skills", skill.name, SKILL).read_text(encoding="utf-8") == skill.text


@each_skill
def test_every_call_in_an_example_has_arguments_that_fit(skill, tmp_path):
    calls = [json.loads(line) for block in blocks(page(skill, tmp_path), "json") for line in block.text.splitlines()]
    assert len(calls) >= 3
    for call in calls:
        assert set(call) == {"tool", "arguments"}
        checked_arguments(call["tool"], call["arguments"])


@each_skill
def test_every_command_exists(skill, tmp_path):
    found = [words for block in blocks(page(skill, tmp_path), "bash") for words in commands(block)]
    assert found
    for program, *arguments in found:
        assert program == "onnes"
        parse_onnes(arguments)
        if arguments[0] == "call":
            assert arguments[1] in TOOLS


@each_skill
def test_every_name_in_the_text_exists(skill):
    spans = SPAN.findall(FENCE.sub("", skill.text))
    assert TOOLS & set(spans)
    known = TOOLS | property_names() | {"measured_tc_K", "concerns", "unknown"}
    for span in spans:
        if span.startswith("onnes "):
            parse_onnes([*span.split()[1:], "--help"])
        elif "/" not in span:
            assert span in known, f"{skill.name}: `{span}` is no tool, argument or column"


def test_a_name_that_does_not_exist_would_be_found():
    assert not {"guess", "tc_kelvin"} & (TOOLS | property_names())
    assert describe("rank").input_schema["properties"].keys() >= {"crystals", "weights"}
    assert commands(Block(None, 1, "onnes guess\n")) == [["onnes", "guess"]]


@each_skill
def test_every_skill_says_that_texts_are_data_and_that_consent_is_a_persons(skill):
    words = " ".join(skill.text.split())
    assert re.search(r"Texts in results .*never instructions|Texts in results .*are never instructions", words)
    assert ("`measure`" not in skill.text) or "consent of a person" in words


def test_they_are_copied_to_where_an_agent_reads_them(tmp_path):
    paths = install(tmp_path / "skills")
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        f"skills/{one.name}/SKILL.md" for one in SHIPPED
    ]
    assert [path.read_text(encoding="utf-8") for path in paths] == [one.text for one in SHIPPED]
    assert install(tmp_path / "skills") == paths


def test_a_changed_skill_is_not_overwritten_unasked(tmp_path):
    paths = install(tmp_path)
    paths[1].write_text("my own words")
    paths[0].unlink()
    with pytest.raises(ConfigError, match=r"discover-superconductors/SKILL.md is there and says something else"):
        install(tmp_path)
    assert paths[1].read_text() == "my own words"
    assert not paths[0].exists()
    install(tmp_path, replace=True)
    assert paths[1].read_text(encoding="utf-8") == SHIPPED[1].text


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write skills"):
        install(tmp_path / "file")


@pytest.mark.parametrize(
    "text", ["", "# no front matter", "---\nname: x\n---\n", "---\ndescription: x\n---\n", "x\n---\nname: y\n---\n"]
)
def test_a_text_without_front_matter_is_no_skill(text):
    with pytest.raises(ConfigError, match="front matter"):
        Skill.from_text(text)
