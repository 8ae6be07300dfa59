"""What stands behind the gateway in a soak: a service and several providers, most of them ill."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

BIG_BYTES = 4 * 1024 * 1024
_STALL_S = 3.0
"""Longer than the gateway's deadlines in a soak; it hangs up before."""
_STAMP = '"id":"x","created":1,"model":"m"'
_ANSWER = (
    f'{{{_STAMP},"object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":"Good."}},'
    '"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3}}'
).encode()
_CHUNK = (
    f'data: {{{_STAMP},"object":"chat.completion.chunk","choices":[{{"index":0,"delta":{{"content":"word "}},'
    '"finish_reason":null}]}\n\n'
).encode()
_LAST = _CHUNK.replace(b'{"content":"word "}', b"{}").replace(b"null", b'"stop"') + b"data: [DONE]\n\n"
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class _Request:
    def __init__(self, path: str, fields: dict[bytes, bytes], body: bytes, writer: asyncio.StreamWriter) -> None:
        self.path = path
        self.upgrade = b"upgrade" in fields
        self.body = body
        self.writer = writer

    @property
    def wants_stream(self) -> bool:
        return b'"stream":true' in self.body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send_chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))


Answer = Callable[[_Request, asyncio.StreamReader], Awaitable[bool]]
"""Answers a request; says whether the connection goes on."""


async def _good(request: _Request, reader: asyncio.StreamReader) -> bool:
    if not request.wants_stream:
        await request.send(_JSON % len(_ANSWER) + _ANSWER)
        return True
    await request.send(_STREAM)
    for _ in range(12):
        await request.send_chunk(_CHUNK)
        await asyncio.sleep(0.002)
    await request.send_chunk(_LAST)
    await request.send(b"0\r\n\r\n")
    return True


async def _long(request: _Request, reader: asyncio.StreamReader) -> bool:
    """A stream of some megabytes, as fast as it is taken."""
    await request.send(_STREAM)
    for _ in range(BIG_BYTES // (len(_CHUNK) * 256)):
        await request.send_chunk(_CHUNK * 256)
    await request.send_chunk(_LAST)
    await request.send(b"0\r\n\r\n")
    return True


async def _ill(request: _Request, reader: asyncio.StreamReader) -> bool:
    body = json.dumps({"error": {"message": "ill", "type": "server_error"}}).encode()
    await request.send(b"HTTP/1.1 500 Ill\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    return True


async def _cut(request: _Request, reader: asyncio.StreamReader) -> bool:
    await request.send(_STREAM if request.wants_stream else _JSON % 500)
    if request.wants_stream:
        for _ in range(3):
            await request.send_chunk(_CHUNK)
    return False


async def _reset(request: _Request, reader: asyncio.StreamReader) -> bool:
    connected: socket.socket = request.writer.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.writer.transport.abort()
    return False


async def _stall(request: _Request, reader: asyncio.StreamReader) -> bool:
    """Silence at once, or after some tokens of a stream."""
    if request.wants_stream:
        await request.send(_STREAM)
        await request.send_chunk(_CHUNK)
    try:
        await asyncio.wait_for(reader.read(1), _STALL_S)
    except TimeoutError:
        pass
    return False


async def _html(request: _Request, reader: asyncio.StreamReader) -> bool:
    await request.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>")
    return True


async def _garbage(request: _Request, reader: asyncio.StreamReader) -> bool:
    await request.send(b"\x00\x01not HTTP at all\r\n\r\n")
    return False


async def _service(request: _Request, reader: asyncio.StreamReader) -> bool:
    if request.upgrade:
        await request.send(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        while data := await reader.read(65536):
            await request.send(data)
        return False
    if "/big" in request.path:
        await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG_BYTES)
        for _ in range(BIG_BYTES // 65536):
            await request.send(b"x" * 65536)
        return True
    if "/stall" in request.path:
        return await _stall(request, reader)
    if "/cut" in request.path:
        return await _cut(request, reader)
    await request.send(_EMPTY)
    return True


KINDS: dict[str, Answer] = {
    "good": _good,
    "long": _long,
    "ill": _ill,
    "cut": _cut,
    "reset": _reset,
    "stall": _stall,
    "html": _html,
    "garbage": _garbage,
}
"""How a provider behaves whose base URL begins with this name; all else is the service."""


@asynccontextmanager
async def upstreams() -> AsyncIterator[int]:
    """Serve all of them at one port of 127.0.0.1; gives the port."""
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_connection(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=512)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while (request := await _read(reader, writer)) is not None:
            answer = KINDS.get(request.path.split("/")[1], _service)
            if not await answer(request, reader):
                break
    except (ConnectionError, asyncio.IncompleteReadError, RuntimeError):
        pass  # the gateway hung up (uvloop says so with a RuntimeError): its client left, or a deadline passed
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head[:-4].split(b"\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    body = b""
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
    left = int(fields.get(b"content-length", b"0"))
    while left:  # of a large body nothing is kept but its beginning
        piece = await reader.read(min(left, 65536))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        body += piece[: max(0, 4096 - len(body))]
    return _Request(first.split(b" ")[1].decode("latin-1"), fields, body, writer)
