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
) -> int:
    """Run a command in a running container of a service and exit as it does. Write `--` before options of the command."""
    from shipway.cli.environments import chosen, operations_of
    from shipway.errors import UsageError

    operations = operations_of(path, environment)
    running = [part for part in chosen(operations, environment, service, release) if part.runs]
    if not running:
        raise UsageError(f"no {service} runs in {environment}", f"shipway status {environment}")
    status = 1
    for event in operations.run_inside(running[-1], tuple(command)):
        if isinstance(event, int):
            status = event
            continue
        stream = sys.stderr if event[0] == 2 else sys.stdout
        stream.buffer.write(event[1])
        stream.flush()
    return status
