"""The upstream's side of HTTP/1.1: one connection, the response on it, and where its body goes.

A connection carries one request at a time. The response's head arrives as the result of `send`; its body is then read
whole (`read`) or relayed to a sink as it comes (`relay`), which sets the pace. A connection is fit for another
request only if the response ended exactly where its framing said, nothing followed it, and the request had been sent
in full.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol, cast

from shipway.gateway.http1.chunked import BadChunks, ChunkedBody
from shipway.gateway.http1.fields import BARE_LINE_END, Fields, without
from shipway.gateway.http1.outbox import BIG_READ_BYTES, Outbox
from shipway.gateway.http1.repeats import KnownHead
from shipway.gateway.http1.response_head import BadResponse, ResponseHead, read_response_head
from shipway.gateway.http1.running import Waiter

HIGH_WATER_BYTES = 256 * 1024
"""Response bytes held before a handler has said where they go; past this the socket is not read."""
MAX_HEAD_BYTES = 512 * 1024
"""What may arrive before a response's head is complete."""
_BEGINNING = b"HTTP/1."


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

    def piece(self, data: bytes) -> None:
        """What one read of the socket brought, already without transfer framing."""

    def ended(self, trailers: Fields) -> None: ...

    def failed(self, fault: Exception) -> None: ...


class _Phase(Enum):
    """What the next bytes of an upstream are."""

    HEAD = auto()
    LENGTH = auto()
    CHUNKS = auto()
    UNTIL_CLOSE = auto()
    NOTHING = auto()


# Looking a member up in an Enum costs more than comparing it.
_HEAD, _LENGTH, _CHUNKS, _UNTIL_CLOSE, _NOTHING = _Phase


