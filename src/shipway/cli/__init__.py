"""The command line: `shipway COMMAND`.

A command is one file here: it parses its arguments, calls one function, prints what came back and returns the exit code.
This module lists the commands and turns what they raise into messages and codes: 0 only if what was asked is true now,
1 failed, 2 asked in a way that cannot be done, 3 `plan --detailed-exitcode` has changes, 130 interrupted.

`shipway --help` imports every command's file, so those import what they need (pydantic, rich, the gateway) inside the
function that needs it; tests/cli/test_startup.py holds that line.
"""

import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from shipway import __version__, compiled
from shipway.cli import (
    abort,
    check,
    deploy,
    destroy,
    diff,
    exec,
    export,
    gateway,
    init,
    logs,
    plan,
    promote,
    releases,
    restart,
    resume,
    rollback,
    schema,
    status,
    stop,
    up,
)
from shipway.cli.output import print_error, print_json
from shipway.errors import ShipwayError, UsageError

# In the order in which a newcomer needs them; --help keeps it.
COMMANDS = (
    init.init,
    check.check,
    up.up,
    plan.plan,
    deploy.deploy,
    rollback.rollback,
    promote.promote,
    resume.resume,
    abort.abort,
    releases.releases,
    diff.diff,
    status.status,
    logs.logs,
    exec.exec_,
    restart.restart,
    stop.stop,
    destroy.destroy,
    export.export,
    gateway.gateway,
    schema.schema,
)

INTERRUPTED = 130  # 128 + SIGINT, as shells count


def build_app() -> typer.Typer:
    """The program with all its commands. Help is plain text: typer's rich help costs 90 ms of imports."""
    app = typer.Typer(
        callback=root,
        invoke_without_command=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for command in COMMANDS:
        app.command(command.__name__.rstrip("_"))(command)
    return app


def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --version: print it as JSON.")] = False,
) -> int:
    """Take a Python AI application to production, with one file and one gateway.

    Start with `shipway init` in the folder of your app, then `shipway up`.
    """
    if context.invoked_subcommand is not None:
        if version or as_json:
            raise UsageError(
                "--version and --json before a command mean nothing", f"put options after {context.invoked_subcommand}"
            )
        return 0
    if version:
        if as_json:
            print_json({"version": __version__, "build": compiled.build()})
        else:
            typer.echo(f"shipway {__version__} ({compiled.build()})")
        return 0
    typer.echo(context.get_help(), err=True)
    return 2


def run(arguments: Sequence[str]) -> int:
    """Run one command and print what went wrong, if anything. Returns the exit code; bugs stay tracebacks."""
    as_json = "--json" in arguments
    # A file's name may be undecodable, a terminal may be Latin-1: show an escape rather than die while printing.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = typer.main.get_command(build_app()).main(list(arguments), prog_name="shipway", standalone_mode=False)
        sys.stdout.flush()
        return code or 0
    except ShipwayError as error:
        print_error(error, as_json=as_json)
        return 2 if isinstance(error, UsageError) else 1
    except typer.TyperException as error:  # what typer found wrong while parsing
        print_error(_usage_error(error), as_json=as_json)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED


def main() -> NoReturn:
    """The console script."""
    _open_closed_streams()
    try:
        sys.exit(run(sys.argv[1:]))
    except BrokenPipeError:
        # The reader has left (`shipway schema | head -1`): no message, and the interpreter's own flush at exit must find
        # nothing to complain about. The output did not arrive, so it is not a success either.
        sys.stdout = None
        sys.exit(1)
    except OSError as error:
        # Printing is the one thing outside a command's own files that can fail so: a full disk behind `> file`.
        if error.errno != errno.ENOSPC:
            raise
        sys.stdout = None
        sys.stderr.write(f"error: {error.strerror}\n")
        sys.exit(1)


def _open_closed_streams() -> None:
    """Open the null device where standard input, output or error is closed (`shipway up <&-`, some service managers).

    Else the next file we open would get that number: the run's lock, or a socket, in place of what a child is to print to.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - for as long as the process lives


def _usage_error(error: typer.TyperException) -> UsageError:
    context = getattr(error, "ctx", None)
    command_path = context.command_path if context else "shipway"
    return UsageError(error.format_message(), f"{command_path} --help")
