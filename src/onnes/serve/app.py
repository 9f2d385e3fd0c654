"""The web application: REST under ``/api``, MCP at ``/mcp``, behind one guard."""

from __future__ import annotations

import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI
from mcp.server.transport_security import RequestBodyLimitMiddleware
from starlette.routing import Route

from onnes.errors import ConfigError
from onnes.serve.access import Guard, Token, host_names, is_loopback
from onnes.serve.mcp import http_endpoint, http_manager
from onnes.serve.rest import add_error_answers, routes
from onnes.version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from onnes.serve.calls import Calls

MAX_BODY_BYTES = 1 << 20
_AT_ONCE = 100
_STOP_WITHIN_S = 10


def web_app(calls: Calls, *, hosts: frozenset[str], token: Token | None = None) -> FastAPI:
    """Build the application.

    Parameters
    ----------
    calls
        The study to serve.
    hosts
        Names by which it may be asked for; see `onnes.serve.access.host_names`.
    token
        What every request must bring, on every path; None for nothing.
    """
    manager = http_manager(calls, max_body=MAX_BODY_BYTES)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with manager.run():
            yield

    app = FastAPI(
        title="onnes", version=__version__, lifespan=lifespan, openapi_url="/api/openapi.json",
        docs_url=None, redoc_url=None,  # their pages load scripts from elsewhere
    )  # fmt: skip
    app.include_router(routes(calls))
    app.router.routes.append(Route("/mcp", endpoint=http_endpoint(manager)))
    add_error_answers(app)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=MAX_BODY_BYTES)
    app.add_middleware(Guard, hosts=hosts, token=token)  # the last added is asked first
    return app


def serve(
    calls: Calls,
    *,
    host: str = "127.0.0.1",
    port: int = 8642,
    token_file: Path | None = None,
    allow_hosts: Iterable[str] = (),
) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    calls
        The study to serve.
    host, port
        Where to listen; port 0 takes a free one.
    token_file
        File with the hash of the token that every request must bring; where there is none, a token is made and shown once.
    allow_hosts
        Further names by which the server may be asked for.

    Raises
    ------
    ConfigError
        When it would listen beyond this machine without a token, for a bad token file or name, or when the port is taken.
    """
    if not is_loopback(host) and token_file is None:
        raise ConfigError(f"{host} can be reached from other machines; give --token-file FILE, or listen at 127.0.0.1")
    hosts = host_names(host, allow_hosts)
    token, made = Token.from_file(token_file) if token_file is not None else (None, None)
    listening = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    sys.stderr.write(
        f"study {calls.session.study.folder} at http://{shown}:{listening.getsockname()[1]}: /api/tools, /mcp\n"
    )
    if made is not None:
        sys.stderr.write(f"token, shown this once: {made}\n")
    sys.stderr.flush()
    config = uvicorn.Config(
        web_app(calls, hosts=hosts, token=token), log_level="warning", access_log=False, server_header=False,
        proxy_headers=False, limit_concurrency=_AT_ONCE, timeout_graceful_shutdown=_STOP_WITHIN_S, ws="none",
    )  # fmt: skip
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_AT_ONCE)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cannot listen at {host}, port {port}: {error}; give another --port") from None
