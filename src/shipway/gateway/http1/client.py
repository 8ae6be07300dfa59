"""The upstream's side of HTTP/1.1: one connection, the response on it, and where its body goes.

A connection carries one request at a time. The response's head arrives as the result of `send`; its body is then read
whole (`read`) or relayed to a sink as it comes (`relay`), which sets the pace. A connection is fit for another
request only if the response ended exactly where its framing said, nothing followed it, and the request had been sent
in full.
"""

from __future__ import annotations

import asyncio
import select
from http import HTTPStatus
from typing import Protocol, cast

import httptools

from shipway.gateway.http1.head import HOP_BY_HOP, Fields, without
from shipway.gateway.http1.outbox import Outbox
from shipway.gateway.http1.running import Waiter

HIGH_WATER_BYTES = 256 * 1024
"""Response bytes held before a handler has said where they go; past this the socket is not read."""


_USUAL_CONNECTION = frozenset((b"keep-alive", b"close", b"Keep-Alive", b"Close"))
"""Values of Connection that name no field."""
# Plain numbers: looking a member up in an Enum costs a third of a microsecond on Python 3.11.
_SWITCHING_PROTOCOLS = HTTPStatus.SWITCHING_PROTOCOLS.value
_BODILESS = frozenset((HTTPStatus.NO_CONTENT.value, HTTPStatus.NOT_MODIFIED.value))
_READ_HERE = HOP_BY_HOP | {b"content-length", b"content-type", b"date", b"retry-after", b"x-request-id"}


MAX_FIELDS = 256
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

    def pieces(self, data: list[bytes]) -> None:
        """What one read of the socket brought, already without transfer framing."""

    def ended(self, trailers: Fields) -> None: ...

    def failed(self, fault: Exception) -> None: ...


class ResponseHead:
    """Status and fields of a response.

    Attributes:
        lines: The fields as header lines, without hop-by-hop ones, the length and the request id: each connection has
            its own framing, and the gateway names its requests itself.
    """

    __slots__ = ("chunked", "content_length", "content_type", "dated", "lines", "retry_after", "status", "upgrade")

    def __init__(self, status: int, fields: Fields) -> None:
        self.status = status
        self.content_length: int | None = None
        self.content_type = b""
        self.retry_after: bytes | None = None
        self.upgrade: bytes | None = None
        self.chunked = False
        self.dated = False
        named: set[bytes] | None = None
        lines: list[bytes] = []
        for lower, name, value in fields:
            if lower not in _READ_HERE:
                lines += (name, b": ", value, b"\r\n")
            elif lower == b"content-length":
                self.content_length = int(value)
            elif lower == b"content-type":
                self.content_type = value.lower()
                lines += (name, b": ", value, b"\r\n")
            elif lower == b"connection":
                if value in _USUAL_CONNECTION:
                    continue
                named = {option.strip(b" \t").lower() for option in value.split(b",")} | (named or set())
            elif lower == b"date":
                self.dated = True
                lines += (name, b": ", value, b"\r\n")
            elif lower == b"transfer-encoding":
                if self.chunked or value.strip(b" \t").lower() != b"chunked":
                    raise ValueError("a transfer coding other than chunked")
                self.chunked = True
            elif lower == b"upgrade":
                self.upgrade = value
            elif lower == b"retry-after":
                self.retry_after = value
                lines += (name, b": ", value, b"\r\n")
        if named is not None:
            lines = without(lines, named - HOP_BY_HOP - {b"close"})
        self.lines = b"".join(lines)


