"""An upstream that records every byte it gets, reads it as strictly as RFC 9112 allows, and answers from a script."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Step = bytes | float | str
"""Bytes to send, seconds to wait, or `close`, `reset`, `read` (wait for the client's end)."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_LINE = re.compile(rb"[A-Z-]+ [!-~\x80-\xff]+ HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([^\x00-\x08\x0a-\x1f\x7f]*)")


class Unreadable(Exception):
    """What came is not one unambiguous request: the gateway let something through."""


@dataclass
class Recorded:
    """One request as this upstream read it."""

    line: bytes
    fields: list[tuple[bytes, bytes]]
    head: bytes
    """As it came, up to the empty line."""
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def values(self, name: str) -> list[bytes]:
        return [value for lower, value in self.fields if lower == name.encode()]

    @property
    def target(self) -> bytes:
        return self.line.split(b" ")[1]


class Recorder:
    """Answers by the path's last segment from `script`, or `OK`. `faults` holds what it could not read."""

    def __init__(self) -> None:
        self.port = 0
        self.script: dict[bytes, Sequence[Step]] = {}
        self.requests: list[Recorded] = []
        self.raw: list[bytes] = []
        self.faults: list[str] = []
        self.connections = 0
        self.answered = 0
        """Answers given to their last step."""
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, name: str, *steps: Step) -> None:
        self.script[name.encode()] = steps

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(_Tap(reader, self), writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _serve(self, tap: _Tap, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._one(tap, writer):
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the gateway closed: an upload that its client broke off, or the end of a test
        except Unreadable as fault:
            self.faults.append(str(fault))
        finally:
            writer.close()

    async def _one(self, tap: _Tap, writer: asyncio.StreamWriter) -> bool:
        head = await tap.head()
        if head is None:
            return False
        request = _read_head(head)
        steps = self.script.get(request.target.partition(b"?")[0].rpartition(b"/")[2], (OK,))
        if steps and steps[0] == "early":
            steps = steps[1:]
            self.requests.append(request)
        else:
            if request.values("expect"):
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await _read_body(tap, request)
            self.requests.append(request)
        for step in steps:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, float):
                await asyncio.sleep(step)
            elif step == "close":
                return False
            elif step == "reset":
                linger = struct.pack("ii", 1, 0)  # close with a reset
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                return False
            else:
                await tap.reader.read()
                return False
        self.answered += 1
        return True


class _Tap:
    """A reader that keeps what passed."""

    def __init__(self, reader: asyncio.StreamReader, recorder: Recorder) -> None:
        self.reader = reader
        self._recorder = recorder

    async def head(self) -> bytes | None:
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as end:
            if end.partial:
                raise Unreadable(f"half a head: {end.partial!r}") from None
            return None
        self._recorder.raw.append(head)
        return head

    async def exactly(self, count: int) -> bytes:
        data = await self.reader.readexactly(count)
        self._recorder.raw.append(data)
        return data

    async def line(self) -> bytes:
        data = await self.reader.readuntil(b"\r\n")
        self._recorder.raw.append(data)
        return data[:-2]


def _read_fields(lines: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    fields = []
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise Unreadable(f"not a field: {line!r}")
        fields.append((found[1].lower(), found[2]))
    return fields


def _read_head(head: bytes) -> Recorded:
    line, *lines = head[:-4].split(b"\r\n")
    if _LINE.fullmatch(line) is None:
        raise Unreadable(f"not a request line: {line!r}")
    request = Recorded(line, _read_fields(lines), head)
    for name in ("host", "content-length", "transfer-encoding"):
        if len(request.values(name)) > 1:
            raise Unreadable(f"more than one {name}: {head!r}")
    if not request.values("host"):
        raise Unreadable(f"no host: {head!r}")
    if request.values("content-length") and request.values("transfer-encoding"):
        raise Unreadable(f"two framings: {head!r}")
    return request


async def _read_body(tap: _Tap, request: Recorded) -> None:
    for length in request.values("content-length"):
        if not re.fullmatch(rb"0|[1-9][0-9]*", length):
            raise Unreadable(f"length {length!r}")
        request.body = await tap.exactly(int(length))
    for coding in request.values("transfer-encoding"):
        if coding != b"chunked":
            raise Unreadable(f"coding {coding!r}")
        while True:
            size = await tap.line()
            if not re.fullmatch(rb"[0-9a-f]+", size):
                raise Unreadable(f"chunk size {size!r}")
            if int(size, 16) == 0:
                break
            request.body += await tap.exactly(int(size, 16))
            if await tap.line() != b"":
                raise Unreadable("a chunk that does not end")
        lines = []
        while line := await tap.line():
            lines.append(line)
        request.trailers = _read_fields(lines)


@asynccontextmanager
async def recorder() -> AsyncIterator[Recorder]:
    recording = Recorder()
    server = await asyncio.start_server(recording.accept, "127.0.0.1", 0, limit=1 << 20)
    recording.port = server.sockets[0].getsockname()[1]
    try:
        yield recording
    finally:
        server.close()
        for task in recording.tasks:
            task.cancel()
        await asyncio.gather(*recording.tasks, return_exceptions=True)
