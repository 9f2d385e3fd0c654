"""Commands for other programs: mcp, serve, skills."""

from __future__ import annotations

import json as jsonlib
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onnes.cli.options import Json, split

if TYPE_CHECKING:
    from onnes.serve.calls import Calls

StudyFolder = Annotated[Path, typer.Option("--study", help="Folder of the study; made if it is not there.")]
Allow = Annotated[
    str | None,
    typer.Option(help="Tools that write and that clients may call without a person's consent: measure,report."),
]
Wait = Annotated[int, typer.Option(min=0, help="Seconds that a call waits for long work before it answers 'running'.")]
MaxCalls = Annotated[int, typer.Option("--calls", min=1, help="Calls that the record of the study may hold at most.")]


def mcp(study: StudyFolder, allow: Allow = None, wait: Wait = 5, calls: MaxCalls = 2000) -> None:
    """Serve the tools to one MCP client over standard input and output."""
    _needs("mcp")
    from onnes.serve.mcp import serve_stdio

    serve_stdio(_calls(study, allow, wait, calls))


def serve(
    study: StudyFolder,
    host: Annotated[
        str, typer.Option(help="Address to listen at; any but this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 8642,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            help="File with the hash of the token that every request must bring; a new file gets a new token, shown once.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="Further name by which it may be asked for; repeat.")
    ] = None,
    allow: Allow = None,
    wait: Wait = 5,
    calls: MaxCalls = 2000,
) -> None:
    """Serve the tools over HTTP: REST under /api, MCP at /mcp."""
    _needs("fastapi", "mcp", "uvicorn")
    from onnes.serve.app import serve as run

    run(_calls(study, allow, wait, calls), host=host, port=port, token_file=token_file, allow_hosts=allow_host or ())


def skills(
    install: Annotated[
        Path | None, typer.Option("--install", help="Copy them into this folder, such as .agents/skills.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over skills of the same name that differ.")] = False,
    json: Json = False,
) -> None:
    """List the Agent Skills of the package, or copy them to where an agent reads them."""
    from onnes.serve import skills as shipped

    found = shipped.skills()
    paths = shipped.install(install, found, replace=replace) if install is not None else []
    if json:
        listed = [{"name": one.name, "description": one.description} for one in found]
        sys.stdout.write(jsonlib.dumps([str(path) for path in paths] or listed, indent=1) + "\n")
    else:
        lines = [f"{path}" for path in paths] or [f"{one.name}: {one.description}" for one in found]
        sys.stdout.write("\n".join(lines) + "\n")


def _calls(study: Path, allow: str | None, wait: int, calls: int) -> Calls:
    from onnes.campaign.study import Study
    from onnes.serve.calls import Calls

    return Calls.of(Study.create(study), allow=split(allow), wait_s=wait, max_calls=calls)


def _needs(*packages: str) -> None:
    """Say how to get what is missing, before anything is imported."""
    from onnes.errors import ConfigError

    if missing := [name for name in packages if find_spec(name) is None]:
        raise ConfigError(f"{', '.join(missing)} is not installed; pip install 'onnes[serve]'")


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (mcp, serve, skills):
        app.command()(command)
