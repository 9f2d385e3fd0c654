"""onnes finds superconductors: propose, relax, keep the stable metals, predict Tc, report with evidence."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from onnes.version import __version__

__all__ = [
    "__version__",
    "discover",
    "experimental",
    "explain",
    "hull",
    "mixing",
    "order",
    "phonons",
    "plan_experiment",
    "predict",
    "properties",
    "propose",
    "rank",
    "record_measurement",
    "relax",
    "report",
    "screen",
    "verify",
]

if TYPE_CHECKING:
    from onnes.tools.campaigns import discover, report, screen
    from onnes.tools.crystals import hull, predict, propose, relax
    from onnes.tools.experiment import plan_experiment, record_measurement
    from onnes.tools.experimental import experimental
    from onnes.tools.explain import explain
    from onnes.tools.mixing import mixing
    from onnes.tools.order import order
    from onnes.tools.phonons import phonons
    from onnes.tools.properties import properties
    from onnes.tools.rank import rank
    from onnes.tools.verify import verify

# Functions whose tool has a shorter name: as commands they stand beside the others.
_TOOLS = {"plan_experiment": "plan", "record_measurement": "measure"}


def __getattr__(name: str) -> Any:
    """Look the public functions up in the tool registry when they are first used, so that importing stays cheap."""
    if name in __all__:
        registry = importlib.import_module("onnes.tools.registry")
        return registry.tool(_TOOLS.get(name, name)).function()
    raise AttributeError(f"module 'onnes' has no attribute {name!r}")


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # The import of the room `onnes.propose` would put the room where the function of that name belongs.
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
