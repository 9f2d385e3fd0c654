"""Where candidate crystals come from: substitution in parents, decorated structure types."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _CallableRoom(ModuleType):
    """Importing this package hides the public function ``onnes.propose`` of the same name; called, it is that function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return importlib.import_module("onnes.tools.registry").tool("propose").function()(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableRoom
