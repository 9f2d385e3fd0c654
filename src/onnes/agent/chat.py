"""A conversation with a language model over the tools of a study, with pydantic-ai."""

from __future__ import annotations

import os
from asyncio import sleep
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_ai import Agent, ModelRetry, ToolOutput
from pydantic_ai.exceptions import AgentRunError, ToolFailed, UserError
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.toolsets import AbstractToolset
from pydantic_ai.toolsets.abstract import ToolsetTool
from pydantic_ai.usage import UsageLimits

from onnes.agent.chat_model import (
    bytes_of,
    object_of,
    open_model,
    request,
    shortened,
    tool_definitions,
    trouble_of,
)
from onnes.agent.client import run_blocking
from onnes.agent.final_answer import FinalAnswer
from onnes.agent.model_tools import Stop, ToolTrouble
from onnes.agent.prompt import FINAL, PROMPT
from onnes.campaign.value import plain_text
from onnes.errors import BudgetSpent

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.settings import ModelSettings

    from onnes.agent.endpoint import Endpoint
    from onnes.agent.meter import Meter
    from onnes.agent.model_tools import ModelTools
    from onnes.agent.transcript import Transcript

os.environ.setdefault("PYDANTIC_AI_NO_BANNER", "1")  # it would speak on the terminal of our users

__all__ = ["AgentRunError", "Chat", "UserError"]

UNBOUNDED = 1_000_000
"""Retries of pydantic-ai: the bounds are ours, and hold over all tools."""
FIRST_WAIT_S = 1.0


@dataclass(frozen=True)
class Chat:
    """A conversation with a language model over the tools of a study.

    Attributes
    ----------
    endpoint
        Where it answers.
    meter
        Keeps it within the limits.
    tools
        What it may call.
    transcript
        Keeps what was said.
    judge
        Looks at a final answer; returns what the model should change, or None to accept it.
    """

    endpoint: Endpoint
    meter: Meter
    tools: ModelTools
    transcript: Transcript
    judge: Callable[[FinalAnswer], str | None]

    def run(self, opening: str, history: bytes | None = None) -> FinalAnswer:
        """Talk until the final answer is accepted.

        Parameters
        ----------
        opening
            First message, where there is no history.
        history
            Messages of a conversation to go on with, as JSON.

        Raises
        ------
        Stop
            When the run ends before that.
        """
        return run_blocking(self._run(opening, history))

    async def _run(self, opening: str, history: bytes | None) -> FinalAnswer:
        async with open_model(self.endpoint) as model:
            agent = Agent(
                _Metered(model, self), output_type=ToolOutput(FinalAnswer, name=FINAL, strict=False), instructions=PROMPT,
                toolsets=[_Tools(self.tools)], retries=UNBOUNDED, name="planner",
            )  # fmt: skip

            @agent.output_validator
            def check(final: FinalAnswer) -> FinalAnswer:
                if wrong := self.judge(final):
                    raise ModelRetry(wrong)
                return final

            messages = ModelMessagesTypeAdapter.validate_json(history) if history else None
            limits = UsageLimits(request_limit=None)
            with agent.parallel_tool_call_execution_mode("sequential"):
                async with agent.iter(
                    None if messages else opening, message_history=messages, usage_limits=limits
                ) as run:
                    async for node in run:
                        if Agent.is_call_tools_node(node):
                            self._keep(run.all_messages())
                    if run.result is None:
                        raise Stop("failed", "the conversation ended without an answer")
                    return run.result.output

    def _keep(self, messages: list[ModelMessage]) -> None:
        """Record the last answer and keep the conversation, before the calls of the answer are made."""
        if self.meter.said is not None:
            said, self.meter.said = self.meter.said, None
            self.transcript.keep(ModelMessagesTypeAdapter.dump_json(messages), said)

    async def ask(
        self, model: OpenAIChatModel, messages: list[ModelMessage], parameters: ModelRequestParameters
    ) -> ModelResponse:
        """Ask for one answer, again where the endpoint fails, within the limits."""
        self.tools.check()
        messages = shortened(messages)
        sent = bytes_of(messages, parameters)
        for attempt in range(1, self.endpoint.tries + 1):
            try:
                allowed = self.meter.allowed(sent)
            except BudgetSpent as error:
                raise Stop("budget_spent", str(error)) from None
            try:
                answer = await request(model, self.endpoint, messages, parameters, allowed)
            except Exception as error:  # whatever an endpoint or a library does, the run ends in a defined state
                trouble = trouble_of(error, self.endpoint)
                self.meter.failed(trouble.why, sent, allowed=allowed, cost_known=trouble.cost_known)
                if trouble.final or attempt == self.endpoint.tries:
                    raise Stop("endpoint_failed", trouble.why) from error
                wait = trouble.wait_s if trouble.wait_s is not None else FIRST_WAIT_S * 2 ** (attempt - 1)
                await sleep(min(wait, self.endpoint.longest_wait_s))
                continue
            self._take(answer, sent, allowed)
            return answer
        raise AssertionError("unreachable")

    def _take(self, answer: ModelResponse, sent: int, allowed: int) -> None:
        calls = [part for part in answer.parts if isinstance(part, ToolCallPart)]
        said = {
            "text": "\n".join(part.content for part in answer.parts if isinstance(part, TextPart)),
            "thinking": "\n".join(part.content for part in answer.parts if isinstance(part, ThinkingPart)),
            "calls": [[plain_text(call.tool_name, 80), plain_text(call.args_as_json_str(), 400)] for call in calls],
        }
        received = bytes_of([answer])
        reported = (answer.usage.input_tokens, answer.usage.output_tokens)
        said = {name: self.endpoint.redacted(one) if isinstance(one, str) else one for name, one in said.items()}
        self.meter.answered(sent, received, said, reported=reported, allowed=allowed)
        if answer.finish_reason == "length" and allowed < self.endpoint.answer_tokens:
            raise Stop(
                "budget_spent",
                f"an answer did not fit into the {allowed} tokens that were left; raise the limit `tokens`",
            )
        self.tools.new_answer([(call.tool_name, object_of(call.args)) for call in calls], FINAL)


class _Metered(WrapperModel):
    """The model with every request counted and limited."""

    def __init__(self, wrapped: OpenAIChatModel, chat: Chat) -> None:
        super().__init__(wrapped)
        self._asked, self._chat = wrapped, chat

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        del model_settings
        return await self._chat.ask(self._asked, messages, model_request_parameters)


class _Tools(AbstractToolset[object]):
    """The registry as pydantic-ai sees it: arguments are checked by the session, so that what is wrong is recorded."""

    def __init__(self, tools: ModelTools) -> None:
        self._tools, self._offered = tools, tool_definitions()

    @property
    def id(self) -> str:
        return "study"

    async def get_tools(self, ctx: Any) -> dict[str, ToolsetTool[object]]:
        del ctx
        return {
            one.name: ToolsetTool(toolset=self, tool_def=one, max_retries=UNBOUNDED, args_validator=_AnyObject())
            for one in self._offered
        }

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: Any, tool: Any) -> str:
        del ctx, tool
        try:
            return self._tools.call(name, tool_args)
        except ToolTrouble as trouble:
            raise ToolFailed(str(trouble)) from None


class _AnyObject:
    """Takes whatever arguments came; the session judges them."""

    def validate_json(self, input: str | bytes | bytearray, **_: Any) -> dict[str, Any]:  # noqa: A002
        return object_of(input if isinstance(input, str) else bytes(input).decode(errors="replace"))

    def validate_python(self, input: Any, **_: Any) -> dict[str, Any]:  # noqa: A002
        return object_of(input)
