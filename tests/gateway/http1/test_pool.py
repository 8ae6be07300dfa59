"""Places in the pool: whoever waits for one gets it, also when another that waited has gone."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from shipway.gateway.http1.outbox import Outbox
from shipway.gateway.http1.pool import Origin, Pool
from tests.waiting import until


async def test_place_of_one_that_left_as_it_was_called_is_the_next_ones() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    origin = Origin("127.0.0.1", server.sockets[0].getsockname()[1])
    pool = Pool(origin, Outbox(loop), max_connections=1)
    only = await pool.connect(1)
    waiting = [asyncio.create_task(pool.connect(1)) for _ in range(2)]
    await asyncio.sleep(0.05)
    pool.discard(only)  # calls the first
    waiting[0].cancel()
    second = await waiting[1]
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    assert pool.open_connections == 1
    pool.discard(second)
    server.close()


async def test_a_connection_that_is_given_back_before_somebody_begins_to_wait_makes_room() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await reader.read()

    loop = asyncio.get_running_loop()
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        pool = Pool(Origin("127.0.0.1", server.sockets[0].getsockname()[1]), Outbox(loop), max_connections=1)
        first = await pool.connect(1)
        answered = first.send(b"GET", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", complete=True)
        await until(lambda: answered.settled)
        opening = asyncio.create_task(pool.connect(1))
        await asyncio.sleep(0)  # it is called, and has not looked yet
        pool.release(first)
        second = await opening
        assert pool.open_connections == 1
        pool.discard(second)
