"""`shipway logs`: what the services and the gateway of an environment printed."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from shipway.cli.environments import ReleaseOption, Service
from shipway.cli.options import AppOption, Environment


def logs(
    environment: Environment,
    service: Service = None,
    path: AppOption = Path("."),
    release: ReleaseOption = None,
    tail: Annotated[int, typer.Option("--tail", "-n", min=0, help="So many lines of each replica.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
) -> int:
    """Print what an environment's services and its gateway printed.

    Example: `shipway logs prod api --follow`
    """
    from shipway.cli.environments import chosen, operations_of

    operations = operations_of(path, environment)
    parts = chosen(operations, environment, service, release)
    for line in operations.logs(parts, tail=tail, follow=follow):
        prefix = f"{line.part} | " if len(parts) > 1 else ""
        (sys.stderr if line.is_error else sys.stdout).write(f"{prefix}{line.text}\n")
        if follow:
            sys.stdout.flush()
    return 0
