"""A client's connection: requests read from it in order, each handed to the listener's handler as an `Exchange`.

Pipelined requests wait for their predecessor's response. Everything a client can make grow is bounded: the head by
`max_header_bytes`, a body that nobody reads yet by `exchange.HIGH_WATER_BYTES`, waiting requests by `MAX_PIPELINED`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from shipway.gateway.http1.chunked import BadChunks, ChunkedBody, TrailersTooLarge
from shipway.gateway.http1.connection import BIG_READ_BYTES, Connection
from shipway.gateway.http1.deadlines import NEVER
from shipway.gateway.http1.exchange import Exchange, plain_refusal
from shipway.gateway.http1.fields import CR, without
from shipway.gateway.http1.repeats import KnownHead
from shipway.gateway.http1.request_head import (
    BadMessage,
    RequestHead,
    behind_blank_lines,
    refuse_hopeless,
)
from shipway.gateway.http1.unsent import Unsent

if TYPE_CHECKING:
    from shipway.gateway.http1.listener import Server

MAX_PIPELINED: Final = 256
"""Requests that wait for the response before theirs. Reading stops at the first; the rest came with it in one read."""
MAX_BLANK_BYTES: Final = 1024
BIG_ANSWER_BYTES: Final = 64 * 1024
"""An answer of this size is written before a request that waits behind it is run, not at the end of the turn."""
LINGER_S: Final = 2.0
"""How long a refused upload is read and thrown away, so that the refusal is not lost in a connection reset."""


class ClientConnection(Connection):
    """One client's connection: the request being read, the exchange being answered, and those that wait.

    Attributes:
        exchange: The one being answered.
        deadline_s: Until when the client must have sent what it owes, on the loop's clock.
    """

    __slots__ = (
        "_alone",
        "_blank_bytes",
        "_bodiless",
        "_chunks",
        "_heads",
        "_held",
        "_idle_head",
        "_known",
        "_left_bytes",
        "_postponed",
        "_receiving",
        "_refusal",
        "_refused",
        "_to_run",
        "_tunnel",
        "_unsent",
        "_waiting",
        "client_host",
        "deadline_s",
        "exchange",
        "limits",
        "scheme",
        "server",
    )

    def __init__(self, server: Server) -> None:
        Connection.__init__(self, server.loop)
        self.server = server
        self.limits = server.limits
        self._heads = server.heads
        self.client_host = b""
        self.scheme = b"http"
        self.exchange: Exchange | None = None
        self.deadline_s = NEVER
        self._idle_head: KnownHead[RequestHead] | None = None
        """The last head, while nothing is under way: what comes next is likely to begin with it."""
        self._alone = False
        """Whether the exchange under way is all that has come."""
        self._known: KnownHead[RequestHead] | None = None
        self._waiting: deque[Exchange] = deque()
        self._to_run: Exchange | None = None
        self._held = b""
        """The beginning of a head."""
        self._blank_bytes = 0
        self._bodiless = False
        """Whether the request that is refused asked for no body."""
        self._receiving: Exchange | None = None
        """The one whose body is being read."""
        self._left_bytes = 0
        self._chunks: ChunkedBody | None = None
        self._refused = False
        self._refusal: BadMessage | None = None
        self._tunnel: asyncio.Protocol | None = None
        self._unsent = Unsent()
        self._postponed: bytes | None = None
        """What is read first once the client has taken its answers; None while it takes them, or one is under way."""

    # -- transport events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = self.transport.get_extra_info("peername")
        self.client_host = str(peer[0]).encode() if isinstance(peer, tuple) else b"unknown"
        if self.transport.get_extra_info("ssl_object") is not None:
            self.scheme = b"https"
        self.server.connections.add(self)
        self.deadline_s = self.loop.time() + self.limits.header_s

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.server.connections.discard(self)
        self.server.connection_ended()
        if self._tunnel is not None:
            self._tunnel.connection_lost(exc)
        for exchange in (self.exchange, *self._waiting):
            if exchange is not None:
                exchange.client_gone()
        self.exchange = self._idle_head = None
        self._waiting.clear()

    def eof_received(self) -> bool:
        """A client that stops sending counts as gone: a closed socket and a half-closed one look the same from here."""
        return False

    def data_received(self, data: bytes) -> None:
        if len(data) >= BIG_READ_BYTES and self._tunnel is None:
            self._read_on_next_turn()
        known = self._idle_head
        if known is not None:
            self._idle_head = None
            end = known.end_in(data)
            if end and len(data) - end == (known.length or 0):
                # The last head again and a whole body with it: all of it is known to be good.
                self.deadline_s = NEVER
                self._alone = True
                body = data[end:] if known.length else None
                exchange = self.exchange = Exchange(self, known.head, known.length, body)
                exchange.run(self.server)
                return
        self._alone = False
        if self._tunnel is not None:
            self._tunnel.data_received(data)
            return
        try:
            while data and not self._refused:
                receiving = self._receiving
                data = self._read_head(data) if receiving is None else self._read_body(receiving, data)
        except BadMessage as bad:
            self._refuse(bad)
        except BadChunks as bad:
            too_large = isinstance(bad, TrailersTooLarge)
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST
            self._refuse(BadMessage(status, str(bad)))
        # The handler starts when all is read, so that a small body is already whole.
        ready, self._to_run = self._to_run, None
        if ready is not None and ready is self.exchange:
            ready.run(self.server)

    def pause_writing(self) -> None:
        self._expect_reading()
        if self._tunnel is not None:
            self._tunnel.pause_writing()
        elif self.exchange is not None:
            self._alone = False
            self.exchange.client_slow(True)
        elif not self._refused:
            self._postpone(b"")

    def resume_writing(self) -> None:
        self._unsent.due_s = NEVER
        postponed, self._postponed = self._postponed, None
        if self._tunnel is not None:
            self._tunnel.resume_writing()
        elif self.exchange is not None:
            self.exchange.client_slow(False)
        elif postponed is not None and not self.transport.is_closing():
            self._go_on(postponed)

    # -- reading

    def _read_head(self, data: bytes) -> bytes:
        """Read a head, or as much of it as is here; gives what follows it."""
        if self._held:
            data = self._held + data
            self._held = b""
        elif self.exchange is None and not self._blank_bytes:
            self.deadline_s = self.loop.time() + self.limits.header_s
        if data[0] <= CR:
            data = self._behind_blank_lines(data)
            if not data:
                return b""
        limits = self.limits
        known = self._known
        end = 0 if known is None else known.end_in(data)
        if known is not None and end:
            head, length = known.head, known.length
        else:
            end = data.find(b"\r\n\r\n") + 4
            self._held = data  # for whoever refuses it
            if end < 4:
                refuse_hopeless(
                    data, max_target_bytes=limits.max_target_bytes, max_header_bytes=limits.max_header_bytes
                )
                return b""
            raw = data[:end]
            head, length = self._heads.read(raw)
            if head.claims_tls and self.scheme != b"https":
                raise BadMessage(HTTPStatus.MISDIRECTED_REQUEST, "an https target on a connection without TLS")
            self._known = (
                KnownHead.of(raw, head, length, raw.find(b"\r\n") + 4 + limits.max_header_bytes)
                if head.repeatable
                else None
            )
            self._held = b""
        self._blank_bytes = 0
        return self._begin(Exchange(self, head, length), data[end:])

    def _begin(self, exchange: Exchange, rest: bytes) -> bytes:
        """The head of *exchange* is read and *rest* follows: have it answered in its turn. Gives what is not used up."""
        if self.exchange is None and self._postponed is None:
            self.exchange = exchange
            self._to_run = exchange
        elif len(self._waiting) >= MAX_PIPELINED:
            raise BadMessage(HTTPStatus.BAD_REQUEST, "too many pipelined requests")
        else:
            self._waiting.append(exchange)
        head = exchange.head
        if head.upgrade is not None:  # what follows is HTTP only if the offer is not taken
            exchange.after_upgrade = rest
            self.deadline_s = NEVER
            self.pause_reading()
            return b""
        if head.chunked:
            self._chunks = ChunkedBody(self.limits.max_header_bytes)
            self._receiving = exchange
        elif exchange.content_length:
            self._left_bytes = exchange.content_length
            self._receiving = exchange
        else:
            self._body_over()
            return rest
        self.deadline_s = self.loop.time() + self.limits.body_s
        return rest

    def _read_body(self, exchange: Exchange, data: bytes) -> bytes:
        """Give *exchange* the next part of its body; gives what follows the body."""
        chunks = self._chunks
        rest: bytes | None
        if chunks is not None:
            pieces: list[bytes] = []
            rest = chunks.feed(data, pieces)
            for piece in pieces:
                exchange.body_arrived(piece)
        else:
            left = self._left_bytes - len(data)
            self._left_bytes = left
            rest = None if left > 0 else data[left:] if left else b""
            exchange.body_arrived(data[:left] if left < 0 else data)
        if self._receiving is not exchange:  # it was answered without the rest
            return b""
        if rest is None:
            if self.reading:
                self.deadline_s = self.loop.time() + self.limits.body_s
            return b""
        self._receiving = self._chunks = None
        self._body_over()
        exchange.body_ended([] if chunks is None else without(chunks.trailers, exchange.head.named))
        return rest

    def _body_over(self) -> None:
        self.deadline_s = NEVER
        if self._waiting:
            self.pause_reading()

    def _behind_blank_lines(self, data: bytes) -> bytes:
        rest, self._held, blank_bytes = behind_blank_lines(data)
        self._blank_bytes += blank_bytes
        if self._blank_bytes > MAX_BLANK_BYTES:
            raise BadMessage(HTTPStatus.BAD_REQUEST, "too many empty lines before a request line")
        return rest

    def write_now(self, data: bytes) -> None:
        if not self.closed:
            self.transport.write(data)

    # -- what exchanges ask of their connection

    def write(self, data: bytes) -> None:
        """Send *data* at the end of this turn of the event loop."""
        self.server.outbox.put(self, data)

    def close(self) -> None:
        """Send what waits and close."""
        self.server.outbox.flush()
        self._shut()

    def reset(self) -> None:
        """Close with a reset, which nobody takes for an orderly end."""
        self.server.outbox.flush()
        if self.transport.is_closing():
            return
        handle = self.transport.get_extra_info("socket")
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def exchange_done(self, exchange: Exchange, *, reusable: bool) -> None:
        """The response to *exchange* is written: go on with the next request or end the connection."""
        if exchange is not self.exchange:
            return
        self.exchange = None
        if self._alone and reusable and not self.server.draining:
            # Recognised whole, and nothing came since: all that could be asked here is known.
            self.deadline_s = self.loop.time() + self.limits.keep_alive_s
            self._idle_head = self._known
            return
        if self._refused and self._refusal is None:
            self._linger()
        elif not reusable or self._receiving is exchange or self.server.draining:
            self._close(unread=self._receiving is exchange or self._refused)
        elif exchange.slow:
            self._postpone(exchange.after_upgrade or b"")
        else:
            if self._waiting and exchange.response_bytes >= BIG_ANSWER_BYTES:
                self.server.outbox.flush()  # which tells whether the client takes it
            if self._postponed is None:
                self._go_on(exchange.after_upgrade or b"")

    def pause_reading(self) -> None:
        if self.reading and not self.transport.is_closing():
            self.reading = False
            self.transport.pause_reading()
            if self._receiving is not None:
                self.deadline_s = NEVER  # it is not the client who keeps us waiting

    def resume_reading(self) -> None:
        if not self.reading and not self.transport.is_closing():
            self.reading = True
            self.transport.resume_reading()
            if self._receiving is not None:
                self.deadline_s = self.loop.time() + self.limits.body_s

    def become_tunnel(self, protocol: asyncio.Protocol) -> None:
        """Hand all further bytes to *protocol* (an upgraded connection); whatever comes next is no longer HTTP."""
        self._tunnel = protocol
        self.deadline_s = NEVER
        self.resume_reading()

    def close_when_idle(self) -> None:
        """Draining: an idle connection ends now, a busy one after its response."""
        if self.exchange is None and not self._held:
            self.close()

    def expire(self, now_s: float) -> None:
        exchange = self.exchange
        if exchange is not None and now_s >= exchange.deadline_s:
            exchange.expire()
        if now_s >= self._unsent.due_s:
            self._expire_unread()
        if now_s < self.deadline_s:
            return
        self.deadline_s = NEVER
        if self._held or self._receiving is not None:
            self.server.on_deadline("header" if self._receiving is None else "body")
            self._refuse(BadMessage(HTTPStatus.REQUEST_TIMEOUT, "the request took too long to arrive"))
        elif self._refused:
            self.transport.abort()
        else:
            self._shut()

    # -- inside

    def _postpone(self, first: bytes) -> None:
        """Read and run no further request before the client has taken its answers, which are held until then. *first*: what
        was read already of what comes next."""
        self._postponed = first
        self._idle_head = None
        self.deadline_s = NEVER
        self.pause_reading()

    def _go_on(self, first: bytes) -> None:
        """Run the next request or wait for it; *first*: what came behind an upgrade that was refused, so this is HTTP still."""
        if self._waiting:
            self.exchange = self._waiting.popleft()
            if not self._waiting and self.exchange.after_upgrade is None:
                self.resume_reading()
            self.exchange.run(self.server)
        elif self._refusal is not None:
            self._answer_refusal(self._refusal)
        else:
            limits = self.limits
            self.deadline_s = self.loop.time() + (limits.header_s if self._held else limits.keep_alive_s)
            self.resume_reading()
            if first:
                self.data_received(first)
            elif self._known is not None and not (self._known.head.chunked or self._held or self._blank_bytes):
                self._idle_head = self._known

    def _refuse(self, bad: BadMessage) -> None:
        """Answer a message that cannot be served, after the responses before it; where the next one starts is
        unknown."""
        self._refused = True
        self._bodiless = self._held.startswith(b"HEAD ")
        self._held = b""
        receiving, self._receiving = self._receiving, None
        if receiving is not None and receiving is self.exchange:
            receiving.broken_by_client(bad)
            return
        if receiving is not None and receiving in self._waiting:
            self._waiting.remove(receiving)
        self._refusal = bad
        if self.exchange is None and self._postponed is None:
            self._answer_refusal(bad)

    def _answer_refusal(self, bad: BadMessage) -> None:
        self.server.on_bad_message(bad.status.value)
        self.write(plain_refusal(bad, bodiless=self._bodiless))
        self._linger()

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
            self.deadline_s = self.loop.time() + LINGER_S
        else:
            self._shut()

    def _shut(self) -> None:
        """Close once all is written, or the client takes no more of it."""
        self.transport.close()
        if self._unsent.due_s == NEVER and self.transport.get_write_buffer_size():
            self._expect_reading()

    def _expect_reading(self) -> None:
        self._unsent.watch(self.transport, self.loop.time() + self.limits.unread_s)

    def _expire_unread(self) -> None:
        if self._unsent.moved(self.transport):  # it reads, but slowly
            self._expect_reading()
            return
        self._unsent.due_s = NEVER
        self.server.on_deadline("unread")
        self.transport.abort()
