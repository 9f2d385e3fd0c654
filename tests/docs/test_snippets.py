"""The documentation is run: Python blocks as they stand, commands as far as their options are parsed."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from onnes.cli.main import app
from onnes.models.weights import weight_names
from onnes.physics.reference import Reference
from onnes.potentials.potential import DEFAULT_POTENTIAL

ROOT = Path(__file__).parents[2]
PAGES = [
    page
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md")))
    if page.is_file()
]
FENCE = re.compile(
    r"^(?P<skip><!-- not run: .+ -->\n+)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
SEPARATORS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>"}
USAGE_ERROR = typer.BadParameter.__mro__[1]


class Block(NamedTuple):
    page: Path
    line: int
    text: str


def blocks(page: Path, language: str) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start("text")) + 1, found["text"])
        for found in FENCE.finditer(text)
        if found["language"] == language and not found["skip"]
    ]


def commands(block: Block) -> list[list[str]]:
    """Programs with their arguments: prompts, variables, comments, pipes and redirections taken away."""
    found: list[list[str]] = []
    for line in block.text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split, lexer.commenters = True, "#"
        current: list[str] = []
        for word in [*lexer, ";"]:
            if word in SEPARATORS:
                if current:
                    found.append(current)
                current = [">"] if word in (">", ">>", "<", "2>") else []
            elif current or not re.match(r"\w+=", word):
                current.append(word)
    return found


def parse_onnes(arguments: list[str]) -> None:
    """Let the command line's own parser take the arguments, without running the command."""
    command, name = typer.main.get_command(app), "onnes"
    rest = list(arguments)
    while (group := getattr(command, "commands", None)) is not None and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        if name not in group:
            raise USAGE_ERROR(f"no command {name!r}; known: {', '.join(group)}")
        command = group[name]
    try:
        command.make_context(name, rest)
    except typer.Exit:  # --help
        pass


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def missing_data() -> str | None:
    """Why the snippets cannot be run here, if they cannot."""
    if not {"structure", "metal"} <= set(weight_names()):
        return "the shipped weights are missing"
    try:
        Reference.shipped(DEFAULT_POTENTIAL)
    except OSError:
        return "the shipped reference is missing"
    return None


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = missing_data()
    if reason:
        pytest.skip(reason)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for block in blocks(page, "python"):
        # Empty lines before it give a traceback the line numbers of the page.
        exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), namespace)  # noqa: S102 - our own pages


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "bash")], ids=lambda p: p.name)
def test_commands_parse(page: Path) -> None:
    for block in blocks(page, "bash"):
        for program, *arguments in commands(block):
            if Path(program).name == "onnes":
                try:
                    parse_onnes(arguments)
                except USAGE_ERROR as error:
                    pytest.fail(f"{page.name}, block at line {block.line}: onnes {' '.join(arguments)}: {error}")
            elif program == "make":
                targets = {a for a in arguments if "=" not in a and not a.startswith("-")}
                assert targets <= make_targets(), f"{page.name}, block at line {block.line}: {targets}"


@pytest.mark.parametrize(
    "arguments",
    [
        "predikt x.cif",
        "predict x.cif --warm",
        "predict",
        "reference bild x.cif --out r.parquet",
        "relax x.cif --fmax soft",
    ],
)
def test_a_wrong_command_is_found(arguments: str) -> None:
    with pytest.raises(USAGE_ERROR):
        parse_onnes(arguments.split())


def test_a_right_command_is_let_through() -> None:
    for arguments in (
        "--help",
        "predict --help",
        "reference build x.cif --out r.parquet",
        "predict a.cif b.cif --no-hull",
    ):
        parse_onnes(arguments.split())


def test_commands_are_found_in_shell_text() -> None:
    text = (
        "$ ONNES_CACHE=c .venv/bin/onnes hull a.cif \\\n  --json > out.json  # a comment\ncd x && onnes doctor | less\n"
    )
    assert commands(Block(Path("x.md"), 1, text)) == [
        [".venv/bin/onnes", "hull", "a.cif", "--json"], [">", "out.json"], ["cd", "x"], ["onnes", "doctor"], ["less"],
    ]  # fmt: skip


def test_a_marked_block_is_not_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- not run: takes hours -->\n```python\n1 / 0\n```\n\n```python\nx = 1\n```\n")
    assert blocks(page, "python") == [Block(page, 7, "x = 1\n")]
