import importlib.util
import json
import subprocess
import sys

import pytest

from onnes.serve.skills import skills
from tests.cli.faces import one_line_error, onnes


def test_skills_are_listed(monkeypatch, capfd):
    outcome = onnes(monkeypatch, capfd, "skills")
    assert outcome.code == 0
    assert [line.split(":")[0] for line in outcome.out.splitlines()] == [one.name for one in skills()]
    listed = json.loads(onnes(monkeypatch, capfd, "skills", "--json").out)
    assert listed == [{"name": one.name, "description": one.description} for one in skills()]


def test_skills_are_installed(monkeypatch, capfd, tmp_path):
    outcome = onnes(monkeypatch, capfd, "skills", "--install", tmp_path / "agents" / "skills")
    paths = [tmp_path / "agents" / "skills" / one.name / "SKILL.md" for one in skills()]
    assert outcome.out.splitlines() == [str(path) for path in paths]
    assert all(path.is_file() for path in paths)
    paths[0].write_text("mine")
    refused = onnes(monkeypatch, capfd, "skills", "--install", tmp_path / "agents" / "skills")
    one_line_error(refused, "says something else", "--replace")
    again = onnes(monkeypatch, capfd, "skills", "--install", tmp_path / "agents" / "skills", "--replace", "--json")
    assert json.loads(again.out) == [str(path) for path in paths]
    assert paths[0].read_text(encoding="utf-8") == skills()[0].text


@pytest.mark.parametrize("command", ["mcp", "serve"])
def test_a_wrong_tool_to_allow_is_an_error(command, monkeypatch, capfd, tmp_path):
    one_line_error(
        onnes(monkeypatch, capfd, command, "--study", tmp_path / "s", "--allow", "measure,predict"),
        "predict",
        "measure, report",
    )


@pytest.mark.parametrize("command", ["mcp", "serve"])
def test_a_folder_with_other_files_is_no_study(command, monkeypatch, capfd, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    one_line_error(onnes(monkeypatch, capfd, command, "--study", tmp_path), "is not empty")


@pytest.mark.parametrize("command", ["mcp", "serve"])
def test_a_study_must_be_named(command, monkeypatch, capfd):
    outcome = onnes(monkeypatch, capfd, command)
    assert outcome.code == 2
    assert "--study" in outcome.err


@pytest.mark.parametrize(("command", "package"), [("mcp", "mcp"), ("serve", "uvicorn")])
def test_a_missing_extra_is_named(command, package, monkeypatch, capfd, tmp_path):
    there = importlib.util.find_spec
    monkeypatch.setattr("onnes.cli.serve.find_spec", lambda name: None if name == package else there(name))
    one_line_error(
        onnes(monkeypatch, capfd, command, "--study", tmp_path / "s"), f"{package} is not installed", "onnes[serve]"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "lab.example.org"])  # noqa: S104
def test_it_listens_beyond_this_machine_only_with_a_token(host, monkeypatch, capfd, tmp_path):
    one_line_error(onnes(monkeypatch, capfd, "serve", "--study", tmp_path / "s", "--host", host), "--token-file")


def test_a_bad_token_file_is_an_error(monkeypatch, capfd, tmp_path):
    (tmp_path / "token").write_text("secret")
    outcome = onnes(monkeypatch, capfd, "serve", "--study", tmp_path / "s", "--token-file", tmp_path / "token")
    one_line_error(outcome, "holds no hash of a token")
    assert "secret" not in outcome.err


def test_a_server_for_standard_input_ends_with_it_and_makes_the_study(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "from onnes.cli.main import main; main()", "mcp", "--study", str(tmp_path / "s")],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "s" / "study.toml").is_file()
