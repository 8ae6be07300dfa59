"""One address for several processes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from shipway.local.addresses import LOOPBACK, Address, address_of, free_port, listening_socket
from shipway.local.relay import Relay

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _relaying(*targets: Address) -> AsyncIterator[Address]:
    with listening_socket() as listener:
        task = asyncio.create_task(Relay(targets).serve(listener))
        yield address_of(listener)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _server(name: bytes) -> AsyncIterator[Address]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.read()  # to the end of what the client sends
        writer.write(name + b":" + asked)
        writer.close()

    server = await asyncio.start_server(answer, LOOPBACK, 0)
    async with server:
        yield Address(*server.sockets[0].getsockname())


async def _ask(address: Address, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(question)
    writer.write_eof()
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_connections_go_to_each_in_turn_and_may_be_half_closed() -> None:
    async with _server(b"a") as a, _server(b"b") as b, _relaying(a, b) as relay:
        assert [await _ask(relay, b"x" * 100_000) for _ in range(3)] == [
            b"a:" + b"x" * 100_000,
            b"b:" + b"x" * 100_000,
            b"a:" + b"x" * 100_000,
        ]


async def test_who_refuses_is_passed_over() -> None:
    dead = Address(LOOPBACK, free_port(set()))
    async with _server(b"a") as a, _relaying(dead, a) as relay:
        assert [await _ask(relay, b"1"), await _ask(relay, b"2")] == [b"a:1", b"a:2"]


async def test_a_connection_that_nobody_takes_is_closed() -> None:
    async with _relaying(Address(LOOPBACK, free_port(set()))) as relay:
        try:
            assert await _ask(relay, b"x") == b""
        except ConnectionError:
            pass  # a reset: it depends on whether what was sent had arrived
