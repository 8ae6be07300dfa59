"""Peers that are slow, rude or greedy, and what they may not do to others."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path

import pytest

from tests.gateway.conftest import RawClient, RunningGateway, StartGateway, unread
from tests.gateway.http1.conftest import public_app
from tests.gateway.http1.recorder import OK, Recorder
from tests.waiting import until

HOST = "Host: a\r\n"
GOOD = f"GET /good HTTP/1.1\r\n{HOST}\r\n"
MIB = 1024 * 1024


@pytest.fixture
async def gateway(start_gateway: StartGateway, service: Recorder) -> RunningGateway:
    return await start_gateway(
        public_app(
            service,
            'max_header = "4KiB"\nmax_target = "1KiB"\nmax_body = "1GiB"\n',
            'header = "300ms"\nbody = "2s"\nfirst_byte = "5s"\nkeep_alive = "400ms"\n',
        )
    )


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def reset(client: RawClient) -> None:
    connected = client.writer.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


@pytest.mark.parametrize(
    ("target", "field_bytes", "status"),
    [("/" + "a" * 1023, 0, 200), ("/" + "a" * 1024, 0, 414), ("/", 4096, 200), ("/", 4097, 431)],
)
@pytest.mark.parametrize("cut", [0, 30, 1500])
async def test_limits_hold_to_the_byte_wherever_the_head_is_cut(
    gateway: RunningGateway, target: str, field_bytes: int, status: int, cut: int
) -> None:
    pad = field_bytes - len(HOST) - len("X: \r\n")
    head = f"GET {target} HTTP/1.1\r\n{HOST}X: {'a' * max(pad, 0)}\r\n\r\n"
    async with gateway.raw() as client:
        if cut:
            await client.send(head[:cut])
            await asyncio.sleep(0.01)
        await client.send(head[cut:])
        assert (await client.response()).status == status


async def test_empty_lines_without_end_do_not_hold_a_connection(gateway: RunningGateway) -> None:
    async with gateway.raw() as client:
        for _ in range(30):
            try:
                await client.send("\r\n")
            except ConnectionError:
                return
            await asyncio.sleep(0.04)
        assert client.reader.at_eof()


@pytest.mark.parametrize("piece", ["X: a\r\n", "X"])
async def test_head_that_drips_is_408(gateway: RunningGateway, piece: str) -> None:
    async with gateway.raw() as client:
        await client.send(f"GET / HTTP/1.1\r\n{HOST}")
        for _ in range(20):
            await asyncio.sleep(0.03)
            client.writer.write(piece.encode())
        assert (await client.response()).status == 408


async def test_chunk_extensions_without_end_are_refused(gateway: RunningGateway) -> None:
    async with gateway.raw() as client:
        await client.send(f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(40):
            client.writer.write(b"1;" + b"a" * 10_000 + b"\r\nx\r\n")
            await asyncio.sleep(0)
        assert (await client.response()).status == 400
        assert await client.at_end()


async def test_thousands_of_one_byte_chunks_are_a_body(gateway: RunningGateway, service: Recorder) -> None:
    async with gateway.raw() as client:
        await client.send(f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n")
        await client.send(b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n")
        assert (await client.response()).status == 200
    assert service.requests[0].body == b"x" * 20_000


async def test_kept_connection_that_broke_is_replaced_once_by_a_new_one(
    gateway: RunningGateway, service: Recorder
) -> None:
    service.answer("slow", 0.1, OK)
    service.answer("gone", "close")

    async def get(path: str) -> int:
        async with gateway.raw() as client:
            await client.send(f"GET /{path} HTTP/1.1\r\n{HOST}\r\n")
            return (await client.response()).status

    assert await asyncio.gather(*(get("slow") for _ in range(6))) == [200] * 6
    service.requests.clear()
    kept = service.connections
    assert await get("gone") == 502
    assert (len(service.requests), service.connections) == (2, kept + 1)


async def test_answer_given_before_the_body_came_reaches_the_client(gateway: RunningGateway, service: Recorder) -> None:
    service.answer("early", "early", OK, "read")
    async with gateway.raw() as client:
        await client.send(f"POST /early HTTP/1.1\r\n{HOST}Content-Length: 5000000\r\n\r\nabc")
        response = await client.response()
        assert (response.status, response.body, response.headers["connection"]) == (200, b"ok", "close")
        await client.send("x" * 100_000)
        assert await client.at_end()


async def test_bytes_sent_early_with_an_upgrade_go_through_it(gateway: RunningGateway, service: Recorder) -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst"
    service.answer("ws", switching, 0.2, b"second", "read")
    async with gateway.raw() as client:
        await client.send(f"GET /ws HTTP/1.1\r\n{HOST}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n{GOOD}")
        assert (await client.head())[0] == 101
        assert await client.reader.readexactly(11) == b"firstsecond"
    assert [one.target for one in service.requests] == [b"/ws"]


async def test_connection_goes_on_after_a_refused_upgrade(gateway: RunningGateway) -> None:
    async with gateway.raw() as client:
        for _ in range(3):
            await client.send(f"GET /ws HTTP/1.1\r\n{HOST}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            assert (await client.response()).status == 200
            await asyncio.sleep(0.02)
            await client.send(GOOD)
            assert (await client.response()).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        "GET / HT",
        f"POST / HTTP/1.1\r\n{HOST}Content-Length: 9\r\n\r\nabc",
        f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nab",
        f"GET /waiting HTTP/1.1\r\n{HOST}\r\n",
        f"GET /streaming HTTP/1.1\r\n{HOST}\r\n",
        f"GET /ws HTTP/1.1\r\n{HOST}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        GOOD * 50,
    ],
)
async def test_client_that_resets_at_any_point_leaves_nothing_behind(
    gateway: RunningGateway, service: Recorder, sent: str
) -> None:
    service.answer("waiting", "read")
    service.answer("streaming", b"HTTP/1.1 200 OK\r\n\r\nabc", "read")
    service.answer("ws", b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "read")
    kept = 2 if sent.startswith(GOOD) else 1  # connections that wait for the next request; pipelined ones take turns
    async with gateway.raw() as client:
        await client.send(sent)
        await asyncio.sleep(0.05)
        reset(client)
    async with gateway.raw() as client:
        await client.send(GOOD)
        assert (await client.response()).status == 200
    await until(lambda: len(service.tasks) <= kept, 2)


async def test_upload_to_a_service_that_reads_slowly_is_held_back(gateway: RunningGateway, service: Recorder) -> None:
    service.answer("early", "early", 1.0, OK, "read")
    piece = b"x" * MIB
    before = resident_bytes()
    sent = 0
    async with gateway.raw() as client:
        await client.send(f"POST /early HTTP/1.1\r\n{HOST}Content-Length: {200 * MIB}\r\n\r\n")
        try:
            for _ in range(200):
                client.writer.write(piece)
                await asyncio.wait_for(client.writer.drain(), 0.5)
                sent += MIB
        except TimeoutError:
            pass
        assert sent < 64 * MIB  # what the buffers of the sockets hold
        assert resident_bytes() - before < 48 * MIB
        client.writer.transport.abort()


async def test_stream_that_nobody_reads_takes_no_memory(gateway: RunningGateway, service: Recorder) -> None:
    service.answer("stream", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (400 * MIB), *([b"x" * MIB] * 400))
    before = resident_bytes()
    async with gateway.raw() as client:
        with unread(client):
            await client.send(f"GET /stream HTTP/1.1\r\n{HOST}\r\n")
            await asyncio.sleep(1.0)
            assert resident_bytes() - before < 48 * MIB
            client.writer.transport.abort()


async def test_connection_on_which_a_service_left_http_carries_no_further_request(
    gateway: RunningGateway, service: Recorder
) -> None:
    service.answer("switch", b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n")
    assert (await gateway.ask(f"GET /switch HTTP/1.1\r\n{HOST}\r\n")).status == 502
    assert (await gateway.ask(GOOD)).status == 200
    assert service.connections == 2
