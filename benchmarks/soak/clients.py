"""The traffic of a soak: each function is one visit of one kind of client, and says what came of it."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.soak.process import KEYS, Gateway
from benchmarks.soak.upstream import BIG_BYTES

PATIENCE_S = 8.0
"""Longer than the gateway's own total deadline: an answer that takes longer is lost."""
_ILL = ("ill", "cut", "reset", "stall", "html", "garbage")


class Wrong(Exception):
    """The gateway did not do what this client may expect of it."""


class Late(Exception):
    """A deadline passed of something that works: on a busy machine that happens to a few."""


@dataclass
class Wire:
    """One connection in bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, str]:
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE_S)).decode("latin-1")
        return int(head[9:12]), head.lower()

    async def response(self) -> tuple[int, bytes]:
        """The next final response, whole."""
        status, head = await self.head()
        while status < 200:
            status, head = await self.head()
        length = re.search(r"\r\ncontent-length: (\d+)", head)
        if length is not None:
            return status, await asyncio.wait_for(self.reader.readexactly(int(length[1])), PATIENCE_S)
        body = b""
        if "\r\ntransfer-encoding: chunked" in head:
            while size := int(await asyncio.wait_for(self.reader.readuntil(b"\r\n"), PATIENCE_S), 16):
                body += (await asyncio.wait_for(self.reader.readexactly(size + 2), PATIENCE_S))[:-2]
            await self.reader.readuntil(b"\r\n")
        return status, body

    async def to_end(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), PATIENCE_S)

    def leave(self, rng: random.Random) -> None:
        """Go without a word: with a FIN, or with a reset."""
        if rng.random() < 0.5:
            connected: socket.socket = self.writer.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@asynccontextmanager
async def wire(gateway: Gateway) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def call(model: str, rng: random.Random, *, stream: bool = False, key: str | None = None, fill: int = 20) -> bytes:
    document = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "x" * fill}]}
    body = json.dumps(document, separators=(",", ":")).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % ((key or rng.choice(KEYS)).encode(), len(body), body)
    )


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise Wrong(what)


def expect_timely(status: int, body: bytes = b"") -> None:
    """Raises: Late."""
    if status in {503, 504} or b'"timeout_error"' in body:  # in a stream that sent comments it is said in-band
        raise Late(str(status))


async def whole_calls(gateway: Gateway, rng: random.Random) -> str:
    async with wire(gateway) as held:
        for _ in range(30):
            await held.send(call("good", rng))
            status, body = await held.response()
            expect_timely(status, body)
            expect(status == 200 and b"Good." in body, f"a whole call was answered {status} {body[:100]!r}")
    return "200"


async def streams(gateway: Gateway, rng: random.Random) -> str:
    async with wire(gateway) as held:
        for _ in range(4):
            await held.send(call("good", rng, stream=True))
            status, body = await held.response()
            expect_timely(status, body)
            expect(status == 200 and body.endswith(b"data: [DONE]\n\n"), f"a stream ended {status} {body[-100:]!r}")
            expect(body.count(b"word ") == 12, f"a stream had {body.count(b'word ')} of 12 tokens")
    return "200"


async def failing_upstreams(gateway: Gateway, rng: random.Random) -> str:
    async with wire(gateway) as held:
        await held.send(call(rng.choice(_ILL), rng, stream=rng.random() < 0.5))
        status, body = await held.response()
        expect(status in {200, 502, 503, 504}, f"a failing upstream gave {status}")
        expect(b"[DONE]" not in body, f"a failing upstream ended well: {body[-100:]!r}")
    return str(status)


async def mended_calls(gateway: Gateway, rng: random.Random) -> str:
    async with wire(gateway) as held:
        await held.send(call("mended", rng, stream=rng.random() < 0.5))
        status, body = await held.response()
        expect_timely(status, body)
        expect(status == 200 and (b"Good." in body or b"[DONE]" in body), f"failover gave {status} {body[:100]!r}")
    return "200"


async def uploads(gateway: Gateway, rng: random.Random) -> str:
    size = rng.choice((100_000, 2_000_000, 6_000_000, 12_000_000))
    key = rng.choice(KEYS).encode()
    async with wire(gateway) as held:
        if rng.random() < 0.3:
            await held.send(call("good", rng, fill=min(size, 6_000_000)))
            return str((await held.response())[0])
        chunked = rng.random() < 0.5
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
        try:
            await held.send(b"POST /up HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\n%b\r\n\r\n" % (key, framing))
            for at in range(0, size, 100_000):
                piece = b"x" * min(100_000, size - at)
                await held.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                await held.send(b"0\r\n\r\n")
        except ConnectionError:
            return "refused"  # larger than max_body
        status, _ = await held.response()
        expect_timely(status)
        expect(status == (413 if size > 8 * 1024 * 1024 else 200), f"{size} bytes uploaded were answered {status}")
    return str(status)


async def departures(gateway: Gateway, rng: random.Random) -> str:
    """Clients that leave: before an answer, inside a stream, inside an upload, inside a head, behind an expectation."""
    kind = rng.choice(("before", "inside", "upload", "head", "service", "expectation", "websocket"))
    key = rng.choice(KEYS).encode()
    async with wire(gateway) as held:
        if kind == "before":
            await held.send(call("stall", rng, stream=rng.random() < 0.5))
            await asyncio.sleep(rng.random() * 0.1)
        elif kind == "inside":
            await held.send(call(rng.choice(("good", "long")), rng, stream=True))
            await held.reader.readuntil(b"word ")
        elif kind == "upload":
            await held.send(
                b"POST /up HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\nContent-Length: 9999\r\n\r\nx" % key
            )
        elif kind == "head":
            await held.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * rng.randrange(4000))
        elif kind == "service":
            await held.send(b"GET /open/big HTTP/1.1\r\nHost: a\r\n\r\n")
            await held.reader.read(1000)
        elif kind == "websocket":
            await held.send(_UPGRADE)
        else:
            await held.send(
                call("good", rng).replace(b"Host: a", b"Host: a\r\nExpect: 100-continue").partition(b"{")[0]
            )
        held.leave(rng)
    return kind


async def slow_readers(gateway: Gateway, rng: random.Random) -> str:
    """Reads some megabytes with pauses; now and then gives up in the middle."""
    async with wire(gateway) as held:
        if rng.random() < 0.5:
            await held.send(call("long", rng, stream=True))
        else:
            await held.send(b"GET /open/big HTTP/1.1\r\nHost: a\r\n\r\n")
        got = 0
        for _ in range(12):
            got += len(await asyncio.wait_for(held.reader.read(65536), PATIENCE_S))
            await asyncio.sleep(0.02)
        if rng.random() < 0.5:
            held.leave(rng)
            return "left"
        while piece := await asyncio.wait_for(held.reader.read(1 << 20), PATIENCE_S):
            got += len(piece)
            if got > BIG_BYTES or piece.endswith(b"\r\n0\r\n\r\n"):
                return "read"
    return "cut"


async def pipelines(gateway: Gateway, rng: random.Random) -> str:
    count = rng.randrange(2, 30)
    async with wire(gateway) as held:
        await held.send(b"".join(b"GET /open/%d HTTP/1.1\r\nHost: a\r\n\r\n" % at for at in range(count)))
        for _ in range(count):
            status, _ = await held.response()
            expect_timely(status)
            expect(status == 200, f"a pipelined request was answered {status}")
    return "200"


MALFORMED = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\x00" * 64,
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
    b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n",
    b"GET /slow HTT",
)


async def malformed_requests(gateway: Gateway, rng: random.Random) -> str:
    message = bytearray(rng.choice(MALFORMED))
    if rng.random() < 0.5:
        message[rng.randrange(len(message))] = rng.randrange(256)
    async with wire(gateway) as held:
        try:
            await held.send(bytes(message))
            answer = await held.to_end()
        except ConnectionError:
            return "reset"
        except TimeoutError:
            return "open"  # the change made a good request of it
    return answer[9:12].decode("latin-1") or "closed"


async def strangers(gateway: Gateway, rng: random.Random) -> str:
    """Names that were never seen before: keys, models, paths, fields, sessions, methods."""
    name = f"{rng.getrandbits(64):x}"
    key = rng.choice(KEYS)
    fields = f"Host: {name}.test\r\nX-{name}: {name}\r\nX-Session-Id: {name}\r\nX-Request-Id: {name}\r\n"
    requests = (
        call("good", rng, key=f"sk-{name}"),
        call(name, rng),
        call("good", rng).replace(b"Host: a", f"Host: {name}\r\nX-Session-Id: {name}\r\nX-{name}: 1".encode()),
        f"GET /open/{name}?{name}={name} HTTP/1.1\r\n{fields}\r\n".encode(),
        f"GET /split/{name} HTTP/1.1\r\n{fields}Authorization: Bearer {key}\r\n\r\n".encode(),
        f"GET /v1/models/{name} HTTP/1.1\r\n{fields}Authorization: Bearer {key}\r\n\r\n".encode(),
        f"GET /closed/{name} HTTP/1.1\r\n{fields}x-api-key: {name}\r\n\r\n".encode(),
        f"PURGE /open/{name} HTTP/1.1\r\n{fields}\r\n".encode(),
    )
    async with wire(gateway) as held:
        for request in rng.sample(requests, len(requests)):
            await held.send(request)
            status, _ = await held.response()
            expect_timely(status)
            expect(status in {200, 401, 404}, f"a stranger was answered {status}")
    return "answered"


_UPGRADE = (
    b"GET /open/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def websockets(gateway: Gateway, rng: random.Random) -> str:
    async with wire(gateway) as held:
        await held.send(_UPGRADE)
        status, _ = await held.head()
        expect_timely(status)
        expect(status == 101, f"an upgrade was answered {status}")
        for _ in range(rng.randrange(1, 20)):
            frame = b"\x82" + rng.randbytes(rng.randrange(1, 30_000))
            await held.send(frame)
            back = await asyncio.wait_for(held.reader.readexactly(len(frame)), PATIENCE_S)
            expect(back == frame, "a frame came back changed")
    return "101"


async def administration(gateway: Gateway, rng: random.Random) -> str:
    """Reloads good and broken, weights, and what a monitor reads."""
    kind = rng.choice(("reload", "reload", "broken", "weights", "metrics", "refused"))
    if kind == "reload":
        gateway.reloads += 1
        gateway.write_app_file()
        expect(await gateway.admin("POST", "/v1/reload") == 200, "a reload was refused")
    elif kind == "broken":
        gateway.write_app_file(broken=True)
        expect(await gateway.admin("POST", "/v1/reload") == 422, "a broken app file was taken")
        gateway.write_app_file()
    elif kind == "weights":
        weights = json.dumps({"v1": rng.randrange(1, 9), "v2": rng.randrange(1, 9)})
        status = await gateway.admin("PUT", "/v1/weights/services.split", weights)
        expect(status == 200, f"weights were answered {status}")
    else:
        await gateway.admin("GET", "/metrics" if kind == "metrics" else "/nothing")
    await asyncio.sleep(0.4)
    return kind


Visit = Callable[[Gateway, random.Random], Awaitable[str]]
CREW: tuple[tuple[Visit, int], ...] = (
    (whole_calls, 3),
    (streams, 3),
    (failing_upstreams, 4),
    (mended_calls, 1),
    (uploads, 1),
    (departures, 3),
    (slow_readers, 2),
    (pipelines, 1),
    (malformed_requests, 2),
    (strangers, 2),
    (websockets, 1),
    (administration, 1),
)
"""How many clients of each kind are there at once."""
EXPECTED_LATE = (Late, ConnectionError, asyncio.IncompleteReadError, TimeoutError)
"""What a client may meet whose visit says nothing else of it; it is counted by name."""
