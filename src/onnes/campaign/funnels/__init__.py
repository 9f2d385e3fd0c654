"""The funnels that the package ships, as TOML files, and the import of every room's stages."""

from __future__ import annotations

import importlib
from importlib.resources import files
from pathlib import Path

from onnes.errors import ConfigError
from onnes.flow.funnel import Funnel

_STAGE_MODULES = (
    "onnes.flow.gate",
    "onnes.physics.stages",
    "onnes.potentials.stages",
    "onnes.potentials.phonon_stages",
    "onnes.models.stages",
    "onnes.propose.stages",
    "onnes.verify.stages",
)


def register_builtin_stages() -> None:
    """Import the modules that register the stages of every room."""
    for module in _STAGE_MODULES:
        importlib.import_module(module)


def funnel_names() -> list[str]:
    """Names of the shipped funnels."""
    return sorted(
        f.name.removesuffix(".toml") for f in files("onnes.campaign.funnels").iterdir() if f.name.endswith(".toml")
    )


def load_funnel(name: str = "default") -> Funnel:
    """Load a shipped funnel by name, or a TOML file by path.

    Examples
    --------
    >>> [step.name for step in load_funnel().steps][:2]
    ['identity', 'quick-predict']
    """
    register_builtin_stages()
    if name in funnel_names():
        return Funnel.from_toml(
            files("onnes.campaign.funnels").joinpath(f"{name}.toml").read_text(encoding="utf-8"), origin=name
        )
    if Path(name).suffix == ".toml":
        return Funnel.from_file(name)
    raise ConfigError(f"unknown funnel {name!r}; shipped: {', '.join(funnel_names())}, or give a TOML file")
