"""A backend that streams: every request is answered by `CHUNKS` writes, one each 10 ms. Its one argument is its port.

Streams are spread over ten phases of a millisecond each, so that their writes do not come all at once.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import uvloop

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.gateway.traffic import CHUNK_EVERY_S, stream_writes

PHASES = 10
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


class Stream(asyncio.Protocol):
    """One connection: answers each whole request with a stream."""

    def __init__(self, phases: list[set[Stream]], next_phase: itertools.cycle[int]) -> None:
        self._phases = phases
        self._next_phase = next_phase
        self._received = b""
        self._left: Iterator[bytes] = iter(())
        self._phase = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods but not the base class

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = _LENGTH.search(head)
        whole = body.endswith(b"0\r\n\r\n") if _CHUNKED.search(head) else len(body) >= int(length[1] if length else 0)
        if whole:
            self._received = b""
            self._left = iter(WRITES)
            self._transport.write(next(self._left))
            self._phase = next(self._next_phase)
            self._phases[self._phase].add(self)

    def write_next(self) -> None:
        piece = next(self._left, None)
        if piece is None:
            self._phases[self._phase].discard(self)
        else:
            self._transport.write(piece)

    def connection_lost(self, exc: Exception | None) -> None:
        self._phases[self._phase].discard(self)


WRITES = stream_writes()


async def serve(port: int) -> None:
    """Serve for ever."""
    loop = asyncio.get_running_loop()
    phases: list[set[Stream]] = [set() for _ in range(PHASES)]
    next_phase = itertools.cycle(range(PHASES))
    await loop.create_server(lambda: Stream(phases, next_phase), "127.0.0.1", port, backlog=4096)
    started_s = loop.time()
    for tick in itertools.count(1):
        # An absolute schedule: a late tick is followed by an early one, so the rate holds.
        await asyncio.sleep(max(0.0, started_s + tick * CHUNK_EVERY_S / PHASES - loop.time()))
        for stream in tuple(phases[tick % PHASES]):
            stream.write_next()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
