"""The conversation with a language model, an attachment of the study: words, not evidence, and bound to the record."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from onnes.errors import EvidenceError
from onnes.flow.shards import write_bytes

if TYPE_CHECKING:
    from onnes.agent.session import Session

TRANSCRIPT = "transcript.json"
LABEL = (
    "The conversation with a language model. Its words are not evidence; results lie in the sets, calls in the record."
)


class Transcript:
    """What was said, so that a run that was stopped can go on.

    Each version is named by its sha256 in the record before it is written, so that a conversation that was changed or made
    up is not gone on with.

    Parameters
    ----------
    session
        Whose study and record.
    """

    def __init__(self, session: Session) -> None:
        self._record = session.record
        self.path = session.study.folder / TRANSCRIPT

    def keep(self, messages: bytes, words: dict[str, Any]) -> None:
        """Record what the model said last, and keep the messages.

        Parameters
        ----------
        messages
            All messages so far, as JSON.
        words
            Body of the record's event; the sha256 of the transcript is added.
        """
        data = json.dumps({"label": LABEL, "messages": json.loads(messages)}, ensure_ascii=True, indent=1).encode()
        self._record.append("words", {**words, "transcript_sha256": hashlib.sha256(data).hexdigest()})
        write_bytes(data, self.path)

    def messages(self) -> bytes | None:
        """Messages to go on with, as JSON; None where there are none.

        Raises
        ------
        EvidenceError
            When the file is none of the versions that the record names.
        """
        if not self.path.is_file():
            return None
        data = self.path.read_bytes()
        named = {event.body.get("transcript_sha256") for event in self._record.events() if event.kind == "words"}
        if hashlib.sha256(data).hexdigest() not in named:
            raise EvidenceError(
                f"{TRANSCRIPT} is not the conversation that the record names: it was changed. Start the run again without "
                "resuming; what was computed stays"
            )
        return json.dumps(json.loads(data)["messages"]).encode()
