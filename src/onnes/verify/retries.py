"""The retry policy: which change follows which symptom, read from a TOML file."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from onnes.errors import ConfigError
from onnes.verify.faults import Fault, Program, Symptom

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Namelists: TypeAlias = dict[str, dict[str, Any]]
"""Sections of an input and their values, such as ``{"control": {...}, "electrons": {...}}`` or ``{"inputph": {...}}``."""
Restart = Literal["from_scratch", "saved_density", "continue", "last_geometry"]
_HOW: dict[Restart, str] = {
    "from_scratch": "from scratch",
    "saved_density": "from the saved density",
    "continue": "continued",
    "last_geometry": "from the last geometry",
}
_SECTIONS = frozenset(("control", "system", "electrons", "ions", "cell", "inputph", "input", "dos", "bands"))


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Scaling(_Frozen):
    """A change relative to the value of the try before.

    Examples
    --------
    >>> Scaling(times=0.8, default=0.7).of(None), Scaling(times=2, default=50, max=80).of(None)
    (0.56, 80)
    """

    times: float = Field(gt=0)
    default: int | float
    """What the program takes where the input says nothing; a whole number where the program wants one."""
    min: float | None = None
    max: float | None = None

    def of(self, value: float | None) -> float:
        """Scale a value and keep it within bounds; whole numbers stay whole."""
        start = self.default if value is None else value
        scaled = start * self.times
        scaled = scaled if self.min is None else max(scaled, min(self.min, start))
        scaled = scaled if self.max is None else min(scaled, max(self.max, start))
        return round(scaled) if isinstance(start, int) else float(f"{scaled:.12g}")


class Change(_Frozen):
    """What to do before a step is run again."""

    set: dict[str, dict[str, Scaling | bool | int | float | str]] = {}
    """Values by section and key; sections that an input does not have are left alone."""
    restart: Restart = "from_scratch"
    """``saved_density`` and ``continue`` are for `pw.x`; ``last_geometry`` is put into the input by the caller."""
    redo: str | None = None
    """Step to be run again first, with every step between it and this one; ``set`` holds for them too."""
    accept_geometry: bool = False
    """The step is not run again: its relaxed geometry is complete."""

    @model_validator(mode="after")
    def _sections_exist(self) -> Change:
        if foreign := sorted(set(self.set) - _SECTIONS):
            raise ValueError(f"no input has a section {foreign[0]!r}; known: {', '.join(sorted(_SECTIONS))}")
        return self

    def describe(self) -> str:
        """Say in one line what is changed.

        Examples
        --------
        >>> Change(set={"inputph": {"nmix_ph": 5}}, redo="scf_coarse").describe()
        'nmix_ph = 5, scf_coarse again, from scratch'
        """
        if self.accept_geometry:
            return "geometry accepted"
        values = [f"{key} {_words(value)}" for section in self.set.values() for key, value in section.items()]
        again = [f"{self.redo} again"] if self.redo else []
        return ", ".join([*values, *again, _HOW[self.restart]])


def _words(value: Scaling | bool | float | str) -> str:
    return f"x {value.times:g}" if isinstance(value, Scaling) else f"= {value}"


class RetryRule(_Frozen):
    """The changes that follow one symptom of one program."""

    program: Program
    symptom: Symptom
    changes: tuple[Change, ...] = Field(min_length=1)
    repeat: bool = False
    """Whether the last change is used again and again."""


class RetryPolicy(_Frozen):
    """All rules.

    Examples
    --------
    >>> from onnes.verify.faults import fault
    >>> policy = load_policy()
    >>> change = policy.next_change("pw.x", fault(Symptom.SCF_NOT_CONVERGED, ""), [])
    >>> policy.apply({"control": {}, "electrons": {"mixing_beta": 0.5}}, change)["electrons"]
    {'mixing_beta': 0.4, 'startingpot': 'file'}
    >>> policy.next_change("pw.x", fault(Symptom.INPUT_ERROR, ""), []) is None
    True
    """

    max_tries: int = Field(default=5, ge=1, le=20)
    """Runs of one step, the first included."""
    retry: tuple[RetryRule, ...] = ()

    @model_validator(mode="after")
    def _one_rule_each(self) -> RetryPolicy:
        keys = [(rule.program, rule.symptom.value) for rule in self.retry]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"two rules for {twice[0][1]} of {twice[0][0]}")
        return self

    def next_change(self, program: Program, fault: Fault, history: Sequence[tuple[Fault, Change]]) -> Change | None:
        """Choose what to change after a failed try.

        Parameters
        ----------
        program, fault
            What was run and how it failed.
        history
            Faults of the tries of this step before this one, each with the change that followed, first to last.

        Returns
        -------
        Change or None
            None where the tries are spent, the rule has no further change, or there is no rule.
        """
        rule = next((r for r in self.retry if (r.program, r.symptom) == (program, fault.symptom)), None)
        if rule is None or len(history) + 1 >= self.max_tries:
            return None
        seen = sum(before.symptom == fault.symptom for before, _ in history)
        if seen < len(rule.changes):
            return rule.changes[seen]
        return rule.changes[-1] if rule.repeat else None

    @staticmethod
    def apply(namelists: Mapping[str, Mapping[str, Any]], change: Change) -> Namelists:
        """Return the namelists of the next try; those given stay as they are.

        Parameters
        ----------
        namelists
            Of the try that failed (or of a step to be done again, for ``redo``), keys in any case.
        change
            To be made.

        Returns
        -------
        dict
            Of `pw.x`, with ``restart_mode`` and ``startingpot`` as the way to restart asks.
        """
        result: Namelists = {section: dict(values) for section, values in namelists.items()}
        by_name = {section.lower(): values for section, values in result.items()}
        for section, values in change.set.items():
            target = by_name.get(section)
            if target is None:
                continue
            for key, value in values.items():
                name = next((old for old in target if old.lower() == key.lower()), key)
                target[name] = value.of(target.get(name)) if isinstance(value, Scaling) else value
        if "control" in by_name and "electrons" in by_name:
            _put(by_name["control"], "restart_mode", "restart" if change.restart == "continue" else None)
            _put(by_name["electrons"], "startingpot", "file" if change.restart == "saved_density" else None)
        return result


def _put(values: dict[str, Any], key: str, value: str | None) -> None:
    """Set a value, or take it away to leave the program its default."""
    for old in [name for name in values if name.lower() == key]:
        del values[old]
    if value is not None:
        values[key] = value


def load_policy(path: str | Path | None = None) -> RetryPolicy:
    """Read a policy from a TOML file, by default the one of this package.

    Raises
    ------
    ConfigError
        When the file cannot be read, or is no policy; the message names the file and the entry.
    """
    origin = "retries.toml of onnes" if path is None else str(path)
    try:
        source = files("onnes.verify").joinpath("retries.toml") if path is None else Path(path)
        return RetryPolicy(**tomllib.loads(source.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"cannot read the retry policy {origin}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{origin} is no TOML file: {error}") from error
    except (ValidationError, TypeError) as error:
        raise ConfigError(f"{origin} is no retry policy: {_said(error)}") from error


def _said(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'policy'}: {e['msg']}" for e in error.errors()[:3])
