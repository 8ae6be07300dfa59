"""The listener's side of HTTP/1.1: connections of clients and the exchanges on them.

A connection parses requests and hands each, in order, to the server's handler as an `Exchange`. Pipelined requests
wait for their predecessor's response. Everything a client can make grow is bounded: the head by `max_header_bytes`, a
body that nobody reads yet by `HIGH_WATER_BYTES`, waiting requests by `MAX_PIPELINED`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, cast

import httptools

from shipway.gateway.http1.deadlines import NEVER
from shipway.gateway.http1.exchange import Exchange, plain_refusal
from shipway.gateway.http1.head import BadMessage, Fields, RequestHead
from shipway.gateway.http1.outbox import Outbox

HIGH_WATER_BYTES = 256 * 1024
"""Body bytes held for a handler that is not reading yet; past this the socket is not read."""
MAX_PIPELINED = 16
LINGER_S = 2.0
"""How long a refused upload is read and thrown away, so that the refusal is not lost in a connection reset."""

Handler = Callable[[Exchange], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Limits:
    """Bounds of one listener, in bytes and seconds."""

    max_header_bytes: int = 32 * 1024
    max_target_bytes: int = 8 * 1024
    header_s: float = 10.0
    """From the first byte of a head to its last."""
    body_s: float = 30.0
    """Between two pieces of a request body."""
    keep_alive_s: float = 75.0
    unread_s: float = 60.0
    """How long a client may leave a response unread."""


class ClientConnection(asyncio.Protocol):
    """One client's connection: a parser, the exchange being answered, and those that wait."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.limits = server.limits
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # set before any use, by connection_made
        self.client_host = b""
        self.scheme = b"http"
        self.exchange: Exchange | None = None
        self.deadline_s = NEVER
        self.reading = True
        self._waiting: deque[Exchange] = deque()
        self._receiving: Exchange | None = None
        self._to_run: Exchange | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._fields: Fields = []
        self._field_bytes = 0
        self._head_bytes = 0
        self._in_head = False
        self._refused = False
        self._tunnel: asyncio.Protocol | None = None

    # -- transport events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = self.transport.get_extra_info("peername")
        self.client_host = str(peer[0]).encode() if isinstance(peer, tuple) else b"unknown"
        if self.transport.get_extra_info("ssl_object") is not None:
            self.scheme = b"https"
        self.server.connections.add(self)
        self.deadline_s = self.server.loop.time() + self.limits.header_s

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections.discard(self)
        self.server.connection_ended()
        if self._tunnel is not None:
            self._tunnel.connection_lost(exc)
        for exchange in (self.exchange, *self._waiting):
            if exchange is not None:
                exchange.client_gone()
        self.exchange = None
        self._waiting.clear()

    def eof_received(self) -> bool:
        """A client that stops sending counts as gone: a closed socket and a half-closed one look the same from here."""
        return False

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.data_received(data)
            return
        if self._refused:
            return
        if self.exchange is None and self._receiving is None and not self._in_head:
            self.deadline_s = self.server.loop.time() + self.limits.header_s
        try:
            self._parser.feed_data(data)
            if self._in_head:
                self._head_bytes += len(data)
                if self._head_bytes > self.limits.max_header_bytes:
                    raise BadMessage(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head is larger than max_header")
        except httptools.HttpParserUpgrade as pause:
            self._resume_after_upgrade_offer(data, pause.args[0])
        except httptools.HttpParserError as error:
            self._refuse(_as_bad_message(error))
        except BadMessage as bad:
            self._refuse(bad)
        # The handler starts when the parser has returned, so that a small body is already whole and nothing the handler
        # does reaches into a parser that is still running.
        exchange, self._to_run = self._to_run, None
        if exchange is not None and exchange is self.exchange:
            exchange.run(self.server)

    def pause_writing(self) -> None:
        self.deadline_s = self.server.loop.time() + self.limits.unread_s
        if self._tunnel is not None:
            self._tunnel.pause_writing()
        elif self.exchange is not None:
            self.exchange.client_slow(True)

    def resume_writing(self) -> None:
        self.deadline_s = NEVER
        if self._tunnel is not None:
            self._tunnel.resume_writing()
        elif self.exchange is not None:
            self.exchange.client_slow(False)

    # -- parser events

    def on_message_begin(self) -> None:
        self._fields = []
        self._target = b""
        self._field_bytes = 0
        self._head_bytes = 0
        self._in_head = True

    def on_url(self, part: bytes) -> None:
        self._target = self._target + part if self._target else part
        if len(self._target) > self.limits.max_target_bytes:
            raise BadMessage(HTTPStatus.REQUEST_URI_TOO_LONG, "the request target is longer than max_target")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._field_bytes += len(name) + len(value) + 4
        if self._field_bytes > self.limits.max_header_bytes:
            raise BadMessage(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the fields are larger than max_header")
        self._fields.append((name.lower(), name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        parser = self._parser
        head = RequestHead(parser.get_method(), self._target, parser.get_http_version(), self._fields)
        exchange = self._receiving = Exchange(self, head)
        self._fields = []
        if self.exchange is None:
            self.exchange = exchange
            self._to_run = exchange
        elif len(self._waiting) >= MAX_PIPELINED:
            raise BadMessage(HTTPStatus.BAD_REQUEST, "too many pipelined requests")
        else:
            self._waiting.append(exchange)

    def on_body(self, data: bytes) -> None:
        if self._receiving is not None:
            self._receiving.body_arrived(data)
            self.deadline_s = self.server.loop.time() + self.limits.body_s

    def on_message_complete(self) -> None:
        exchange, self._receiving = self._receiving, None
        self.deadline_s = NEVER
        if exchange is not None:
            exchange.body_ended(self._fields)
        if self._waiting:
            self.pause_reading()

    # -- what exchanges ask of their connection

    def write(self, data: bytes) -> None:
        """Send *data* at the end of this turn of the event loop."""
        self.server.outbox.put(self._write_now, data)

    def close(self) -> None:
        """Send what waits and close."""
        self.server.outbox.flush()
        self.transport.close()

    def exchange_done(self, exchange: Exchange, *, reusable: bool) -> None:
        """The response to *exchange* is written: go on with the next request or end the connection."""
        if exchange is not self.exchange:
            return
        self.exchange = None
        if self._refused:
            self._linger()
        elif not reusable or self._receiving is exchange or self.server.draining:
            self._close(unread=self._receiving is exchange)
        elif self._waiting:
            self.exchange = self._waiting.popleft()
            if not self._waiting:
                self.resume_reading()
            self.exchange.run(self.server)
        else:
            self.deadline_s = self.server.loop.time() + self.limits.keep_alive_s

    def pause_reading(self) -> None:
        if self.reading and not self.transport.is_closing():
            self.reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.reading and not self.transport.is_closing():
            self.reading = True
            self.transport.resume_reading()

    def become_tunnel(self, protocol: asyncio.Protocol) -> None:
        """Hand all further bytes to *protocol* (an upgraded connection); whatever comes next is no longer HTTP."""
        self._tunnel = protocol
        self.deadline_s = NEVER
        self.resume_reading()

    def close_when_idle(self) -> None:
        """Draining: an idle connection ends now, a busy one after its response."""
        if self.exchange is None and not self._in_head:
            self.close()

    def expire(self, now_s: float) -> None:
        exchange = self.exchange
        if exchange is not None and now_s >= exchange.deadline_s:
            exchange.expire()
        if now_s < self.deadline_s:
            return
        self.deadline_s = NEVER
        if self._in_head or self._receiving is not None:
            self.server.on_deadline("header" if self._in_head else "body")
            self._refuse(BadMessage(HTTPStatus.REQUEST_TIMEOUT, "the request took too long to arrive"))
        elif exchange is not None or self._refused:
            if not self._refused:
                self.server.on_deadline("unread")
            self.transport.abort()
        else:
            self.transport.close()

    # -- inside

    def _write_now(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def _refuse(self, bad: BadMessage) -> None:
        """Answer a message that cannot be served, after the responses before it; where the next one starts is
        unknown."""
        self._refused = True
        self._in_head = False
        receiving, self._receiving = self._receiving, None
        if receiving is not None and receiving is self.exchange:
            receiving.broken_by_client(bad)
            return
        if receiving is not None and receiving in self._waiting:
            self._waiting.remove(receiving)
        if self.exchange is None:
            self.server.on_bad_message(bad.status.value)
            self.write(plain_refusal(bad))
            self._linger()

    def _resume_after_upgrade_offer(self, data: bytes, offset: int) -> None:
        """llhttp pauses after a request that offers an upgrade; what follows is HTTP again unless the offer is
        taken."""
        exchange = self.exchange
        rest = data[offset:]
        if exchange is not None and exchange.head.upgrade is not None:
            exchange.after_upgrade = rest
            self.pause_reading()
        elif exchange is not None and exchange.head.method == b"CONNECT":
            self._refused = True
        elif rest:
            self.data_received(rest)

    def _close(self, *, unread: bool) -> None:
        if unread or not self.reading:
            self._linger()
        else:
            self._refused = True
            self.close()

    def _linger(self) -> None:
        self._refused = True
        self._receiving = None
        self.resume_reading()
        self.server.outbox.flush()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.deadline_s = self.server.loop.time() + LINGER_S
        else:
            self.transport.close()


class Server:
    """The connections of one or more listening sockets, and what they share."""

    def __init__(self, handler: Handler, limits: Limits, outbox: Outbox) -> None:
        self.handler = handler
        self.limits = limits
        self.outbox = outbox
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.connections: set[ClientConnection] = set()
        self.date_field = _date_field()
        """The Date of this second as a header line; see `tick`."""
        self.draining = False
        self.on_bad_message: Callable[[int], None] = _nobody
        """Told the status with which a message was refused that never became a request."""
        self.on_deadline: Callable[[str], None] = _nobody
        """Told which deadline a client let pass: `header`, `body` or `unread`."""
        self._second = 0
        self._ended: asyncio.Future[None] | None = None

    def connect(self) -> ClientConnection:
        """The protocol factory for `loop.create_server`."""
        return ClientConnection(self)

    def tick(self, now_s: float) -> None:
        """Called from the sweep: keeps `date_field` true to the second."""
        second = int(now_s)
        if second != self._second:
            self._second = second
            self.date_field = _date_field()

    def connection_ended(self) -> None:
        if self._ended is not None and not self.connections and not self._ended.done():
            self._ended.set_result(None)

    async def drain(self, budget_s: float) -> int:
        """Let the exchanges under way finish for at most *budget_s* seconds.

        Returns:
            How many connections were still busy at the end; they have been told so in their dialect, and closed.
        """
        self.draining = True
        for connection in tuple(self.connections):
            connection.close_when_idle()
        if self.connections:
            self._ended = self.loop.create_future()
            await asyncio.wait((self._ended,), timeout=budget_s)
        busy = tuple(self.connections)
        for connection in busy:
            exchange = connection.exchange
            if exchange is not None:
                exchange.cut_by_drain()
            connection.close()
            if exchange is not None:
                exchange.client_gone()  # the handler ends now, and with it what it holds and its line in the log
        return len(busy)


def _nobody(what: object) -> None:
    """Whoever has not asked is not told."""


def _date_field() -> bytes:
    return b"Date: %b\r\n" % formatdate(usegmt=True).encode()


def _as_bad_message(error: httptools.HttpParserError) -> BadMessage:
    """llhttp's refusal, or ours raised inside one of its callbacks, as the status to answer."""
    cause: Any = error.__context__
    if isinstance(cause, BadMessage):
        return cause
    if isinstance(error, httptools.HttpParserCallbackError) and cause is not None:
        raise cause
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return BadMessage(HTTPStatus.NOT_IMPLEMENTED, "unknown method")
    return BadMessage(HTTPStatus.BAD_REQUEST, "malformed HTTP")
