"""Replicas of a service: one that is ill is left alone, and found out gently when it is well again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from tests.gateway.conftest import RunningGateway, StartGateway
from tests.gateway.echo_service import EchoService, echo_service
from tests.waiting import until


class Replica:
    """Hangs up on each request, or keeps each waiting, as it is told."""

    def __init__(self) -> None:
        self.port = 0
        self.asked = 0
        self.hangs_up = True
        self.open: set[asyncio.StreamWriter] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        self.open.add(writer)
        if not self.hangs_up:
            await reader.read()
        writer.close()


@asynccontextmanager
async def replica() -> AsyncIterator[Replica]:
    one = Replica()
    server = await asyncio.start_server(one.accept, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        for writer in one.open:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def service() -> AsyncIterator[EchoService]:
    async with echo_service() as running:
        yield running


@pytest.fixture
async def ill() -> AsyncIterator[Replica]:
    async with replica() as running:
        yield running


async def half_open(start_gateway: StartGateway, service: EchoService, ill: Replica) -> RunningGateway:
    """A gateway that has left *ill* alone for long enough, and would try it again beside *service*."""
    gateway = await start_gateway(
        'name = "app"\n[services.web]\nroutes = ["/"]\n[services.web.releases.one]\n'
        f'url = ["{service.url}", "http://127.0.0.1:{ill.port}"]\n'
        '[gateway]\ndrain = "1s"\ngrace = "1ms"\n[gateway.timeouts]\nfirst_byte = "400ms"\n'
    )
    while ill.asked < 5:
        await gateway.http.get("/x")
    assert await statuses(gateway, 10) == {200: 10}
    await asyncio.sleep(1.05)
    ill.hangs_up = False
    return gateway


async def statuses(gateway: RunningGateway, count: int) -> Counter[int]:
    answers = await asyncio.gather(*(gateway.http.get("/x") for _ in range(count)))
    return Counter(answer.status_code for answer in answers)


async def test_half_open_lets_two_at_a_time_pass(
    start_gateway: StartGateway, service: EchoService, ill: Replica
) -> None:
    gateway = await half_open(start_gateway, service, ill)
    assert await statuses(gateway, 30) == {200: 28, 504: 2}


async def test_probe_of_a_client_that_left_is_given_back(
    start_gateway: StartGateway, service: EchoService, ill: Replica
) -> None:
    gateway = await half_open(start_gateway, service, ill)
    async with AsyncExitStack() as stack:
        authorization = gateway.http.headers["authorization"]
        for _ in range(30):
            client = await stack.enter_async_context(gateway.raw())
            await client.send(f"GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: {authorization}\r\n\r\n")
        await until(lambda: ill.asked == 7, 2)
    ill.hangs_up = True
    await asyncio.sleep(0.1)
    await statuses(gateway, 30)
    assert ill.asked > 7
