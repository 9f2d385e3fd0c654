"""The planner that is a language model: same tools, limits, approvals and record as the rules; its words are no evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from onnes.agent.answer import Outcome, publish
from onnes.agent.final_answer import FinalAnswer, Verdict, judged, template
from onnes.agent.meter import WORDS_KEPT, Meter
from onnes.agent.model_tools import ModelTools, Stop
from onnes.agent.prompt import PROMPT_SHA256, opening
from onnes.agent.transcript import Transcript
from onnes.agent.walk import Walk
from onnes.campaign.value import plain_text
from onnes.errors import ConfigError, EvidenceError, OnnesError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from onnes.agent.endpoint import Endpoint
    from onnes.agent.goal import Goal
    from onnes.agent.session import Session

PLANNER = "llm"
RULE = "the choice of a language model; its reasons are words"
MAX_CORRECTIONS = 2
"""Times that a final answer is sent back; after that its words are left out."""


def plan_with_model(
    session: Session, goal: Goal, endpoint: Endpoint, *, resume: bool = False, files: Sequence[str] = ()
) -> Outcome:
    """Go from a goal to a short list by a language model that calls the tools.

    Whatever the model or its endpoint do, the run ends in a state of `onnes.agent.answer.Outcome`, within the limits of the
    session, and the answer holds no number without a result id. Nothing falls back to the rules in silence.

    Parameters
    ----------
    session
        Study, limits and approvals.
    goal
        What is asked for.
    endpoint
        Where the model answers.
    resume
        Go on with the conversation that the study keeps; without one, a new one begins.
    files
        Crystals to start from; the model is told of the set that they make.

    Returns
    -------
    Outcome
        State, reason and short list; the answer lies in the study.

    Raises
    ------
    ConfigError
        When the packages of the extra ``agent`` are missing.
    EvidenceError
        When record or conversation were changed since they were written.
    """
    chat = adapter()
    transcript = Transcript(session)
    history = transcript.messages() if resume else None
    walk = Walk(session, goal)
    walk.begin(PLANNER, **endpoint.described(), prompt_sha256=PROMPT_SHA256)
    meter = Meter(session, endpoint)
    desk = _Desk(walk, ModelTools(session))
    try:
        if files:
            walk.bring(files)
        chat.Chat(endpoint, meter, desk.tools, transcript, desk.judge).run(opening(goal, session.study), history)
        outcome = desk.conclude()
    except Stop as stop:
        outcome = Outcome(state=stop.state, reason=stop.reason)
    except EvidenceError:
        raise
    except (chat.AgentRunError, chat.UserError, OnnesError) as error:
        outcome = Outcome(state="failed", reason=plain_text(f"{type(error).__name__}: {error}"))
    finally:
        meter.flush()
    session.record.append("end", outcome.model_dump(mode="json"))
    return outcome


def adapter() -> ModuleType:
    """The module that knows pydantic-ai; raises ConfigError where it is not installed."""
    try:
        from onnes.agent import chat
    except ImportError as error:
        raise ConfigError(
            f"a language model as planner needs the package {error.name}: pip install 'onnes[agent]'. Without it, "
            "`--planner rules` does the same work"
        ) from error
    return chat


@dataclass
class _Desk:
    """Where final answers come in: sent back while there is hope, then taken as far as they hold."""

    walk: Walk
    tools: ModelTools
    corrections: int = 0
    final: FinalAnswer | None = None
    verdict: Verdict = field(default_factory=lambda: Verdict((), (), ()))

    def judge(self, final: FinalAnswer) -> str | None:
        """What the model should change; None to end the run with this answer."""
        session, goal = self.walk.session, self.walk.goal
        self.final, self.verdict = final, judged(session.study, goal, final)
        wrong = self.verdict.sentence()
        if not wrong and not final.shortlist and not self.corrections:
            wrong = (
                "The short list is empty. If nothing found fits the goal, answer again with an empty list and say why"
            )
        words = {
            "hypothesis": final.hypothesis,
            "text": final.text,
            "shortlist": "; ".join(final.shortlist),
            "wrong": wrong,
        }
        session.record.append(
            "words",
            {"label": "words of a language model, not evidence", "tokens": 0, "requests": 0,
             "final": {name: plain_text(one, WORDS_KEPT) for name, one in words.items()}},
        )  # fmt: skip
        if not wrong or self.corrections >= MAX_CORRECTIONS:
            return None
        self.corrections += 1
        self.tools.refused(plain_text(wrong, 300))
        return f"{wrong}."

    def conclude(self) -> Outcome:
        """Record the decision and publish the answer."""
        if self.final is None:
            raise Stop("failed", "the conversation ended without an answer")
        session, verdict = self.walk.session, self.verdict
        out = [{"crystal": one, "against": None} for one in verdict.crystals]
        out += [{"crystal": None, "against": why} for why in verdict.wrong_list]
        self.walk.decide("which crystals go on the short list?", RULE, verdict.crystals, out)
        words = None if verdict.wrong_words else self.final
        path = publish(session, template(session.study, self.walk.goal, verdict.crystals, words))
        reasons = [f"not on the short list: {'; '.join(verdict.wrong_list)}"] if verdict.wrong_list else []
        if verdict.wrong_words:
            reasons.append("the words of the model held numbers without a source and were left out")
        if not verdict.crystals:
            reasons.insert(0, "the language model named no crystal that fits")
        state = "nothing_found" if not verdict.crystals else "answered_without_words" if words is None else "answered"
        return Outcome(
            state=state, reason=plain_text("; ".join(reasons), 1000), shortlist=verdict.crystals, answer=path.name
        )
