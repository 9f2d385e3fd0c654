"""The tool registry."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

Effect = Literal["read", "compute", "submit", "write"]


@dataclass(frozen=True)
class ToolSpec:
    """One thing that a user can do.

    Attributes
    ----------
    name
        Its name in every face.
    target
        ``module:function``, imported when first used.
    effect
        ``read`` looks, ``compute`` computes, ``write`` makes files, ``submit`` starts work elsewhere.
    cost
        A hint in words.
    summary
        One sentence.
    """

    name: str
    target: str
    effect: Effect
    cost: str
    summary: str

    def function(self) -> Callable[..., Any]:
        """Import and return the function."""
        module, name = self.target.split(":")
        return getattr(importlib.import_module(module), name)


_TOOLS = {
    spec.name: spec
    for spec in (
        ToolSpec(
            "predict", "onnes.tools.crystals:predict", "compute", "30 crystals a second and core",
            "Tc, lambda, omega_log, stability, metal probability and domain of crystals",
        ),
        ToolSpec(
            "explain", "onnes.tools.explain:explain", "compute", "a second or two a crystal",
            "what each site contributes to a prediction, its nearest crystals, and the effect of replaced elements",
        ),
        ToolSpec(
            "experimental", "onnes.tools.experimental:experimental", "compute", "thousands of formulas a second",
            "measured superconductivity, as the literature reports it, of formulas and crystals",
        ),
        ToolSpec(
            "relax", "onnes.tools.crystals:relax", "compute", "one to two crystals a second and core",
            "relax positions and cell",
        ),
        ToolSpec(
            "hull", "onnes.tools.crystals:hull", "compute", "20 crystals a second and core",
            "formation energy and energy above the convex hull",
        ),
        ToolSpec(
            "properties", "onnes.tools.properties:properties", "compute", "a second or two a crystal",
            "density, elastic moduli, Debye temperatures, metal probability and magnetic moment of crystals",
        ),
        ToolSpec(
            "phonons", "onnes.tools.phonons:phonons", "compute", "seconds to minutes a crystal",
            "phonon bands, density of states, grade of dynamic stability, heat capacity and soft modes of crystals",
        ),
        ToolSpec(
            "propose", "onnes.tools.crystals:propose", "compute", "thousands of candidates a minute",
            "candidate crystals from parents or elements",
        ),
        ToolSpec(
            "order", "onnes.tools.order:order", "compute", "30 ordered cells a second and core, a few a second relaxed",
            "Tc of crystals with partly occupied sites: mean, spread and range over their ordered cells",
        ),
        ToolSpec(
            "mixing", "onnes.tools.mixing:mixing", "compute", "seconds a crystal, tens of seconds relaxed",
            "which sites of ordered crystals are likely to exchange atoms at the temperature of synthesis",
        ),
        ToolSpec(
            "screen", "onnes.tools.campaigns:screen", "write", "about a second a crystal and core",
            "run a funnel over crystals and keep everything in a campaign folder",
        ),
        ToolSpec(
            "discover", "onnes.tools.campaigns:discover", "write", "about a second a candidate and core",
            "propose candidates, screen them, write the report",
        ),
        ToolSpec(
            "report", "onnes.tools.campaigns:report", "write", "seconds",
            "write the report of a campaign and return its numbers",
        ),
    )
}  # fmt: skip


def tool(name: str) -> ToolSpec:
    """Look a tool up; raises ConfigError for an unknown name."""
    if name not in _TOOLS:
        raise ConfigError(f"unknown tool {name!r}; known: {', '.join(_TOOLS)}")
    return _TOOLS[name]


def tools() -> list[ToolSpec]:
    """All tools."""
    return list(_TOOLS.values())
