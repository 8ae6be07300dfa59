"""`shipway up`: runs the whole app on this machine, with the gateway in front."""

from pathlib import Path
from typing import Annotated

import typer

from shipway.cli.options import AdminPort, AppPath, LogFormat, Port


def up(
    path: AppPath = Path("."),
    environment: Annotated[
        str, typer.Option("--environment", "-e", metavar="NAME", help="Run the app as it is there.")
    ] = "dev",
    port: Port = None,
    admin_port: AdminPort = None,
    reload: Annotated[bool, typer.Option("--reload", help="Restart a service when its files change.")] = False,
    log_format: LogFormat = "text",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more about what is going on.")] = False,
) -> int:
    """Run the app here: its services, its local models, the gateway.

    Prints the address, the API key and calls to paste once all is ready. Ctrl-C ends everything in order, a second
    one at once.

    Example: `shipway up --reload`
    """
    from shipway.local.up import UpOptions
    from shipway.local.up import up as run_app
    from shipway.spec.load import load_app

    options = UpOptions(port=port, admin_port=admin_port, reload=reload, log_format=log_format, verbose=verbose)
    return run_app(load_app(path, environment), options)
