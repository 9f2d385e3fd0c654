"""The official MCP client on both transports, without async in the tests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
from anyio.from_thread import start_blocking_portal
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mcp.types import CallToolResult, Tool

ONNES = (sys.executable, "-c", "from onnes.cli.main import main; main()")
PATIENCE_S = 170
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass
class Asking:
    """A client that is connected, and asked from ordinary functions."""

    client: Client
    portal: Any

    def call(self, name: str, arguments: dict[str, Any] | None = None) -> CallToolResult:
        return self.portal.call(self.client.call_tool, name, arguments or {})

    def tools(self) -> dict[str, Tool]:
        return {tool.name: tool for tool in self.portal.call(self.client.list_tools).tools}

    def finished(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        """Call a tool; where it is long work, ask until it has ended."""
        found = self.call(name, arguments)
        while not found.is_error and found.structured_content.get("state") == "running":
            self.call("status", {"set_id": found.structured_content["set_id"], "wait_s": 20.0})
            found = self.call(name, arguments)
        return found


@contextmanager
def connected(transport: Any, *, mode: str = "auto") -> Iterator[Asking]:
    """Keep a client open in a thread of its own."""
    client = Client(transport, mode=mode, read_timeout_seconds=PATIENCE_S)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(client):
        yield Asking(client, portal)


@contextmanager
def over_stdio(study: Path, *options: str, log: Any = None, mode: str = "auto") -> Iterator[Asking]:
    """Start `onnes mcp` and talk to it over its standard input and output."""
    command, *words = ONNES
    parameters = StdioServerParameters(
        command=command, args=[*words, "mcp", "--study", str(study), *options], env=THREADS
    )
    with connected(stdio_client(parameters, errlog=log or sys.stderr), mode=mode) as asking:
        yield asking


@contextmanager
def over_http(url: str, token: str | None = None, *, mode: str = "auto") -> Iterator[Asking]:
    """Talk to a server that runs."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    http = httpx2.AsyncClient(headers=headers, timeout=PATIENCE_S)
    with connected(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as asking:
        yield asking


@dataclass
class Server:
    """A running `onnes serve`."""

    url: str
    token: str | None
    process: subprocess.Popen[str]

    def http(self, **headers: str) -> httpx2.Client:
        """Plain HTTP, with the token unless other headers are given."""
        authorization = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return httpx2.Client(base_url=self.url, headers={**authorization, **headers}, timeout=PATIENCE_S)


@contextmanager
def serving(study: Path, *options: str) -> Iterator[Server]:
    """Start `onnes serve` on a free port and stop it as a person would, by an interrupt."""
    process = subprocess.Popen(
        [*ONNES, "serve", "--study", str(study), "--port", "0", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **THREADS},
    )  # fmt: skip
    try:
        assert process.stderr is not None
        url = re.search(r"http://\S+?:\d+", process.stderr.readline())
        assert url is not None, process.communicate(timeout=30)
        made = "--token-file" in options and re.search(r"once: (\S+)", process.stderr.readline())
        server = Server(url[0], made[1] if made else None, process)
        for _ in range(600):
            try:
                server.http().get("/api/nothing")
                break
            except httpx2.TransportError:
                anyio.run(anyio.sleep, 0.1)
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert out == ""
    assert "Traceback" not in err, err
