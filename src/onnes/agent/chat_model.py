"""One request to a language model, with pydantic-ai: what goes over the line, what comes back, and what may go wrong."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings

import httpx2
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRequestRejectedError,
    UsageExtractionFailedWarning,
)
from pydantic_ai.messages import (
    InstructionPart,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from onnes.agent.client import model_names, open_client, run_blocking
from onnes.agent.model_tools import MALFORMED, definitions
from onnes.agent.prompt import PROMPT
from onnes.campaign.value import plain_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from onnes.agent.endpoint import Endpoint

KEPT_RESULTS = 10
"""Results that a model is shown whole; older ones are cut, and can be asked for again."""
_OLD_RESULT = 600
_TEXT_BYTES_PER_TOKEN = 8


@asynccontextmanager
async def open_model(endpoint: Endpoint) -> AsyncIterator[OpenAIChatModel]:
    """The model behind an endpoint; connections are closed at the end."""
    async with open_client(endpoint) as client:
        # Asked of everyone but its inventor, the older name of the limit is the one that is understood.
        newer = endpoint.host.endswith("openai.com")
        yield OpenAIChatModel(
            endpoint.model,
            provider=OpenAICompatibleProvider("openai-compatible", openai_client=client),
            profile=OpenAIModelProfile(
                openai_chat_supports_max_completion_tokens=newer,
                openai_chat_streaming_requires_finish_reason=True,
                supports_forced_tool_choice=endpoint.force_tools,
            ),
        )


async def request(
    model: OpenAIChatModel,
    endpoint: Endpoint,
    messages: list[ModelMessage],
    parameters: ModelRequestParameters,
    allowed: int,
) -> ModelResponse:
    """Send one request and read its answer, cut where it is longer than allowed."""
    settings = ModelSettings(temperature=endpoint.temperature, seed=endpoint.seed, max_tokens=allowed)
    with catch_warnings(action="ignore", category=UsageExtractionFailedWarning):  # the meter has its own estimate
        async with asyncio.timeout(endpoint.timeout_s):
            if endpoint.stream:
                async with model.request_stream(messages, settings, parameters) as stream:
                    async for _ in stream:
                        pass
                    answer = stream.get()
            else:
                answer = await model.request(messages, settings, parameters)
    return _tidied(answer, allowed)


@dataclass(frozen=True)
class Sample:
    """One answer outside a run: first call, text, tokens reported for request and answer, and bytes of the request."""

    call: tuple[str, dict[str, Any]] | None
    text: str
    reported: tuple[int, int]
    sent: int


def sample(endpoint: Endpoint, question: str) -> Sample | Trouble:
    """Ask one question with the prompt and all tools of a run, once."""
    parameters = ModelRequestParameters(
        function_tools=list(tool_definitions()),
        allow_text_output=False,
        instruction_parts=[InstructionPart(content=PROMPT)],
    )
    messages: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart(content=question)], instructions=PROMPT)]

    async def asked() -> ModelResponse:
        async with open_model(endpoint) as model:
            return await request(model, endpoint, messages, parameters, endpoint.answer_tokens)

    try:
        answer = run_blocking(asked())
    except Exception as error:  # noqa: BLE001 - whatever an endpoint does, the answer is a sentence
        return trouble_of(error, endpoint)
    calls = [(part.tool_name, object_of(part.args)) for part in answer.parts if isinstance(part, ToolCallPart)]
    text = " ".join(part.content for part in answer.parts if isinstance(part, TextPart))
    reported = (answer.usage.input_tokens, answer.usage.output_tokens)
    return Sample(calls[0] if calls else None, text, reported, bytes_of(messages, parameters))


def listed_models(endpoint: Endpoint) -> list[str] | Trouble:
    """Names of the models that an endpoint lists."""
    try:
        return run_blocking(model_names(endpoint))
    except Exception as error:  # noqa: BLE001 - as above
        return trouble_of(error, endpoint)


@dataclass(frozen=True)
class Trouble:
    """What an endpoint did instead of answering.

    Attributes
    ----------
    why
        In a sentence, with what to do.
    final
        Whether asking again is of no use.
    cost_known
        Whether it was refused before any work was done.
    unreached
        Whether nobody was there.
    wait_s
        What the endpoint asks to wait.
    """

    why: str
    final: bool
    cost_known: bool
    unreached: bool
    wait_s: float | None = None


_REMEDIES: tuple[tuple[type[Exception], str], ...] = (
    (ModelAuthenticationError, "the key was refused; set ONNES_LLM_KEY"),
    (
        ModelNotFoundError,
        "no such model or no such address; see `onnes agent doctor`, and mind that URLs usually end in /v1",
    ),
    (
        ModelContextWindowExceededError,
        "the conversation is longer than the model can read; use one with a larger context",
    ),
    (ModelQuotaExceededError, "the account is used up"),
    (
        ModelRequestRejectedError,
        "the request was refused; set ONNES_LLM_FORCE_TOOLS=false if it is for tool_choice, or use a model that calls tools",
    ),
    (TimeoutError, "no answer in time; raise ONNES_LLM_TIMEOUT_S for a slow model"),
)


def trouble_of(error: Exception, endpoint: Endpoint) -> Trouble:
    """Say what went wrong, for a person and for the record."""
    cause = next((remedy for kind, remedy in _REMEDIES if isinstance(error, kind)), None)
    unsent = isinstance(error, ModelConnectionError) and error.phase in ("pool", "connect")
    unsent = unsent or isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
    if cause is None:
        cause = "nobody answers there; start the server, or mind the address" if unsent else "no usable answer"
    detail = f"HTTP {error.status_code}: {error.body}" if isinstance(error, ModelHTTPError) else str(error)
    detail = plain_text(endpoint.redacted(detail or type(error).__name__), 300)
    return Trouble(
        why=f"{endpoint.model} at {endpoint.host}: {cause} ({detail})",
        final=isinstance(error, ModelRequestRejectedError | ModelQuotaExceededError),
        cost_known=unsent or (isinstance(error, ModelHTTPError) and not error.in_stream),
        unreached=unsent or isinstance(error, TimeoutError),
        wait_s=error.retry_after if isinstance(error, ModelAPIError) else None,
    )


@cache
def tool_definitions() -> tuple[ToolDefinition, ...]:
    """The registry's tools as they go over the line; one after the other, as their results depend on each other."""
    return tuple(
        ToolDefinition(
            name=one.name, description=one.description, parameters_json_schema=one.schema, strict=False, sequential=True
        )
        for one in definitions()
    )


