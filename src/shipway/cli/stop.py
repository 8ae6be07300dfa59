"""`shipway stop`: ends what runs in an environment and keeps it."""

from pathlib import Path

import typer

from shipway.cli.environments import ReleaseOption, Service
from shipway.cli.options import AppOption, AsJson, Environment
from shipway.cli.output import print_json


def stop(
    environment: Environment,
    service: Service = None,
    path: AppOption = Path("."),
    release: ReleaseOption = None,
    as_json: AsJson = False,
) -> int:
    """Stop an environment, the gateway first, so that what is under way ends. `shipway restart` starts it again.

    Example: `shipway stop prod`
    """
    from shipway.cli.deploying import interruptible, open_site
    from shipway.cli.environments import chosen, operations_of
    from shipway.deploy.runner import changing

    operations = operations_of(path, environment)
    parts = chosen(operations, environment, service, release)
    with interruptible(environment), changing(open_site(path, environment)):
        for part in parts:
            operations.stop(part)
            if not as_json:
                typer.echo(f"stopped {part.name}")
    if as_json:
        print_json({"environment": environment, "stopped": [part.name for part in parts]})
    return 0
