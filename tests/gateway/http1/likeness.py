"""Whether a request is treated alike however it comes: behind others like it, cut anywhere, or as the first of its kind.

A gateway may remember heads it has seen. Whatever it remembers must not show: here one gateway gets a message after others
that resemble it, and again where it resembles nothing: each conversation has a number of its own in the place of `NUMBER`, so
no head of one was ever seen in another.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.gateway.conftest import RunningGateway
from tests.gateway.http1.recorder import Recorder

NUMBER = b"NNNNNN"
END = b"GET /end HTTP/1.1\r\nHost: NNNNNN.test\r\nConnection: close\r\n\r\n"
"""Behind every conversation, so that the gateway closes it."""
_CHANGING = re.compile(rb"(x-request-id: req-[0-9a-f]{16}-|Date: )[^\r]*", re.IGNORECASE)
_REFUSAL = re.compile(
    rb"Content-Type: text/plain; charset=utf-8\r\nContent-Length: [0-9]+\r\nDate: \*\r\n\r\n[a-zA-Z0-9 /.,-]*\n"
)
"""The text of a refusal before there was a request: which of two faults is named may depend on which was seen first."""


@dataclass(frozen=True)
class Seen:
    """What became of a message: what its client got, and what the service was asked for."""

    answer: bytes
    asked: tuple[tuple[bytes, bytes, tuple[tuple[bytes, bytes], ...]], ...]
    """Head, body and trailers of each request."""


class Conversations:
    """Speaks with one gateway, one numbered connection after the other."""

    def __init__(self, gateway: RunningGateway, service: Recorder) -> None:
        self._gateway = gateway
        self._service = service
        self._numbers = itertools.count(100_000)

    async def hold(self, *pieces: bytes, after: Sequence[bytes] = (), end: bytes = END) -> Seen:
        """Send *after*, each answered before the next, then *pieces*, each a write of its own, then *end*.

        Returns:
            What came of *pieces* and *end*.
        """
        number = b"%d" % next(self._numbers)
        service = self._service
        async with self._gateway.raw() as client:
            for message in after:
                await client.send(message.replace(NUMBER, number))
                await _one_answer(client.reader)
            service.requests.clear()
            service.faults.clear()
            *first, last = pieces
            try:
                for piece in first:
                    await client.send(piece.replace(NUMBER, number))
                    await asyncio.sleep(0.0007)  # a read of its own for each
                await client.send((last + end).replace(NUMBER, number))
                answer = await asyncio.wait_for(client.reader.read(-1), 5)
            except ConnectionError:
                answer = b"reset"
        assert service.faults == []
        asked = tuple(
            (_plain(one.head, number), _plain(one.body, number), tuple(one.trailers)) for one in service.requests
        )
        return Seen(_plain(answer, number), asked)


async def _one_answer(reader: asyncio.StreamReader) -> None:
    """Read one response with a length, and interim ones before it."""
    while True:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        if not head.startswith(b"HTTP/1.1 1"):
            break
    length = re.search(rb"\r\ncontent-length: ([0-9]+)", head, re.IGNORECASE)
    if length is not None:
        await asyncio.wait_for(reader.readexactly(int(length[1])), 5)


def _plain(data: bytes, number: bytes) -> bytes:
    return _REFUSAL.sub(b"*", _CHANGING.sub(rb"\1*", data)).replace(number, NUMBER)
