"""The line to an OpenAI-compatible endpoint: one request at a time, none repeated unasked, none read without end."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
from openai import AsyncOpenAI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from onnes.agent.endpoint import Endpoint

BYTES_PER_TOKEN = 600
"""A streamed token with all that is around it; answers with more bytes are cut off."""
_LEAST_BYTES = 65_536
_HEADERS = frozenset(
    (
        "host",
        "accept",
        "accept-encoding",
        "connection",
        "content-type",
        "content-length",
        "transfer-encoding",
        "user-agent",
    )
)
_NAMES_WITHIN_S = 30.0

T = TypeVar("T")


@asynccontextmanager
async def open_client(endpoint: Endpoint) -> AsyncIterator[AsyncOpenAI]:
    """A client that sends what the endpoint needs and no more, never asks twice by itself, and reads no more than an answer may hold."""
    key = endpoint.key.get_secret_value() if endpoint.key else None

    async def only_ours(request: httpx2.Request) -> None:
        # The package adds what the environment holds for another service: organisation, project, headers, keys.
        for name in [one for one in request.headers if one.lower() not in _HEADERS]:
            del request.headers[name]
        if key is not None:
            request.headers["authorization"] = f"Bearer {key}"

    async def bound(response: httpx2.Response) -> None:
        response.headers.pop("content-encoding", None)  # what is small packed may be endless unpacked
        response.stream = _Bounded(response.stream, _LEAST_BYTES + BYTES_PER_TOKEN * endpoint.answer_tokens)

    timeout = httpx2.Timeout(endpoint.timeout_s, connect=min(endpoint.connect_s, endpoint.timeout_s))
    http = httpx2.AsyncClient(
        timeout=timeout, headers={"accept-encoding": "identity"}, event_hooks={"request": [only_ours], "response": [bound]},
        trust_env=not endpoint.is_local,  # a proxy of the environment is of no use on the way to this machine
    )  # fmt: skip
    async with AsyncOpenAI(
        base_url=endpoint.url, api_key=key or "none", max_retries=0, http_client=http, timeout=timeout
    ) as client:
        yield client


async def model_names(endpoint: Endpoint) -> list[str]:
    """Names of the models that an endpoint lists; raises what the client raises."""
    async with open_client(endpoint) as client, asyncio.timeout(min(endpoint.timeout_s, _NAMES_WITHIN_S)):
        return [one.id async for one in client.models.list()]


def run_blocking(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also from within a running event loop, as in a notebook."""

    def alone() -> T:
        # Unlike `asyncio.run`, this leaves Ctrl-C alone: a long tool stops at once.
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(work)
        finally:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return alone()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(alone).result()


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends with an error where it grows too long."""

    def __init__(self, wrapped: Any, at_most: int) -> None:
        self._wrapped, self._left, self._at_most = wrapped, at_most, at_most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._wrapped:
            self._left -= len(chunk)
            if self._left < 0:
                raise httpx2.ReadError(f"the answer is longer than {self._at_most} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._wrapped.aclose()
