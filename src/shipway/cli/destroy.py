"""`shipway destroy`: removes an environment from where it runs."""

from pathlib import Path
from typing import Annotated

import typer

from shipway.cli.options import AppOption, AsJson, Environment
from shipway.cli.output import print_json


def destroy(
    environment: Environment,
    path: AppOption = Path("."),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> int:
    """Remove everything that Shipway made for an environment: containers, network, secrets, kept images.

    The records of its releases stay, so it can be deployed anew.

    Example: `shipway destroy staging`
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
            # The question is on standard error, where it is no part of the result.
            typer.confirm(
                f"Remove {environment} with {running} running containers and its secrets?", abort=True, err=True
            )
        except typer.Abort:
            raise UsageError("nothing was removed", f"shipway destroy {environment} --yes") from None
    with interruptible(environment), destroying(open_site(path, environment)):
        removed = []
        for gone in operations.destroy():
            removed.append(gone)
            if not as_json:
                typer.echo(f"removed {gone}")
    if as_json:
        print_json({"environment": environment, "removed": removed})
    return 0
