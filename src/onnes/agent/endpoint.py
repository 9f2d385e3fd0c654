"""Where a language model answers, and how it is asked; the key never leaves this object except to the endpoint."""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "ONNES_LLM_"
_WHOLE_PATH = "/chat/completions"


class Endpoint(BaseModel):
    """An OpenAI-compatible endpoint, with what is asked of every answer. Frozen.

    Examples
    --------
    >>> one = Endpoint(url="http://127.0.0.1:11434/v1/", model="qwen3")
    >>> one.url, one.host, one.is_local
    ('http://127.0.0.1:11434/v1', '127.0.0.1:11434', True)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    """Base URL, such as ``http://127.0.0.1:11434/v1``."""
    model: str = Field(min_length=1, max_length=200)
    key: SecretStr | None = None
    timeout_s: float = Field(default=600.0, gt=0)
    """Longest wait for one whole answer; small models on a processor take minutes."""
    connect_s: float = Field(default=10.0, gt=0)
    """Longest wait for a connection."""
    tries: int = Field(default=5, ge=1, le=20)
    """Requests for one answer, the first included, when the endpoint fails."""
    longest_wait_s: float = Field(default=20.0, ge=0)
    """Longest wait between two of them, whatever the endpoint asks for."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    seed: int = 0
    answer_tokens: int = Field(default=4096, ge=64)
    """Tokens of one answer at most, thinking included."""
    force_tools: bool = True
    """Ask for a tool call in every answer (``tool_choice`` "required"); a few endpoints refuse that."""
    stream: bool = False
    """Ask for answers piece by piece, for endpoints that give up on long silent ones."""

    @field_validator("url")
    @classmethod
    def _base_url(cls, given: str) -> str:
        parts = urlsplit(given.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write it as http://127.0.0.1:11434/v1 or https://example.org/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(f"leave user, password and query out of the URL; the key belongs into {PREFIX}KEY")
        return given.strip().rstrip("/").removesuffix(_WHOLE_PATH)

    @classmethod
    def is_set(cls, environ: Mapping[str, str] = os.environ) -> bool:
        """Whether the environment names an endpoint."""
        return bool(environ.get(f"{PREFIX}URL"))

    @classmethod
    def of(
        cls, *, url: str | None = None, model: str | None = None, environ: Mapping[str, str] = os.environ, **more: Any
    ) -> Endpoint:
        """Read the endpoint from the environment, what is given here first.

        Every field has a variable: ``ONNES_LLM_URL``, ``ONNES_LLM_MODEL``, ``ONNES_LLM_KEY``, ``ONNES_LLM_TIMEOUT_S`` and so on.

        Raises
        ------
        ConfigError
            When URL or model are missing, or a value is wrong; it never shows the key.
        """
        named = {
            name: environ[PREFIX + name.upper()] for name in cls.model_fields if environ.get(PREFIX + name.upper())
        }
        given = {"url": url, "model": model, **more}
        settings = named | {name: value for name, value in given.items() if value is not None}
        for name, option in (("url", "--endpoint"), ("model", "--llm")):
            if not settings.get(name):
                raise ConfigError(
                    f"no {name} of a language model; set {PREFIX}{name.upper()} or give {option}. Without a language model, "
                    "`--planner rules` does the same work"
                )
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            one = error.errors()[0]
            raise ConfigError(f"{PREFIX}{str(one['loc'][0]).upper()}: {one['msg']}") from None

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc

    @property
    def is_local(self) -> bool:
        """Whether it answers on this machine."""
        name = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name == "localhost"

    def described(self) -> dict[str, Any]:
        """What the record keeps: model, host and sampling; no key."""
        return {
            "model": self.model, "provider": "OpenAI-compatible", "host": self.host, "temperature": self.temperature,
            "seed": self.seed, "answer_tokens": self.answer_tokens,
        }  # fmt: skip

    def redacted(self, text: str) -> str:
        """Text without the key: some endpoints repeat it in their errors."""
        secret = self.key.get_secret_value() if self.key else ""
        return text.replace(secret, "[key]") if secret else text
