"""What a connection may hold, and for how long: bodies that were read, answers that nobody takes, idle keep-alive."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from shipway.gateway.http1.exchange import Exchange
from shipway.testing.openai_server import FakeOpenAI
from tests.gateway.conftest import AUTH, RunningGateway, StartGateway, model_app
from tests.gateway.http1.recorder import Recorder, recorder

MIB = 1024 * 1024


@pytest.fixture
async def service() -> AsyncIterator[Recorder]:
    async with recorder() as running:
        yield running


@pytest.fixture
async def gateway(start_gateway: StartGateway, service: Recorder) -> RunningGateway:
    return await start_gateway(
        f'name = "app"\n[services.web]\nurl = "{service.url}"\nroutes = [{{ path = "/", public = true }}]\n'
        '[gateway]\ndrain = "1s"\ngrace = "1ms"\nmax_body = "1MiB"\n'
        '[gateway.timeouts]\nidle = "500ms"\nkeep_alive = "300ms"\ntotal = "3s"\n'
    )


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
