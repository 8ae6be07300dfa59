"""`shipway stop`: ends what runs in an environment and keeps it."""

from pathlib import Path

import typer

from shipway.cli.environments import ReleaseOption, Service
from shipway.cli.options import AppOption, Environment


def stop(
    environment: Environment, service: Service = None, path: AppOption = Path("."), release: ReleaseOption = None
) -> int:
    """Stop an environment, the gateway first, so that what is under way ends. `shipway restart` starts it again."""
    from shipway.cli.environments import chosen, operations_of

    operations = operations_of(path, environment)
    for part in chosen(operations, environment, service, release):
        operations.stop(part)
        typer.echo(f"stopped {part.name}")
    return 0
