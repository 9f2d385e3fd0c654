"""Commands of the agent: run, resume, check, doctor, routes, export."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from onnes.cli.options import EXIT_ENVIRONMENT, EXIT_PARTIAL, Json, Quiet, Seed, console, split
from onnes.errors import ConfigError

if TYPE_CHECKING:
    from onnes.agent.answer import Outcome
    from onnes.agent.goal import Goal
    from onnes.agent.session import Approver, Ask, Session
    from onnes.campaign.study import Study

Folder = Annotated[Path, typer.Argument(help="Study folder.", show_default=False)]
Allow = Annotated[
    str | None,
    typer.Option(
        help="Tools that may write or submit without asking, such as report,measure. Otherwise you are asked."
    ),
]
Planner = Annotated[
    str | None, typer.Option(help="rules, or llm; by default llm where --endpoint or ONNES_LLM_URL is set.")
]
EndpointUrl = Annotated[
    str | None, typer.Option("--endpoint", help="OpenAI-compatible URL, such as http://127.0.0.1:11434/v1.")
]
ModelName = Annotated[str | None, typer.Option("--llm", help="Name of the language model.")]
CpuSeconds = Annotated[float | None, typer.Option(help="Processor time that may be spent (s).")]
Tokens = Annotated[int | None, typer.Option(help="Tokens of the language model that may be spent.")]
Calls = Annotated[int | None, typer.Option(help="Tool calls that may be made.")]

_FINISHED = ("answered", "answered_without_words", "nothing_found")


class _GoalFirst(TyperGroup):
    """``onnes agent "words"`` is ``onnes agent run "words"``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ("--help", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


agent = typer.Typer(
    cls=_GoalFirst, no_args_is_help=True,
    help='From a goal in words, or a form, to a short list with evidence: onnes agent "above 8 K, no Be, among Nb Ti N C".',
)  # fmt: skip


@agent.command()
def run(
    words: Annotated[str | None, typer.Argument(help="The goal in words.", show_default=False)] = None,
    goal: Annotated[
        Path | None, typer.Option("--goal", help="TOML file with the goal's fields instead of words.")
    ] = None,
    route: Annotated[str | None, typer.Option(help="One of the routes of `onnes agent routes`.")] = None,
    crystals: Annotated[
        list[str] | None,
        typer.Option("--crystals", help="Files of crystals to start from, on the route latent; repeat."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Study folder; the same command again goes on.")] = Path("study"),
    planner: Planner = None,
    endpoint: EndpointUrl = None,
    llm: ModelName = None,
    allow: Allow = None,
    cpu_seconds: CpuSeconds = None,
    tokens: Tokens = None,
    calls: Calls = None,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go from a goal to a short list with evidence."""
    from onnes.campaign.study import Study

    planner = _chosen(planner, endpoint)
    asked = _goal(words, goal, route, planner, files=bool(crystals))
    asked = _limited(asked, cpu_seconds=cpu_seconds, tokens=tokens, calls=calls)
    study = Study.create(out, title=asked.words or "Study", seed=seed)
    _go(
        study,
        asked,
        planner=planner,
        endpoint=endpoint,
        llm=llm,
        allow=allow,
        files=crystals or [],
        json=json,
        quiet=quiet,
    )


@agent.command()
def resume(
    folder: Folder,
    planner: Planner = None,
    endpoint: EndpointUrl = None,
    llm: ModelName = None,
    allow: Allow = None,
    cpu_seconds: CpuSeconds = None,
    tokens: Tokens = None,
    calls: Calls = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a study that was stopped; limits given here replace those of the goal."""
    from onnes.agent.goal import Goal
    from onnes.agent.record import Record
    from onnes.campaign.study import GOAL, Study

    study = Study.open(folder)
    if not (study.folder / GOAL).is_file():
        raise ConfigError(f'{folder} has no goal yet; give one with `onnes agent "words" --out {folder}`')
    asked = Goal.model_validate_json((study.folder / GOAL).read_bytes())
    asked = _limited(asked, cpu_seconds=cpu_seconds, tokens=tokens, calls=calls)
    begun = next((event.body["planner"] for event in Record(study.folder).events() if event.kind == "run"), None)
    _go(
        study,
        asked,
        planner=planner or begun,
        endpoint=endpoint,
        llm=llm,
        allow=allow,
        files=[],
        json=json,
        quiet=quiet,
        again=True,
    )


@agent.command()
def check(folder: Folder, json: Json = False) -> None:
    """Check record, sets and every number of the answer; code 3 when something was changed."""
    from onnes.agent.answer import faults
    from onnes.campaign.study import Study

    found = faults(Study.open(folder))
    if json:
        sys.stdout.write(json_module.dumps({"faults": found}, indent=1) + "\n")
    else:
        console().print(
            "\n".join(found) or "record, sets and answer are those of the run", markup=False, soft_wrap=True
        )
    if found:
        raise typer.Exit(EXIT_PARTIAL)


@agent.command()
def routes() -> None:
    """List the five routes, what each supposes, and a goal that shows it."""
    from rich.table import Table

    from onnes.agent.routes import ROUTES

    table = Table(box=None, header_style="bold", show_lines=False)
    for name in ("route", "hypothesis", "example"):
        table.add_column(name, overflow="fold")
    for one in ROUTES.values():
        table.add_row(one.name, one.hypothesis, f'onnes agent --route {one.name} "{one.example}"')
    console().print(table)


@agent.command()
def doctor(endpoint: EndpointUrl = None, llm: ModelName = None, json: Json = False) -> None:
    """Check the endpoint of the language model by one tool call; code 4 when it cannot be used."""
    from onnes.agent.doctor import doctor as look
    from onnes.agent.endpoint import Endpoint

    checks = look(Endpoint.of(url=endpoint, model=llm))
    if json:
        sys.stdout.write(json_module.dumps([one.model_dump(mode="json") for one in checks], indent=1) + "\n")
    else:
        for one in checks:
            console().print(f"{'ok  ' if one.ok else 'FAIL'} {one.text}", markup=False, soft_wrap=True)
    if not all(one.ok for one in checks):
        raise typer.Exit(EXIT_ENVIRONMENT)


@agent.command()
def export(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", help="Folder of the RO-Crate.")] = Path("crate"),
    licence: Annotated[
        str | None, typer.Option("--license", help="Address of the licence you put on the study; none by default.")
    ] = None,
) -> None:
    """Write the study with its record as an RO-Crate (needs the extra `agent`)."""
    from onnes.agent.crate import write_crate
    from onnes.campaign.study import Study

    path = write_crate(Study.open(folder), out, licence=licence)
    console().print(f"written to {path}", markup=False, soft_wrap=True)


def _goal(words: str | None, file: Path | None, route: str | None, planner: str, *, files: bool) -> Goal:
    """The goal; what rules cannot read of its words is left to a language model, and with files the route is latent."""
    from onnes.agent.goal import Goal
    from onnes.agent.routes import ROUTES

    if route is not None and route not in ROUTES:
        raise ConfigError(f"no route is called {route!r}; there are {', '.join(ROUTES)}")
    if words is not None and file is not None:
        raise ConfigError("give either a goal in words or --goal FILE.toml")
    if file is not None:
        asked = Goal.from_file(file)
    elif words is not None:
        asked = Goal.from_words(words, partly=planner == "llm")
    elif files:
        asked = Goal()
    elif route is not None:
        asked = Goal.from_words(ROUTES[route].example)
    else:
        raise ConfigError("give either a goal in words or --goal FILE.toml")
    way = route or asked.route or ("latent" if files else None)
    if files and way != "latent":
        raise ConfigError(
            f"--crystals brings candidates for the route latent, and {way} makes its own; leave one of them out"
        )
    return asked if way == asked.route else Goal.model_validate({**asked.model_dump(), "route": way})


def _chosen(planner: str | None, endpoint: str | None) -> str:
    """The planner asked for, or the one that the environment allows."""
    from onnes.agent.endpoint import Endpoint

    chosen = planner or ("llm" if endpoint or Endpoint.is_set() else "rules")
    if chosen not in ("rules", "llm"):
        raise ConfigError(f"no planner is called {chosen!r}; there are rules and llm")
    return chosen


def _limited(goal: Goal, **limits: float | None) -> Goal:
    given = {name: value for name, value in limits.items() if value is not None}
    return goal.model_copy(update={"limits": goal.limits.model_copy(update=given)}) if given else goal


def _go(
    study: Study, goal: Goal, *, planner: str | None, endpoint: str | None, llm: str | None, allow: str | None,
    files: list[str], json: bool, quiet: bool, again: bool = False,
) -> None:  # fmt: skip
    from onnes.agent.endpoint import Endpoint
    from onnes.agent.session import Session
    from onnes.tools.progress import Bars

    chosen = _chosen(planner, endpoint)
    with Bars(quiet=quiet or json) as bars:
        session = Session(study, goal.limits, _approver(allow, bars), observer=bars, on_rows=bars.rows_done)
        if chosen == "llm":
            from onnes.agent.language_model import plan_with_model

            outcome = plan_with_model(session, goal, Endpoint.of(url=endpoint, model=llm), resume=again, files=files)
        else:
            from onnes.agent.rules import plan_with_rules

            outcome = plan_with_rules(session, goal, files=files)
    _emit(session, outcome, chosen, json=json)


def _approver(allow: str | None, bars: object) -> Approver:
    from onnes.agent.session import Allowed, Refuse

    if allow is not None:
        return Allowed(frozenset(split(allow)))
    return _AskPerson() if sys.stdin.isatty() and bars is not None else Refuse()


class _AskPerson:
    """Asks whoever sits at the terminal."""

    who = "the person at the terminal"

    def __call__(self, ask: Ask) -> bool:
        """Ask."""
        return typer.confirm(f"allow {ask.text()}?", default=False, err=True)


def _emit(session: Session, outcome: Outcome, planner: str, *, json: bool) -> None:
    study = session.study
    spent = session.spent
    if json:
        body = {**outcome.model_dump(mode="json"), "planner": planner, "cpu_seconds": round(spent.cpu_seconds, 1),
                "calls": spent.calls, "tokens": spent.tokens, "head": session.record.head()}  # fmt: skip
        sys.stdout.write(json_module.dumps(body, indent=1) + "\n")
    else:
        from rich.markdown import Markdown

        out = console()
        if outcome.answer is not None:
            out.print(Markdown((study.folder / outcome.answer).read_text(encoding="utf-8")))
        out.print(
            f"{outcome.state.replace('_', ' ')}{': ' + outcome.reason if outcome.reason else ''}",
            markup=False,
            soft_wrap=True,
        )
        out.print(
            f"planner: {planner}; {spent.calls} calls, {spent.cpu_seconds:.0f} s of processor time, {spent.tokens} tokens; "
            f"study: {study.folder}; record: {session.record.head()}", markup=False, soft_wrap=True,
        )  # fmt: skip
    if outcome.state not in _FINISHED:
        raise typer.Exit(EXIT_PARTIAL)


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(agent, name="agent")
