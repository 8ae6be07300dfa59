"""`shipway gateway`: the gateway alone, for services and models that already run elsewhere."""

import os
from pathlib import Path
from typing import Annotated

import typer

from shipway.cli.options import AdminPort, AppPath, LogFormat, Port


def gateway(
    path: AppPath = Path("."),
    environment: Annotated[
        str, typer.Option("--environment", "-e", metavar="NAME", help="Run the gateway as it is there.")
    ] = "dev",
    port: Port = None,
    admin_port: AdminPort = None,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="Share the ports with the gateway that has them now; then end that one (SIGTERM)."
        ),
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="FOLDER",
            help="Keep what survives a restart here; by default .shipway beside the app file.",
            show_default=False,
        ),
    ] = None,
    log_format: LogFormat = "json",
) -> int:
    """Run the gateway alone, before what already runs elsewhere.

    Every service needs `url` or `releases`, every provider `base_url`. API keys come from the environment variable
    SHIPWAY_API_KEYS, separated by commas; SHIPWAY_ADMIN_TOKEN opens the admin API. A changed app file is taken at once.

    Example: `shipway gateway --port 8080`
    """
    from shipway.gateway.serve import ServeOptions, serve
    from shipway.gateway.snapshot import AllottedAddresses
    from shipway.spec.load import load_app

    app = load_app(path, environment)
    options = ServeOptions(
        port=port,
        admin_port=admin_port,
        log_format=log_format,
        take_over=take_over,
        announce=True,
        weights=(state or app.root / ".shipway") / "weights.json",
    )
    return serve(app, os.environ, AllottedAddresses(), options)
