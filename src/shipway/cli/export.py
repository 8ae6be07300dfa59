"""`shipway export`: an environment as plain files that work without Shipway."""

from pathlib import Path
from typing import Annotated

import typer

from shipway.cli.options import AppOption, AsJson, Environment
from shipway.cli.output import print_json


def export(
    environment: Environment,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where to write; an empty folder.", show_default=False)
    ],
    path: AppOption = Path("."),
    as_json: AsJson = False,
) -> int:
    """Write Dockerfiles, a Compose file and the gateway's configuration, which work with a Docker engine alone.

    No secret is written: `.env.example` lists the variables that are needed.

    Example: `shipway export prod -o exported`
    """
    from shipway.deploy.build_context import write_entries
    from shipway.deploy.export import exported_files
    from shipway.errors import UsageError
    from shipway.spec.load import load_app, tables

    app = load_app(path, environment)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output} is not an empty folder", "choose another, or remove it first")
    files = exported_files(app, tables(path, environment)[1])
    write_entries(files, output)
    if as_json:
        print_json({"environment": environment, "folder": str(output), "files": sorted(files)})
    else:
        typer.echo(f"wrote {len(files)} files to {output}")
    return 0
