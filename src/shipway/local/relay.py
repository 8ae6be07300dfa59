"""One address for several processes that cannot share a socket: passes each connection on to the next of them."""

import asyncio
import itertools
import socket
from collections.abc import Sequence

from shipway.local.addresses import Address

_CHUNK_BYTES = 64 * 1024


class Relay:
    """Listens on a socket and connects each connection to one of the addresses, in turn; who refuses is passed over.

    It copies bytes and reads none of them, so what runs over a connection stays with one process. Only calls from one
    service of the app to another come this way; the gateway knows each process itself.
    """

    def __init__(self, targets: Sequence[Address]) -> None:
        self._targets = itertools.cycle(targets)
        self._count = len(targets)

    async def serve(self, listener: socket.socket) -> None:
        """Relay until cancelled; then connections that are open are closed."""
        server = await asyncio.start_server(self._relay, sock=listener.dup(), limit=_CHUNK_BYTES)
        async with server:
            await server.serve_forever()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            far_writer.close()
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in range(self._count - 1):
            target = next(self._targets)
            try:
                return await asyncio.open_connection(target.host, target.port, limit=_CHUNK_BYTES)
            except OSError:
                continue
        target = next(self._targets)
        return await asyncio.open_connection(target.host, target.port, limit=_CHUNK_BYTES)


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy to the end of *source*, then end *sink* in that direction, as a half-closed connection is still open."""
    try:
        while chunk := await source.read(_CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
    except OSError:
        sink.transport.abort()
