"""Guards that are HTTP endpoints: a check is POSTed as JSON, the answer is a verdict in JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

import msgspec

from shipway.gateway.guards.check import Check, GuardFault
from shipway.gateway.http1.running import Running
from shipway.gateway.http1.upstream_connection import UpstreamConnection, UpstreamFault
from shipway.gateway.undecodable import UNDECODABLE
from shipway.gateway.upstreams import Endpoint

MAX_ANSWER_BYTES = 64 * 1024

_OK = HTTPStatus.OK.value
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class EndpointAsker:
    """Asks an endpoint over kept connections; on each one check at a time.

    Args:
        fields: Header lines besides those of HTTP itself.
    """

    def __init__(self, endpoint: Endpoint, fields: bytes, connect_s: float) -> None:
        self._endpoint = endpoint
        self._connect_s = connect_s
        self._head = (
            b"POST %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: shipway\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n"
            b"Content-Type: application/json\r\n%b" % (endpoint.address.base_path or b"/", endpoint.authority, fields)
        )
        self._loop = asyncio.get_running_loop()

    def ask(self, check: Check, freed: Callable[[], None]) -> asyncio.Future[object]:
        """The document that the endpoint gives; see `Asker`. Cancelled, its connection is closed."""
        future: asyncio.Future[object] = self._loop.create_future()
        running = Running()

        async def run() -> None:
            try:
                document = await self._exchanged(_encode(check))
            except asyncio.CancelledError:
                pass
            except Exception as error:
                if not future.done():
                    future.set_exception(
                        error if isinstance(error, GuardFault) else GuardFault("unreachable", str(error))
                    )
            else:
                if not future.done():
                    future.set_result(document)
            finally:
                freed()

        future.add_done_callback(lambda _: running.stop())
        running.start(run())
        return future

    def close(self) -> None:
        """Its connections belong to the endpoint."""

    async def _exchanged(self, body: bytes) -> object:
        """Raises: UpstreamFault, GuardFault."""
        message = b"%bContent-Length: %d\r\n\r\n%b" % (self._head, len(body), body)
        kept = self._endpoint.pool.take_idle(self._loop.time(), check=True)
        if kept is not None:
            try:
                return await self._asked_on(kept, message)
            except UpstreamFault as fault:
                if fault.kind not in {
                    "unsent",
                    "reset",
                }:  # else it was closed meanwhile, and a check may be asked twice
                    raise
        return await self._asked_on(await self._endpoint.pool.connect(self._connect_s), message)

    async def _asked_on(self, connection: UpstreamConnection, message: bytes) -> object:
        pool = self._endpoint.pool
        try:
            response = await connection.send(b"POST", message, complete=True)
            pieces = await connection.read(MAX_ANSWER_BYTES)
        finally:
            pool.release(connection)  # which closes it where its response was not read to the end
        if response.status != _OK or pieces is None:
            raise GuardFault("nonsense", f"status {response.status}")
        try:
            return _decode(b"".join(pieces))
        except UNDECODABLE as error:
            raise GuardFault("nonsense", "no JSON") from error
