"""Crystals of a study that some set rejected, for whoever names them by another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from onnes.crystals.schema import values

if TYPE_CHECKING:
    from onnes.agent.goal import Goal
    from onnes.campaign.study import Study

_REASON = re.compile(r"(\w+) = (\S+)")


@dataclass(frozen=True)
class Rejections:
    """What the sets of a study rejected, as far as it matters to a goal.

    A crystal is the same in two sets when it has the same ``crystal_hash``, or the same row id where one set was made from the
    other or both from a third; relaxation changes the hash and keeps the id. A bound tighter than the goal's does not count.

    Examples
    --------
    >>> import tempfile
    >>> from onnes.agent.goal import Goal
    >>> from onnes.campaign.study import Study
    >>> from onnes.crystals.known import known_table
    >>> from onnes.crystals.schema import with_columns
    >>> study = Study.create(tempfile.mkdtemp())
    >>> first, second = study.name_of("files", {"n": 1}), study.name_of("files", {"n": 2})
    >>> _ = study.add(first, known_table(["Nb"]), tool="files", arguments={"n": 1})
    >>> gone = with_columns(known_table(["Nb"]), {"rejected_by": ["metal"], "reason": ["is_metal_probability = 0.1 < 0.5"]})
    >>> _ = study.add(second, gone, tool="screen", arguments={"n": 2}, inputs=[first])
    >>> Rejections(study, Goal()).of(f"{first}/Nb").startswith("was rejected by metal (is_metal_probability = 0.1 < 0.5)")
    True
    """

    study: Study
    goal: Goal

    def of(self, crystal: str) -> str | None:
        """Why a crystal ``set_id/row id`` of the study was rejected in any set; None when it was not."""
        set_id, _, row = crystal.partition("/")
        table = self.study.table(set_id)
        crystal_hash = values(table, "crystal_hash")[values(table, "id").index(row)]
        for other, name, its_hash, why in self._all:
            same = name == row and self._origins[other] & self._origins[set_id]
            if same or (its_hash is not None and its_hash == crystal_hash):
                return f"was rejected by {why} in set {other}"
        return None

    @cached_property
    def _origins(self) -> dict[str, set[str]]:
        """Sets behind each set, and itself."""
        inputs = {one.set_id: one.inputs for one in self.study.sets()}
        found: dict[str, set[str]] = {}
        for set_id in inputs:
            found[set_id], todo = set(), [set_id]
            while todo:
                if (one := todo.pop()) not in found[set_id]:
                    found[set_id].add(one)
                    todo += inputs.get(one, ())
        return found

    @cached_property
    def _all(self) -> list[tuple[str, str, str | None, str]]:
        """Set, row id, crystal hash and reason of each rejection that matters."""
        found: list[tuple[str, str, str | None, str]] = []
        for info in self.study.sets():
            if not info.n_rejected:
                continue
            table = self.study.table(info.set_id)
            columns = (values(table, name) for name in ("id", "crystal_hash", "rejected_by", "reason"))
            for row, crystal_hash, by, reason in zip(*columns, strict=True):
                if by is not None and self._matters(reason or ""):
                    found.append((info.set_id, row, crystal_hash, f"{by} ({reason})" if reason else by))
        return found

    def _matters(self, reason: str) -> bool:
        """Whether a rejection speaks against what the goal asks for; gates may have been set tighter than the goal."""
        said = _REASON.match(reason)
        column, value = (said[1], said[2]) if said else ("", "")
        if column == "duplicate":  # its twin stands for it
            return False
        if column == "known":
            return self.goal.new is not None
        if column == "tc_K":
            return float(value) < self.goal.min_tc_K
        if column == "e_above_hull_eV_per_atom":
            return float(value) > self.goal.max_e_above_hull_eV_per_atom
        return True
