"""`shipway promote`: brings a release from one environment to another."""

from pathlib import Path
from typing import Annotated

import typer

from shipway.cli.options import AppOption, AsJson


def promote(
    release: Annotated[str, typer.Argument(metavar="vN", help="The release.", show_default=False)],
    origin: Annotated[
        str, typer.Option("--from", metavar="ENV", help="An environment where it served.", show_default=False)
    ],
    destination: Annotated[str, typer.Option("--to", metavar="ENV", help="Where it is to serve.", show_default=False)],
    path: AppOption = Path("."),
    as_json: AsJson = False,
) -> int:
    """Have a release that served in one environment serve in another, under the same number.

    Nothing is built: images and app file are those of the release. Only what the environment overrides differs, and its
    versions of secrets; `shipway diff v4@staging v4@prod` shows it.

    Example: `shipway promote v4 --from staging --to prod`
    """
    from shipway.cli.deploying import interruptible, open_site, print_done
    from shipway.cli.naming import number_of
    from shipway.deploy import operations
    from shipway.errors import UsageError

    if origin == destination:
        raise UsageError(f"{release} is in {origin} already", f"shipway rollback {origin} {release}")
    with interruptible(destination):
        found = operations.retained_release(open_site(path, origin), number_of(release))
        done = operations.promote(open_site(path, destination), found)
    print_done(done, as_json=as_json)
    return 0
