"""Agent Skills: instructions for agents that know how to follow a SKILL.md."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from onnes.errors import ConfigError
from onnes.flow.shards import write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SKILL = "SKILL.md"


@dataclass(frozen=True)
class Skill:
    """One skill of the package.

    Attributes
    ----------
    name
        Its name and that of its folder.
    description
        What it does and when to use it.
    metadata
        What clients want to know before they offer it.
    text
        The whole file.
    """

    name: str
    description: str
    metadata: dict[str, Any]
    text: str

    @classmethod
    def from_text(cls, text: str) -> Skill:
        """Read a SKILL.md; raises ConfigError when its front matter lacks a name or a description."""
        head, front, _ = [*text.split("---\n", 2), "", ""][:3]
        fields = dict(line.split(": ", 1) for line in front.splitlines() if ": " in line)
        if head or not fields.get("name") or not fields.get("description"):
            raise ConfigError(
                f"a skill begins with front matter that holds name and description; this is {text[:40]!r}"
            )
        return cls(fields["name"], fields["description"], json.loads(fields.get("metadata", "{}")), text)


def skills() -> list[Skill]:
    """Skills of the package, by name.

    Examples
    --------
    >>> [skill.name for skill in skills()]
    ['check-stability', 'discover-superconductors', 'plan-experiment', 'predict-tc', 'review-candidate']
    """
    folders = [one for one in files("onnes").joinpath("skills").iterdir() if one.is_dir()]
    found = [Skill.from_text(one.joinpath(SKILL).read_text(encoding="utf-8")) for one in folders]
    return sorted(found, key=lambda skill: skill.name)


def install(folder: Path, chosen: Iterable[Skill] | None = None, *, replace: bool = False) -> list[Path]:
    """Copy skills into a folder that an agent reads, such as ``.agents/skills``.

    Parameters
    ----------
    folder
        Each skill becomes a folder in it.
    chosen
        All by default.
    replace
        Write over files that say something else.

    Returns
    -------
    list of Path
        Files, written or already there.

    Raises
    ------
    ConfigError
        When a file of that name says something else, or the folder cannot be written.
    """
    wanted = list(skills() if chosen is None else chosen)
    targets = [folder / skill.name / SKILL for skill in wanted]
    try:
        others = [path for path, skill in zip(targets, wanted, strict=True) if _differs(path, skill.text)]
        if others and not replace:
            raise ConfigError(f"{others[0]} is there and says something else; --replace writes over it")
        for path, skill in zip(targets, wanted, strict=True):
            write_bytes(skill.text.encode(), path)
    except OSError as error:
        raise ConfigError(f"cannot write skills to {folder}: {error}") from None
    return targets


def _differs(path: Path, text: str) -> bool:
    return path.exists() and path.read_bytes() != text.encode()
