"""Tool calls of many clients on one study: one at a time, recorded, and none longer than a client is willing to wait."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from onnes.agent.limits import Limits
from onnes.agent.session import Allowed, Session
from onnes.errors import ConfigError, OnnesError
from onnes.tools import jobs
from onnes.tools.call import SetResult
from onnes.tools.description import needs_consent
from onnes.tools.registry import tool, tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel

    from onnes.campaign.study import Study

DEFAULT_WAIT_S = 5.0
DEFAULT_CALLS = 2000
POLL_S = 0.1
_UNQUEUED = frozenset({"status", "result", "cancel"})
"""They look at jobs, and must be answered while another call is busy."""

_log = logging.getLogger(__name__)


class ToolFault(OnnesError):
    """A tool raised something that no tool should: a fault of the program, not of the call."""


@dataclass
class Calls:
    """What REST and MCP call tools through.

    Attributes
    ----------
    session
        Checks, allows, counts and records; made with ``wait_s`` 0, so that long tools are jobs from the start.
    wait_s
        How long a call of a long tool is kept open for its job (s), before it is answered with ``state`` "running".

    Examples
    --------
    >>> import tempfile
    >>> from onnes.campaign.study import Study
    >>> calls = Calls.of(Study.create(tempfile.mkdtemp()), allow=["measure"])
    >>> sorted(calls.session.approve.tools), calls.wait_s
    (['measure'], 5.0)
    """

    session: Session
    wait_s: float = DEFAULT_WAIT_S
    _turn: anyio.Lock = field(default_factory=anyio.Lock, repr=False)

    @classmethod
    def of(
        cls,
        study: Study,
        *,
        allow: Iterable[str] = (),
        wait_s: float = DEFAULT_WAIT_S,
        max_calls: int = DEFAULT_CALLS,
    ) -> Calls:
        """Serve a study.

        Parameters
        ----------
        study
            Whose sets the tools work on.
        allow
            Tools that write or submit and may be called without asking a person again.
        wait_s
            As above.
        max_calls
            Calls that the study's record may hold.

        Raises
        ------
        ConfigError
            For a tool in ``allow`` that is unknown or needs no consent, or a negative wait.
        """
        if wait_s < 0:
            raise ConfigError(f"a server cannot wait {wait_s:g} s; give 0 or more")
        approver = Allowed(frozenset(map(_needing_consent, allow)), who="the server's --allow")
        return cls(Session(study, limits=Limits(calls=max_calls), approve=approver, wait_s=0.0), wait_s)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> BaseModel:
        """Call a tool, and wait a little for long work.

        Raises
        ------
        OnnesError
            What the call raises; `ToolFault` where it is a fault of the program.
        """
        result = await self._recorded(name, arguments)
        if not isinstance(result, SetResult) or result.state != "running" or name in _UNQUEUED:
            return result
        result = await self._ended(result.set_id)
        if result.state == "running":
            return result
        if result.state == "done":  # answered from the set, and recorded with its sha256
            return await self._recorded(name, arguments)
        await self._recorded("status", {"set_id": result.set_id})
        raise OnnesError(result.error or f"{name} was {result.state}")

    async def _recorded(self, name: str, arguments: Mapping[str, Any]) -> BaseModel:
        if name in _UNQUEUED:
            return await anyio.to_thread.run_sync(self._call, name, arguments)
        async with self._turn:
            return await anyio.to_thread.run_sync(self._call, name, arguments)

    def _call(self, name: str, arguments: Mapping[str, Any]) -> BaseModel:
        try:
            return self.session.call(name, arguments)
        except OnnesError:
            raise
        except Exception as error:  # the boundary: a client gets a message, the log the traceback
            _log.exception("%s failed", name[:80])
            raise ToolFault(f"{type(error).__name__}: {error}") from error

    async def _ended(self, set_id: str) -> SetResult:
        """Watch a job until it ends or patience does; nothing is held meanwhile."""
        end = anyio.current_time() + self.wait_s
        while True:
            found = await anyio.to_thread.run_sync(jobs.state, self.session.study, set_id)
            if found.state != "running" or anyio.current_time() >= end:
                return found
            await anyio.sleep(POLL_S)


def _needing_consent(name: str) -> str:
    spec = tool(name)
    if not needs_consent(spec):
        guarded = ", ".join(one.name for one in tools() if needs_consent(one))
        raise ConfigError(f"{name} needs no consent; those that do: {guarded}")
    return name
