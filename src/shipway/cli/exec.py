"""`shipway exec`: a command beside a service of an environment."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from shipway.cli.environments import ReleaseOption
from shipway.cli.options import AppOption, Environment


def exec_(
    environment: Environment,
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service, or `gateway`.", show_default=False)],
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="What to run.", show_default=False)],
    path: AppOption = Path("."),
    release: ReleaseOption = None,
    stdin: Annotated[
        bool,
        typer.Option(
            "-i/ ",
            "--stdin/--no-stdin",
            help="Whether it reads what this command is given, as it does by default.",
            show_default=False,
        ),
    ] = True,
    tty: Annotated[
        bool | None,
        typer.Option(
            "-t/-T", "--tty/--no-tty", help="Whether it has a terminal; by default where this command has one."
        ),
    ] = None,
) -> int:
    """Run a command in a running container of a service and exit as it does. Write `--` before options of the command.

    It reads what this command is given; in a loop that reads lines, say --no-stdin.
    """
    from shipway.cli.attached import attach
    from shipway.cli.environments import chosen, operations_of
    from shipway.errors import UsageError

    here = sys.stdin.isatty() and sys.stdout.isatty()
    if tty and not sys.stdin.isatty():
        raise UsageError("--tty needs a terminal as standard input", "leave -t out")
    terminal = stdin and (here if tty is None else tty)
    operations = operations_of(path, environment)
    running = [part for part in chosen(operations, environment, service, release) if part.runs]
    if not running:
        raise UsageError(f"no {service} runs in {environment}", f"shipway status {environment}")
    with operations.run_inside(running[-1], tuple(command), reads=stdin, terminal=terminal) as session:
        return attach(session, reads=stdin, terminal=terminal)
