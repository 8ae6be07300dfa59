"""The server's side of one HTTP/1.1 connection, as far as the fakes need it: plain, lenient and slow, on purpose.

Not for production: the gateway has its own parser, and the fakes must not share its mistakes.
"""

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

_HEAD_END = b"\r\n\r\n"


class WireError(Exception):
    """The client broke off in the middle of a request, or sent none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A request's line and headers; names are in lower case, repeated headers are joined by a comma."""

    method: str
    target: str
    version: str
    headers: Mapping[str, str]

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to go on using the connection."""
        connection = self.headers.get("connection", "").lower()
        return "close" not in connection if self.version == "HTTP/1.1" else "keep-alive" in connection


class HttpConnection:
    """Reads requests and writes bytes. One task at a time may read: `until_closed` counts as reading."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._buffer = bytearray()

    async def head(self) -> Head | None:
        """Read the next request's head; None when the client has closed the connection between requests."""
        while (end := self._buffer.find(_HEAD_END)) < 0:
            if not await self._fill():
                if self._buffer:
                    raise WireError("the connection ended inside a head")
                return None
        lines = bytes(self._take(end + len(_HEAD_END))).decode("latin-1").split("\r\n")
        try:
            method, target, version = lines[0].split(" ")
        except ValueError as error:
            raise WireError(f"not a request line: {lines[0]!r}") from error
        headers: dict[str, str] = {}
        for line in filter(None, lines[1:]):
            name, _, value = line.partition(":")
            joined = f"{headers[name.lower()]}, {value.strip()}" if name.lower() in headers else value.strip()
            headers[name.lower()] = joined
        return Head(method=method, target=target, version=version, headers=headers)

    async def body(self, head: Head) -> bytes:
        """Read the body that belongs to *head*, by its length or its chunks."""
        if head.headers.get("expect", "").lower() == "100-continue":
            await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in head.headers.get("transfer-encoding", "").lower():
            return await self._chunked_body()
        return await self._exactly(int(head.headers.get("content-length", "0")))

    async def send(self, data: bytes) -> None:
        """Write *data*; returns when the system has room for more, so that a slow reader is felt."""
        self._writer.write(data)
        await self._writer.drain()

    async def until_closed(self) -> None:
        """Return when the client closes its side. What it sends meanwhile is kept for the next `head`."""
        while await self._fill():
            pass

    def close(self, *, reset: bool = False) -> None:
        """Close in order after what is written, or at once with a reset (the client sees ECONNRESET)."""
        if reset:
            sock: socket.socket = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
        else:
            self._writer.close()

    async def _chunked_body(self) -> bytes:
        body = bytearray()
        while size := int((await self._line()).partition(b";")[0], 16):
            body += await self._exactly(size)
            await self._line()
        while await self._line():  # trailers, to the empty line
            pass
        return bytes(body)

    async def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            await self._must_fill()
        return self._take(end + 2)[:-2]

    async def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            await self._must_fill()
        return self._take(count)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _must_fill(self) -> None:
        if not await self._fill():
            raise WireError("the connection ended inside a body")

    async def _fill(self) -> bool:
        data = await self._reader.read(65536)
        self._buffer += data
        return bool(data)


def head_bytes(status: int, headers: Mapping[str, str]) -> bytes:
    """Build a response's head."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """Frame *data* as one chunk; b"" is the last chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)
