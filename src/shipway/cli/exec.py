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
        bool | None,
        typer.Option(
            "-i/ ",
            "--stdin/--no-stdin",
            help="Whether it reads what this command is given; by default only what is typed on a terminal.",
            show_default=False,
        ),
    ] = None,
    tty: Annotated[
        bool | None,
        typer.Option(
            "-t/-T", "--tty/--no-tty", help="Whether it has a terminal; by default where this command has one."
        ),
    ] = None,
) -> int:
    """Run a command in a running container of a service and exit as it does. Write `--` before options of the command.

    What is piped in is read only with -i, so that in a loop over lines the next ones stay for the loop.
    On a terminal it is as in a shell of one's own.

    Example: `shipway exec prod api -- python manage.py migrate`
    """
    from shipway.cli.attached import attach
    from shipway.cli.environments import chosen, operations_of
    from shipway.errors import UsageError

    if tty and not sys.stdin.isatty():
        raise UsageError("--tty needs a terminal as standard input", "leave -t out")
    reads, terminal = input_of(stdin, tty, sits_here=sys.stdin.isatty() and sys.stdout.isatty())
    operations = operations_of(path, environment)
    running = [part for part in chosen(operations, environment, service, release) if part.runs]
    if not running:
        raise UsageError(f"no {service} runs in {environment}", f"shipway status {environment}")
    with operations.run_inside(running[-1], tuple(command), reads=reads, terminal=terminal) as session:
        return attach(session, reads=reads, terminal=terminal)


def input_of(stdin: bool | None, tty: bool | None, *, sits_here: bool) -> tuple[bool, bool]:
    """Whether the command reads what it is given, and whether it has a terminal.

    Args:
        stdin, tty: What was asked for; None where nothing was said.
        sits_here: Whether somebody sits at a terminal and sees what it answers.
    """
    wants_terminal = sits_here if tty is None else tty
    reads = wants_terminal if stdin is None else stdin
    return reads, reads and wants_terminal
