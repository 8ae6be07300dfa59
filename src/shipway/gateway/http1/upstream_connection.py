"""The upstream's side of HTTP/1.1: one connection, and where the response on it goes.

A connection carries one request at a time. The response's head arrives as the result of `send`; its body is then read
whole (`read`) or relayed to a sink as it comes (`relay`), which sets the pace. A connection is fit for another
request only if the response ended exactly where its framing said, nothing followed it, and the request had been sent
in full. What the bytes mean is the business of its `ResponseReader`.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Callable
from typing import Final, Protocol, cast

from shipway.gateway.http1.chunked import BadChunks
from shipway.gateway.http1.connection import BIG_READ_BYTES, Connection
from shipway.gateway.http1.fields import Fields
from shipway.gateway.http1.outbox import Outbox
from shipway.gateway.http1.response_head import BadResponse, ResponseHead
from shipway.gateway.http1.response_reader import ResponseReader
from shipway.gateway.http1.running import Waiter
from shipway.gateway.http1.shortcut import Shortcut

HIGH_WATER_BYTES: Final = 256 * 1024
"""Response bytes held before a handler has said where they go; past this the socket is not read."""


class UpstreamFault(Exception):
    """The upstream failed to answer in HTTP.

    Attributes:
        kind: `connect`; `unsent` (the connection was closed before a byte of the request was written); `reset` (closed
            before a byte of the response); `cut` (inside the response); `garbage`; or a deadline, `…_timeout`.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class ResponseSink(Protocol):
    """Where a relayed response goes. One of `ended` and `failed` is called, once, last."""

    def open_shortcut(self) -> Shortcut | None:
        """What takes the next reads, until it does not; None where nothing is to be recognised."""

    def piece(self, data: bytes) -> None:
        """What one read of the socket brought, already without transfer framing."""

    def ended(self, trailers: Fields) -> None: ...

    def failed(self, fault: Exception) -> None: ...


