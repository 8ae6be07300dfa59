"""A gateway in the test's own event loop, and a client that speaks in bytes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import httpx
import pytest

from shipway.gateway.serve import GatewayServer, ServeOptions
from shipway.gateway.snapshot import AllottedAddresses
from shipway.spec.load import load_app
from shipway.testing.openai_server import FakeOpenAI

KEY = "sk-test-key-1"
SECOND_KEY = "sk-test-key-2"
AUTH = f"Authorization: Bearer {KEY}\r\n"
ADMIN_TOKEN = "admin-test-token-1"
ADMIN = {"authorization": f"Bearer {ADMIN_TOKEN}"}


@dataclass
class Response:
    """One response as read off the wire, its body without framing."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool = False
    trailers: dict[str, str] = field(default_factory=dict)


class RawClient:
    """One connection, for requests that no client library would send."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: str | bytes) -> None:
        self.writer.write(data.encode("latin-1") if isinstance(data, str) else data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        block = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode("latin-1")
        start, *lines = block.rstrip("\r\n").split("\r\n")
        return int(start.split(" ")[1]), {
            name.lower(): value for name, _, value in (ln.partition(": ") for ln in lines)
        }

    async def response(self, *, to_head: bool = False) -> Response:
        status, headers = await self.head()
        body, trailers = b"", {}
        if to_head or status in {204, 304} or 100 <= status < 200:
            pass
        elif headers.get("transfer-encoding") == "chunked":
            while (size := int((await self._line()).split(b";")[0], 16)) > 0:
                body += await asyncio.wait_for(self.reader.readexactly(size), 5)
                assert await self._line() == b""
            while (line := await self._line()) != b"":
                name, _, value = line.decode().partition(": ")
                trailers[name.lower()] = value
        elif "content-length" in headers:
            body = await asyncio.wait_for(self.reader.readexactly(int(headers["content-length"])), 5)
        else:
            body = await asyncio.wait_for(self.reader.read(), 5)
        return Response(status, headers, body, trailers=trailers)

    async def at_end(self) -> bool:
        """Whether the gateway closed the connection without another byte."""
        return await asyncio.wait_for(self.reader.read(1), 5) == b""

    async def _line(self) -> bytes:
        return (await asyncio.wait_for(self.reader.readuntil(b"\r\n"), 5))[:-2]


@contextmanager
def unread(client: RawClient) -> Iterator[None]:
    """Nothing that comes is taken by *client*."""
    transport = cast(asyncio.Transport, client.writer.transport)  # a writer has it as one to write to alone
    transport.pause_reading()
    yield
    if not transport.is_closing():
        transport.resume_reading()


@contextmanager
def swallowing_port() -> Iterator[int]:
    """A port at which connections are neither taken nor refused."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    port: int = full.getsockname()[1]
    waiting = [socket.socket() for _ in range(4)]
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
    try:
        yield port
    finally:
        for one in (*waiting, full):
            one.close()


@asynccontextmanager
async def raw_client(port: int) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()


@dataclass
class RunningGateway:
    """A gateway, its addresses, and what its clients need."""

    server: GatewayServer
    http: httpx.AsyncClient
    admin: httpx.AsyncClient
    """Without the token: send `ADMIN` as headers where it is wanted."""
    app_file: Path
    _stack: AsyncExitStack

    @property
    def port(self) -> int:
        return self.server.port

    def raw(self) -> AbstractAsyncContextManager[RawClient]:
        return raw_client(self.port)

    async def ask(self, request: str | bytes) -> Response:
        """Send one request on a connection of its own; tell whether the gateway closed it afterwards."""
        async with self.raw() as client:
            await client.send(request)
            response = await client.response()
            try:
                response.closed = await asyncio.wait_for(client.reader.read(1), 0.05) == b""
            except TimeoutError:
                response.closed = False
            return response

    async def metrics(self) -> str:
        return (await self.admin.get("/metrics")).text


StartGateway = Callable[[str], Awaitable[RunningGateway]]


@pytest.fixture
async def start_gateway(tmp_path: Path) -> AsyncIterator[StartGateway]:
    """Starts gateways for app files given as text; `KEY` and `SECOND_KEY` are their API keys. All are drained at the end."""

    def written(app_file: str) -> Path:
        path = tmp_path / "shipway.toml"
        path.write_text(app_file)
        return path

    async with AsyncExitStack() as stack:

        async def start(app_file: str, allotted: AllottedAddresses | None = None) -> RunningGateway:
            path = written(app_file)
            server = GatewayServer(
                load_app(path),
                {
                    "SHIPWAY_API_KEYS": f"{KEY},{SECOND_KEY}",
                    "OPENAI_API_KEY": "sk-upstream",
                    "SHIPWAY_ADMIN_TOKEN": ADMIN_TOKEN,
                },
                allotted or AllottedAddresses(),
                ServeOptions(port=0, admin_port=0, weights=tmp_path / "state" / "weights.json"),
            )
            await server.start()
            stack.push_async_callback(server.drain)
            auth = {"authorization": f"Bearer {KEY}"}
            http = await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=auth, timeout=10)
            )
            admin = await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.admin_port}", timeout=10)
            )
            return RunningGateway(server, http, admin, path, stack)

        yield start


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        yield server


def model_app(*fakes: FakeOpenAI, extra: str = "") -> str:
    """An app file with a model `chat` whose upstreams are *fakes*, in order."""
    providers = "".join(
        f'[providers.p{at}]\nkind = "openai"\nbase_url = "{fake.base_url}"\n' for at, fake in enumerate(fakes)
    )
    upstreams = ", ".join(f'"p{at}/m{at}"' for at in range(len(fakes)))
    return f'name = "app"\n{providers}[models.chat]\nupstreams = [{upstreams}]\n[gateway]\ndrain = "1s"\ngrace = "1ms"\n{extra}'


def service_app(url: str, extra: str = "") -> str:
    """An app file with one service at *url*, closed except below /open."""
    return (
        f'name = "app"\n[services.web]\nurl = "{url}"\nroutes = ["/", {{ path = "/open", public = true }}]\n'
        f'[gateway]\ndrain = "1s"\ngrace = "1ms"\n{extra}'
    )
