"""What a connection may hold, and for how long: bodies that were read, answers that nobody takes, idle keep-alive."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import Any

import pytest

from shipway.gateway.http1.exchange import Exchange
from shipway.testing.openai_server import FakeOpenAI
from tests.gateway.conftest import AUTH, RunningGateway, StartGateway, model_app
from tests.gateway.http1.conftest import public_app
from tests.gateway.http1.recorder import Recorder
from tests.waiting import until

MIB = 1024 * 1024


@pytest.fixture
async def gateway(start_gateway: StartGateway, service: Recorder) -> RunningGateway:
    return await start_gateway(
        public_app(service, 'max_body = "1MiB"\n', 'idle = "500ms"\nkeep_alive = "300ms"\ntotal = "3s"\n')
    )


async def open_clients(gateway: RunningGateway) -> int:
    (line,) = [
        line
        for line in (await gateway.metrics()).splitlines()
        if line.startswith('shipway_connections_open{side="client"}')
    ]
    return int(float(line.split(" ")[1]))


async def test_upload_in_many_chunks_past_the_bound_is_413(gateway: RunningGateway) -> None:
    mistakes: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: mistakes.append(context))
    async with gateway.raw() as client:
        await client.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        client.writer.write((b"1000\r\n" + b"x" * 4096 + b"\r\n") * 400)
        assert (await client.response()).status == 413
        await asyncio.sleep(0.1)
    assert mistakes == []


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
async def test_client_that_takes_nothing_of_its_answer_is_dropped(
    gateway: RunningGateway, service: Recorder, connection: str
) -> None:
    async def none_is_open() -> bool:
        return await open_clients(gateway) == 0

    clients = []
    for size in range(2_500_000, 6_500_000, 100_000):  # somewhere the buffers of the sockets end
        service.answer(f"s{size}", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, b"x" * size))
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", gateway.port))
        client.send(f"GET /s{size} HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\n".encode())
        clients.append(client)
    try:
        await until(none_is_open, 4)
    finally:
        for client in clients:
            client.close()


async def test_idle_connection_is_closed_after_an_answer_that_was_read_slowly(
    gateway: RunningGateway, service: Recorder
) -> None:
    size = 8 * MIB
    service.answer("big", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, *([b"x" * MIB] * 8))
    async with gateway.raw() as client:
        await client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(0.2)
        await client.response()
        assert await asyncio.wait_for(client.reader.read(1), 2) == b""


@pytest.mark.parametrize("stream", [False, True])
async def test_request_that_is_over_is_freed_without_the_collector(
    start_gateway: StartGateway, fake: FakeOpenAI, stream: bool
) -> None:
    gateway = await start_gateway(model_app(fake))
    body = b'{"model":"chat","stream":%b,"messages":[{"role":"user","content":"%b"}]}' % (
        b"true" if stream else b"false",
        b"x" * 100_000,
    )
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: {len(body)}\r\n\r\n".encode()
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            async with gateway.raw() as client:
                await client.send(head + body)
                assert (await client.response()).status == 200
        await asyncio.sleep(0.05)
        left = [one for one in gc.get_objects() if isinstance(one, Exchange)]
        assert len(left) <= 2
    finally:
        gc.enable()