class UpstreamConnection(Connection):
    """One connection to an upstream, idle in its pool or carrying one exchange.

    Attributes:
        used: Requests sent so far: above 1 the connection came from the pool and may have been closed by the peer meanwhile.
        on_piece: Told of each part of a body that is read whole, until its last.
        lost_by: What the connection broke by; None for one that is open or was closed in order.
    """

    __slots__ = (
        "_fault",
        "_head",
        "_max_bytes",
        "_outbox",
        "_reader",
        "_sent",
        "_shortcut",
        "_sink",
        "_spare",
        "_tunnel",
        "_whole",
        "idle_since_s",
        "lost_by",
        "on_inform",
        "on_piece",
        "on_writable",
        "request_done",
        "used",
        "writable",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox) -> None:
        Connection.__init__(self, loop)
        # First, so that compiled it lies beside what `Connection` has: for most chunks little else of this is looked at.
        self._shortcut: Shortcut | None = None
        self._outbox = outbox
        self.used = 0
        self.idle_since_s = 0.0
        self.lost_by: Exception | None = None
        self.on_inform: Callable[[ResponseHead], None] | None = None
        self.on_writable: Callable[[], None] | None = None
        self.on_piece: Callable[[], None] | None = None
        self.writable = True
        self.request_done = True
        self._reader = ResponseReader()
        self._sent = False
        self._head: Waiter[ResponseHead] = Waiter()
        self._whole: Waiter[None] | None = None
        self._max_bytes = 0
        self._sink: ResponseSink | None = None
        self._fault: Exception | None = None
        self._tunnel: asyncio.Protocol | None = None
        self._spare: socket.socket | None = None
        """The connection once more, while a body is being sent: a write that fails closes the transport, and with it an answer
        that was sent before the upstream hung up."""

    # -- requests

    def send(self, method: bytes, data: bytes, *, complete: bool) -> Waiter[ResponseHead]:
        """Write a request's head (with its body, if *complete*) and give a waiter for the response's head.

        It fails with `UpstreamFault`. The rest of an incomplete request follows with `write` and
        `request_sent`.
        """
        self.used += 1
        self.request_done = complete
        self._reader.expect(method)
        head = self._head = Waiter()
        self._sent = False
        if not complete and self.transport.get_extra_info("ssl_object") is None:
            self._spare = socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno()))
        self._outbox.put(self, data)
        return head

    def write(self, data: bytes) -> bool:
        """Send a further piece of the request; False when the upstream reads slower than that."""
        if not self.closed:
            self._outbox.put(self, data)
        return self.writable

    def request_sent(self) -> None:
        self.request_done = True
        self._drop_spare()

    def write_now(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self._sent = True
            self.transport.write(data)
        elif self.closed:  # the peer closed it while it was idle; `connection_lost` came and went before this request
            self._fail(UpstreamFault("unsent", "the connection was closed"))

    # -- responses

    @property
    def content_length(self) -> int | None:
        """Of the response under way, once its head is here."""
        return self._reader.content_length

    def whole_body(self) -> list[bytes] | None:
        """The response's body in pieces if all of it is here already, as that of a small answer is."""
        return self._reader.pieces if self._reader.done and self._fault is None else None

    async def read(self, max_bytes: int) -> list[bytes] | None:
        """The response's whole body in pieces, or None once it is larger than *max_bytes* (then `relay` still gives
        all of it).

        Raises:
            UpstreamFault: the response broke off.
        """
        reader = self._reader
        if not reader.done and reader.held_bytes() <= max_bytes:
            self._max_bytes = max_bytes
            self.resume_reading()
            self._whole = Waiter()
            await self._whole
        if self._fault is not None:
            raise self._fault
        return reader.pieces if reader.done else None

    def relay(self, sink: ResponseSink) -> None:
        """Give *sink* what has arrived and all that follows."""
        self._sink = sink
        reader = self._reader
        if reader.pieces:
            sink.piece(reader.take())
        if self._fault is not None:
            sink.failed(self._fault)
        elif reader.done:
            sink.ended(reader.trailers())
        else:
            if reader.chunks is not None and reader.chunks.between_chunks:
                self._shortcut = sink.open_shortcut()
            self.resume_reading()

    def come_to_rest(self) -> bool:
        """Forget the request that is over: whoever made it hears no more of it. Gives whether another may be sent."""
        self.on_inform = self.on_writable = None
        self._whole = None
        self._sink = self._shortcut = None
        reader = self._reader
        reader.forget()
        response = reader.head
        if not (reader.done and self.request_done and response is not None and response.keep_alive):
            return False
        if self.closed or self._fault is not None or self._tunnel is not None:
            return False
        if not self.reading:
            self.resume_reading()
        return True

    def has_news(self) -> bool:
        """Whether something waits to be read; on an idle connection that is its end, or what nobody asked for."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def pause_reading(self) -> None:
        if self.reading and not self.closed:
            self.reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.reading and not self.closed:
            self.reading = True
            self.transport.resume_reading()

    def fail(self, fault: Exception) -> None:
        """End the current request with *fault*, as if the upstream had failed so, and close."""
        self._fail(fault)
        self.close()

    def close(self) -> None:
        """Close at once; an upstream that is still generating sees its client leave."""
        self.closed = True
        self.transport.abort()

    def become_tunnel(self, protocol: asyncio.Protocol) -> bytes:
        """Hand all further bytes to *protocol*; returns those that came with the 101 response."""
        self._tunnel = protocol
        self.resume_reading()
        return self._reader.take()

    # -- transport events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._shortcut is not None:
            if self._shortcut.take(data):  # as nearly always while a model is talking
                return
            self._shortcut = None
        if len(data) >= BIG_READ_BYTES and self._tunnel is None:
            self._read_on_next_turn()
        reader = self._reader
        if self._sink is not None and reader.chunks is not None:
            piece = reader.chunks.only_chunk(data)
            if piece is not None:
                sink = self._sink
                sink.piece(piece)
                self._shortcut = sink.open_shortcut()
                return
        if self._tunnel is not None:
            self._tunnel.data_received(data)
            return
        if reader.done:
            self.close()  # bytes that belong to no request: never to be taken for the next response
            return
        head = reader.recognise(data)
        if head is not None:
            self._head.set(head)
            return
        try:
            excess = reader.feed(data, self.on_inform)
        except (BadResponse, BadChunks) as bad:
            self._fail(UpstreamFault("garbage" if reader.head is None else "cut", str(bad)))
            self.close()
            return
        if excess:
            self.close()
        self._deliver()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.lost_by = exc
        if self._tunnel is not None:
            self._tunnel.connection_lost(exc)
            return
        if self._spare is not None:
            if exc is not None and not self._reader.done:
                self._hear_out(self._spare)
            self._drop_spare()
        reader = self._reader
        if reader.done:
            return
        if exc is None and reader.end_of_input():
            self._deliver()
            return
        kind = "cut" if reader.answered else "reset" if self._sent else "unsent"
        self._fail(UpstreamFault(kind, "the connection was closed" if exc is None else type(exc).__name__))

    def pause_writing(self) -> None:
        self.writable = False
        if self._tunnel is not None:
            self._tunnel.pause_writing()

    def resume_writing(self) -> None:
        self.writable = True
        if self._tunnel is not None:
            self._tunnel.resume_writing()
        elif self.on_writable is not None:
            self.on_writable()

    # -- inside

    def _hear_out(self, spare: socket.socket) -> None:
        """Read what came before the connection broke: an upstream that wants no more of a body may say so and hang up."""
        while not self._reader.done:
            try:
                data = spare.recv(BIG_READ_BYTES)
            except OSError:
                return
            if not data:
                return
            self.data_received(data)

    def _drop_spare(self) -> None:
        if self._spare is not None:
            self._spare.close()
            self._spare = None

    def _deliver(self) -> None:
        reader = self._reader
        if not self._head.settled:
            if reader.head is not None:
                self._head.set(reader.head)  # its handler goes on inside this call and takes the rest itself
            return
        sink = self._sink
        if sink is not None:
            if reader.pieces:
                sink.piece(reader.take())
            if reader.done:
                sink.ended(reader.trailers())
        elif self._whole is not None:
            if reader.done:
                self._whole.set(None)
            elif reader.held_bytes() > self._max_bytes:
                self.pause_reading()
                self._whole.set(None)
            elif self.on_piece is not None:
                self.on_piece()
        elif not reader.done and reader.held_bytes() > HIGH_WATER_BYTES:
            self.pause_reading()

    def _fail(self, fault: Exception) -> None:
        if self._fault is not None or self._reader.done:
            return
        self._fault = fault
        self._reader.end()
        if not self._head.settled:
            self._head.fail(fault)
        elif self._sink is not None:
            self._sink.failed(fault)
        elif self._whole is not None:
            self._whole.set(None)
