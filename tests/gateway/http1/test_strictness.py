"""What the listener refuses, byte for byte: malformed syntax, ambiguous framing, and more than it is willing to hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shipway.gateway.http1.client_connection import MAX_PIPELINED
from tests.gateway.conftest import AUTH, KEY, RunningGateway, StartGateway, service_app
from tests.gateway.echo_service import EchoService, echo_service


@pytest.fixture
async def service() -> AsyncIterator[EchoService]:
    async with echo_service() as running:
        yield running


@pytest.fixture
async def gateway(start_gateway: StartGateway, service: EchoService) -> RunningGateway:
    return await start_gateway(
        service_app(
            service.url,
            'max_header = "4KiB"\nmax_target = "1KiB"\n'
            '[gateway.timeouts]\nheader = "200ms"\nbody = "200ms"\nfirst_byte = "300ms"\n',
        )
    )


H = "Host: a\r\n" + AUTH
SMUGGLED = "GET /open/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (f"GET / HTTP/1.1\n{H}\n", 400),
        (f"GET / HTTP/1.1\r\n{H}X: a\nY: b\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{H}X: a\rb\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{H}X: a\r\n b\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{H}X : a\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{H}: a\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{H}X: a\0b\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\n{H}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}", 400),
        (f"POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{SMUGGLED}", 400),
        (f"POST / HTTP/1.1\r\n{H}Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde{SMUGGLED}", 400),
        (f"POST / HTTP/1.1\r\n{H}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef{SMUGGLED}", 400),
        (f"POST / HTTP/1.1\r\n{H}Content-Length: +5\r\n\r\nabcde{SMUGGLED}", 400),
        (f"POST / HTTP/1.1\r\n{H}Content-Length: 5,5\r\n\r\nabcde{SMUGGLED}", 400),
        (f"POST / HTTP/1.1\r\n{H}Content-Length: 0x5\r\n\r\nabcde{SMUGGLED}", 400),
        (f"POST / HTTP/1.1\r\n{H}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{SMUGGLED}", 400),
        (f"POST / HTTP/1.1\r\n{H}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{SMUGGLED}", 501),
        (f"POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n{SMUGGLED}", 400),
        (f"POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (f"POST / HTTP/1.0\r\n{H}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}", 400),
        (f"GET / HTTP/1.1\r\n{AUTH}\r\n", 400),
        (f"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n{AUTH}\r\n", 400),
        (f"GET / HTTP/1.1\r\nHost: a\r\n{AUTH}{AUTH}\r\n", 400),
        (f"GET / HTTP/1.1\r\nHost: a\r\nx-api-key: {KEY}\r\nX-Api-Key: other\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: other\r\nx-api-key: {KEY}\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\nHost: a b\r\n{AUTH}\r\n", 400),
        (f"GET / HTTP/1.1\r\nHost: a/b\r\n{AUTH}\r\n", 400),
        (f"GET http://user@evil/ HTTP/1.1\r\n{H}\r\n", 400),
        (f"GET ftp://a/ HTTP/1.1\r\n{H}\r\n", 400),
        (f"GET /a#b HTTP/1.1\r\n{H}\r\n", 400),
        (f"GET / HTTP/2.0\r\n{H}\r\n", 505),
        ("GET /\r\n\r\n", 400),
        (f"BREW / HTTP/1.1\r\n{H}\r\n", 501),
        (f"GET / HTTP/1.1\r\n{H}Expect: something\r\n\r\n", 417),
        (f"GET /{'a' * 2000} HTTP/1.1\r\n{H}\r\n", 414),
        (f"GET / HTTP/1.1\r\n{H}X: {'a' * 5000}\r\n\r\n", 431),
        (f"GET / HTTP/1.1\r\n{H}{'X: a' * 2000}", 431),
    ],
)
async def test_bad_message_is_refused_and_the_connection_closed(
    gateway: RunningGateway, service: EchoService, request_text: str, status: int
) -> None:
    async with gateway.raw() as client:
        await client.send(request_text)
        assert (await client.response()).status == status
        assert await client.at_end()
    assert not any(b"smuggled" in request for request in service.requests)


@pytest.mark.parametrize(
    "body",
    [
        "3\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n",
    ],
)
async def test_malformed_chunk_ends_the_request_and_the_connection(
    gateway: RunningGateway, service: EchoService, body: str
) -> None:
    async with gateway.raw() as client:
        await client.send(f"POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n{body}{SMUGGLED}")
        assert (await client.response()).status in {400, 502}
        assert await client.at_end()
    assert not any(b"smuggled" in request for request in service.requests)


@pytest.mark.parametrize(("lines", "status"), [(512, 200), (513, 400)])
async def test_a_kibibyte_of_empty_lines_may_come_before_a_request(
    gateway: RunningGateway, lines: int, status: int
) -> None:
    async with gateway.raw() as client:
        await client.send("\r\n" * lines + f"GET / HTTP/1.1\r\n{H}\r\n")
        assert (await client.response()).status == status


async def test_requests_that_wait_for_their_turn_are_bounded(gateway: RunningGateway) -> None:
    async with gateway.raw() as client:
        await client.send(f"GET / HTTP/1.1\r\n{H}\r\n" * (MAX_PIPELINED + 2))
        statuses = [(await client.response()).status for _ in range(MAX_PIPELINED + 2)]
        assert await client.at_end()
    assert statuses == [200] * (MAX_PIPELINED + 1) + [400]


async def test_pipelined_requests_are_answered_in_order(gateway: RunningGateway) -> None:
    async with gateway.raw() as client:
        await client.send("".join(f"GET /open/{at} HTTP/1.1\r\nHost: a\r\n\r\n" for at in range(5)))
        for at in range(5):
            assert f"/open/{at}".encode() in (await client.response()).body


async def test_absolute_target_replaces_host(gateway: RunningGateway, service: EchoService) -> None:
    await gateway.ask(f"GET http://other.test:81/x?y HTTP/1.1\r\n{H}\r\n")
    assert service.requests[0].startswith(b"GET /x?y HTTP/1.1\r\nHost: other.test:81\r\n")


async def test_http_1_0_client_gets_a_body_that_ends_with_the_connection(gateway: RunningGateway) -> None:
    async with gateway.raw() as client:
        await client.send("GET /open/x HTTP/1.0\r\n\r\n")
        response = await client.response()
        assert response.status == 200
        assert "transfer-encoding" not in response.headers
        assert await client.at_end()


async def test_slow_head_and_slow_body_are_408(gateway: RunningGateway) -> None:
    for sent in ("GET / HTTP/1.1\r\nHos", f"POST / HTTP/1.1\r\n{H}Content-Length: 10\r\n\r\nabc"):
        async with gateway.raw() as client:
            await client.send(sent)
            assert (await client.response()).status == 408
            assert await client.at_end()


async def test_silent_service_is_504(gateway: RunningGateway) -> None:
    response = await gateway.ask(f"GET /hang HTTP/1.1\r\n{H}\r\n")
    assert response.status == 504


async def test_connection_is_reused_until_the_client_says_close(gateway: RunningGateway) -> None:
    async with gateway.raw() as client:
        for _ in range(3):
            await client.send("GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.response()).status == 200
        await client.send("GET /open/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await client.response()).headers["connection"] == "close"
        assert await client.at_end()


async def test_expectation_is_met_before_the_body_is_sent(gateway: RunningGateway) -> None:
    async with gateway.raw() as client:
        await client.send(f"POST /x HTTP/1.1\r\n{H}Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.response()).status == 100
        await client.send("abc")
        assert b'"length": 3' in (await client.response()).body


async def test_refused_expectation_saves_the_body(gateway: RunningGateway) -> None:
    async with gateway.raw() as client:
        await client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.response()).status == 401
        assert await client.at_end()


async def test_flood_of_idle_connections_leaves_the_gateway_answering(gateway: RunningGateway) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(200)]
    assert (await gateway.ask("GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
    for _, writer in idle:
        writer.close()