class UpstreamConnection(asyncio.Protocol):
    """One connection to an upstream, idle in its pool or carrying one exchange.

    Attributes:
        used: Requests sent so far: above 1 the connection came from the pool and may have been closed by the peer meanwhile.
        content_length: Of the response under way, once its head is here.
        on_piece: Told of each part of a body that is read whole, until its last.
    """

    __slots__ = (
        "_answered",
        "_chunks",
        "_done",
        "_fault",
        "_head",
        "_held",
        "_known",
        "_left_bytes",
        "_max_bytes",
        "_method",
        "_outbox",
        "_phase",
        "_pieces",
        "_reading",
        "_response",
        "_sent",
        "_sink",
        "_spare",
        "_tunnel",
        "_usual",
        "_whole",
        "closed",
        "content_length",
        "idle_since_s",
        "loop",
        "on_inform",
        "on_piece",
        "on_writable",
        "request_done",
        "transport",
        "used",
        "writable",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox) -> None:
        self.loop = loop
        self._outbox = outbox
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made before any use
        self.closed = False
        self.used = 0
        self.idle_since_s = 0.0
        self.content_length: int | None = None
        self.on_inform: Callable[[ResponseHead], None] | None = None
        self.on_writable: Callable[[], None] | None = None
        self.on_piece: Callable[[], None] | None = None
        self.writable = True
        self.request_done = True
        self._reading = True
        self._phase = _NOTHING
        self._known: KnownHead[ResponseHead] | None = None
        self._held = b""
        """The beginning of a head."""
        self._left_bytes = 0
        self._chunks: ChunkedBody | None = None
        self._method = b""
        self._usual = False
        """Whether a response that is recognised and whole can be taken as it is."""
        self._answered = False
        self._sent = False
        self._head: Waiter[ResponseHead] = Waiter()
        self._response: ResponseHead | None = None
        self._pieces: list[bytes] = []
        self._whole: Waiter[None] | None = None
        self._max_bytes = 0
        self._sink: ResponseSink | None = None
        self._done = True
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
        self._phase = _HEAD
        self._method = method
        self._usual = method != b"HEAD"
        self._answered = False
        self._response = None
        self._done = False
        head = self._head = Waiter()
        self._sent = False
        if not complete and self.transport.get_extra_info("ssl_object") is None:
            self._spare = socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno()))
        self._outbox.put(self._write_now, data)
        return head

    def write(self, data: bytes) -> bool:
        """Send a further piece of the request; False when the upstream reads slower than that."""
        if not self.closed:
            self._outbox.put(self._write_now, data)
        return self.writable

    def request_sent(self) -> None:
        self.request_done = True
        self._drop_spare()

    # -- responses

    def whole_body(self) -> list[bytes] | None:
        """The response's body in pieces if all of it is here already, as that of a small answer is."""
        return self._pieces if self._done and self._fault is None else None

    async def read(self, max_bytes: int) -> list[bytes] | None:
        """The response's whole body in pieces, or None once it is larger than *max_bytes* (then `relay` still gives
        all of it).

        Raises:
            UpstreamFault: the response broke off.
        """
        if not self._done and self._held_bytes() <= max_bytes:
            self._max_bytes = max_bytes
            self.resume_reading()
            self._whole = Waiter()
            await self._whole
        if self._fault is not None:
            raise self._fault
        return self._pieces if self._done else None

    def relay(self, sink: ResponseSink) -> None:
        """Give *sink* what has arrived and all that follows."""
        self._sink = sink
        pieces, self._pieces = self._pieces, []
        if pieces:
            sink.piece(b"".join(pieces))
        if self._fault is not None:
            sink.failed(self._fault)
        elif self._done:
            sink.ended(self._trailers())
        else:
            self.resume_reading()

    def come_to_rest(self) -> bool:
        """Forget the request that is over: whoever made it hears no more of it. Gives whether another may be sent."""
        self.on_inform = self.on_writable = None
        self._pieces = []
        self._whole = None
        self._sink = None
        self._chunks = None
        response = self._response
        if not (self._done and self.request_done and response is not None and response.keep_alive):
            return False
        if self.closed or self._fault is not None or self._tunnel is not None:
            return False
        if not self._reading:
            self.resume_reading()
        return True

    def has_news(self) -> bool:
        """Whether something waits to be read; on an idle connection that is its end, or what nobody asked for."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def pause_reading(self) -> None:
        if self._reading and not self.closed:
            self._reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and not self.closed:
            self._reading = True
            self.transport.resume_reading()

    def fail(self, fault: Exception) -> None:
        """End the current request with *fault*, as if the upstream had failed so, and close."""
        self._fail(fault)
        self.close()

    def close(self) -> None:
        """Close at once; an upstream that is still generating sees its client leave."""
        self.closed = True
        self.transport.abort()

    def become_tunnel(self, protocol: asyncio.Protocol) -> list[bytes]:
        """Hand all further bytes to *protocol*; returns those that came with the 101 response."""
        self._tunnel = protocol
        self.resume_reading()
        early, self._pieces = self._pieces, []
        return early

    # -- transport events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if len(data) >= BIG_READ_BYTES and self._reading and self._tunnel is None:
            self.transport.pause_reading()
            self.loop.call_soon(self._read_on)
        if self._sink is not None and self._chunks is not None:
            piece = self._chunks.only_chunk(data)
            if piece is not None:  # as nearly always while a model is talking
                self._sink.piece(piece)
                return
        if self._tunnel is not None:
            self._tunnel.data_received(data)
            return
        if self._phase is _NOTHING:
            self.close()  # bytes that belong to no request: never to be taken for the next response
            return
        known = self._known
        if known is not None and self._phase is _HEAD and self._usual:
            end = known.end_in(data)
            if end and len(data) - end == known.length and not known.head.bodiless:
                # The last head again and the whole body with it.
                self._response = known.head
                self.content_length = known.length
                self._pieces.append(data[end:])
                self._done = True
                self._phase = _NOTHING
                self._head.set(known.head)
                return
        try:
            if self._phase is _HEAD:
                data = self._behind_heads(data)
            if data:
                self._read_body(data)
        except (BadResponse, BadChunks) as bad:
            self._fail(UpstreamFault("garbage" if self._response is None else "cut", str(bad)))
            self.close()
            return
        self._deliver()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._tunnel is not None:
            self._tunnel.connection_lost(exc)
            return
        if self._spare is not None:
            if exc is not None and not self._done:
                self._hear_out(self._spare)
            self._drop_spare()
        if self._done:
            return
        if self._phase is _UNTIL_CLOSE and exc is None:
            self._end()
            self._deliver()
            return
        kind = "cut" if self._answered else "reset" if self._sent else "unsent"
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
        while not self._done:
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

    def _read_on(self) -> None:
        if self._reading and not self.closed:
            self.transport.resume_reading()

    def _write_now(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self._sent = True
            self.transport.write(data)
        elif self.closed:  # the peer closed it while it was idle; `connection_lost` came and went before this request
            self._fail(UpstreamFault("unsent", "the connection was closed"))

    def _behind_heads(self, data: bytes) -> bytes:
        """Read interim heads and the final one; gives what follows, nothing while they are not all here."""
        self._answered = True
        self._usual = False
        while data:
            known = self._known
            end = 0 if known is None or self._held else known.end_in(data)
            if known is not None and end:
                head, length = known.head, known.length
            else:
                if self._held:
                    data = self._held + data
                end = data.find(b"\r\n\r\n") + 4
                whole = end >= 4
                if not data.startswith(_BEGINNING[: len(data)]) or (end if whole else len(data)) > MAX_HEAD_BYTES:
                    raise BadResponse("not an HTTP/1 response")
                if not whole:
                    if BARE_LINE_END.search(data):
                        raise BadResponse("the response is not HTTP")
                    self._held = data
                    return b""
                self._held = b""
                raw = data[:end]
                head = read_response_head(raw)
                length = head.content_length
                if not head.interim:
                    self._known = KnownHead.of(raw, head, length, MAX_HEAD_BYTES)
            data = data[end:]
            if not head.interim:
                self._begin_body(head, length)
                return data
            if self.on_inform is not None:
                self.on_inform(head)
        return b""

    def _begin_body(self, head: ResponseHead, length: int | None) -> None:
        self._response = head
        self.content_length = length
        if head.bodiless or self._method == b"HEAD" or (length == 0 and not head.chunked):
            self._end()
        elif head.chunked:
            self._chunks = ChunkedBody(MAX_HEAD_BYTES, of_response=True)
            self._phase = _CHUNKS
        elif length is not None:
            self._left_bytes = length
            self._phase = _LENGTH
        else:
            self._phase = _UNTIL_CLOSE

    def _read_body(self, data: bytes) -> None:
        phase = self._phase
        excess: bytes | None = b""
        if phase is _LENGTH:
            left = self._left_bytes - len(data)
            self._left_bytes = left
            if left > 0:
                self._pieces.append(data)
                return
            if left:
                data, excess = data[:left], data[left:]
            self._pieces.append(data)
        elif phase is _CHUNKS and self._chunks is not None:
            excess = self._chunks.feed(data, self._pieces)
            if excess is None:
                return
        elif phase is _UNTIL_CLOSE:
            self._pieces.append(data)
            return
        else:
            excess = data
        self._end()
        if excess:
            self.close()

    def _end(self) -> None:
        self._done = True
        self._phase = _NOTHING

    def _trailers(self) -> Fields:
        chunks, self._chunks = self._chunks, None
        return [] if chunks is None or self._response is None else without(chunks.trailers, self._response.named)

    def _held_bytes(self) -> int:
        return sum(map(len, self._pieces))

    def _deliver(self) -> None:
        if not self._head.settled:
            if self._response is not None:
                self._head.set(self._response)  # its handler goes on inside this call and takes the rest itself
            return
        sink = self._sink
        if sink is not None:
            if self._pieces:
                pieces, self._pieces = self._pieces, []
                sink.piece(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            if self._done:
                sink.ended(self._trailers())
        elif self._whole is not None:
            if self._done:
                self._whole.set(None)
            elif self._held_bytes() > self._max_bytes:
                self.pause_reading()
                self._whole.set(None)
            elif self.on_piece is not None:
                self.on_piece()
        elif not self._done and self._held_bytes() > HIGH_WATER_BYTES:
            self.pause_reading()

    def _fail(self, fault: Exception) -> None:
        if self._fault is not None or self._done:
            return
        self._fault = fault
        self._end()
        if not self._head.settled:
            self._head.fail(fault)
        elif self._sink is not None:
            self._sink.failed(fault)
        elif self._whole is not None:
            self._whole.set(None)
