"""onnes finds superconductors: propose, relax, keep the stable metals, predict Tc, report with evidence."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["discover", "hull", "predict", "propose", "relax", "report", "screen"]

if TYPE_CHECKING:
    from onnes.tools.campaigns import discover, report, screen
    from onnes.tools.crystals import hull, predict, propose, relax


def __getattr__(name: str) -> Any:  # noqa: ANN401 - module attribute
    """Look the public functions up in the tool registry when they are first used, so that importing stays cheap."""
    if name in __all__:
        registry = importlib.import_module("onnes.tools.registry")
        return registry.tool(name).function()
    raise AttributeError(f"module 'onnes' has no attribute {name!r}")
