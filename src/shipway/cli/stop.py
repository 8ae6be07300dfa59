"""`shipway stop`: ends what runs in an environment and keeps it."""

from pathlib import Path

from shipway.cli.environments import ReleaseOption, Service
from shipway.cli.options import AppOption, AsJson, Environment


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
    from shipway.cli.environments import change_parts, chosen, operations_of

    operations = operations_of(path, environment)
    parts = chosen(operations, environment, service, release)
    change_parts(path, environment, parts, operations.stop, "stopped", as_json=as_json)
    return 0
