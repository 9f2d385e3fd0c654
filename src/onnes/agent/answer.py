"""The answer of a run: a text whose every number is rendered from a result id, and the check that it still is."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from onnes.agent.claims import CITATION, render
from onnes.agent.record import Record
from onnes.campaign.study import GOAL
from onnes.errors import EvidenceError
from onnes.flow.shards import write_bytes

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence
    from pathlib import Path

    from onnes.agent.record import Event
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
    citations = _citations(template)
    body = {
        "template": template,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "citations": citations,
        "sets": {one: _hashes(study, one) for one in _sets_behind(study, citations)},
    }
    path = study.folder / ANSWER
    write_bytes(text.encode(), path)
    session.record.append("answer", body)
    return path


def faults(study: Study) -> list[str]:
    """Check a study: the record, the goal, rows and origin of its sets, and every number of the answer.

    The files of a set count when a call in the record, or the answer, names the set: each set that the answer cites, and
    each that it was made from.

    Returns
    -------
    list of str
        What is wrong, one sentence each; empty when record, goal, sets with their origins, and answer are those of the run.
    """
    record = Record(study.folder)
    found = record.faults()
    if found:
        return found
    events = record.events()
    if not events:
        return ["the study has no record"]
    recorded = _recorded(events)
    for set_id, (sha256, info_sha256) in recorded.items():
        try:
            study.table(set_id)
            if study.info(set_id).sha256 != sha256:
                found.append(f"set {set_id} is another than the one in the record")
            elif study.info_sha256(set_id) != info_sha256:
                found.append(f"the origin of set {set_id} is another than the one in the record (sets/{set_id}.json)")
        except EvidenceError as error:
            found.append(str(error))
    found += _goal_faults(study, events)
    answers = [event for event in events if event.kind == "answer"]
    if answers and not found:
        found += _answer_faults(study, answers[-1].body, recorded)
    return found


def _hashes(study: Study, set_id: str) -> dict[str, str]:
    return {"sha256": study.info(set_id).sha256, "info_sha256": study.info_sha256(set_id)}


def _recorded(events: Sequence[Event]) -> dict[str, tuple[str | None, str | None]]:
    """sha256 of rows and origin of every set that calls and answers name; the last word counts."""
    found = {}
    for event in events:
        body = event.body
        if event.kind == "call" and "set_id" in body and "sha256" in body:
            found[body["set_id"]] = body["sha256"], body.get("info_sha256")
        for set_id, hashes in body.get("sets", {}).items() if event.kind == "answer" else ():
            found[set_id] = hashes.get("sha256"), hashes.get("info_sha256")
    return found


def _citations(template: str) -> list[str]:
    return sorted({found.strip() for found in CITATION.findall(template)})


def _sets_behind(study: Study, citations: Iterable[str]) -> list[str]:
    """Sets that are cited, and those that they were made from, all the way up."""
    found: set[str] = set()
    ahead = {one.partition("/")[0] for one in citations} - {"goal"}
    while ahead:
        found |= ahead
        ahead = {one for set_id in ahead for one in study.info(set_id).inputs} - found
    return sorted(found)


def _goal_faults(study: Study, events: Sequence[Event]) -> list[str]:
    """Whether ``goal.json`` is what the run was begun with."""
    path = study.folder / GOAL
    asked = next((event.body.get("goal") for event in events if event.kind == "run"), None)
    if asked is None:
        return []
    if not path.is_file():
        return [f"{GOAL} is missing"]
    try:
        same = _canonical(json.loads(path.read_bytes())) == _canonical(asked)
    except ValueError:
        same = False
    return [] if same else [f"{GOAL} is not the goal that the record names"]


def _canonical(content: object) -> str:
    return json.dumps(content, sort_keys=True)


def _answer_faults(study: Study, body: Mapping[str, Any], recorded: Container[str]) -> list[str]:
    try:
        expected = render_answer(study, body["template"])
        behind = _sets_behind(study, _citations(body["template"]))
    except EvidenceError as error:
        return [f"the answer cannot be rendered from the sets: {error}"]
    if unknown := [one for one in behind if one not in recorded]:
        return [f"the answer cites what the record does not name: set {', '.join(unknown)}"]
    path = study.folder / ANSWER
    if not path.is_file():
        return [f"{ANSWER} is missing"]
    data = path.read_bytes()
    actual = data.decode(errors="replace")
    same = hashlib.sha256(data).hexdigest() == body["sha256"]
    if actual == expected:
        return [] if same else [f"{ANSWER} is not the text that the record names"]
    theirs, ours = actual.splitlines(), expected.splitlines()
    wrong = [
        f"{ANSWER}, line {number}: {one.strip()[:160]!r} is not what the results say: {other.strip()[:160]!r}"
        for number, (one, other) in enumerate(zip(theirs, ours, strict=False), 1)
        if one != other
    ]
    if len(theirs) != len(ours):
        wrong.append(f"{ANSWER}: {len(theirs)} lines instead of {len(ours)}")
    if same:
        wrong.append(f"{ANSWER} is the text that the record names: what was cited is rendered otherwise now")
    return wrong or [f"{ANSWER}: changed after it was written"]