def object_of(given: Any) -> dict[str, Any]:
    """Arguments as an object; some models write the object as text in a text."""
    for _ in range(2):
        if isinstance(given, str):
            try:
                given = json.loads(given or "{}")
            except ValueError:
                break
    return given if isinstance(given, dict) else {} if given is None else {MALFORMED: str(given)[:500]}


def _content(part: Any) -> Any:
    content = getattr(part, "content", None)
    return content if content is not None else part.args if isinstance(part, ToolCallPart) else ""


def bytes_of(messages: Sequence[ModelMessage], parameters: ModelRequestParameters | None = None) -> int:
    """Bytes of what messages say, and of the instructions and tools that go with them."""
    offered = parameters or ModelRequestParameters()
    total = sum(len(part.content.encode()) for part in offered.instruction_parts or ())
    for one in (*offered.function_tools, *offered.output_tools):
        total += (
            len(one.name) + len((one.description or "").encode()) + len(json.dumps(one.parameters_json_schema)) + 40
        )
    for message in messages:
        for part in message.parts:
            content = _content(part)
            text = content if isinstance(content, str) else json.dumps(content, default=str)
            total += len(text.encode()) + 24  # role, name and marks of a message
    return total


def _tidied(answer: ModelResponse, allowed: int) -> ModelResponse:
    """An answer no longer than allowed, whose calls have different ids."""
    longest, seen, parts = allowed * _TEXT_BYTES_PER_TOKEN, set(), []
    for part in answer.parts:
        kept = part
        if isinstance(part, TextPart | ThinkingPart):
            kept = replace(part, content=part.content[:longest])
        elif isinstance(part, ToolCallPart):
            name = part.tool_call_id if part.tool_call_id not in seen else f"{part.tool_call_id}-{len(seen)}"
            seen.add(name)
            kept = replace(part, tool_call_id=name, tool_name=part.tool_name[:200])
            if len(part.args_as_json_str()) > longest:
                kept = replace(kept, args={MALFORMED: part.args_as_json_str()[:500]})
        parts.append(kept)
    return replace(answer, parts=parts)


def shortened(messages: Sequence[ModelMessage]) -> list[ModelMessage]:
    """Messages with old results cut, so that a long run does not pay for all of them with every request."""
    shown, kept = 0, []
    for message in reversed(messages):
        parts = []
        for part in reversed(message.parts):
            cut = part
            if isinstance(part, ToolReturnPart) and isinstance(part.content, str) and len(part.content) > _OLD_RESULT:
                shown += 1
                if shown > KEPT_RESULTS:
                    said = f"{part.content[:_OLD_RESULT]} ... cut, as it is old; `result` shows the rows of a set again"
                    cut = replace(part, content=said)
            parts.append(cut)
        kept.append(replace(message, parts=parts[::-1]))
    return kept[::-1]
