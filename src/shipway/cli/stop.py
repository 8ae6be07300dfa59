"""`shipway stop`: ends what runs in an environment and keeps it."""

from pathlib import Path

import typer

from shipway.cli.environments import ReleaseOption, Service
from shipway.cli.options import AppOption, Environment


def stop(
    environment: Environment, service: Service = None, path: AppOption = Path("."), release: ReleaseOption = None
) -> int:
    """Stop an environment, the gateway first, so that what is under way ends. `shipway restart` starts it again."""
    from shipway.cli.deploying import interruptible, open_site
    from shipway.cli.environments import chosen, operations_of
    from shipway.deploy.runner import changing

    operations = operations_of(path, environment)
    parts = chosen(operations, environment, service, release)
    with interruptible(environment), changing(open_site(path, environment)):
        for part in parts:
            operations.stop(part)
            typer.echo(f"stopped {part.name}")
    return 0
