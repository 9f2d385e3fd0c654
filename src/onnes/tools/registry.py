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
    action
        ``module:function`` that works on the sets of a study, imported when first used; see `onnes.tools.call`.
    effect
        ``read`` looks, ``compute`` computes, ``write`` makes files, ``submit`` starts work elsewhere. The last two need approval.
    cost
        A hint in words.
    summary
        One sentence.
    target
        ``module:function`` of the Python function that does the same with crystals at hand; empty where there is none.
    long
        Whether a call may take more than some seconds: it then runs as a job where nobody can wait.
    makes_set
        Whether it answers with rows that are kept as a set.
    needs
        Extras of the package that it needs.
    """

    name: str
    action: str
    effect: Effect
    cost: str
    summary: str
    target: str = ""
    long: bool = False
    makes_set: bool = True
    needs: tuple[str, ...] = ()

    def function(self) -> Callable[..., Any]:
        """Import and return the Python function; raises ConfigError for a tool that works on studies only."""
        if not self.target:
            raise ConfigError(f"{self.name} works on a study: `onnes call {self.name}`")
        return _imported(self.target)

    def action_function(self) -> Callable[..., Any]:
        """Import and return the function that works on a study."""
        return _imported(self.action)


def _imported(place: str) -> Callable[..., Any]:
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


_A = "onnes.tools.actions."
_TOOLS = {
    spec.name: spec
    for spec in (
        ToolSpec(
            "search", f"{_A}finding:search", "read", "a second",
            "find known crystals and phases, or rows of the study's sets, by elements, formula, structure type and values",
        ),
        ToolSpec(
            "crystal", f"{_A}finding:crystal", "read", "instant",
            "one crystal: its values with their result ids, and its structure as CIF", makes_set=False,
        ),
        ToolSpec(
            "propose", f"{_A}making:propose", "compute", "thousands of candidates a minute",
            "candidate crystals from parents, elements, compositions or the generator", "onnes.tools.crystals:propose",
            long=True,
        ),
        ToolSpec(
            "reinterpret", f"{_A}making:reinterpret", "compute", "about a second a structure type",
            "a composition in every structure type that fits it, relaxed and ranked", long=True,
        ),
        ToolSpec(
            "relax", f"{_A}computing:relax", "compute", "one to two crystals a second and core",
            "relax positions and cell", "onnes.tools.crystals:relax", long=True,
        ),
        ToolSpec(
            "predict", f"{_A}computing:predict", "compute", "30 crystals a second and core",
            "Tc, lambda, omega_log, stability, metal probability and domain of crystals", "onnes.tools.crystals:predict",
            long=True,
        ),
        ToolSpec(
            "experimental", f"{_A}computing:experimental", "compute", "thousands of formulas a second",
            "measured superconductivity, as the literature reports it, of formulas and crystals",
            "onnes.tools.experimental:experimental",
        ),
        ToolSpec(
            "hull", f"{_A}computing:hull", "compute", "20 crystals a second and core",
            "formation energy and energy above the convex hull", "onnes.tools.crystals:hull", long=True,
        ),
        ToolSpec(
            "novelty", f"{_A}finding:novelty", "compute", "a thousand crystals a second",
            "whether the reference knows a crystal, or its composition, and by which name; repeats are rejected", long=True,
        ),
        ToolSpec(
            "properties", f"{_A}computing:properties", "compute", "a second or two a crystal",
            "density, elastic moduli, Debye temperatures, metal probability and magnetic moment of crystals",
            "onnes.tools.properties:properties", long=True,
        ),
        ToolSpec(
            "phonons", f"{_A}computing:phonons", "compute", "seconds to minutes a crystal",
            "phonon bands, density of states, grade of dynamic stability, heat capacity and soft modes of crystals",
            "onnes.tools.phonons:phonons", long=True,
        ),
        ToolSpec(
            "explain", f"{_A}computing:explain", "compute", "a second or two a crystal",
            "what each site contributes to a prediction, its nearest crystals, and the effect of replaced elements",
            "onnes.tools.explain:explain", long=True,
        ),
        ToolSpec(
            "order", f"{_A}computing:order", "compute", "30 ordered cells a second and core, a few a second relaxed",
            "Tc of crystals with partly occupied sites: mean, spread and range over their ordered cells",
            "onnes.tools.order:order", long=True,
        ),
        ToolSpec(
            "mixing", f"{_A}computing:mixing", "compute", "seconds a crystal, tens of seconds relaxed",
            "which sites of ordered crystals are likely to exchange atoms at the temperature of synthesis",
            "onnes.tools.mixing:mixing", long=True,
        ),
        ToolSpec(
            "screen", f"{_A}screening:screen", "compute", "about a second a crystal and core",
            "run a funnel over crystals and keep everything in a campaign of the study", "onnes.tools.campaigns:screen", long=True,
        ),
        ToolSpec(
            "discover", f"{_A}screening:discover", "compute", "about a second a candidate and core",
            "propose candidates and screen them", "onnes.tools.campaigns:discover", long=True,
        ),
        ToolSpec(
            "rank", f"{_A}judging:rank", "compute", "a hundred crystals a second",
            "order crystals by all that matters before making them: Tc, stability, novelty, hazards, price; Pareto front",
            "onnes.tools.rank:rank", long=True,
        ),
        ToolSpec(
            "plan", f"{_A}judging:plan", "compute", "seconds",
            "plan the synthesis and measurement of one crystal: masses, route, powder pattern, transition",
            "onnes.tools.experiment:plan_experiment", long=True,
        ),
        ToolSpec(
            "measure", f"{_A}judging:measure", "write", "instant",
            "record what the laboratory found of a crystal", "onnes.tools.experiment:record_measurement", makes_set=False,
        ),
        ToolSpec(
            "report", f"{_A}screening:report", "write", "seconds",
            "write the report of a screened set", "onnes.tools.campaigns:report", makes_set=False,
        ),
        ToolSpec(
            "verify", f"{_A}verifying:verify", "submit", "minutes to hours a crystal",
            "first-principles verification with Quantum ESPRESSO: verdict, lambda, Tc, phonons, N(E_F)",
            "onnes.tools.verify:verify", long=True,
        ),
        ToolSpec(
            "verification", f"{_A}verifying:verification", "read", "instant",
            "the verification of one crystal, while it runs or after: steps, verdict, lambda over the smearings, Tc",
            makes_set=False,
        ),
        ToolSpec("status", f"{_A}finding:status", "read", "instant", "how far long work has come", makes_set=False),
        ToolSpec("result", f"{_A}finding:result", "read", "instant", "rows of a set, page by page", makes_set=False),
        ToolSpec("cancel", f"{_A}finding:cancel", "compute", "instant", "stop long work", makes_set=False),
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
