"""`shipway releases`: the releases of an environment."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipway.cli.options import AppOption, AsJson, Environment
from shipway.cli.output import aligned, make_console, print_json

if TYPE_CHECKING:
    from shipway.deploy.archive import Standing
    from shipway.deploy.audit import Event
    from shipway.deploy.releases import Release


def releases(
    environment: Environment,
    path: AppOption = Path("."),
    events: Annotated[
        bool, typer.Option("--events", help="List what was done here instead: deploys, rollbacks, take-overs.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """List the releases of an environment, the latest first: when, by whom, from which commit, and what is kept.

    Example: `shipway releases prod --events`
    """
    from shipway.cli.deploying import archive_of, events_of

    if events:
        _print_events(environment, events_of(path, environment), as_json=as_json)
        return 0
    archive = archive_of(path, environment)
    standing = archive.standing(environment)
    rows = [_fields(release, standing) for _, release in sorted(archive.all(environment).items(), reverse=True)]
    if as_json:
        print_json({"environment": environment, "releases": rows})
    elif rows:
        _print(rows)
    else:
        make_console().print(f"nothing was deployed to {environment} yet")
    return 0


def _print_events(environment: str, events: list["Event"], *, as_json: bool) -> None:
    import msgspec

    if as_json:
        print_json({"environment": environment, "events": [msgspec.to_builtins(event) for event in events]})
        return
    for event in reversed(events):
        make_console().print(f"{event.at}  {event.by}  {event.what}")


def _fields(release: "Release", standing: "Standing") -> dict[str, Any]:
    state = "gone"
    if release.number == standing.current:
        state = "current"
    elif release.number in standing.retained:
        state = "kept"
    return {
        "release": release.name,
        "state": state,
        "at": release.at,
        "by": release.by,
        "revision": release.revision,
        "promoted_from": release.promoted_from,
        "images": {name: image.digest for name, image in release.images.services.items()},
        "files": release.file_digests,
        "weights": release.weights,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    columns = ("release", "state", "at", "by", "revision", "promoted_from")
    # Which process it was is of use while it runs; here it would make the table wider than a terminal.
    shown = [{**row, "by": row["by"].partition(" (process")[0]} for row in rows]
    head, *lines = aligned([columns, *(tuple(row[column] or "" for column in columns) for row in shown)])
    console = make_console()
    console.print(head.replace("promoted_from", "from"))
    for row, line in zip(rows, lines, strict=True):
        console.print(line, style="bold" if row["state"] == "current" else None)
