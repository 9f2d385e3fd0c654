import json
import signal
import subprocess
import sys
import time
from typing import get_type_hints

import pytest

import onnes.cli.main as cli
from onnes.errors import OnnesError
from onnes.tools.registry import tools
from tests.cli.faces import UNITS, commands, one_line_error, onnes

HEAVY = ("torch", "numpy", "pymatgen", "pyarrow", "matplotlib", "pandas", "ase", "sevenn", "sqlalchemy", "pydantic")


@pytest.mark.parametrize("code", ["import onnes.cli.main", "import onnes", "import onnes.cli.main as m; m.main()"])
def test_the_command_starts_without_heavy_libraries(code):
    """`onnes --help` answers in under half a second because none of these is imported."""
    program = (
        "import sys, json, atexit\nsys.argv = ['onnes', '--help']\n"
        f"atexit.register(lambda: sys.stderr.write(json.dumps([m for m in {HEAVY} if m in sys.modules])))\n{code}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stderr) == []
    assert ("discover" in done.stdout) == ("main()" in code)


def test_every_tool_for_crystals_at_hand_is_a_command_and_any_can_be_called_by_name():
    own = {name.split()[0] for name in commands()}  # of a group its first word
    assert {spec.name for spec in tools() if spec.target} <= own
    assert "call" in own


def test_maintenance_verbs_are_commands():
    assert {
        "doctor",
        "benchmark",
        "train",
        "reference build",
        "reference info",
        "reference merge",
        "reference diff",
    } <= set(commands())


@pytest.mark.parametrize("name", sorted(commands()))
def test_help_explains_every_option_and_names_units(name, monkeypatch, capfd):
    command = commands()[name]
    types = get_type_hints(command.callback)
    assert command.help
    for option in command.params:
        assert getattr(option, "help", None), f"{name}: {option.name} is not explained"
        if "float" in str(types.get(option.name)):
            assert any(unit in option.help for unit in UNITS), f"{name}: {option.name} has no unit"
    outcome = onnes(monkeypatch, capfd, *name.split(), "--help")
    assert outcome.code == 0
    assert outcome.err == ""
    for option in command.params:
        for word in option.opts:
            assert word.lower()[:12] in outcome.out.lower()


def test_discover_explains_what_it_measures_in(monkeypatch, capfd):
    text = " ".join(onnes(monkeypatch, capfd, "discover", "--help").out.replace("│", " ").split())
    for words in ("Tc (K, mu* = 0.10)", "(eV/atom)", "Atoms in the primitive cell", "--elements", "--parent"):
        assert words in text


def test_without_words_it_shows_help(monkeypatch, capfd):
    outcome = onnes(monkeypatch, capfd)
    assert "Usage" in outcome.out + outcome.err


@pytest.mark.parametrize("words", [["guess"], ["predict"], ["discover", "--min-tc", "warm"], ["screen", "a.cif"]])
def test_wrong_usage_is_code_2_without_a_traceback(words, monkeypatch, capfd):
    outcome = onnes(monkeypatch, capfd, *words)
    assert outcome.code == 2
    assert "Usage" in outcome.err
    assert "Traceback" not in outcome.err


def test_an_error_of_onnes_is_one_line(monkeypatch, capfd):
    def fail():
        raise OnnesError("the thing is wrong; do the other")

    monkeypatch.setattr(cli, "app", fail)
    one_line_error(onnes(monkeypatch, capfd), "onnes: the thing is wrong; do the other")


def test_an_error_of_the_program_is_not_hidden(monkeypatch):
    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_an_interrupt_says_how_to_go_on():
    program = (
        "import sys, time, typer\nimport onnes.cli.main as m\n"
        "@m.app.command()\ndef wait():\n    print('waiting', flush=True)\n    time.sleep(60)\n"
        "sys.argv = ['onnes', 'wait']\nm.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - background jobs ignore it
    )
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "onnes: stopped; the same command goes on where this one ended\n"
