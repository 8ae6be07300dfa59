"""`shipway rollback`: has an earlier release serve again."""

from pathlib import Path
from typing import Annotated

import typer

from shipway.cli.options import AppOption, AsJson, Environment, TakeOver


def rollback(
    environment: Environment,
    release: Annotated[
        str | None, typer.Argument(metavar="vN", help="The release; by default the one before.", show_default=False)
    ] = None,
    path: AppOption = Path("."),
    take_over: TakeOver = False,
    as_json: AsJson = False,
) -> int:
    """Return to a release that is kept, with its configuration and its versions of secrets.

    Nothing is built and nothing is judged again: traffic moves as soon as the release runs. A rollout that somebody
    began and did not finish is superseded.

    Example: `shipway rollback prod v4`
    """
    from shipway.cli.deploying import interruptible, open_site, print_done
    from shipway.cli.naming import number_of
    from shipway.deploy import operations

    number = None if release is None else number_of(release)
    with interruptible(environment):
        done = operations.rollback(open_site(path, environment), number, take_over=take_over)
    print_done(done, as_json=as_json)
    return 0
