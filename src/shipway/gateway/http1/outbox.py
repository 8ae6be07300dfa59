"""Writes of one turn of the event loop, sent together at its end.

A write wakes the process that reads it. Between the writes of one turn lies the work on the next request, long enough for
that process to fall asleep again, so each write would pay for a wake-up; sent back to back they share one. A turn with
a single request is over at once, so nothing waits that has no reason to.
"""

from __future__ import annotations

import asyncio

from shipway.gateway.http1.connection import Connection


class Outbox:
    """What the connections of one event loop have to write in this turn, in order.

    Attributes:
        turn_s: The loop's clock when the first of them came.
    """

    __slots__ = ("_connections", "_loop", "_waiting", "turn_s")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.turn_s = 0.0
        self._waiting: list[bytes] = []
        self._connections: list[Connection] = []
        """For each that waits, whose it is: a pair would be one more object to make and to look at."""

    def put(self, connection: Connection, data: bytes) -> None:
        """Have *connection* write *data* at the end of this turn."""
        if not self._waiting:
            self.turn_s = self._loop.time()
            self._loop.call_soon(self.flush)
        self._waiting.append(data)
        self._connections.append(connection)

    def now_s(self) -> float:
        """The loop's clock, in a turn with writes as it was at the first of them: asking it costs more than all else here."""
        return self.turn_s if self._waiting else self._loop.time()

    def flush(self) -> None:
        """Write now; needed before a transport is closed or its bytes go elsewhere."""
        waiting, self._waiting = self._waiting, []
        connections, self._connections = self._connections, []
        for at, connection in enumerate(connections):
            connection.write_now(waiting[at])
