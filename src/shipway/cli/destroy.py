"""`shipway destroy`: removes an environment from where it runs."""

from pathlib import Path
from typing import Annotated

import typer

from shipway.cli.options import AppOption, Environment


def destroy(
    environment: Environment,
    path: AppOption = Path("."),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> int:
    """Remove everything that Shipway made for an environment: containers, network, secrets, kept images.

    The records of its releases stay, so it can be deployed anew.
    """
    from shipway.cli.deploying import interruptible, open_site
    from shipway.cli.environments import operations_of
    from shipway.deploy.operations import destroying
    from shipway.errors import UsageError

    operations = operations_of(path, environment)
    parts = operations.parts()
    if not yes:
        running = sum(part.runs for part in parts)
        try:
            typer.confirm(f"Remove {environment} with {running} running containers and its secrets?", abort=True)
        except typer.Abort:
            raise UsageError("nothing was removed", f"shipway destroy {environment} --yes") from None
    with interruptible(environment), destroying(open_site(path, environment)):
        for gone in operations.destroy():
            typer.echo(f"removed {gone}")
    return 0
