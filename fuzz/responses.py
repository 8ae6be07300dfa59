"""The upstream's side: a response means the same however it is cut, and nothing behind it belongs to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

from fuzz import reference
from fuzz.transport import MemoryTransport, cut
from shipway.gateway.http1.fields import Fields
from shipway.gateway.http1.outbox import Outbox
from shipway.gateway.http1.response_head import ResponseHead
from shipway.gateway.http1.running import Running
from shipway.gateway.http1.upstream_connection import UpstreamConnection, UpstreamFault


@dataclass
class Reading:
    """What became of one upstream's bytes; also the sink that they go to."""

    status: int = 0
    lines: bytes = b""
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    ended: int = 0
    failed: int = 0
    informed: list[int] = field(default_factory=list)
    reusable: bool = False

    def begin(self, head: ResponseHead) -> None:
        self.status, self.lines = head.status, head.lines

    def inform(self, head: ResponseHead) -> None:
        self.informed.append(head.status)

    def piece(self, data: bytes) -> None:
        assert not self.ended + self.failed
        self.body += data

    # As the sink of a response (http1.client.ResponseSink).

    def end(self, trailers: Fields) -> None:
        self.ended += 1
        self.trailers = trailers

    def fail(self, fault: Exception) -> None:
        assert isinstance(fault, UpstreamFault)
        self.failed += 1


class _Sink:
    def __init__(self, seen: Reading) -> None:
        self.piece = seen.piece
        self._seen = seen

    def open_shortcut(self) -> None:
        return None

    def ended(self, trailers: Fields) -> None:
        self._seen.end(trailers)

    def failed(self, fault: Exception) -> None:
        self._seen.fail(fault)


async def read(method: bytes, pieces: Iterable[bytes]) -> Reading:
    """Ask with *method* on a connection and answer with *pieces*, then close."""
    seen = Reading()
    outbox = Outbox(asyncio.get_running_loop())
    connection = UpstreamConnection(asyncio.get_running_loop(), outbox)
    transport = MemoryTransport()
    connection.connection_made(transport)
    connection.on_inform = seen.inform

    async def ask() -> None:
        try:
            head = await connection.send(method, method + b" / HTTP/1.1\r\nHost: a\r\n\r\n", complete=True)
        except UpstreamFault as fault:
            seen.fail(fault)
            return
        seen.begin(head)
        connection.relay(_Sink(seen))

    Running().start(ask())
    outbox.flush()
    for piece in pieces:
        if transport.closing:
            break
        connection.data_received(piece)
    seen.reusable = bool(seen.ended) and connection.come_to_rest()  # while it is not over, nobody asks
    connection.connection_lost(None)
    return seen


async def check(method: bytes, data: bytes, places: Iterable[int]) -> None:
    """Raises: AssertionError, or whatever escapes from the connection."""
    whole = await read(method, cut(data, ()))
    assert whole.ended + whole.failed == 1, whole
    if whole.status == HTTPStatus.SWITCHING_PROTOCOLS:
        return  # what follows is no HTTP, and whoever asked takes the connection over at once
    if whole.ended:
        expected = reference.response(method, data)  # which raises where there is none
        assert (whole.status, whole.body) == (int(expected.start[2]), expected.body), (whole, expected)
        assert not (whole.reusable and (expected.closes or expected.end != len(data))), (whole, expected)
    for pieces in (cut(data, places), (bytes((byte,)) for byte in data)):
        parts = await read(method, pieces)
        if whole.ended:
            assert parts == whole
        else:  # a fault may show before anything was passed on, or after
            assert parts.failed == 1, (parts, whole)
            assert not parts.reusable
            assert parts.body.startswith(whole.body), (parts, whole)
