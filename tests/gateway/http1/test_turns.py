"""What one turn of uvloop's event loop may read: little, as nothing is written, and no reader found slow, before its end."""

from __future__ import annotations

import asyncio
from typing import cast

import uvloop

from shipway.gateway.http1.exchange import Exchange
from shipway.gateway.http1.fields import Fields
from shipway.gateway.http1.listener import Limits, Server
from shipway.gateway.http1.outbox import Outbox
from shipway.gateway.http1.upstream_connection import UpstreamConnection

BODY = b"x" * (4 * 1024 * 1024)
TWO_READS = 512 * 1024
"""What came with the head is handed on with what comes next."""


class PerTurn:
    """Takes a body, either way, and notes how much of it came in each turn of the loop."""

    def __init__(self) -> None:
        self.turns = [0]
        self.over = asyncio.Event()
        self._new = True

    def open_shortcut(self) -> None:
        return None

    def piece(self, data: bytes) -> None:
        if self._new:
            self._new = False
            self.turns.append(0)
            asyncio.get_running_loop().call_soon(self._turn)
        self.turns[-1] += len(data)

    def body_piece(self, data: bytes) -> bool:
        self.piece(data)
        return True

    def ended(self, trailers: Fields) -> None:
        self.over.set()

    body_end = ended

    def failed(self, fault: Exception) -> None:
        raise fault

    def body_broken(self) -> None:
        raise AssertionError

    def _turn(self) -> None:
        self._new = True


def test_response_is_read_a_piece_a_turn() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY))
        await reader.read()
        writer.close()

    async def download() -> list[int]:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connection = UpstreamConnection(loop, Outbox(loop))
        await loop.create_connection(lambda: cast(asyncio.Protocol, connection), "127.0.0.1", port)
        connection.send(b"GET", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", complete=True)
        sink = PerTurn()
        connection.relay(sink)
        await asyncio.wait_for(sink.over.wait(), 10)
        connection.close()
        server.close()
        return sink.turns

    turns = uvloop.run(download())
    assert (sum(turns), max(turns) <= TWO_READS) == (len(BODY), True)


def test_request_is_read_a_piece_a_turn() -> None:
    async def upload() -> list[int]:
        sink = PerTurn()

        async def handler(exchange: Exchange) -> None:
            exchange.pipe_body(sink)

        loop = asyncio.get_running_loop()
        listener = Server(handler, Limits(), Outbox(loop))
        server = await loop.create_server(listener.connect, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY))
        await asyncio.wait_for(sink.over.wait(), 10)
        writer.close()
        server.close()
        return sink.turns

    turns = uvloop.run(upload())
    assert (sum(turns), max(turns) <= TWO_READS) == (len(BODY), True)
