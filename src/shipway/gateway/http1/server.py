"""The listener's side of HTTP/1.1: connections of clients and the exchanges on them.

A connection parses requests and hands each, in order, to the server's handler as an `Exchange`. Pipelined requests
wait for their predecessor's response. Everything a client can make grow is bounded: the head by `max_header_bytes`, a
body that nobody reads yet by `exchange.HIGH_WATER_BYTES`, waiting requests by `MAX_PIPELINED`.
"""

from __future__ import annotations

import asyncio
import re
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

MAX_PIPELINED = 256
"""Requests that wait for the response before theirs. Reading stops at the first; the rest came with it in one read."""
MAX_EXTENSION_BYTES = 64 * 1024
"""What a chunked body may spend on extensions, beside `_FRAMING_SHARE` times what it carries."""
_FRAMING_SHARE = 16
MAX_BLANK_BYTES = 1024
LINGER_S = 2.0
"""How long a refused upload is read and thrown away, so that the refusal is not lost in a connection reset."""

_CR, _LF = b"\r\n"
# What can be told from a request line, whole or begun, that the parser does not take.
_REQUEST_LINE = re.compile(
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:$| (?:[!-~\x80-\xff]*$|[!-~\x80-\xff]+ (?:H?T?T?P?/?$|HTTP/([0-9]\.[0-9])?(?:$|\r\n))))"
)

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
        self._in_head = False
        self._seen = b""
        """The reads that the head under way, or the last one, is in."""
        self._seen_before = 0
        """How much of `_seen` may belong to messages before this head, and does not count against its size."""
        self._line_at: int | None = 0
        """Where in `_seen` the request line of this head, or of the last one, begins; None where that is unknown."""
        self._fresh = True
        """Whether the next message is the first of `_seen`."""
        self._body_bytes: int | None = 0
        """What follows the last head; None for a chunked body."""
        self._ended_in_cr = False
        self._blanks = b""
        self._chunked_bytes = 0
        self._body_passed_over = False
        self._refused = False
        self._refusal: BadMessage | None = None
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
        try:
            if self._in_head:
                self._seen += data
            elif self._receiving is None:
                if self.exchange is None and not self._blanks:
                    self.deadline_s = self.server.loop.time() + self.limits.header_s
                if self._blanks or data[0] <= _CR:
                    data = self._behind_blank_lines(data)
                    if not data:
                        return
                self._seen = data
                self._line_at = 0
                self._fresh = True
            else:
                self._seen = data
                self._line_at = None
                self._fresh = False
            self._parser.feed_data(data)
            if self._in_head:
                self._bound_head(data)
            else:
                self._seen = b""
                self._ended_in_cr = data[-1] == _CR
                if self._receiving is not None and self._receiving.head.chunked:
                    self._bound_extensions(self._receiving, data)
        except httptools.HttpParserUpgrade as pause:
            self._resume_after_upgrade_offer(data, pause.args[0])
        except httptools.HttpParserError as error:
            self._refuse(self._as_bad_message(error))
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
        if self._fresh:
            self._fresh = False
            self._blanks = b""
            self._seen_before = 0
        else:
            self._seen_before = len(self._seen)
            self._line_at = self._behind_message()
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
        method = parser.get_method()
        target = self._target
        # llhttp forgives two spaces, and protocols of old that look like HTTP.
        at = self._line_at
        if at is None:
            # Behind a chunked body. A line found elsewhere deceives nobody: what is forwarded is written anew.
            self._line_at = at = self._seen.find(b"%b %b HTTP/" % (method, target))
            if at < 0:
                raise BadMessage(HTTPStatus.BAD_REQUEST, "malformed request line")
        at += len(method) + 1
        if not (self._seen.startswith(target, at) and self._seen.startswith(b" HTTP/", at + len(target))):
            raise BadMessage(HTTPStatus.BAD_REQUEST, "malformed request line")
        head = RequestHead(method, target, parser.get_http_version(), self._fields)
        if head.claims_tls and self.scheme != b"https":
            raise BadMessage(HTTPStatus.MISDIRECTED_REQUEST, "an https target on a connection without TLS")
        self._body_bytes = None if head.chunked else head.content_length or 0
        if head.has_body:
            self._chunked_bytes = 0
            self._body_passed_over = parser.should_upgrade()
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
        if self._body_passed_over:
            self._body_passed_over = False
            return
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
        if self._refused and self._refusal is None:
            self._linger()
        elif not reusable or self._receiving is exchange or self.server.draining:
            self._close(unread=self._receiving is exchange or self._refused)
        elif self._waiting:
            self.exchange = self._waiting.popleft()
            if not self._waiting and self.exchange.after_upgrade is None:
                self.resume_reading()
            self.exchange.run(self.server)
        elif self._refusal is not None:
            self._answer_refusal(self._refusal)
        else:
            self.deadline_s = self.server.loop.time() + self.limits.keep_alive_s
            if exchange.after_upgrade is not None:  # the upgrade was refused, and this is HTTP still
                self.resume_reading()
                if exchange.after_upgrade:
                    self.data_received(exchange.after_upgrade)

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
        self._refusal = bad
        if self.exchange is None:
            self._answer_refusal(bad)

    def _answer_refusal(self, bad: BadMessage) -> None:
        self.server.on_bad_message(bad.status.value)
        self.write(plain_refusal(bad))
        self._linger()

    def _behind_blank_lines(self, data: bytes) -> bytes:
        """What follows the empty lines that old clients send before a request line (RFC 9112 section 2.2)."""
        if data[0] == _LF and self._ended_in_cr and not self._blanks:
            data = data[1:]  # the parser has had the CR
        rest = data.lstrip(b"\r\n")
        self._blanks += data[: len(data) - len(rest)]
        odd = self._blanks.replace(b"\r\n", b"")
        if (odd and (rest or odd != b"\r")) or len(self._blanks) > MAX_BLANK_BYTES:
            raise BadMessage(HTTPStatus.BAD_REQUEST, "neither an empty line nor a request line")
        return rest

    def _behind_message(self) -> int | None:
        """Where the message before the one that begins here ends in what was read."""
        if self._line_at is None or self._body_bytes is None:
            return None
        at = self._seen.find(b"\r\n\r\n", self._line_at) + 4 + self._body_bytes
        while self._seen.startswith(b"\r\n", at):
            at += 2
        return at

    def _bound_head(self, data: bytes) -> None:
        """Refuse a head under way that is too large, whatever its fields turn out to be."""
        bound = self.limits.max_header_bytes + self.limits.max_target_bytes
        if len(self._seen) - self._seen_before > bound:
            raise BadMessage(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head is larger than max_header")

    def _bound_extensions(self, exchange: Exchange, data: bytes) -> None:
        self._chunked_bytes += len(data)
        if self._chunked_bytes > MAX_EXTENSION_BYTES + _FRAMING_SHARE * exchange.request_bytes:
            raise BadMessage(HTTPStatus.BAD_REQUEST, "chunk extensions without end")

    def _as_bad_message(self, error: httptools.HttpParserError) -> BadMessage:
        """The parser's refusal, or ours raised inside one of its callbacks, as the status to answer."""
        cause: Any = error.__context__
        if isinstance(cause, BadMessage):
            return cause
        if isinstance(error, httptools.HttpParserCallbackError) and cause is not None:
            raise cause
        line = None if self._line_at is None else _REQUEST_LINE.match(self._seen, self._line_at)
        if line is None:
            return BadMessage(HTTPStatus.BAD_REQUEST, "malformed HTTP")
        if isinstance(error, httptools.HttpParserInvalidMethodError) or "Invalid method" in str(error):
            return BadMessage(HTTPStatus.NOT_IMPLEMENTED, "unknown method")
        if line[1] is not None and line[1] not in {b"1.0", b"1.1"}:
            return BadMessage(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        return BadMessage(HTTPStatus.BAD_REQUEST, "malformed HTTP")

    def _resume_after_upgrade_offer(self, data: bytes, offset: int) -> None:
        """llhttp pauses after a request that offers an upgrade; what follows is HTTP again unless the offer is
        taken."""
        rest = data[offset:]
        exchange = self._waiting[-1] if self._waiting else self.exchange
        if self._receiving is not None:
            # llhttp has passed over the body. A parser that was shown a head like this one reads it.
            self._parser = httptools.HttpRequestParser(_BehindOffer(self))
            length = self._receiving.head.content_length
            framing = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
        elif exchange is not None and exchange.head.upgrade is not None:
            exchange.after_upgrade = rest
            self.pause_reading()
            return
        if rest:
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


class _BehindOffer:
    """The callbacks of a parser that first gets a made-up head, of which its connection must not hear."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._quiet = True
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete

    def on_message_begin(self) -> None:
        if not self._quiet:
            self._connection.on_message_begin()

    def on_url(self, part: bytes) -> None:
        if not self._quiet:
            self._connection.on_url(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._quiet:
            self._connection.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._quiet:
            self._connection.on_headers_complete()
        self._quiet = False


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
