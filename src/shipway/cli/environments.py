"""What the commands for an environment that runs have in common: finding it, and choosing parts of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shipway.cli.output import print_json
from shipway.errors import UsageError

if TYPE_CHECKING:
    from shipway.deploy.targets.operations import Operations, Part

Service = Annotated[
    str | None, typer.Argument(metavar="SERVICE", help="Only this service, or `gateway`.", show_default=False)
]
ReleaseOption = Annotated[
    str | None, typer.Option("--release", metavar="vN", help="Only this release.", show_default=False)
]


def operations_of(path: Path, environment: str) -> "Operations":
    """What can be done to *environment*."""
    from shipway.deploy.targets.operations import open_operations
    from shipway.spec.load import load_app

    return open_operations(load_app(path, environment))


def chosen(operations: "Operations", environment: str, service: str | None, release: str | None) -> list["Part"]:
    """The parts that are meant.

    Raises:
        UsageError: There are none.
    """
    everything = operations.parts()
    parts = [one for one in everything if service in (None, one.service) and release in (None, one.release)]
    if not parts:
        known = sorted({" ".join(filter(None, (one.service, one.release))) for one in everything})
        wanted = " ".join(filter(None, (service or "anything", release)))
        hint = f"there are: {', '.join(known)}" if known else f"shipway deploy {environment}"
        raise UsageError(f"there is no {wanted} in {environment}", hint)
    return parts


def change_parts(
    path: Path, environment: str, parts: Sequence["Part"], act: Callable[["Part"], None], done: str, *, as_json: bool
) -> None:
    """Do *act* to each of *parts* in turn, while nobody else changes the environment, and print that it is *done*."""
    from shipway.cli.deploying import interruptible, open_site
    from shipway.deploy.runner import changing

    with interruptible(environment), changing(open_site(path, environment)):
        for part in parts:
            act(part)
            if not as_json:
                typer.echo(f"{done} {part.name}")
    if as_json:
        print_json({"environment": environment, done: [part.name for part in parts]})
