"""What a client is told of a tool: the same words and schemas over REST and MCP."""

from __future__ import annotations

from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict

from onnes.campaign.value import plain_text, visible
from onnes.tools.call import Made, SetResult, arguments_of
from onnes.tools.description import description
from onnes.tools.registry import Effect, tool, tools

_EFFECTS: dict[Effect, str] = {
    "read": "looks, changes nothing",
    "compute": "changes nothing outside the study",
    "write": "writes, and needs the consent of a person",
    "submit": "starts work elsewhere, and needs the consent of a person",
}
MAX_TEXT = 40_000
"""Characters of one text in an answer; the CIF of the largest crystals stays below."""
MAX_MESSAGE = 2000


class ToolDescription(BaseModel):
    """One tool as clients see it."""

    model_config = ConfigDict(frozen=True)

    name: str
    description: str
    """First paragraph of the action's documentation, with cost and effect."""
    effect: Effect
    cost: str
    long: bool
    """Whether a call may be answered with ``state`` "running"."""
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]


@cache
def describe(name: str) -> ToolDescription:
    """Describe a tool; raises ConfigError for an unknown name.

    Examples
    --------
    >>> found = describe("status")
    >>> found.effect, found.input_schema["required"], found.output_schema["title"]
    ('read', ['set_id'], 'SetResult')
    """
    spec = tool(name)
    return ToolDescription(
        name=name,
        description=f"{description(spec)} Effect: {spec.effect} ({_EFFECTS[spec.effect]}).",
        effect=spec.effect,
        cost=spec.cost,
        long=spec.long,
        input_schema=arguments_of(name).model_json_schema(),
        output_schema=result_of(name).model_json_schema(mode="serialization"),
    )


def descriptions() -> list[ToolDescription]:
    """All tools, in the order of the registry."""
    return [describe(spec.name) for spec in tools()]


def result_of(name: str) -> type[BaseModel]:
    """Model of what a tool answers."""
    answered = get_type_hints(tool(name).action_function())["return"]
    return SetResult if answered is Made else answered


def as_data(result: BaseModel) -> dict[str, Any]:
    r"""Write a result as JSON data: no control or invisible characters in its texts, none endlessly long.

    Examples
    --------
    >>> class Words(BaseModel):
    ...     text: str
    >>> as_data(Words(text="a\x1b[2Jb\u202e\n"))
    {'text': 'a[2Jb\n'}
    """
    return _cleaned(result.model_dump(mode="json"))


def as_message(error: Exception) -> str:
    """Write an error as one line: it may quote what a file or a caller gave."""
    return plain_text(str(error), MAX_MESSAGE)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        text = visible(value)
        return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text) - MAX_TEXT} characters left out)"
    if isinstance(value, dict):
        return {key: _cleaned(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    if isinstance(value, float) and value - value != 0:  # JSON knows no infinity
        return str(value)
    return value
