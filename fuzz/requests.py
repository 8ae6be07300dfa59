"""The listener's side: what a client sends is the same requests however it is cut, and no more of them than it says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from fuzz import reference
from fuzz.transport import MemoryTransport, cut
from shipway.gateway.http1.exchange import BodyTooLarge, ClientGone, Exchange
from shipway.gateway.http1.listener import Limits, Server
from shipway.gateway.http1.outbox import Outbox

MAX_BODY_BYTES = 2048
LIMITS = Limits(max_header_bytes=1024, max_target_bytes=256)
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_REFUSED_AS_MALFORMED = re.compile(rb"HTTP/1\.1 (?:400|414|417|421|431|501|505) [^\r]*\r\nConnection: close")


@dataclass(frozen=True)
class Request:
    """One request as a handler saw it."""

    method: bytes
    target: bytes
    host: bytes
    passed_on: bytes
    body: bytes


@dataclass
class Reading:
    """What became of one client's bytes."""

    requests: list[Request] = field(default_factory=list)
    statuses: list[bytes] = field(default_factory=list)
    """Of the final answers; `refused` for a message that was none, since which of two faults is seen first depends on the cut."""
    closed: bool = False


async def read(pieces: Iterable[bytes]) -> Reading:
    """Give *pieces* to a connection of a listener whose handler reads each body and says yes."""
    seen = Reading()
    loop = asyncio.get_running_loop()
    outbox = Outbox(loop)

    async def handler(exchange: Exchange) -> None:
        head = exchange.head
        try:
            body = await exchange.read_body(MAX_BODY_BYTES)
        except BodyTooLarge:
            exchange.respond(413, b"", b"")
            return
        except (ClientGone, asyncio.CancelledError):
            return
        seen.requests.append(Request(head.method, head.target, head.host, head.lines + head.about_the_site, body))
        exchange.respond(200, b"", b"ok")

    connection = Server(handler, LIMITS, outbox).connect()
    transport = MemoryTransport()
    connection.connection_made(transport)
    for piece in pieces:
        if transport.closing or not transport.reading:
            break
        connection.data_received(piece)
        outbox.flush()
    seen.closed = transport.closing
    answer = _REFUSED_AS_MALFORMED.sub(b"HTTP/1.1 999 ", b"".join(transport.written))
    finals = [status for status in _STATUS.findall(answer) if status >= b"200"]
    seen.statuses = [b"refused" if status == b"999" else status for status in finals]
    connection.connection_lost(None)
    return seen


async def check(data: bytes, places: Iterable[int]) -> None:
    """Raises: AssertionError, or whatever escapes from the connection."""
    whole = await read(cut(data, ()))
    assert await read(cut(data, places)) == whole
    assert await read(bytes((byte,)) for byte in data) == whole
    found = list(reference.requests(data))
    assert len(whole.requests) <= len(found), (whole, found)
    for request, message in zip(whole.requests, found, strict=False):
        assert (request.method, request.body) == (message.start[1], message.body), (request, message)
    assert len(whole.statuses) >= len(whole.requests), whole
    assert b"refused" not in whole.statuses[:-1], whole
