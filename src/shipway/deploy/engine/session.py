"""A command inside a container, connected with whoever started it: input, output, and the size of a terminal."""

import io
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from shipway.deploy.engine.faults import BusyError, MissingError
from shipway.deploy.engine.streams import frames
from shipway.deploy.engine.transport import Transport
from shipway.errors import EngineError

_END_S = 5.0
"""How long the engine may take to know the exit status once all output was sent."""


@dataclass(frozen=True)
class Session:
    """A started command. `send` may be called by another thread than the one that reads `output`."""

    http: Transport
    id: str
    connection: socket.socket
    stream: io.BufferedReader
    has_terminal: bool

    def output(self) -> Iterator[tuple[int, bytes]]:
        """What it prints, as it comes, with 1 for standard output and 2 for standard error; ends when it has ended.

        On a terminal both are one.
        """
        try:
            if not self.has_terminal:
                yield from frames(self.stream)
                return
            while piece := self.stream.read1(65536):
                yield 1, piece
        except OSError as error:
            raise EngineError(f"the engine broke off: {error}", "docker info") from error

    def send(self, data: bytes) -> None:
        """Give it *data* to read; waits while it does not. Nothing happens when it has ended."""
        try:
            self.connection.sendall(data)
        except OSError:
            pass

    def end_input(self) -> None:
        """Let it read the end of its input."""
        try:
            self.connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def resize(self, lines: int, columns: int) -> None:
        """Tell its terminal how large the window is now."""
        try:
            self.http.data("POST", f"/exec/{self.id}/resize", {"h": lines, "w": columns})
        except (MissingError, BusyError, EngineError):
            pass  # it has just ended, or does not run quite yet

    def status(self) -> int:
        """How it ended; asked when its output has."""
        until_s = time.monotonic() + _END_S
        while True:
            state = self.http.json("GET", f"/exec/{self.id}/json")
            if not state["Running"]:
                return int(state["ExitCode"] or 0)
            if time.monotonic() > until_s:
                raise EngineError("the engine broke off the command's output while it runs", "docker info")
            time.sleep(0.02)
