"""Requests to services through the gateway: routes, keys, bodies of any size, upgrades."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import cast

import pytest

from tests.gateway.conftest import AUTH, KEY, StartGateway, service_app, unread
from tests.gateway.echo_service import EchoService, echo_service
from tests.gateway.test_failover import nothing_under_way


@pytest.fixture
async def service() -> AsyncIterator[EchoService]:
    async with echo_service() as running:
        yield running


async def test_closed_route_wants_a_key_and_does_not_pass_it_on(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url))
    refused = await gateway.ask("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (refused.status, refused.headers["content-type"]) == (401, "application/problem+json")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert service.requests == []
    answer = json.loads((await gateway.ask(f"GET /x?q=1 HTTP/1.1\r\nHost: app.test\r\n{AUTH}\r\n")).body)
    assert answer["request"] == "GET /x?q=1 HTTP/1.1"
    assert answer["headers"]["host"] == "app.test"
    assert KEY not in json.dumps(answer)


async def test_open_route_needs_no_key_and_keeps_the_apps_own_credentials(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url))
    response = await gateway.ask("GET /open/x HTTP/1.1\r\nHost: a\r\nAuthorization: Basic dTpw\r\n\r\n")
    assert json.loads(response.body)["headers"]["authorization"] == "Basic dTpw"


@pytest.mark.parametrize(
    "path", ["/open/../x", "/open/%2e%2e/x", "/open%2f..%2fx", "/open/..%2fx", "/open\\..\\x", "/open/%zz"]
)
async def test_path_that_servers_read_differently_is_refused(
    start_gateway: StartGateway, service: EchoService, path: str
) -> None:
    gateway = await start_gateway(service_app(service.url))
    assert (await gateway.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).status == 400
    assert service.requests == []


async def test_closed_route_cannot_be_reached_through_an_open_one_by_escapes(
    start_gateway: StartGateway, service: EchoService
) -> None:
    routes = '[{ path = "/", public = true }, { path = "/admin", public = false }]'
    gateway = await start_gateway(f'name = "a"\n[services.web]\nurl = "{service.url}"\nroutes = {routes}\n')
    for path in ("/admin", "/%61dmin", "//admin", "/admin/x", "/%2fadmin"):
        assert (await gateway.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).status == 401
    for path in ("/admin;x", "/admin;x/y", "/;/admin", "/;x/;y/admin", "/admin%3bx"):
        assert (await gateway.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).status == 400
    for path in ("/administrator", "/a;b=c/d", "/administrator;x"):
        assert (await gateway.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200


async def test_large_upload_is_streamed_with_either_framing(start_gateway: StartGateway, service: EchoService) -> None:
    gateway = await start_gateway(service_app(service.url))
    body = b"x" * 3_000_000

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 50_000):
            yield body[start : start + 50_000]

    for content in (body, pieces()):
        response = await gateway.http.post("/up", content=content)
        assert response.json()["length"] == len(body)


async def test_upload_past_the_limit_is_413_while_it_streams(start_gateway: StartGateway, service: EchoService) -> None:
    gateway = await start_gateway(service_app(service.url, 'max_body = "100KiB"\n'))
    async with gateway.raw() as client:
        await client.send(f"POST /up HTTP/1.1\r\nHost: a\r\n{AUTH}Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(30):
            await client.send(b"2000\r\n" + b"x" * 8192 + b"\r\n")
        assert (await client.response()).status == 413


async def test_trailers_pass_both_ways(start_gateway: StartGateway, service: EchoService) -> None:
    gateway = await start_gateway(service_app(service.url))
    async with gateway.raw() as client:
        await client.send(
            f"POST /up HTTP/1.1\r\nHost: a\r\n{AUTH}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n"
        )
        assert json.loads((await client.response()).body)["trailers"] == "X-Sum: 3\r\n"
        await client.send(f"GET /trailers HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n")
        response = await client.response()
    assert (response.body, response.trailers) == (b"abc", {"x-sum": "6"})


async def test_upgraded_connection_passes_bytes_both_ways(start_gateway: StartGateway, service: EchoService) -> None:
    gateway = await start_gateway(service_app(service.url))
    async with gateway.raw() as client:
        await client.send(f"GET /ws HTTP/1.1\r\nHost: a\r\n{AUTH}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        status, headers = await client.head()
        assert (status, headers["upgrade"]) == (101, "websocket")
        assert await client.reader.readexactly(5) == b"hello"
        await client.send("ping")
        assert await asyncio.wait_for(client.reader.readexactly(4), 2) == b"PING"
    await asyncio.wait_for(service.left.wait(), 2)


class SlowSocket(asyncio.Protocol):
    """A service that takes an upgrade, and what comes then at its own pace: *takes* is whether it reads now and then."""

    def __init__(self, *, takes: bool) -> None:
        self.takes = takes
        self.had = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self.had:
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            )
        self.had += len(data)
        self.transport.pause_reading()
        if self.takes:
            asyncio.get_running_loop().call_later(0.1, self.transport.resume_reading)


@pytest.mark.parametrize("takes", [False, True])
async def test_upgraded_connection_whose_service_takes_nothing_is_given_up_and_a_slow_one_is_not(
    start_gateway: StartGateway, *, takes: bool
) -> None:
    service = SlowSocket(takes=takes)
    server = await asyncio.get_running_loop().create_server(lambda: service, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    gateway = await start_gateway(service_app(f"http://127.0.0.1:{port}", '[gateway.timeouts]\nidle = "500ms"\n'))
    async with gateway.raw() as client:
        await client.send(f"GET /ws HTTP/1.1\r\nHost: a\r\n{AUTH}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert (await client.head())[0] == 101
        client.writer.write(b"x" * 24_000_000)
        await asyncio.sleep(2.5 if takes else 0.2)
        before = service.had
        await asyncio.sleep(0.3)
        assert (service.had > before) is takes
        if takes:
            assert not client.writer.transport.is_closing()
            assert "shipway_requests_in_flight 1" in await gateway.metrics()
        client.writer.transport.abort()
        if not takes:
            await nothing_under_way(gateway)
    service.transport.abort()
    server.close()


@pytest.mark.parametrize("path", ["/endless", "/hints"])
async def test_unread_stream_stops_the_upstream(start_gateway: StartGateway, service: EchoService, path: str) -> None:
    gateway = await start_gateway(service_app(service.url))
    async with gateway.raw() as client:
        with unread(client):
            await client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n")
            before = -1
            while service.sent_bytes != before or before <= 0:
                before = service.sent_bytes
                await asyncio.sleep(0.2)
            assert before < 32 * 1024 * 1024  # what the buffers of three sockets hold, not more and more
    await asyncio.wait_for(service.left.wait(), 2)


async def test_interim_responses_wait_for_a_client_that_was_slow_before_the_first(start_gateway: StartGateway) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    sent_bytes = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent_bytes
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await go_on.wait()
        hints = (b"HTTP/1.1 103 Early Hints\r\nLink: <%b>\r\n\r\n" % (b"x" * 980)) * 64
        with contextlib.closing(writer), contextlib.suppress(OSError):
            while True:
                writer.write(hints)
                sent_bytes += len(hints)
                await writer.drain()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        gateway = await start_gateway(service_app(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        async with gateway.raw() as client:
            await client.send(f"GET /x HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n")
            await asyncio.wait_for(asked.wait(), 5)
            (connection,) = gateway.server._main.connections
            connection.pause_writing()  # as its transport says when an answer before this one filled its buffer
            go_on.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while await client.reader.read(1024 * 1024):
                        pass
            assert sent_bytes < 32 * 1024 * 1024


async def test_fields_named_by_connection_stay_behind_both_ways(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url))
    response = await gateway.ask(
        f"GET /x HTTP/1.1\r\nHost: a\r\n{AUTH}Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nTE: trailers\r\nX-Kept: 2\r\n\r\n"
    )
    seen = json.loads(response.body)["headers"]
    assert "x-hop" not in seen
    assert "te" not in seen
    assert seen["x-kept"] == "2"
    assert "x-private" not in response.headers


async def test_connection_that_died_in_the_pool_is_replaced_for_a_safe_request_only(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url))
    assert (await gateway.http.get("/stale")).status_code == 200
    assert (await gateway.http.get("/x")).status_code == 200
    assert (await gateway.http.post("/close", content=b"once")).status_code == 502
    assert service.bodies.count(b"once") == 1


async def test_informational_responses_and_empty_ones_pass(start_gateway: StartGateway, service: EchoService) -> None:
    gateway = await start_gateway(service_app(service.url))
    async with gateway.raw() as client:
        await client.send(f"GET /early HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n")
        assert (await client.response()).status == 103
        assert (await client.response()).status == 200
        await client.send(f"GET /204 HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n")
        assert (await client.response()).status == 204
        await client.send(f"HEAD /x HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n")
        head = await client.response(to_head=True)
        assert int(head.headers["content-length"]) > 0
        await client.send(f"GET /x HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n")
        assert (await client.response()).status == 200


async def test_request_id_is_kept_when_sane_and_made_otherwise(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url))
    for sent, kept in (("my-id-1", True), ("bad id <script>", False), ("x" * 200, False)):
        response = await gateway.http.get("/x", headers={"x-request-id": sent})
        assert (response.headers["x-request-id"] == sent) is kept
        assert response.json()["headers"]["x-request-id"] == response.headers["x-request-id"]


async def test_unreachable_service_is_503_with_retry_after(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(service_app("http://127.0.0.1:1"))
    response = await gateway.http.get("/x")
    assert (response.status_code, response.json()["code"]) == (503, "upstream_unavailable")
    assert response.headers["retry-after"] == "1"


async def test_client_that_leaves_before_the_first_byte_is_seen_by_the_service(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url))
    async with gateway.raw() as client:
        await client.send(f"GET /hang HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n")
        await asyncio.wait_for(service.hung.wait(), 2)
    await asyncio.wait_for(service.left.wait(), 2)


async def test_upload_may_take_longer_than_the_first_byte_may(
    start_gateway: StartGateway, service: EchoService
) -> None:
    gateway = await start_gateway(service_app(service.url, '[gateway.timeouts]\nfirst_byte = "300ms"\n'))

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"x"
            await asyncio.sleep(0.1)

    assert (await gateway.http.post("/up", content=slowly())).json()["length"] == 8


async def test_service_that_refuses_an_upload_and_hangs_up_is_heard(start_gateway: StartGateway) -> None:
    """Its hanging up with bytes unread is a reset, on which the next write fails, maybe before the answer was read."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        gateway = await start_gateway(
            f'name = "app"\n[services.web]\nurl = "http://127.0.0.1:{port}"\nroutes = [{{ path = "/", public = true }}]\n'
        )
        for _ in range(10):
            answer = await gateway.ask(
                b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + b"a" * 3_000_000
            )
            assert answer.status == 413
