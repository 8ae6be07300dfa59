"""What connections to clients and to upstreams have in common: a transport that is read with restraint and written to late."""

from __future__ import annotations

import asyncio
from typing import Final

BIG_READ_BYTES: Final = 64 * 1024
"""After a read of this size a connection reads no more in this turn. uvloop would read up to 32 times, 8 MB, before any of it is
written, and so before a slow reader on the other side is noticed."""


class Connection:
    """One side of the gateway.

    An asyncio protocol by its methods. It does not inherit from one, as a compiled class cannot keep its attributes close then.

    Attributes:
        closed: Whether nothing more is written: it was closed from here, or is lost.
        reading: Whether what comes is taken.
    """

    __slots__ = ("closed", "loop", "reading", "transport")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made before any use
        self.closed = False
        self.reading = True

    def write_now(self, data: bytes) -> None:
        """Give *data* to the transport, if it still takes any. Called by the `Outbox` at the end of a turn."""
        raise NotImplementedError

    def _read_on_next_turn(self) -> None:
        """Called after a read of at least `BIG_READ_BYTES`."""
        if self.reading:
            self.transport.pause_reading()
            self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if self.reading and not self.transport.is_closing():
            self.transport.resume_reading()
