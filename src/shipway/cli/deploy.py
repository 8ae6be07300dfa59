"""`shipway deploy`: makes a release of the app and has it serve."""

from pathlib import Path
from typing import Annotated

import typer

from shipway.cli.options import AppOption, AsJson, Environment


def deploy(
    environment: Environment,
    path: AppOption = Path("."),
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Move all traffic as soon as it is healthy: for a fix that cannot wait.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Make a numbered release of the app and have it serve in an environment.

    The release before is left as it is until the new one is healthy, has the traffic, and the drain budget has passed.
    A release that is not healthy in time, fails outright, or is judged worse is taken back by itself, with exit code 1.

    Example: `shipway deploy prod`
    """
    from shipway.cli.deploying import interruptible, open_site, print_done
    from shipway.deploy import operations

    with interruptible(environment):
        done = operations.deploy(open_site(path, environment), at_once=at_once)
    print_done(done, as_json=as_json)
    return 0
