"""A small upstream service in bytes: it answers with what it was sent, and misbehaves by path."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class EchoService:
    """Counts connections and requests; `url` is where it listens.

    Paths: `/open/…` and any other echo; `/close` closes without an answer; `/trailers` ends with trailers; `/ws` takes an
    upgrade and echoes bytes; `/endless` streams until its client leaves (then `left` is set), `/hints` sends 103 so; `/204`;
    `/early` sends 103; `/hang` sets `hung` and never answers; `/stale` answers, then closes without saying so.
    """

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.left = asyncio.Event()
        self.hung = asyncio.Event()
        self.sent_bytes = 0
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as end:
            if end.partial:
                raise
            return False
        self.requests.append(head)
        path = head.split(b" ")[1]
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        names = {name.lower(): value for name, value in fields.items()}
        if path == b"/ws":
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
            while data := await reader.read(1024):
                writer.write(data.upper())
                await writer.drain()
            self.left.set()
            return False
        if b"100-continue" in names.get(b"expect", b""):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, trailers = await self._body(reader, names)
        self.bodies.append(body)
        if path == b"/close":
            return False
        if path == b"/hang":
            self.hung.set()
            await reader.read()
            self.left.set()
            return False
        if path in {b"/endless", b"/hints"}:
            piece = (b"HTTP/1.1 103 Early Hints\r\nLink: <%b>\r\n\r\n" % (b"x" * 980)) * 64
            if path == b"/endless":
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
            while True:
                writer.write(piece)
                self.sent_bytes += 65536
                await writer.drain()
        if path == b"/204":
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            return True
        if path == b"/trailers":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n")
            return True
        if path == b"/early":
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        answer = json.dumps(
            {
                "request": head.split(b"\r\n")[0].decode("latin-1"),
                "headers": {name.decode("latin-1"): value.decode("latin-1") for name, value in names.items()},
                "length": len(body),
                "trailers": trailers.decode(),
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
            }
        ).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: X-Private\r\nX-Private: 1\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(answer), b"" if head.startswith(b"HEAD") else answer)
        )
        await writer.drain()
        return path != b"/stale"

    async def _body(self, reader: asyncio.StreamReader, names: dict[bytes, bytes]) -> tuple[bytes, bytes]:
        if names.get(b"transfer-encoding") == b"chunked":
            body = b""
            while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            trailers = b""
            while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
                trailers += line
            return body, trailers
        return await reader.readexactly(int(names.get(b"content-length", b"0"))), b""


@asynccontextmanager
async def echo_service() -> AsyncIterator[EchoService]:
    service = EchoService()
    server = await asyncio.start_server(service.accept, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
        for task in service.tasks:
            task.cancel()
        await asyncio.gather(*service.tasks, return_exceptions=True)
