"""Command on studies: call, which runs any tool of the registry on the sets of a study."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onnes.cli.options import EXIT_PARTIAL, Json, Quiet, console
from onnes.errors import ConfigError, OnnesError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.table import Table

    from onnes.agent.session import Session
    from onnes.campaign.study import Study
    from onnes.tools.call import SetResult
    from onnes.tools.registry import ToolSpec

_FUNNELS = ("screen", "discover")


def call(
    tool: Annotated[str | None, typer.Argument(help="Name of the tool; `onnes call --list` names them.")] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE...", help="Arguments of the tool as pairs, such as elements=Nb,N limit=20."),
    ] = None,
    study: Annotated[Path | None, typer.Option(help="Folder of the study; made when it is missing.")] = None,
    arguments: Annotated[str | None, typer.Option(help="Arguments as one JSON object; KEY=VALUE comes on top.")] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(help="File with crystals to work on: they become a set, which crystals names. May be repeated."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of a study that is made; 0 by default.")] = None,
    wait: Annotated[
        int | None, typer.Option(min=0, help="Run as a job that outlives this command; wait so many seconds for it.")
    ] = None,
    background: Annotated[
        bool, typer.Option("--background", help="Run as a job and return at once; `onnes call status` asks for it.")
    ] = False,
    list_tools: Annotated[
        bool, typer.Option("--list", help="List the tools, or the arguments of the tool that is named.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Call a tool on the sets of a study; the same call is answered from the set that is there.

    Crystals are named as SET or SET/ROW, by what earlier calls answered.
    """
    from onnes.tools.registry import tool as look_up

    if list_tools:
        _list(tool, json=json)
        return
    if tool is None or study is None:
        raise ConfigError("name a tool and the folder of a study: onnes call TOOL --study DIR; --list names the tools")
    spec = look_up(tool)
    given = _given(arguments, pairs or [])
    there = _study(study, seed)
    if file:
        from onnes.tools.study_input import bring_in

        info = bring_in(there, file)
        _session(there, spec).brought(info)
        given = {"crystals": [info.set_id], **given}
    if wait is not None or background:
        result = _job(there, spec, given, 0 if background else wait or 0, quiet=quiet or json)
    else:
        result = _here(there, spec, given, quiet=quiet or json)
    _emit(result, json=json)


def _study(folder: Path, seed: int | None) -> Study:
    from onnes.campaign.study import Study

    there = Study.create(folder, title=folder.resolve().name, seed=seed or 0)
    if seed is not None and there.seed != seed:
        raise ConfigError(f"{folder} has the seed {there.seed}; leave --seed out, or give another folder")
    return there


def _given(text: str | None, pairs: list[str]) -> dict[str, Any]:
    """Arguments as they were written; the tool's own model reads the words."""
    given: Any = {}
    if text is not None:
        try:
            given = json_module.loads(text)
        except ValueError as error:
            raise ConfigError(f'--arguments is no JSON ({error}); write it as in \'{{"elements": ["Nb"]}}\'') from None
        if not isinstance(given, dict):
            raise ConfigError('--arguments is no JSON object; write it as in \'{"elements": ["Nb"]}\'')
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise ConfigError(f"{pair!r} is no argument; write it as in elements=Nb,N")
        given[key] = value
    return given


def _here(study: Study, spec: ToolSpec, given: dict[str, Any], *, quiet: bool) -> BaseModel:
    from onnes.tools.call import checked_arguments, set_name
    from onnes.tools.progress import Bars

    checked = checked_arguments(spec.name, given)
    if (spec.makes_set and study.has(set_name(study, spec.name, checked))) or not spec.long:
        return _session(study, spec).call(spec.name, given)
    with Bars(quiet=quiet) as bars:
        if spec.name not in _FUNNELS:
            bars.bar(spec.name, None)
        return _session(study, spec, observer=bars, on_rows=bars.rows_done).call(spec.name, given)


def _session(study: Study, spec: ToolSpec, **watching: Any) -> Session:
    """What keeps the call in the study's record; whoever types a command consents to it, and bounds it by hand."""
    from onnes.agent.limits import Limits
    from onnes.agent.session import Allowed, Session

    consent = Allowed(frozenset({spec.name}), who="the person who gave the command")
    return Session(study, Limits(calls=sys.maxsize, tokens=None), consent, **watching)


def _job(study: Study, spec: ToolSpec, given: dict[str, Any], seconds: int, *, quiet: bool) -> SetResult:
    from onnes.tools import jobs
    from onnes.tools.progress import Bars

    if not spec.makes_set:
        raise ConfigError(f"{spec.name} answers at once; leave out --wait and --background")
    found = jobs.start(study, spec.name, given)
    if not seconds:
        return _kept(study, spec, given, found)
    with Bars(quiet=quiet) as bars:
        bars.bar(spec.name, None)
        done = 0
        for _ in range(seconds):
            found = jobs.wait(study, found.set_id, 1.0)
            bars.rows_done(max(0, (found.rows_done or 0) - done))
            done = max(done, found.rows_done or 0)
            if found.state != "running":
                break
    return _kept(study, spec, given, found)


