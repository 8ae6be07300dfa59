"""`shipway restart`: ends and starts containers of an environment, one after the other."""

from pathlib import Path

import typer

from shipway.cli.environments import ReleaseOption, Service
from shipway.cli.options import AppOption, Environment


def restart(
    environment: Environment, service: Service = None, path: AppOption = Path("."), release: ReleaseOption = None
) -> int:
    """Restart the services of an environment, each replica when the one before is healthy; also what was stopped.

    The gateway is restarted only when it is named, or when it does not run.
    """
    from shipway.cli.deploying import interruptible, open_site
    from shipway.cli.environments import chosen, operations_of
    from shipway.deploy.runner import changing

    operations = operations_of(path, environment)
    parts = chosen(operations, environment, service, release)
    with interruptible(environment), changing(open_site(path, environment)):
        for part in parts:
            if part.service == "gateway" and service is None and part.runs:
                continue
            operations.restart(part)
            typer.echo(f"restarted {part.name}")
    return 0
