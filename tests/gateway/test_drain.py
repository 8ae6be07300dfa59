"""The end of a gateway in its own event loop: what is under way, what comes meanwhile, what is cut."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import AUTH, RunningGateway, StartGateway, model_app, service_app, unread
from tests.gateway.echo_service import EchoService, echo_service

CHAT = '{"model":"chat","stream":true,"messages":[]}'
CALL = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: {len(CHAT)}\r\n\r\n{CHAT}"


@pytest.fixture
async def service() -> AsyncIterator[EchoService]:
    async with echo_service() as running:
        yield running


def draining(gateway: RunningGateway) -> asyncio.Task[None]:
    return asyncio.create_task(gateway.server.drain())


async def test_new_connections_are_served_in_the_grace_while_readiness_fails(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url).replace('grace = "1ms"', 'grace = "500ms"'))
    port = gateway.port
    over = draining(gateway)
    await asyncio.sleep(0)
    assert (await gateway.admin.get("/readyz")).json() == {"status": "draining"}
    assert (await gateway.ask("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")).status == 503
    assert (await gateway.admin.get("/healthz")).status_code == 200
    answer = await gateway.ask(f"GET /x HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n")
    assert (answer.status, answer.headers["connection"]) == (200, "close")  # so that clients move while they are served
    await over
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_what_is_under_way_finishes_and_its_connection_is_closed_after_it(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    fake.script(Reply(delay_s=0.4))
    gateway = await start_gateway(model_app(fake))
    async with gateway.raw() as client, gateway.raw() as idle:
        await client.send(CALL.replace("true", "null"))
        await fake.received(1)
        over = draining(gateway)
        assert await idle.at_end()
        response = await client.response()
        assert (response.status, response.headers["connection"]) == (200, "close")
        assert await client.at_end()
    await over


async def test_stream_that_outlasts_the_budget_gets_an_error_in_band_and_its_line_in_the_log(
    start_gateway: StartGateway, fake: FakeOpenAI, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.script(Reply(stall_after=3))
    gateway = await start_gateway(model_app(fake).replace('drain = "1s"', 'drain = "300ms"'))
    async with gateway.raw() as client:
        await client.send(CALL)
        (received,) = await fake.received(1)
        await client.head()
        began_s = time.monotonic()
        over = draining(gateway)
        rest = (await asyncio.wait_for(client.reader.read(), 3)).decode()
        assert 0.25 < time.monotonic() - began_s < 1.0
    await over
    assert '"code":"draining"' in rest
    assert rest.endswith("0\r\n\r\n")
    assert "[DONE]" not in rest
    await asyncio.wait_for(received.gone.wait(), 1)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["Attributes"]["error.type"] for line in lines] == ["draining"]


async def test_answer_that_has_not_begun_by_the_end_of_the_budget_is_503(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url).replace('drain = "1s"', 'drain = "200ms"'))
    async with gateway.raw() as client:
        await client.send(f"GET /hang HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n")
        await asyncio.wait_for(service.hung.wait(), 2)
        over = draining(gateway)
        response = await client.response()
        assert (response.status, json.loads(response.body)["code"]) == (503, "draining")
        assert response.headers["retry-after"] == "1"
    await over
    await asyncio.wait_for(service.left.wait(), 2)


async def test_download_that_nobody_reads_does_not_hold_the_end_up(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url).replace('drain = "1s"', 'drain = "200ms"'))
    async with gateway.raw() as client:
        with unread(client):
            await client.send(f"GET /endless HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n")
            await asyncio.sleep(0.3)
            await asyncio.wait_for(draining(gateway), 2)
    await asyncio.wait_for(service.left.wait(), 2)


async def test_websocket_ends_with_the_budget_and_gets_no_http_in_its_stream(
    start_gateway: StartGateway, service: EchoService, capfd: pytest.CaptureFixture[str]
) -> None:
    gateway = await start_gateway(service_app(service.url).replace('drain = "1s"', 'drain = "200ms"'))
    async with gateway.raw() as client:
        await client.send(f"GET /ws HTTP/1.1\r\nHost: a\r\n{AUTH}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await client.head()
        over = draining(gateway)
        await client.send("ping")
        assert await asyncio.wait_for(client.reader.read(), 3) == b"helloPING"
    await asyncio.wait_for(over, 2)
    await asyncio.wait_for(service.left.wait(), 2)
    (line,) = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert line["Attributes"]["http.response.status_code"] == 101


async def test_request_that_is_still_being_sent_at_the_end_of_the_budget_is_closed(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url).replace('drain = "1s"', 'drain = "200ms"'))
    async with gateway.raw() as upload, gateway.raw() as head:
        await upload.send(f"POST /x HTTP/1.1\r\nHost: a\r\n{AUTH}Content-Length: 10\r\n\r\nabc")
        await head.send("GET /x HTTP/1.1\r\nHo")
        await asyncio.sleep(0.05)
        over = draining(gateway)
        assert (await upload.response()).status == 503
        assert await head.at_end()
    await asyncio.wait_for(over, 2)