def _kept(study: Study, spec: ToolSpec, given: dict[str, Any], found: SetResult) -> SetResult:
    """The result, in the record once its set is there; until then `onnes call status` puts it there."""
    if found.state == "done":
        _session(study, spec).call(spec.name, given)
    return found


def _emit(result: BaseModel, *, json: bool) -> None:
    """Print a result; leave with code 3 when rows failed."""
    from onnes.tools.call import SetResult

    if isinstance(result, SetResult) and result.state == "failed":
        raise OnnesError(f"{result.tool}: {result.error}")
    if json:
        sys.stdout.write(result.model_dump_json(indent=1) + "\n")
    elif isinstance(result, SetResult):
        _print_set(result)
    else:
        _print_model(result)
    if isinstance(result, SetResult) and result.n_failed:
        raise typer.Exit(EXIT_PARTIAL)


def _print_set(result: SetResult) -> None:
    out = console()
    if result.state != "done":
        done = f", {result.rows_done} rows so far" if result.rows_done else ""
        out.print(f"set {result.set_id} ({result.tool}): {result.state}{done}", markup=False, highlight=False)
        return
    if result.rows:
        out.print(_table(result))
    counts = [f"{result.n_rows} rows"]
    counts += [f"{n} {what}" for n, what in ((result.n_rejected, "rejected"), (result.n_failed, "failed")) if n]
    out.print(f"set {result.set_id} ({result.tool}): {', '.join(counts)}", markup=False, highlight=False)
    for remark in result.remarks:
        out.print(f"  {remark}", markup=False, highlight=False)


def _table(result: SetResult) -> Table:
    """Rows with the headings that other commands use."""
    from rich.markup import escape
    from rich.table import Table

    from onnes.campaign.value import title_of
    from onnes.tools.result import CrystalTable

    view = Table(box=None, header_style="bold")
    names = list(dict.fromkeys(name for row in result.rows for name in row.values))
    remarks = any(row.remark for row in result.rows)
    numbers = {name for row in result.rows for name, value in row.values.items() if not isinstance(value, str)}
    view.add_column("id", overflow="fold")
    view.add_column("formula")
    for name in names:
        title = CrystalTable.headings.get(name, (title_of(name), ""))[0]
        view.add_column(title, justify="right" if name in numbers else "left", overflow="fold")
    if remarks:
        view.add_column("remarks", overflow="fold")
    for row in result.rows:
        cells = [_cell(row.values.get(name), CrystalTable.headings.get(name, ("", "{:.4g}"))[1]) for name in names]
        cells = [row.id, row.formula or "–", *cells, *([row.remark or ""] if remarks else [])]
        view.add_row(*map(escape, cells))
    return view


def _cell(value: Any, form: str) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return form.format(value) if isinstance(value, float) else str(value)


def _print_model(result: BaseModel) -> None:
    """Print fields line by line, lists of values among them; long text last."""
    out = console()
    for name, value in result.model_dump().items():
        if isinstance(value, str) and "\n" in value:
            out.print(f"{name}:\n{value}", markup=False, highlight=False, soft_wrap=True)
        elif isinstance(value, list):
            for one in value:
                text = (
                    ", ".join(f"{k}={v}" for k, v in one.items() if v not in (None, ""))
                    if isinstance(one, dict)
                    else one
                )
                out.print(f"{name}: {text}", markup=False, highlight=False, soft_wrap=True)
        elif value is not None:
            out.print(f"{name}: {value}", markup=False, highlight=False, soft_wrap=True)


def _list(name: str | None, *, json: bool) -> None:
    from rich.table import Table

    from onnes.tools.registry import tool as look_up
    from onnes.tools.registry import tools

    if name is None:
        rows = [{"tool": s.name, "effect": s.effect, "cost": s.cost, "summary": s.summary} for s in tools()]
    else:
        from onnes.tools.call import arguments_of

        schema = arguments_of(look_up(name).name).model_json_schema()
        rows = [
            {"argument": key, "default": _default(key, about, schema), "meaning": _meaning(about)}
            for key, about in schema.get("properties", {}).items()
        ]
    if json:
        sys.stdout.write(json_module.dumps(rows, indent=1) + "\n")
        return
    view = Table(box=None, header_style="bold")
    for title in rows[0] if rows else ("argument",):
        view.add_column(title, overflow="fold")
    for row in rows:
        view.add_row(*(str(value) for value in row.values()))
    console().print(view, markup=False)


def _default(key: str, about: dict[str, Any], schema: dict[str, Any]) -> str:
    if key in schema.get("required", ()):
        return "needed"
    value = about.get("default")
    return "" if value in (None, []) else str(value)


def _meaning(about: dict[str, Any]) -> str:
    choices = [one for part in (about, *about.get("anyOf", ())) for one in part.get("enum", ())]
    return about.get("description", "") + (f" One of: {', '.join(map(str, choices))}." if choices else "")


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(call)
