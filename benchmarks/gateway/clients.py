"""Clients that measure: one connection asking in turn, many streams at once, and connections that stay idle."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import time
from dataclasses import dataclass, field
from typing import cast

from benchmarks.gateway.traffic import BODY, CHUNK_EVERY_S, CHUNKS, STREAM_BODY, request

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Asker:
    """One kept connection with one request on it at a time."""

    def __init__(self, port: int, body: str = BODY) -> None:
        self._request = request(body)
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> int:
        """Nanoseconds from the first byte sent to the last one received. Raises: RuntimeError for any status but 200."""
        started_ns = time.perf_counter_ns()
        self.socket.sendall(self._request)
        received = b""
        while not is_whole(received):
            piece = self.socket.recv(65536)
            if not piece:
                raise RuntimeError("closed before the end of the answer")
            received += piece
        took_ns = time.perf_counter_ns() - started_ns
        if not received.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"not answered: {received[:80]!r}")
        return took_ns

    def ask_for(self, seconds: float, *, at_most: int) -> list[int]:
        """Times of requests sent one after the other, for *seconds* or *at_most* of them."""
        deadline_s = time.perf_counter() + seconds
        times: list[int] = []
        while len(times) < at_most and time.perf_counter() < deadline_s:
            times.append(self.ask())
        return times

    def close(self) -> None:
        self.socket.close()


def idle_connections(port: int, count: int) -> list[Asker]:
    """Connections that each carried one request and are kept."""
    kept: list[Asker] = []
    for _ in range(count):
        asker = Asker(port)
        asker.ask()
        kept.append(asker)
    return kept


def still_open(connections: list[Asker]) -> int:
    """How many the other side has not closed."""
    count = 0
    for connection in connections:
        connection.socket.setblocking(False)
        try:
            closed = connection.socket.recv(1) == b""
        except BlockingIOError:
            closed = False
        except OSError:
            closed = True
        count += not closed
    return count


@dataclass
class StreamTally:
    """What became of many streams."""

    first_byte_s: list[float] = field(default_factory=list)
    events: int = 0
    whole: int = 0
    broken: int = 0
    late_s: list[float] = field(default_factory=list)
    """Of each stream: how much longer it took than the backend needs."""


class _StreamClient(asyncio.Protocol):
    def __init__(self, tally: StreamTally, cycles: int, ended: asyncio.Future[None]) -> None:
        self._tally = tally
        self._left = cycles
        self._ended = ended
        self._request = request(STREAM_BODY)
        self._tail = b""
        self._started_s = 0.0
        self._is_first = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        now_s = time.perf_counter()
        if self._is_first:
            self._is_first = False
            self._tally.first_byte_s.append(now_s - self._started_s)
        # Counted by what begins an event, searched over the seam of two reads too.
        seam = self._tail + data
        self._tally.events += seam.count(b"data: {")
        self._tail = seam[-6:] if not seam.endswith(b"0\r\n\r\n") else b""
        if seam.endswith(b"0\r\n\r\n"):
            self._tally.whole += 1
            self._tally.late_s.append(now_s - self._started_s - (CHUNKS - 1) * CHUNK_EVERY_S)
            self._left -= 1
            if self._left:
                self._ask()
            else:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.broken += self._left > 0
        if not self._ended.done():
            self._ended.set_result(None)

    def _ask(self) -> None:
        self._is_first = True
        self._started_s = time.perf_counter()
        self._transport.write(self._request)


async def run_streams(port: int, *, streams: int, cycles: int, timeout_s: float) -> StreamTally:
    """Open *streams* connections spread over the length of one stream; each asks for *cycles* streams in turn."""
    loop = asyncio.get_running_loop()
    tally = StreamTally()
    endings: list[asyncio.Future[None]] = []
    transports: list[asyncio.BaseTransport] = []

    async def start(delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        ended = loop.create_future()
        endings.append(ended)
        transport, _ = await loop.create_connection(lambda: _StreamClient(tally, cycles, ended), "127.0.0.1", port)
        transports.append(transport)

    chance = random.Random(7)  # noqa: S311 - spreads starts, the same way each time
    await asyncio.gather(*(start(chance.uniform(0, CHUNKS * CHUNK_EVERY_S)) for _ in range(streams)))
    await asyncio.wait(endings, timeout=timeout_s)
    for transport in transports:
        transport.close()
    return tally


def is_whole(received: bytes) -> bool:
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return False
    length = _LENGTH.search(head)
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")
