"""Serves one ASGI app on sockets that it inherits: `python -m shipway.local.serve_asgi MODULE:ATTRIBUTE`.

The sockets belong to `shipway up` and outlive this process, so a restart refuses no connection. The app is imported
with the current folder first on the path, as `python -m` would do it there. Once its start-up is complete a byte goes
to the pipe in SHIPWAY_READY_FD.
"""

import argparse
import asyncio
import os
import socket
import sys
import traceback
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import uvicorn

from shipway.local.children import READY_VARIABLE, SOCKETS_VARIABLE

_BACKLOG = 2048
_CLOSING_S = 0.3
"""For so long after SIGTERM open connections are still served, each answer being the last on its connection."""
_KEEP_ALIVE_S = 300
"""Longer than the gateway keeps idle connections: who closes first must be the one who sends the requests."""


class Server(uvicorn.Server):
    """uvicorn that tells when it is ready, and takes its leave politely."""

    def __init__(self, config: uvicorn.Config, ready_fd: int) -> None:
        super().__init__(config)
        self._ready_fd = ready_fd

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        os.write(self._ready_fd, b"1")
        os.close(self._ready_fd)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, then announce the end on each connection before closing the idle ones.

        uvicorn alone closes idle connections at once, and a request that is on its way over one of them is lost.
        """
        for server in self.servers:
            server.close()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        await asyncio.sleep(_CLOSING_S)
        await super().shutdown(sockets)


def load(import_string: str) -> Any:
    """The object at "package.module:attribute"."""
    module, _, attribute = import_string.partition(":")
    found: Any = import_module(module)
    for name in attribute.split("."):
        found = getattr(found, name)
    return found


def explanation(error: BaseException) -> Iterable[str]:
    """The traceback's lines without our own frames and importlib's: what is left is the user's."""
    summary = traceback.TracebackException.from_exception(error)
    mine = (__file__, "<frozen importlib", os.path.dirname(import_module.__code__.co_filename))
    ours = [frame for frame in summary.stack if not frame.filename.startswith(mine)]
    summary.stack = traceback.StackSummary.from_list(ours)
    return summary.format()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m shipway.local.serve_asgi")
    parser.add_argument("app", help="import string, package.module:attribute")
    parser.add_argument("--factory", action="store_true", help="the attribute is a function that returns the app")
    parser.add_argument("--drain", type=int, default=30, help="seconds for running requests after SIGTERM")
    arguments = parser.parse_args()
    sockets = [socket.socket(fileno=int(number)) for number in os.environ.pop(SOCKETS_VARIABLE).split(",")]
    ready_fd = int(os.environ.pop(READY_VARIABLE))
    for number in (ready_fd, *(one.fileno() for one in sockets)):
        os.set_inheritable(number, False)  # what the app starts must not hold our sockets
    if os.getcwd() not in sys.path:  # with PYTHONSAFEPATH Python leaves it out
        sys.path.insert(0, os.getcwd())
    try:
        app = load(arguments.app)
        if not callable(app):  # uvicorn would take it and answer each request with 500
            raise TypeError(f"{arguments.app} is no ASGI app but {app!r:.80}")
    except SystemExit as error:  # of a script, as when it calls its own main() at import
        sys.stderr.write(f"{error.code}\n" if isinstance(error.code, str) else "")
        sys.stderr.write(f"cannot import {arguments.app}: the module asks to exit while it is imported\n")
        return 1
    except Exception as error:
        sys.stderr.writelines(explanation(error))
        sys.stderr.write(f"cannot import {arguments.app}\n")
        return 1
    config = uvicorn.Config(
        app,
        factory=arguments.factory,
        log_level="warning",  # the gateway's log has each request; tracebacks still show
        access_log=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=arguments.drain,
    )
    Server(config, ready_fd).run(sockets)
    return 0


if __name__ == "__main__":
    sys.exit(main())
