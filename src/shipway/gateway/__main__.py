"""`python -m shipway.gateway DIR`: the gateway alone, as the local runner and the gateway's image start it.

API keys come from the environment variable SHIPWAY_API_KEYS, so that they never show in a process list.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import msgspec

from shipway.errors import ShipwayError
from shipway.gateway.serve import ServeOptions, serve
from shipway.gateway.snapshot import AllottedAddresses
from shipway.spec.load import load_app


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m shipway.gateway", description="Run the gateway of one app.")
    parser.add_argument("dir", type=Path, help="folder of the app file, or the file")
    parser.add_argument("--environment", default="dev", help="environment of the app file (default: dev)")
    parser.add_argument("--port", type=int, help="listen here instead of gateway.port")
    parser.add_argument("--admin-port", type=int, help="admin listener instead of gateway.admin_port")
    parser.add_argument("--endpoints", type=Path, help="JSON file with the addresses of services and models")
    parser.add_argument("--log-format", choices=("json", "text"), default="json")
    arguments = parser.parse_args(argv)
    try:
        app = load_app(arguments.dir, arguments.environment)
        options = ServeOptions(
            port=arguments.port,
            admin_port=arguments.admin_port,
            log_format=arguments.log_format,
            weights=app.root / ".shipway" / "weights.json",
        )
        allotted = AllottedAddresses()
        if arguments.endpoints is not None:
            allotted = msgspec.json.decode(arguments.endpoints.read_bytes(), type=AllottedAddresses)
        return serve(app, os.environ, allotted, options)
    except ShipwayError as error:
        sys.stderr.write(f"error: {error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return 1


if __name__ == "__main__":
    sys.exit(main())