class UpstreamConnection(asyncio.Protocol):
    """One connection to an upstream, idle in its pool or carrying one exchange."""

    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox) -> None:
        self.loop = loop
        self._outbox = outbox
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made before any use
        self.closed = False
        self.used = 0
        """Requests sent so far: above 1 the connection came from the pool and may have been closed by the peer
        meanwhile."""
        self.idle_since_s = 0.0
        self._sent = False
        self._answered = False
        self.on_inform: _Inform | None = None
        self.on_writable: _Notify | None = None
        self.on_piece: _Notify | None = None
        """Told of each part of a body that is read whole, until its last."""
        self.writable = True
        self.request_done = True
        self._parser = httptools.HttpResponseParser(self)
        self._fields: Fields = []
        self._head: Waiter[ResponseHead] = Waiter()
        self._response: ResponseHead | None = None
        self._head_bytes = 0
        self._start = b""
        self._whole: Waiter[None] | None = None
        self._sink: ResponseSink | None = None
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._max_bytes: int | None = None
        self._in_body = False
        self._ends_with_connection = False
        self._keep_alive = False
        self._done = True
        self._reusable = False
        self._interim = False
        self._method = b""
        self._fault: Exception | None = None
        self._trailers: Fields = []
        self._tunnel: asyncio.Protocol | None = None

    # -- requests

    def send(self, method: bytes, data: bytes, *, complete: bool) -> Waiter[ResponseHead]:
        """Write a request's head (with its body, if *complete*) and give a waiter for the response's head.

        It fails with `UpstreamFault`. The rest of an incomplete request follows with `write` and
        `request_sent`.
        """
        self.used += 1
        self._answered = False
        self.request_done = complete
        self._done = False
        self._reusable = False
        self._method = method
        self._head = Waiter()
        self._response = None
        self._head_bytes = 0
        self._start = b""
        self._whole = None
        self._sink = None
        self._pieces = []
        self._held_bytes = 0
        self._max_bytes = None
        self._trailers = []
        self._sent = False
        self._outbox.put(self._write_now, data)
        return self._head

    def write(self, data: bytes) -> bool:
        """Send a further piece of the request; False when the upstream reads slower than that."""
        if not self.closed:
            self._outbox.put(self._write_now, data)
        return self.writable

    def request_sent(self) -> None:
        self.request_done = True

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
        self._max_bytes = max_bytes
        if not self._done and self._held_bytes <= max_bytes:
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
            sink.pieces(pieces)
        if self._fault is not None:
            sink.failed(self._fault)
        elif self._done:
            sink.ended(self._trailers)
        else:
            self.resume_reading()

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent."""
        return self._reusable and self.request_done and not self.closed and self._fault is None

    def has_news(self) -> bool:
        """Whether something waits to be read; on an idle connection that is its end, or what nobody asked for."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def pause_reading(self) -> None:
        if not self.closed and self.transport.is_reading():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.closed and not self.transport.is_reading():
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
        self._reusable = False
        self.resume_reading()
        early, self._pieces = self._pieces, []
        return early

    # -- transport events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.data_received(data)
            return
        if self._is_done():
            self.close()  # bytes that belong to no request: never to be taken for the next response
            return
        self._answered = True
        if self._response is None:
            if self._head_bytes < len(_BEGINNING):
                start = self._start = (self._start + data[: len(_BEGINNING)])[: len(_BEGINNING)]
                if start != _BEGINNING[: len(start)]:  # llhttp takes RTSP, HTTP/2.0 and empty lines as well
                    self.fail(UpstreamFault("garbage", "not an HTTP/1 response"))
                    return
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.fail(UpstreamFault("garbage", "a head without end"))
                return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgraded:
            rest = data[upgraded.args[0] :]
            if rest:
                self._pieces.append(rest)
        except httptools.HttpParserError:
            if not self._is_done():
                self._fail(UpstreamFault("cut" if self._in_body else "garbage", "the response is not HTTP"))
                self.close()
                return
            self.close()  # the response was whole; what follows it belongs to no request
        self._deliver()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._tunnel is not None:
            self._tunnel.connection_lost(exc)
            return
        if self._done:
            return
        if self._in_body and exc is None and self._ends_with_connection:
            self._done = True
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

    # -- parser events

    def on_message_begin(self) -> None:
        if self._done:
            raise ValueError("a response that nobody asked for")
        self._fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:
            self._trailers.append((name.lower(), name, value))
        else:
            self._fields.append((name.lower(), name, value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        status = parser.get_status_code()
        if status < 100:
            raise ValueError("a status below 100")
        if len(self._fields) > MAX_FIELDS:
            raise ValueError("too many fields")
        head = ResponseHead(status, self._fields)
        if head.chunked and parser.get_http_version() == "1.0":
            raise ValueError("Transfer-Encoding in an HTTP/1.0 response")  # faulty framing: RFC 9112 section 6.1
        self._interim = 100 <= status < 200 and status != _SWITCHING_PROTOCOLS
        if self._interim:
            if self.on_inform is not None:
                self.on_inform(head)
            return
        self._ends_with_connection = head.content_length is None and not head.chunked
        self._in_body = True
        self._keep_alive = parser.should_keep_alive()
        bodiless = self._method == b"HEAD" or status in _BODILESS
        if bodiless:
            # llhttp cannot be told that no body follows, so the next response gets a parser of its own.
            self._parser = httptools.HttpResponseParser(self)
            self._finish_response()
        self._response = head

    def on_body(self, data: bytes) -> None:
        if self._done:
            raise ValueError("a body where none can be")
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif not self._done:
            self._finish_response()

    # -- inside

    def _is_done(self) -> bool:
        return self._done  # a call, because parser callbacks change it where a type checker sees none

    def _finish_response(self) -> None:
        self._done = True
        self._in_body = False
        self._reusable = self._keep_alive

    def _deliver(self) -> None:
        if not self._head.settled:
            if self._response is not None:
                self._head.set(self._response)  # its handler goes on inside this call and takes the rest itself
            return
        sink = self._sink
        if sink is not None:
            if self._pieces:
                pieces, self._pieces = self._pieces, []
                sink.pieces(pieces)
            if self._done:
                sink.ended(self._trailers)
            return
        if self._whole is not None:
            if self._done:
                self._wake()
                return
            self._held_bytes = sum(map(len, self._pieces))
            if self._max_bytes is not None and self._held_bytes > self._max_bytes:
                self.pause_reading()
                self._wake()
            elif self.on_piece is not None:
                self.on_piece()
            return
        if not self._done and sum(map(len, self._pieces)) > HIGH_WATER_BYTES:
            self.pause_reading()

    def _write_now(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self._sent = True
            self.transport.write(data)
        elif self.closed:  # the peer closed it while it was idle; `connection_lost` came and went before this request
            self._fail(UpstreamFault("unsent", "the connection was closed"))

    def _fail(self, fault: Exception) -> None:
        if self._fault is not None or self._done:
            return
        self._fault = fault
        self._reusable = False
        self._done = True
        if not self._head.settled:
            self._head.fail(fault)
        elif self._sink is not None:
            self._sink.failed(fault)
        else:
            self._wake()

    def _wake(self) -> None:
        if self._whole is not None:
            self._whole.set(None)


class _Inform(Protocol):
    def __call__(self, head: ResponseHead) -> None: ...


class _Notify(Protocol):
    def __call__(self) -> None: ...
