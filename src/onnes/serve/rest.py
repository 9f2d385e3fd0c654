"""REST: the tools of the registry, the sets of the study, and the head of its record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Body, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from onnes.errors import BudgetSpent, NotApproved, OnnesError
from onnes.serve.calls import Calls, ToolFault
from onnes.serve.description import ToolDescription, as_data, as_message, descriptions
from onnes.tools.call import SHOWN_ROWS
from onnes.tools.registry import tools

if TYPE_CHECKING:
    from onnes.agent.record import Record

# A spent budget is 402 and not 429: asking again does not help.
STATUS: dict[type[OnnesError], int] = {OnnesError: 422, NotApproved: 403, BudgetSpent: 402, ToolFault: 500}


class RecordHead(BaseModel):
    """Where the record of the study stands."""

    events: int
    hash: str | None
    """Of the last event, over all before it."""
    faults: list[str]
    """What is wrong with the record; empty when nothing is."""


def routes(calls: Calls) -> APIRouter:
    """Build the routes under ``/api``."""
    router = APIRouter(prefix="/api")

    @router.get("/tools")
    def list_tools() -> list[ToolDescription]:
        """All tools with their effects and schemas."""
        return descriptions()

    @router.post("/tools/{name}")
    async def call_tool(name: str, arguments: Annotated[dict[str, Any] | None, Body()] = None) -> dict[str, Any]:
        """Call a tool; the body holds its arguments."""
        if name not in {spec.name for spec in tools()}:
            raise HTTPException(404, f"no tool {name[:40]!r}; GET /api/tools lists them")
        return as_data(await calls.call(name, arguments or {}))

    @router.get("/sets/{set_id}")
    async def show_set(
        set_id: str,
        first: Annotated[int, Query(ge=0)] = 0,
        count: Annotated[int, Query(ge=1, le=200)] = SHOWN_ROWS,
    ) -> dict[str, Any]:
        """Rows of a set, or how far it has come."""
        study = calls.session.study
        if not study.has(set_id) and not (set_id.isalnum() and (study.folder / "jobs" / set_id).is_dir()):
            raise HTTPException(404, f"no set and no job {set_id[:40]!r} in this study")
        return as_data(await calls.call("result", {"set_id": set_id, "first": first, "count": count}))

    @router.get("/record/head")
    async def record_head() -> RecordHead:
        """Number of events and hash of the last; keep it elsewhere, and nothing before it can be changed unseen."""
        return await anyio.to_thread.run_sync(_head, calls.session.record)

    return router


def _head(record: Record) -> RecordHead:
    faults = record.faults()
    events = [] if faults else record.events()
    return RecordHead(events=len(events), hash=events[-1].hash if events else None, faults=faults)


def add_error_answers(app: FastAPI) -> None:
    """Answer every error with its status and ``{"error": message}``."""

    @app.exception_handler(OnnesError)
    async def refused(_: Request, error: OnnesError) -> JSONResponse:
        status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
        return JSONResponse({"error": as_message(error)}, status)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:4]]
        return JSONResponse({"error": "; ".join(faults)}, 422)

    @app.exception_handler(StarletteHTTPException)
    async def not_here(_: Request, error: StarletteHTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": f"{type(error).__name__}: {as_message(error)}"}, 500)
