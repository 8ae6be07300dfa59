"""Requests behind answers that their client does not read: they wait, or nothing would bound what is held for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shipway.gateway.http1.exchange import Exchange
from shipway.gateway.http1.listener import Limits, Server
from shipway.gateway.http1.outbox import Outbox
from tests.gateway.conftest import AUTH, RawClient, StartGateway, raw_client, unread
from tests.gateway.http1.conftest import public_app
from tests.gateway.http1.recorder import Recorder
from tests.gateway.http1.test_abuse import resident_bytes

MIB = 1024 * 1024
ANSWER = b"x" * MIB
REQUEST = "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
COUNT = 60
MODEL = b'{"model":"chat","stream":%b,"messages":[],"input":"x"}'
SAID = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"y" * 600_000)
UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\n"


@asynccontextmanager
async def answering(targets: list[bytes]) -> AsyncIterator[RawClient]:
    """A client of a server that answers each request at once, with a mebibyte, and notes its target in *targets*."""

    async def handler(exchange: Exchange) -> None:
        targets.append(exchange.head.target)
        exchange.respond(200, b"", ANSWER)

    loop = asyncio.get_running_loop()
    listener = Server(handler, Limits(), Outbox(loop))
    served = await loop.create_server(listener.connect, "127.0.0.1", 0)
    try:
        async with raw_client(served.sockets[0].getsockname()[1]) as client:
            yield client
    finally:
        served.close()


@pytest.mark.parametrize("pipelined", [True, False])
async def test_request_behind_unread_answers_waits_until_they_are_taken(pipelined: bool) -> None:
    targets: list[bytes] = []
    async with answering(targets) as client:
        with unread(client):
            if pipelined:
                await client.send("".join(REQUEST % at for at in range(COUNT)))
            else:
                for at in range(COUNT):
                    await client.send(REQUEST % at)
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.2)
            assert 1 < len(targets) < COUNT // 2
        for _ in range(COUNT):
            assert (await client.response()).body == ANSWER
        await client.send(REQUEST % COUNT)
        assert (await client.response()).status == 200
    assert targets == [b"/%d" % at for at in range(COUNT + 1)]


async def test_refusal_behind_unread_answers_comes_after_all_of_them() -> None:
    async with answering([]) as client:
        with unread(client):
            await client.send("".join(REQUEST % at for at in range(COUNT)) + "nonsense\r\n\r\n")
            await asyncio.sleep(0.1)
        for _ in range(COUNT):
            assert (await client.response()).body == ANSWER
        assert (await client.response()).status == 400
        assert await client.at_end()


def model_request(path: str, stream: bool) -> bytes:
    body = MODEL % (b"true" if stream else b"false")
    return f"POST /v1/{path} HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize("answers", [1, 2])
@pytest.mark.parametrize("behind", ["stream", "download", "upgrade"])
async def test_what_flows_behind_an_unread_answer_is_held_back(
    start_gateway: StartGateway, service: Recorder, behind: str, answers: int
) -> None:
    numbers = b'{"object":"list","data":[{"embedding":[%b1]}]}' % (b"1," * (3 * MIB))
    service.answer(
        "embeddings",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(numbers), numbers),
    )
    started = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    service.answer("completions", started, *([b"%x\r\n%b\r\n" % (len(SAID), SAID)] * 400))
    service.answer("download", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (240 * MIB), *([ANSWER] * 240))
    service.answer("upgrade", b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", *([ANSWER] * 240))
    app = public_app(service) + (
        f'[providers.p]\nkind = "openai"\nbase_url = "{service.url}/v1"\n[models.chat]\nupstreams = ["p/m"]\n'
    )
    gateway = await start_gateway(app)
    last = {
        "stream": model_request("chat/completions", True),
        "download": b"GET /download HTTP/1.1\r\nHost: a\r\n\r\n",
        "upgrade": f"GET /upgrade HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n".encode(),
    }[behind]
    before = resident_bytes()
    async with gateway.raw() as client:
        with unread(client):
            await client.send(model_request("embeddings", False) * answers + last)
            await asyncio.sleep(2.0 if behind == "stream" else 0.7)  # each event is read
            assert resident_bytes() - before < 96 * MIB
            client.writer.transport.abort()
