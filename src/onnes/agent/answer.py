"""The answer of a run: a text whose every number is rendered from a result id, and the check that it still is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from onnes.agent.claims import CITATION, render
from onnes.agent.record import Record
from onnes.errors import EvidenceError
from onnes.flow.shards import write_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from onnes.agent.session import Session
    from onnes.campaign.study import Study

ANSWER = "answer.md"
WORDS_LABEL = "> The following are words of a language model, checked for numbers without a source, not evidence."

State = Literal[
    "answered",
    "answered_without_words",
    "nothing_found",
    "budget_spent",
    "waiting_for_approval",
    "endpoint_failed",
    "failed",
]


class Outcome(BaseModel):
    """How a run ended."""

    model_config = ConfigDict(frozen=True)

    state: State
    """``answered``; ``answered_without_words`` when what a language model wrote had numbers without a source, and was left out;
    ``nothing_found``; ``budget_spent``, ``waiting_for_approval`` and ``endpoint_failed`` can be resumed."""
    reason: str = ""
    shortlist: tuple[str, ...] = ()
    """Crystals as ``set_id/row id``, best first."""
    answer: str | None = None
    """File in the study."""


def render_answer(study: Study, template: str) -> str:
    """Render a template: in table rows and lists values stand alone, elsewhere, and in a model's words, with name and quantity.

    Raises
    ------
    EvidenceError
        When it holds a number without a source; the message names all of them.
    """
    written, wrong, own = [], [], True
    for line in template.splitlines():
        own = own and line != WORDS_LABEL
        rendered = render(study, line, bare=own and line.startswith(("|", "- ")))
        wrong += rendered.unsupported
        written.append(rendered.text)
    if wrong:
        raise EvidenceError("; ".join(wrong))
    return "\n".join(written) + "\n"


def publish(session: Session, template: str) -> Path:
    """Check and render an answer, write ``answer.md`` and record it.

    Raises
    ------
    EvidenceError
        See `render_answer`; nothing is written then.
    """
    study = session.study
    text = render_answer(study, template)
    body = {
        "template": template,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "citations": sorted({found.strip() for found in CITATION.findall(template)}),
    }
    path = study.folder / ANSWER
    write_bytes(text.encode(), path)
    session.record.append("answer", body)
    return path


def faults(study: Study) -> list[str]:
    """Check a study: the record, the files of its sets, and every number of the answer.

    Returns
    -------
    list of str
        What is wrong, one sentence each; empty when record, sets and answer are those of the run.
    """
    record = Record(study.folder)
    found = record.faults()
    if found:
        return found
    events = record.events()
    if not events:
        return ["the study has no record"]
    for set_id, sha256 in {
        e.body["set_id"]: e.body["sha256"] for e in events if "sha256" in e.body and "set_id" in e.body
    }.items():
        try:
            study.table(set_id)
            if study.info(set_id).sha256 != sha256:
                found.append(f"set {set_id} is another than the one in the record")
        except EvidenceError as error:
            found.append(str(error))
    answers = [event for event in events if event.kind == "answer"]
    if answers and not found:
        found += _answer_faults(study, answers[-1].body["template"])
    return found


def _answer_faults(study: Study, template: str) -> list[str]:
    try:
        expected = render_answer(study, template)
    except EvidenceError as error:
        return [f"the answer cannot be rendered from the sets: {error}"]
    path = study.folder / ANSWER
    if not path.is_file():
        return [f"{ANSWER} is missing"]
    actual = path.read_text(encoding="utf-8")
    if actual == expected:
        return []
    theirs, ours = actual.splitlines(), expected.splitlines()
    wrong = [
        f"{ANSWER}, line {number}: {one.strip()[:160]!r} is not what the results say: {other.strip()[:160]!r}"
        for number, (one, other) in enumerate(zip(theirs, ours, strict=False), 1)
        if one != other
    ]
    if len(theirs) != len(ours):
        wrong.append(f"{ANSWER}: {len(theirs)} lines instead of {len(ours)}")
    return wrong or [f"{ANSWER}: changed after it was written"]
