"""Writes of one turn of the event loop, sent together at its end.

A write wakes the process that reads it. Between the writes of one turn lies the work on the next request, long enough for
that process to fall asleep again, so each write would pay for a wake-up; sent back to back they share one. A turn with
a single request is over at once, so nothing waits that has no reason to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

BIG_READ_BYTES = 64 * 1024
"""After a read of this size a connection reads no more in this turn. uvloop would read up to 32 times, 8 MB, before any of it is
written, and so before a slow reader on the other side is noticed."""


class Outbox:
    """What the connections of one event loop have to write in this turn, in order."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[Callable[[bytes], None], bytes]] = []

    def put(self, write: Callable[[bytes], None], data: bytes) -> None:
        """Have *write* called with *data* at the end of this turn."""
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append((write, data))

    def flush(self) -> None:
        """Write now; needed before a transport is closed or its bytes go elsewhere."""
        waiting, self._waiting = self._waiting, []
        for write, data in waiting:
            write(data)
