"""Bodies on their way through: an upload to an upstream, a response to a client, an upgraded connection both ways.

Each side sets the pace of the other. Nothing here holds more than one read of a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from shipway.gateway.http1.chunked import size_line
from shipway.gateway.http1.exchange import Exchange
from shipway.gateway.http1.fields import Fields, trailer_lines
from shipway.gateway.http1.running import Waiter
from shipway.gateway.http1.upstream_connection import UpstreamConnection

if TYPE_CHECKING:
    from shipway.gateway.http1.client_connection import ClientConnection


class Upload:
    """A request body piped to an upstream, framed anew.

    Calls *moved* with each piece and at the end, and *too_large* once it passes *max_bytes*.
    """

    def __init__(
        self,
        exchange: Exchange,
        upstream: UpstreamConnection,
        *,
        max_bytes: int,
        moved: Callable[[], None],
        too_large: Callable[[], None],
    ) -> None:
        self._upstream = upstream
        self._chunked = exchange.head.chunked
        self._left_bytes = max_bytes
        self._moved = moved
        self._too_large = too_large
        upstream.on_writable = exchange.resume_body

    def body_piece(self, data: bytes) -> bool:
        if self._left_bytes < 0:
            return True  # refused already; further chunks of the same read are thrown away like all that follow
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self._too_large()
            return False
        self._moved()
        if self._chunked:
            data = b"".join((size_line(len(data)), data, b"\r\n"))
        return self._upstream.write(data)

    def body_end(self, trailers: Fields) -> None:
        if self._chunked:
            self._upstream.write(b"0\r\n%b\r\n" % trailer_lines(trailers))
        self._upstream.request_sent()
        self._moved()

    def body_broken(self) -> None:
        self._upstream.close()


class Pace(Protocol):
    """The upstream's side of a download, as its sink needs to steer it."""

    def received(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Download:
    """A response body on its way to the client, as it is."""

    def __init__(self, exchange: Exchange, pace: Pace) -> None:
        self.done: Waiter[None] = Waiter()
        self.fault: Exception | None = None
        self._exchange = exchange
        self._pace = pace
        follow_client(exchange, pace)

    def open_shortcut(self) -> None:
        """Never: nothing is looked at anyway."""

    def piece(self, data: bytes) -> None:
        self._exchange.write(data)
        self._pace.received()

    def ended(self, trailers: Fields) -> None:
        self._exchange.end(trailers)
        self.done.set(None)

    def failed(self, fault: Exception) -> None:
        self.fault = fault
        self._exchange.abort()
        self.done.set(None)


def follow_client(exchange: Exchange, pace: Pace) -> None:
    """Read from the upstream only as fast as the client reads. Whoever starts the flow sees to a client that is slow already."""

    def client_slow(slow: bool) -> None:
        if slow:
            pace.pause()
        else:
            pace.resume()

    exchange.on_slow = client_slow


class Tunnel(asyncio.Protocol):
    """One direction of an upgraded connection: what arrives here is written to *other*.

    Attributes:
        pauses: How often reading from the other side was stopped.
    """

    def __init__(self, other: ClientConnection | UpstreamConnection, closed: Callable[[], None]) -> None:
        self._connection = other
        self._other = other.transport
        self._closed = closed
        self.pauses = 0

    def data_received(self, data: bytes) -> None:
        self._other.write(data)

    def pause_writing(self) -> None:
        """The source's own buffer is full: the other side is read no further until it drains."""
        self.pauses += 1
        if not self._other.is_closing():
            self._connection.pause_reading()

    def resume_writing(self) -> None:
        if not self._other.is_closing():
            self._connection.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._other.close()
        self._closed()
