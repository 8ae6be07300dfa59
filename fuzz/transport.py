"""A transport without a socket: what is written to it is kept, and what a socket would do with the rest is only noted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator


class MemoryTransport(asyncio.Transport):
    """Never slow, and closed at once."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closing = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def write_eof(self) -> None:
        self.closing = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closing

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def get_write_buffer_size(self) -> int:
        return 0


def cut(data: bytes, places: Iterable[int]) -> Iterator[bytes]:
    """*data* in pieces that end at *places*, whatever their order; none is empty."""
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    start = 0
    for end in ends:
        if end > start:
            yield data[start:end]
            start = end
