"""What was written to somebody and not taken yet: whether they still read."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios

from shipway.gateway.http1.deadlines import NEVER


class Unsent:
    """Watches whether a peer takes what waits for it.

    Attributes:
        due_s: When to look again, on the loop's clock; `NEVER` while nothing waits.
    """

    __slots__ = ("_bytes", "due_s")

    def __init__(self) -> None:
        self._bytes = 0
        self.due_s = NEVER

    def watch(self, transport: asyncio.Transport, due_s: float) -> None:
        """Something waits; by *due_s* some of it must have been taken."""
        self.due_s = due_s
        self._bytes = _unsent_bytes(transport)

    def moved(self, transport: asyncio.Transport) -> bool:
        """Whether the peer took something since `watch`."""
        return _unsent_bytes(transport) < self._bytes


def _unsent_bytes(transport: asyncio.Transport) -> int:
    """What the peer has not confirmed yet. The transport's own buffer alone does not tell: the system's buffer may be
    large, and nothing moves here while that one empties."""
    unsent = transport.get_write_buffer_size()
    handle = transport.get_extra_info("socket")
    try:
        (queued,) = struct.unpack("i", fcntl.ioctl(handle.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))
    except (OSError, AttributeError, ValueError):
        return unsent
    return unsent + int(queued)
