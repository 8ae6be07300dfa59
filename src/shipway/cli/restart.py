"""`shipway restart`: ends and starts containers of an environment, one after the other."""

from pathlib import Path

from shipway.cli.environments import ReleaseOption, Service
from shipway.cli.options import AppOption, AsJson, Environment


def restart(
    environment: Environment,
    service: Service = None,
    path: AppOption = Path("."),
    release: ReleaseOption = None,
    as_json: AsJson = False,
) -> int:
    """Restart the services of an environment, each replica when the one before is healthy; also what was stopped.

    The gateway is restarted only when it is named, or when it does not run.

    Example: `shipway restart prod api`
    """
    from shipway.cli.environments import change_parts, chosen, operations_of

    operations = operations_of(path, environment)
    # The gateway last: where it was stopped, it is to find those that answer.
    parts = sorted(chosen(operations, environment, service, release), key=lambda part: part.service == "gateway")
    parts = [part for part in parts if part.service != "gateway" or service is not None or not part.runs]
    change_parts(path, environment, parts, operations.restart, "restarted", as_json=as_json)
    return 0
