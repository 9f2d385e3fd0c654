"""Requests and tokens of a language model: what the next request may cost, and what the last ones did."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from onnes.campaign.value import plain_text
from onnes.errors import BudgetSpent

if TYPE_CHECKING:
    from onnes.agent.endpoint import Endpoint
    from onnes.agent.session import Session

WORDS_KEPT = 4000
"""Characters of one text that the record keeps."""
BYTES_PER_TOKEN = 3
"""Tokenizers of language models make at least one token of so many bytes of our texts (numbers, ids, JSON)."""
_CAUTIOUS_BYTES_PER_TOKEN = 2
LEAST_ANSWER = 128
"""With fewer tokens no tool call can be written."""


@dataclass
class Meter:
    """Keeps a language model within the limits of a session.

    Tokens are those that the endpoint reports, or an estimate from the bytes that went over the line where it reports
    fewer. Every attempt counts as a request, and an attempt whose cost is unknown as if its whole answer had been made.

    Attributes
    ----------
    session
        Whose limits and record.
    endpoint
        How long answers may be.
    said
        Body of the event of the last answer, until it is recorded.
    """

    session: Session
    endpoint: Endpoint
    said: dict[str, Any] | None = None
    _correction: float = field(default=1.0, init=False)

    def allowed(self, sent: int) -> int:
        """Tokens that the answer to a request may have.

        Parameters
        ----------
        sent
            Bytes of the request.

        Raises
        ------
        BudgetSpent
            When the limits leave no room for the request and an answer.
        """
        limits, spent = self.session.limits, self.session.spent
        if spent.requests >= limits.requests:
            raise BudgetSpent(
                f"{spent.requests} requests to the language model were made, as many as allowed; raise the limit `requests` "
                "to go on"
            )
        if limits.tokens is None:
            return self.endpoint.answer_tokens
        prompt = math.ceil(sent / _CAUTIOUS_BYTES_PER_TOKEN * self._correction)
        left = limits.tokens - spent.tokens - prompt
        if left < LEAST_ANSWER:
            raise BudgetSpent(
                f"{spent.tokens} tokens are spent and the next request needs about {prompt + LEAST_ANSWER}, {limits.tokens} "
                "are allowed; raise the limit `tokens` to go on"
            )
        return min(self.endpoint.answer_tokens, left)

    def answered(
        self, sent: int, received: int, answer: dict[str, Any], *, reported: tuple[int, int], allowed: int
    ) -> None:
        """Count an answer.

        Parameters
        ----------
        sent, received
            Bytes of the request and of the answer.
        answer
            ``text``, ``thinking`` and ``calls`` of the answer.
        reported
            Tokens of request and answer, as the endpoint says.
        allowed
            Tokens that the answer could have.
        """
        asked, made = (max(0, count) for count in reported)
        prompt = max(asked, math.ceil(sent / BYTES_PER_TOKEN))
        tokens = prompt + max(made, min(allowed, math.ceil(received / BYTES_PER_TOKEN)))
        self._correction = max(self._correction, prompt * _CAUTIOUS_BYTES_PER_TOKEN / sent)
        self._spend(tokens)
        kept = {name: plain_text(part, WORDS_KEPT) if isinstance(part, str) else part for name, part in answer.items()}
        self.said = {**self._labelled(tokens), **kept, "reported_tokens": list(reported)}

    def failed(self, why: str, sent: int, *, allowed: int, cost_known: bool) -> None:
        """Count an attempt that brought no answer, and record it; ``cost_known`` when it was refused before any work."""
        tokens = 0 if cost_known else math.ceil(sent / BYTES_PER_TOKEN) + allowed
        self._spend(tokens)
        self.session.record.append("words", {**self._labelled(tokens), "failed": why})

    def flush(self) -> None:
        """Record an answer that nothing else recorded."""
        if self.said is not None:
            self.session.record.append("words", self.said)
            self.said = None

    def _labelled(self, tokens: int) -> dict[str, Any]:
        return {"label": "words of a language model, not evidence", "tokens": tokens, "requests": 1}

    def _spend(self, tokens: int) -> None:
        self.session.spent.tokens += tokens
        self.session.spent.requests += 1
