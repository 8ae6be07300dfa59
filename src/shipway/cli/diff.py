"""`shipway diff`: what differs between two releases."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shipway.cli.options import AppOption, AsJson
from shipway.cli.output import make_console, print_json

if TYPE_CHECKING:
    from shipway.deploy.releases import Release


def diff(
    before: Annotated[str, typer.Argument(metavar="vN[@ENV]", help="The one.", show_default=False)],
    after: Annotated[str, typer.Argument(metavar="vM[@ENV]", help="The other.", show_default=False)],
    path: AppOption = Path("."),
    as_json: AsJson = False,
) -> int:
    """Show what differs between two releases: settings, images, versions of secrets, weights of models.

    `v3 v4` compares them in an environment that has both, `v4@staging v4@prod` one release in two environments.

    Example: `shipway diff v3 v4`
    """
    import msgspec

    from shipway.cli.naming import number_and_environment
    from shipway.deploy.diff import difference

    first, second = _both(path, *number_and_environment(before), *number_and_environment(after))
    changes = difference(first, second)
    if as_json:
        sides = {"before": f"{first.name}@{first.environment}", "after": f"{second.name}@{second.environment}"}
        print_json({**sides, "changes": [msgspec.to_builtins(change) for change in changes]})
        return 0
    console = make_console()
    for change in changes:
        console.print(str(change), style={"+": "green", "-": "red", "~": "yellow"}[str(change)[0]])
    if not changes:
        console.print(f"{before} and {after} are the same")
    return 0


def _both(
    path: Path, number: int, where: str | None, other: int, other_where: str | None
) -> tuple["Release", "Release"]:
    """The two releases. Without an environment it is the other's, or the first one that has both.

    Raises:
        UnknownReleaseError: There is none, or no environment has both.
    """
    from shipway.cli.deploying import archive_of
    from shipway.errors import UnknownReleaseError
    from shipway.spec.load import load_app

    where, other_where = where or other_where, other_where or where
    if where is None or other_where is None:
        environments = load_app(path).environments
        have = (one for one in environments if {number, other} <= archive_of(path, one).all(one).keys())
        where = other_where = next(have, None)
        if where is None or other_where is None:
            raise UnknownReleaseError(
                f"no environment has both v{number} and v{other}", f"name them: shipway diff v{number}@ENV v{other}@ENV"
            )
    first = archive_of(path, where).get(number, where)
    return first, archive_of(path, other_where).get(other, other_where)
