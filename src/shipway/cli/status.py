"""`shipway status`: what runs in an environment now."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from shipway.cli.options import AppOption, AsJson, Environment
from shipway.cli.output import make_console, print_json

if TYPE_CHECKING:
    from shipway.deploy.targets.operations import Part


def status(
    environment: Environment,
    path: AppOption = Path("."),
    as_json: AsJson = False,
) -> int:
    """Show what runs in an environment. Exits with 1 when something that should run does not, or is ill."""
    from shipway.cli.environments import operations_of

    parts = operations_of(path, environment).parts()
    well = bool(parts) and all(part.runs and part.health != "unhealthy" for part in parts)
    if as_json:
        print_json({"environment": environment, "well": well, "parts": [asdict(part) for part in parts]})
    else:
        _print_table(environment, parts)
    return 0 if well else 1


def _print_table(environment: str, parts: list["Part"]) -> None:
    from rich.table import Table

    console = make_console()
    if not parts:
        console.print(f"nothing runs in {environment}")
        return
    table = Table("name", "release", "state", "health", "address", "restarts", "since", box=None, pad_edge=False)
    for part in parts:
        since = part.since.partition(".")[0].replace("T", " ")
        row = (part.name, part.release, part.state, part.health, part.address, str(part.restarts), since)
        table.add_row(*row)
    console.print(table)
