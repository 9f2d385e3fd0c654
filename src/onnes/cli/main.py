"""Entry point of the command ``onnes``."""

from __future__ import annotations

import os
import sys

import typer

from onnes.cli import (
    agent,
    campaigns,
    crystals,
    disorder,
    experiment,
    experimental,
    explain,
    judgement,
    labels,
    maintenance,
    phonons,
    properties,
    serve,
    study,
    verify,
)
from onnes.cli.options import EXIT_STOPPED, EXIT_USAGE
from onnes.errors import OnnesError

app = typer.Typer(
    help="Find superconductors: propose crystals, relax them, keep the stable metals, predict Tc, report evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
crystals.add_commands(app)
explain.add_commands(app)
experimental.add_commands(app)
properties.add_commands(app)
phonons.add_commands(app)
verify.add_commands(app)
disorder.add_commands(app)
campaigns.add_commands(app)
labels.add_commands(app)
judgement.add_commands(app)
experiment.add_commands(app)
serve.add_commands(app)
study.add_commands(app)
agent.add_commands(app)
maintenance.add_commands(app)


def main() -> None:
    """Run the command line; errors of onnes become one line and an exit code, never a traceback."""
    # One thread per process: set before torch or numpy start theirs.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    try:
        app()
    except OnnesError as error:
        sys.stderr.write(f"onnes: {error}\n")
        sys.exit(EXIT_USAGE)
    except SystemExit as end:
        if end.code == EXIT_STOPPED:  # what typer makes of a KeyboardInterrupt
            sys.stderr.write("onnes: stopped; the same command goes on where this one ended\n")
        raise
