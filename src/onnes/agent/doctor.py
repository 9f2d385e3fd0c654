"""Whether a language model can plan: it is reached, known, calls a tool as it should, and says what it used."""

from __future__ import annotations

import json
import tempfile
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from onnes.agent.language_model import adapter
from onnes.agent.limits import Limits
from onnes.agent.meter import BYTES_PER_TOKEN
from onnes.agent.model_tools import ModelTools, ToolTrouble
from onnes.agent.session import Session
from onnes.campaign.study import Study
from onnes.campaign.value import plain_text

if TYPE_CHECKING:
    from onnes.agent.endpoint import Endpoint

TOOL = "experimental"
FORMULAS = ("Nb3Sn", "V3Si")
QUESTION = (
    f"This is a check before work begins. Call the tool {TOOL} once, for the formulas {' and '.join(FORMULAS)}, with no other "
    "argument, and call nothing else."
)
SHARE_READ = 0.4
"""Of the tokens that a prompt must have; an endpoint that counts fewer has read a part of it alone."""


class Check(BaseModel):
    """One thing that was looked at."""

    model_config = ConfigDict(frozen=True)

    name: str
    ok: bool
    text: str
    """In a sentence; where it is not well, with what to do."""


def doctor(endpoint: Endpoint) -> list[Check]:
    """Check an endpoint by one request with the prompt and the tools of a run, and one real tool call.

    Parameters
    ----------
    endpoint
        What to check.

    Returns
    -------
    list of Check
        In their order; after a check that makes the others pointless there are no more.
    """
    adapter()
    from onnes.agent import chat_model as chat

    named = chat.listed_models(endpoint)
    if isinstance(named, chat.Trouble) and named.unreached:
        return [Check(name="address", ok=False, text=named.why)]
    checks = [_address(endpoint), _listed(endpoint, named if isinstance(named, list) else named.why)]
    answer = chat.sample(endpoint, QUESTION)
    if isinstance(answer, chat.Trouble):
        return [*checks, Check(name="answer", ok=False, text=answer.why)]
    called, arguments = answer.call or ("", {})
    checks.append(_tool_call(called, arguments, answer.text))
    if checks[-1].ok:
        checks.append(_real_call(called, arguments))
    return [*checks, _usage(answer.reported, answer.sent)]


def _address(endpoint: Endpoint) -> Check:
    open_key = endpoint.key is not None and endpoint.url.startswith("http:") and not endpoint.is_local
    if open_key:
        return Check(name="address", ok=False, text=f"the key travels unencrypted to {endpoint.host}; use https")
    return Check(name="address", ok=True, text=f"{endpoint.host} answers")


def _listed(endpoint: Endpoint, found: list[str] | str) -> Check:
    """Whether the endpoint knows the model; ``found`` is what it lists, or why it lists nothing."""
    if isinstance(found, str):  # some gateways list nothing
        return Check(name="model", ok=True, text=f"models are not listed ({found}); the request will show")
    if endpoint.model in found:
        return Check(name="model", ok=True, text=f"{endpoint.model} is listed")
    known = ", ".join(plain_text(name, 60) for name in found[:12]) or "none"
    return Check(name="model", ok=False, text=f"{endpoint.model} is not listed; set ONNES_LLM_MODEL to one of: {known}")


def _tool_call(name: str, arguments: dict[str, Any], text: str) -> Check:
    """Whether the tool was called, with the right arguments."""
    if not name:
        said = f"; it wrote {plain_text(text, 120)!r}" if text else ""
        return Check(
            name="tool call", ok=False,
            text=f"the model called no tool{said}. Use a model that was trained to call tools, and a server that passes calls on "
            "(vLLM needs --enable-auto-tool-choice and --tool-call-parser)",
        )  # fmt: skip
    given = arguments.get("formulas")
    right = name == TOOL and set(arguments) == {"formulas"} and sorted(_names(given)) == sorted(FORMULAS)
    shown = plain_text(f"{name}({json.dumps(arguments, default=str)})", 200)
    if right:
        return Check(name="tool call", ok=True, text=f"it called {shown}")
    return Check(
        name="tool call", ok=False,
        text=f"it called {shown} instead of {TOOL}(formulas={list(FORMULAS)}); a larger model is needed",
    )  # fmt: skip


def _names(given: Any) -> list[str]:
    from onnes.tools.call import listed

    found = listed(given)
    return [str(one) for one in found] if isinstance(found, list | tuple) else []


def _real_call(name: str, arguments: dict[str, Any]) -> Check:
    """Make the call, as a run would."""
    with tempfile.TemporaryDirectory() as folder:
        tools = ModelTools(Session(Study.create(folder, title="doctor"), Limits(calls=1)))
        try:
            result = tools.call(name, arguments)
        except ToolTrouble as trouble:
            return Check(name="tool result", ok=False, text=f"{name} failed: {trouble}")
    return Check(name="tool result", ok=True, text=f"{name} answered with {len(result)} characters for the model")


def _usage(reported: tuple[int, int], sent: int) -> Check:
    """Whether the endpoint counts tokens, and read the whole prompt."""
    asked, least = reported[0], sent / BYTES_PER_TOKEN * SHARE_READ
    if asked <= 0:
        return Check(
            name="usage", ok=True, text="it reports no tokens; they are estimated from the length of the texts"
        )
    if asked < least:
        return Check(
            name="usage", ok=False,
            text=f"it read {asked} tokens of a prompt of about {sent // BYTES_PER_TOKEN}: its context is too short and the rest was "
            "cut. Give it at least 32768 (Ollama: OLLAMA_CONTEXT_LENGTH=32768; llama.cpp: -c 32768)",
        )  # fmt: skip
    return Check(name="usage", ok=True, text=f"it reports its tokens ({asked} and {reported[1]} for this request)")
