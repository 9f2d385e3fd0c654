"""Run the command line inside this process, as the installed command would."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import pytest
import typer.main

from onnes.cli.main import app, main

# Words of which one must stand in the help of an option that takes a number with a fraction.
UNITS = ("(K", "(g)", "(eV/atom)", "(eV/Å)", "(GPa)", "(Å)", "(a factor", "(0 to", "(s)", "(h)")


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


def onnes(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: object) -> Outcome:
    """Call ``onnes`` with these words."""
    monkeypatch.setattr(sys, "argv", ["onnes", *map(str, words)])
    monkeypatch.setenv("COLUMNS", "200")
    capfd.readouterr()
    with pytest.raises(SystemExit) as end:
        main()
    captured = capfd.readouterr()
    return Outcome(end.value.code or 0, captured.out, captured.err)


def commands() -> dict[str, Any]:
    """All commands by name; those of a group as "group name"."""
    found = {}
    for name, command in typer.main.get_command(app).commands.items():
        children = getattr(command, "commands", None)
        found |= {f"{name} {child}": c for child, c in children.items()} if children else {name: command}
    return found


def one_line_error(outcome: Outcome, *words: str) -> None:
    """Assert that a command failed as it should: code 2, one line on standard error, nothing else."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    lines = [line for line in outcome.err.splitlines() if line.strip()]
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("onnes: ")
    for word in words:
        assert word in lines[0]
