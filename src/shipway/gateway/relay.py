"""Bodies on their way through: an upload to an upstream, a response to a client, an upgraded connection both ways.

Each side sets the pace of the other. Nothing here holds more than one read of a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from shipway.gateway.http1.client import UpstreamConnection
from shipway.gateway.http1.exchange import Exchange
from shipway.gateway.http1.head import Fields
from shipway.gateway.http1.running import Waiter


class Upload:
    """A request body piped to an upstream, framed anew. Calls *too_large* once it passes *max_bytes*."""

    def __init__(
        self, exchange: Exchange, upstream: UpstreamConnection, *, max_bytes: int, too_large: Callable[[], None]
    ) -> None:
        self._upstream = upstream
        self._chunked = exchange.head.chunked
        self._left_bytes = max_bytes
        self._too_large = too_large
        upstream.on_writable = exchange.resume_body

    def body_piece(self, data: bytes) -> bool:
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self._too_large()
            return False
        return self._upstream.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def body_end(self, trailers: Fields) -> None:
        if self._chunked:
            lines = b"".join(b"%b: %b\r\n" % (name, value) for _, name, value in trailers)
            self._upstream.write(b"0\r\n%b\r\n" % lines)
        self._upstream.request_sent()

    def body_broken(self) -> None:
        self._upstream.close()


class StreamWatch(Protocol):
    """Reads a stream on its way and knows whether it ended as its dialect says it must."""

    def pass_on(self, data: bytes) -> bytes:
        """What goes to the client now."""

    def closing_bytes(self, *, cut: bool) -> bytes:
        """What must be said before the stream closes: an in-band error if it is not whole, else nothing."""


class Download:
    """A response body on its way to the client."""

    def __init__(
        self,
        exchange: Exchange,
        upstream: UpstreamConnection,
        *,
        watch: StreamWatch | None,
        idle_s: float,
        total_deadline_s: float,
    ) -> None:
        self.done: Waiter[None] = Waiter()
        self.fault: Exception | None = None
        self.watch = watch
        self._exchange = exchange
        self._upstream = upstream
        self._idle_s = idle_s
        self._total_deadline_s = total_deadline_s
        exchange.on_slow = self._client_slow
        if exchange.slow:
            upstream.pause_reading()

    def pieces(self, data: list[bytes]) -> None:
        body = data[0] if len(data) == 1 else b"".join(data)
        if self.watch is not None:
            body = self.watch.pass_on(body)
        self._exchange.write(body)
        self._exchange.deadline_s = min(self._upstream.loop.time() + self._idle_s, self._total_deadline_s)

    def ended(self, trailers: Fields) -> None:
        if self.watch is not None:
            self._exchange.write(self.watch.closing_bytes(cut=False))
        self._exchange.end(trailers)
        self.done.set(None)

    def failed(self, fault: Exception) -> None:
        self.fault = fault
        closing = self.watch.closing_bytes(cut=True) if self.watch is not None else b""
        if closing:
            self._exchange.keep_alive = False
            self._exchange.write(closing)
            self._exchange.end()
        else:
            self._exchange.abort()
        self.done.set(None)

    def _client_slow(self, slow: bool) -> None:
        if slow:
            self._upstream.pause_reading()
            self._exchange.deadline_s = self._total_deadline_s
        else:
            self._upstream.resume_reading()
            self._exchange.deadline_s = min(self._upstream.loop.time() + self._idle_s, self._total_deadline_s)


class Tunnel(asyncio.Protocol):
    """One direction of an upgraded connection: what arrives here is written to *other*."""

    def __init__(self, source: asyncio.Transport, other: asyncio.Transport, closed: Callable[[], None]) -> None:
        self._source = source
        self._other = other
        self._closed = closed

    def data_received(self, data: bytes) -> None:
        self._other.write(data)

    def pause_writing(self) -> None:
        """The source's own buffer is full: the other side is read no further until it drains."""
        if not self._other.is_closing():
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if not self._other.is_closing():
            self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._other.close()
        self._closed()
