"""`shipway status`: what runs in an environment now."""

import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from shipway.cli.options import AppOption, AsJson, Environment
from shipway.cli.output import aligned, make_console, print_json

if TYPE_CHECKING:
    from shipway.deploy.targets.operations import Part


def status(
    environment: Environment,
    path: AppOption = Path("."),
    as_json: AsJson = False,
) -> int:
    """Show what runs in an environment. Exits with 1 when something that should run does not, or is ill.

    A rollout that somebody began and did not finish is a warning.

    Example: `shipway status prod --json`
    """
    from shipway.cli.deploying import unfinished_in, warn_of_unfinished
    from shipway.cli.environments import operations_of

    unfinished = unfinished_in(path, environment)
    parts = operations_of(path, environment).parts()
    well = bool(parts) and all(part.runs and part.health != "unhealthy" for part in parts)
    if as_json:
        fields = {"environment": environment, "well": well, "unfinished": unfinished}
        print_json(fields | {"parts": [asdict(part) for part in parts]})
    else:
        _print_table(environment, parts)
        warn_of_unfinished(environment, unfinished)
    return 0 if well else 1


def _print_table(environment: str, parts: list["Part"]) -> None:
    console = make_console()
    if not parts:
        console.print(f"nothing runs in {environment}")
        return
    head = ("name", "release", "state", "health", "address", "restarts", "since")
    now_s = time.time()
    for line in aligned([head, *(_row(part, now_s) for part in parts)]):
        console.print(line)


def _row(part: "Part", now_s: float) -> tuple[str, ...]:
    since = since_words(part.since, now_s)
    return (part.name, part.release, part.state, part.health, part.address, str(part.restarts), since)


def since_words(since: str, now_s: float) -> str:
    """`5 min` for a time that long ago; a time of day would leave open whose, and takes the width of a terminal."""
    from shipway.deploy.clock import ago

    return ago(now_s - datetime.fromisoformat(since[:19] + "+00:00").timestamp()) if since else ""
