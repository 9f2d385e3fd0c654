"""An OpenAI-compatible server that plays scripts: what models and endpoints do well, and badly."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

MODEL = "scripted"
KEY = "sk-secret-of-the-tests"


@dataclass(frozen=True)
class Call:
    """A tool call; text as arguments goes over the line as it is."""

    name: str
    arguments: Mapping[str, Any] | str
    id: str | None = None


@dataclass(frozen=True)
class Reply:
    """One answer of the server.

    Attributes
    ----------
    text, thinking, calls
        What the model says.
    usage
        ``honest``, ``none``, or the two numbers that it reports.
    status, headers, body
        Instead of an answer: an HTTP status with a body.
    fault
        ``silent`` answers too late, ``closed`` hangs up before a word, ``half`` hangs up in the middle, ``no_choices`` and
        ``no_end`` send answers that are none.
    finish
        Reason that the model gives for its end.
    """

    text: str | None = None
    thinking: str | None = None
    calls: tuple[Call, ...] = ()
    usage: str | tuple[int, int] = "honest"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    fault: str = ""
    finish: str | None = None


@dataclass(frozen=True)
class Seen:
    """What the model can know: the body of the request."""

    body: dict[str, Any]

    @property
    def results(self) -> list[dict[str, Any]]:
        """Results of tools, oldest first; failures are left out."""
        found = []
        for message in self.body["messages"]:
            inside = re.search(r"<<<DATA\n(.*)\nDATA>>>", str(message.get("content")), re.DOTALL)
            if message["role"] == "tool" and inside:
                found.append(json.loads(inside[1]))
        return found

    @property
    def crystals(self) -> list[str]:
        """Crystals that a search found, as ``set_id/row id``."""
        found = [one for one in self.results if one.get("tool") == "search"]
        return [f"{one['set_id']}/{row['id']}" for one in found for row in one.get("rows", [])]

    def last(self, role: str = "tool") -> str:
        """Text of the last message of a role."""
        return next((str(one.get("content")) for one in reversed(self.body["messages"]) if one["role"] == role), "")


Step = Reply | Callable[[Seen], Reply]


def final(hypothesis: str, shortlist: Sequence[str], text: str, **more: Any) -> Reply:
    """The call that ends a run."""
    arguments = {"hypothesis": hypothesis, "shortlist": list(shortlist), "text": text}
    return Reply(calls=(Call("final_answer", arguments),), **more)


def call(name: str, /, **arguments: Any) -> Reply:
    """One tool call."""
    return Reply(calls=(Call(name, arguments),))


class ScriptedServer:
    """A server on the loopback that plays steps in their order, the last one for ever.

    Attributes
    ----------
    requests
        Bodies of the requests to the model, as they came.
    headers
        Their headers.
    broken
        What went wrong in the script itself.
    """

    def __init__(self, steps: Sequence[Step], *, models: Sequence[str] | None = (MODEL,)) -> None:
        self.steps, self.models = list(steps), models
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.broken: list[str] = []
        self.ended = threading.Event()
        self._turn = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"script": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def next_reply(self, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        """The reply to a request."""
        with self._turn:
            step = self.steps[min(len(self.requests), len(self.steps) - 1)]
            self.requests.append(body)
            self.headers.append(headers)
            try:
                return step if isinstance(step, Reply) else step(Seen(body))
            except Exception as error:
                self.broken.append(repr(error))
                raise


class _Handler(BaseHTTPRequestHandler):
    """Plays the script of a server."""

    script: ScriptedServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        if self.script.models is None or self.path != "/v1/models":
            return self.answer(404, json.dumps({"error": {"message": "not found"}}))
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in self.script.models]
        return self.answer(200, json.dumps({"object": "list", "data": listed}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/v1/chat/completions":
            return self.answer(404, json.dumps({"error": {"message": f"no {self.path}"}}))
        reply = self.script.next_reply(body, {name.lower(): value for name, value in self.headers.items()})
        if reply.fault == "silent":
            self.script.ended.wait(5)
            return self.hang_up()
        if reply.fault == "closed":
            return self.hang_up()
        if reply.status != 200 or reply.body is not None:
            return self.answer(reply.status, reply.body or json.dumps({"error": {"message": "trouble"}}), reply.headers)
        content = sse(reply, body) if body.get("stream") else json.dumps(completion(reply, body))
        if reply.fault == "half":
            return self.half(content, stream=bool(body.get("stream")))
        kind = "text/event-stream" if body.get("stream") else "application/json"
        return self.answer(200, content, {"content-type": kind, **reply.headers})

    def answer(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except OSError:  # the client has had enough
            self.close_connection = True

    def half(self, content: str, *, stream: bool) -> None:
        data = content.encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if stream else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])
        self.hang_up()

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()


def usage_of(reply: Reply, body: dict[str, Any]) -> dict[str, int] | None:
    """What the server reports as used."""
    if reply.usage == "none":
        return None
    if isinstance(reply.usage, tuple):
        asked, made = reply.usage
    else:
        asked = len(json.dumps([body["messages"], body.get("tools")])) // 4
        made = len(json.dumps([reply.text, [[one.name, one.arguments] for one in reply.calls]])) // 4
    return {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made}


def completion(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    """An answer in one piece."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.thinking is not None:
        message["reasoning_content"] = reply.thinking
    if reply.calls:
        message["tool_calls"] = [_tool_call(one, i) for i, one in enumerate(reply.calls)]
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": reply.finish or ("tool_calls" if reply.calls else "stop"),
    }
    whole: dict[str, Any] = {"id": "c", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice]}
    if reply.fault == "no_choices":
        whole["choices"] = []
    if (used := usage_of(reply, body)) is not None:
        whole["usage"] = used
    return whole


def sse(reply: Reply, body: dict[str, Any]) -> str:
    """An answer in pieces."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if reply.thinking is not None:
        deltas.append({"reasoning_content": reply.thinking})
    text = reply.text or ""
    deltas += [{"content": text[i : i + 20]} for i in range(0, len(text), 20)]
    for i, one in enumerate(reply.calls):
        whole = _tool_call(one, i)
        arguments = whole["function"]["arguments"]
        deltas.append({"tool_calls": [{**whole, "index": i, "function": {"name": one.name, "arguments": ""}}]})
        deltas += [
            {"tool_calls": [{"index": i, "function": {"arguments": arguments[k : k + 30]}}]}
            for k in range(0, len(arguments), 30)
        ]
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    chunks = [{**frame, "choices": [{"index": 0, "delta": one, "finish_reason": None}]} for one in deltas]
    if reply.fault == "no_choices":
        chunks = []
    elif reply.fault != "no_end":
        reason = reply.finish or ("tool_calls" if reply.calls else "stop")
        chunks.append({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    if (used := usage_of(reply, body)) is not None:
        chunks.append({**frame, "choices": [], "usage": used})
    return "".join(f"data: {json.dumps(one)}\n\n" for one in chunks) + "data: [DONE]\n\n"


def _tool_call(one: Call, number: int) -> dict[str, Any]:
    arguments = one.arguments if isinstance(one.arguments, str) else json.dumps(one.arguments)
    return {
        "id": one.id or f"call_{number}",
        "type": "function",
        "function": {"name": one.name, "arguments": arguments},
    }


def with_fault(reply: Reply, **changes: Any) -> Reply:
    """The same reply, damaged."""
    return replace(reply, **changes)
