"""Who may ask: the address asked for, the page that asks, and the token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from onnes.errors import ConfigError
from onnes.flow.shards import write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?", re.IGNORECASE)
_KEPT = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Token:
    """A bearer token, of which only the sha256 is known.

    Examples
    --------
    >>> token = Token.of("correct horse battery staple")
    >>> token.fits("correct horse battery staple"), token.fits("correct horse")
    (True, False)
    """

    sha256: str

    @classmethod
    def of(cls, text: str) -> Token:
        """Keep the hash of a token."""
        return cls(hashlib.sha256(text.encode()).hexdigest())

    @classmethod
    def from_file(cls, path: Path) -> tuple[Token, str | None]:
        """Read the hash of a token from a file, or make a token and write its hash there.

        Returns
        -------
        tuple of Token and str or None
            The token's text is given once, when it is made, and kept nowhere.

        Raises
        ------
        ConfigError
            When the file holds anything but a hash, or cannot be read or written.
        """
        try:
            if not path.exists():
                text = secrets.token_urlsafe(32)
                token = cls.of(text)
                write_bytes(f"sha256:{token.sha256}\n".encode(), path)
                path.chmod(0o600)
                return token, text
            kept = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot use the token file {path}: {error}") from None
        if not _KEPT.fullmatch(kept):
            raise ConfigError(
                f"{path} holds no hash of a token (sha256: and 64 hexadecimal digits); give the name of a file that does not "
                "exist, and a token is made"
            )
        return cls(kept.removeprefix("sha256:")), None

    def fits(self, text: str) -> bool:
        """Whether a text is the token; takes as long for any text of a length."""
        return hmac.compare_digest(Token.of(text).sha256, self.sha256)


def is_loopback(host: str) -> bool:
    """Whether an address to listen at is reached from this machine only.

    Examples
    --------
    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "10.1.2.3", "example.org")]
    [True, True, True, False, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_names(host: str, names: Iterable[str] = ()) -> frozenset[str]:
    """Names by which a server may be asked for: those of this machine, the address it listens at, and those given.

    Raises
    ------
    ConfigError
        For something that is no name of a host.
    """
    wanted = {f"[{host}]" if ":" in host else host, *names} - {"0.0.0.0", "[::]"}  # noqa: S104 - no name to be asked for
    for name in wanted:
        if not _HOST.fullmatch(name) or name_of(name) != name.lower():
            raise ConfigError(f"{name!r} is no name of a host; write it without a port, as in onnes.example.org")
    return LOCAL_NAMES | {name.lower() for name in wanted}


def name_of(header: str) -> str | None:
    """Name in a Host header, without the port; None where it is none.

    Examples
    --------
    >>> name_of("LocalHost:8642"), name_of("[::1]:80"), name_of("localhost@evil.org"), name_of("")
    ('localhost', '[::1]', None, None)
    """
    found = _HOST.fullmatch(header)
    return found[1].lower() if found else None


class Guard:
    """Lets a request through to the application, or refuses it before anything of its body is read.

    * 421 for another Host than those allowed: a page that gives its own name this machine's address gets nowhere.
    * 403 for a request that a page of another origin makes: there is no page elsewhere that should.
    * 401 without the token, where there is one.

    Parameters
    ----------
    app
        Application to guard.
    hosts
        Names, as `host_names` gives them.
    token
        None lets anybody in who reaches it.
    """

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str], token: Token | None) -> None:
        self.app, self.hosts, self.token = app, hosts, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            answer = self.refusal(Headers(scope=scope))
            await (answer or self.app)(scope, receive, send)
        else:  # there is nothing to talk to by WebSocket
            await send({"type": "websocket.close", "code": 1008})

    def refusal(self, headers: Headers) -> JSONResponse | None:
        """Answer to a request that may not pass."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if name_of(host) not in self.hosts:
            return _refused(421, "this server is not asked for by that name; see --allow-host of `onnes serve`")
        if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
            return _refused(403, "a page of another origin may not ask this server")
        if self.token is not None:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not self.token.fits(given.strip()):
                refused = _refused(401, "send the token of this server in the header Authorization: Bearer TOKEN")
                refused.headers["WWW-Authenticate"] = "Bearer"
                return refused
        return None


def _refused(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)
