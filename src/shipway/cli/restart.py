"""`shipway restart`: ends and starts containers of an environment, one after the other."""

from pathlib import Path

import typer

from shipway.cli.environments import ReleaseOption, Service
from shipway.cli.options import AppOption, AsJson, Environment
from shipway.cli.output import print_json


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
    from shipway.cli.deploying import interruptible, open_site
    from shipway.cli.environments import chosen, operations_of
    from shipway.deploy.runner import changing

    operations = operations_of(path, environment)
    # The gateway last: where it was stopped, it is to find those that answer.
    parts = sorted(chosen(operations, environment, service, release), key=lambda part: part.service == "gateway")
    parts = [part for part in parts if part.service != "gateway" or service is not None or not part.runs]
    with interruptible(environment), changing(open_site(path, environment)):
        for part in parts:
            operations.restart(part)
            if not as_json:
                typer.echo(f"restarted {part.name}")
    if as_json:
        print_json({"environment": environment, "restarted": [part.name for part in parts]})
    return 0
