"""A planner's way through the tools: calls, decisions and what was found, on the record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.campaign.study import GOAL
from onnes.crystals.schema import is_open, values
from onnes.errors import ConfigError, CrystalError
from onnes.flow.shards import write_bytes
from onnes.tools.call import SetResult
from onnes.tools.study_input import bring_in
from onnes.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from onnes.agent.goal import Goal
    from onnes.agent.session import Session


@dataclass
class Walk:
    """Calls on a session, for planners.

    Attributes
    ----------
    session
        Where calls go.
    goal
        What is asked for.
    steps
        What was done: one line a call, with the counts as citations.
    """

    session: Session
    goal: Goal
    steps: list[str] = field(default_factory=list)

    def begin(self, planner: str, **about: Any) -> None:
        """Record goal, planner, versions and limits; a study that was begun before goes on.

        Raises
        ------
        ConfigError
            When the study was begun with another goal: what was found for one is no answer to another.
        """
        events = self.session.record.events()
        goal = self.goal.model_dump(mode="json")
        begun = next((event.body["goal"] for event in events if event.kind == "run"), None)
        if begun is not None and {**begun, "limits": None} != {**goal, "limits": None}:
            raise ConfigError(
                f"{self.session.study.folder} has another goal ({begun['words'] or 'a form'}); give another --out"
            )
        if begun is not None:
            self.session.record.append("resumed", {"goal": goal, "planner": planner, "events": len(events)})
            return
        write_bytes(self.goal.model_dump_json(indent=1).encode() + b"\n", self.session.study.folder / GOAL)
        self.session.record.append(
            "run",
            {
                "goal": goal, "planner": planner, "onnes": __version__, "seed": self.session.study.seed,
                "limits": self.session.limits.model_dump(mode="json"), **about,
            },
        )  # fmt: skip

    def call(self, name: str, why: str, **arguments: Any) -> SetResult:
        """Call a tool that makes a set, and keep a line on it."""
        result = self.session.call(name, {key: value for key, value in arguments.items() if value is not None})
        if not isinstance(result, SetResult):
            raise TypeError(f"{name} makes no set")
        one = result.set_id
        counts = f"Rows: [[{one}/*/n_rows]]"
        if result.n_rejected or result.n_failed:
            counts += f"; open [[{one}/*/n_open]], rejected [[{one}/*/n_rejected]], failed [[{one}/*/n_failed]]"
        self.steps.append(f"- **{name}**: {why}. {counts}.")
        return result

    def bring(self, files: Sequence[str]) -> str:
        """Read crystals from files that a person named, as a set; raises CrystalError when none can be used."""
        info = bring_in(self.session.study, list(files))
        if not info.n_open:
            raise CrystalError(
                f"no crystal in {', '.join(files)} can be used: {values(self.table(info.set_id), 'error')[0]}"
            )
        self.session.brought(info)
        self.steps.append(f"- **files**: crystals from files. Rows: [[{info.set_id}/*/n_rows]].")
        return info.set_id

    def table(self, set_id: str) -> pa.Table:
        """Rows of a set."""
        return self.session.study.table(set_id)

    def rows(self, set_id: str) -> list[str]:
        """All crystals of a set, as ``set_id/row id``."""
        return [f"{set_id}/{row}" for row in values(self.table(set_id), "id")]

    def open_rows(self, set_id: str) -> list[str]:
        """Crystals of a set that were neither rejected nor failed, as ``set_id/row id``."""
        rows = self.rows(set_id)
        return [rows[i] for i in np.flatnonzero(is_open(self.table(set_id)))]

    def decide(self, question: str, rule: str, chosen: Sequence[str], options: Sequence[dict[str, Any]]) -> None:
        """Record a decision: the options with their scores, the rule, what was chosen, and why not the others."""
        self.session.record.append(
            "decision", {"question": question, "rule": rule, "chosen": list(chosen), "options": list(options)}
        )
