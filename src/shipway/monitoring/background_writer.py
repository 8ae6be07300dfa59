"""What is printed by a thread of its own, so that nothing waits for whoever reads it, or for a terminal that is paused."""

from __future__ import annotations

import io
import threading
from collections import deque
from contextlib import suppress
from typing import Final, Protocol, TextIO

MAX_WAITING_PIECES: Final = 100_000
"""Past this the oldest pieces are dropped and counted: a log that nobody reads must not grow the process."""
FLUSH_S: Final = 0.1


class Out(Protocol):
    """Where lines go: a binary stream."""

    def write(self, data: memoryview, /) -> int | None:
        """How much was taken; None where that would mean to wait."""

    def flush(self) -> None: ...


class BackgroundWriter:
    """Collects pieces and writes them to *out* on a thread of its own, in order.

    *out* is best unbuffered (`unbuffered`): a thread that is stuck inside a buffered stream keeps the interpreter from ending.
    Closing writes what is left, if somebody reads it; the stream stays open.
    """

    def __init__(self, out: Out, max_waiting: int = MAX_WAITING_PIECES) -> None:
        self._out = out
        self._max_waiting = max_waiting
        self._pieces: deque[bytes] = deque(maxlen=max_waiting)
        self._overflowed = 0
        self._unwritten = 0
        self._stop = threading.Event()
        self._worker = threading.Thread(target=self._run, name="log", daemon=True)
        self._worker.start()

    @property
    def dropped(self) -> int:
        """Pieces that were lost, since the reader was too slow or is gone."""
        return self._overflowed + self._unwritten

    def put(self, piece: bytes) -> None:
        """Never waits."""
        if len(self._pieces) == self._max_waiting:
            self._overflowed += 1
        self._pieces.append(piece)

    def close(self) -> None:
        self._stop.set()
        self._worker.join(timeout=2.0)

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_S):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        pieces = self._pieces
        batch = [pieces.popleft() for _ in range(len(pieces))]
        if batch:
            try:
                self._write(memoryview(b"".join(batch)))
            except (OSError, ValueError):  # the reader of the log is gone; requests go on
                self._unwritten += len(batch)

    def _write(self, data: memoryview) -> None:
        """Write all of *data*; an unbuffered stream takes what it can, and nothing where it does not wait for a reader."""
        while data:
            written = self._out.write(data)
            if written is None and self._stop.wait(FLUSH_S):
                raise BlockingIOError
            data = data[written or 0 :]
        self._out.flush()


class UnblockedText(io.TextIOBase):
    """A text stream over a writer, for standard error: what is said there must not wait for a reader either."""

    def __init__(self, writer: BackgroundWriter) -> None:
        self._writer = writer

    def write(self, text: str) -> int:
        self._writer.put(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def writable(self) -> bool:
        return True


def unbuffered(stream: TextIO) -> Out:
    """*stream* (of `sys`) without its buffer; where it is no file (under a test runner), whatever stands for it."""
    with suppress(OSError, ValueError):
        return open(stream.fileno(), "wb", buffering=0, closefd=False)
    return stream.buffer
