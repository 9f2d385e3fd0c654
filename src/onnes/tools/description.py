"""What a tool does, in the words that every program and model is told."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnes.tools.registry import ToolSpec


def description(spec: ToolSpec) -> str:
    """First paragraph of the documentation of a tool's action, and its cost.

    Examples
    --------
    >>> from onnes.tools.registry import tool
    >>> description(tool("report")).endswith("into the study. Cost: seconds.")
    True
    """
    paragraph = " ".join((inspect.getdoc(spec.action_function()) or spec.summary).split("\n\n")[0].split())
    return f"{paragraph.removesuffix('.')}. Cost: {spec.cost}."


def needs_consent(spec: ToolSpec) -> bool:
    """Whether a person has to allow each call: it writes, or starts work elsewhere."""
    return spec.effect in ("write", "submit")
