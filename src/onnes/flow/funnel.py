"""Funnels: an ordered list of stages and settings, read from a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from onnes.errors import ConfigError
from onnes.flow.stage import Stage, stage_class


class FunnelStep(BaseModel):
    """One use of a stage: which, under what name, with which settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use: str
    # names a folder and stands before the colon of a run
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, data: Any) -> Any:
        """Accept ``use``, ``name`` and the settings side by side, as they stand in the file."""
        if isinstance(data, dict) and "use" in data and "settings" not in data:
            rest = {k: v for k, v in data.items() if k not in ("use", "name")}
            return {"use": data["use"], "name": data.get("name", data["use"]), "settings": rest}
        return data

    def build(self) -> Stage:
        """Make the stage with its frozen settings."""
        try:
            stage = stage_class(self.use)
            return stage(stage.settings_type(**self.settings))
        except ConfigError as error:
            raise ConfigError(f"stage {self.name!r} of the funnel: {error}") from error
        except ValidationError as error:
            raise ConfigError(f"stage {self.name!r} of the funnel: {_problems(error, 'settings')}") from error


def _problems(error: ValidationError, whole: str) -> str:
    """Say in one line what pydantic found wrong."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or whole}: {e['msg']}" for e in error.errors())


class Funnel(BaseModel):
    """An ordered list of steps.

    Examples
    --------
    >>> funnel = Funnel.from_toml('''
    ... name = "hot"
    ... [[stage]]
    ... use = "gate"
    ... name = "tc-gate"
    ... column = "tc_K"
    ... min = 5
    ... ''')
    >>> funnel.steps[0].name, funnel.steps[0].settings["min"]
    ('tc-gate', 5)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str
    description: str = ""
    steps: tuple[FunnelStep, ...] = Field(alias="stage", min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> Funnel:
        names = [step.name for step in self.steps]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two steps are named {twice[0]!r}; give one of them another name")
        return self

    @classmethod
    def from_toml(cls, text: str, *, origin: str = "funnel") -> Funnel:
        """Parse a funnel; raises ConfigError that names ``origin`` and the fault."""
        try:
            return cls(**tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{origin}: not a funnel: {error}") from error
        except ValidationError as error:
            raise ConfigError(f"{origin}: not a funnel: {_problems(error, 'funnel')}") from error

    @classmethod
    def from_file(cls, path: str | Path) -> Funnel:
        """Read a funnel from a TOML file."""
        path = Path(path)
        if not path.is_file():
            raise ConfigError(f"funnel file {path} does not exist")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: not a funnel: {error}") from error
        return cls.from_toml(text, origin=str(path))

    def with_settings(self, changes: dict[str, dict[str, Any]]) -> Funnel:
        """Return a funnel in which the named steps have some settings replaced."""
        unknown = set(changes) - {step.name for step in self.steps}
        if unknown:
            raise ConfigError(f"funnel {self.name!r} has no step {sorted(unknown)[0]!r}")
        steps = tuple(
            step.model_copy(update={"settings": {**step.settings, **changes.get(step.name, {})}}) for step in self.steps
        )
        return self.model_copy(update={"steps": steps})

    def followed_by(self, *steps: FunnelStep) -> Funnel:
        """Return a funnel with further steps behind the last; raises ConfigError when a name is taken."""
        try:
            return Funnel(name=self.name, description=self.description, stage=(*self.steps, *steps))
        except ValidationError as error:
            raise ConfigError(f"funnel {self.name!r}: {_problems(error, 'funnel')}") from error

    def build(self) -> list[Stage]:
        """Make every stage; a wrong setting anywhere is found before anything runs."""
        return [step.build() for step in self.steps]
