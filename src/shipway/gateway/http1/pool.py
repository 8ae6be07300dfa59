"""Connections to one origin, kept for reuse: the most recently used first, so that idle ones age and leave."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Final, cast

from shipway.gateway.http1.outbox import Outbox
from shipway.gateway.http1.upstream_connection import UpstreamConnection, UpstreamFault
from shipway.gateway.tls import TlsWarnings


@dataclass(frozen=True)
class Origin:
    """Where an upstream listens."""

    host: str
    port: int
    tls: bool = False

    def authority(self) -> bytes:
        """The Host field's value."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}").encode()


FRESH_S: Final = 0.1
"""A connection idle for less than this is used unchecked: the event loop has hardly had time to miss anything."""


class Pool:
    """Bounded connections to one origin.

    Args:
        max_connections: Open at a time, idle ones among them; a request past that waits for one until its connect deadline.
        max_idle_s: An idle connection older than this is closed rather than used, below the 60 to 75 s after which
            common servers close theirs.
    """

    def __init__(
        self,
        origin: Origin,
        outbox: Outbox,
        *,
        tls: ssl.SSLContext | None = None,
        max_connections: int = 1024,
        max_idle_s: float = 55.0,
    ) -> None:
        self.origin = origin
        self.tls = tls
        self._warnings = TlsWarnings(origin.authority().decode())
        self._max_connections = max_connections
        self._max_idle_s = max_idle_s
        self._idle: list[UpstreamConnection] = []
        self._open = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._outbox = outbox
        self._loop = asyncio.get_running_loop()
        self._closed = False

    @property
    def open_connections(self) -> int:
        """Connections in use, idle or being opened."""
        return self._open

    def take_idle(self, now_s: float, *, check: bool = False) -> UpstreamConnection | None:
        """An idle connection that is still open, or None.

        Args:
            now_s: On the loop's clock.
            check: Ask the system whether the peer has closed one that was idle for a while. Costs about a microsecond,
                and is for requests that must not be sent twice.
        """
        idle = self._idle
        while idle:
            connection = idle.pop()
            idle_s = now_s - connection.idle_since_s
            if not connection.closed and (
                idle_s <= FRESH_S or (idle_s < self._max_idle_s and not (check and connection.has_news()))
            ):
                return connection
            self.discard(connection)
        return None

    async def connect(self, timeout_s: float) -> UpstreamConnection:
        """A fresh connection, within *timeout_s* seconds.

        Raises:
            UpstreamFault: kind `connect` or `connect_timeout`.
        """
        opening = self._loop.create_task(self._connect(timeout_s))
        try:
            return await opening
        except BaseException:
            opening.add_done_callback(self._unwanted)
            opening.cancel()
            raise

    def _unwanted(self, opening: asyncio.Task[UpstreamConnection]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self.discard(opening.result())

    async def _connect(self, timeout_s: float) -> UpstreamConnection:
        try:
            async with asyncio.timeout(timeout_s):
                while self._open >= self._max_connections:
                    if self._idle:  # given back since there was none to take
                        self.discard(self._idle.pop(0))
                    else:
                        await self._wait_for_place()
                self._open += 1
                try:
                    connection = UpstreamConnection(self._loop, self._outbox)
                    await self._loop.create_connection(
                        lambda: cast(asyncio.Protocol, connection),
                        self.origin.host,
                        self.origin.port,
                        ssl=self.tls,
                        server_hostname=self.origin.host if self.tls else None,
                    )
                except BaseException:
                    self._place_free()
                    raise
        except TimeoutError as error:
            raise UpstreamFault("connect_timeout", "no connection in time") from error
        except OSError as error:  # ssl.SSLError is one too
            self.connection_failed(error)
            raise UpstreamFault("connect", type(error).__name__) from error
        return connection

    def release(self, connection: UpstreamConnection) -> None:
        """Give a connection back after its exchange; one that cannot be used again is closed."""
        if connection.come_to_rest() and not self._closed:
            connection.idle_since_s = self._loop.time()
            self._idle.append(connection)
            if self._waiting:
                self._wake_one()
        else:
            self.discard(connection)

    def discard(self, connection: UpstreamConnection) -> None:
        """Close a connection taken from this pool and free its place."""
        if connection.lost_by is not None:  # with TLS 1.3 a client's certificate is refused after the handshake
            self.connection_failed(connection.lost_by)
        connection.close()
        self._place_free()

    def connection_failed(self, error: Exception) -> None:
        """Tell the operator why, where that is TLS: the log and the metrics only say that there was no connection."""
        self._warnings.failed(error, self._loop.time())

    def trim(self, now_s: float) -> None:
        """Close idle connections that are too old; called from the sweep."""
        idle = self._idle
        while idle and (idle[0].closed or now_s - idle[0].idle_since_s >= self._max_idle_s):
            self.discard(idle.pop(0))

    def close(self) -> None:
        """Close what is idle now and the rest as it comes back."""
        self._closed = True
        while self._idle:
            self.discard(self._idle.pop())

    def _place_free(self) -> None:
        self._open -= 1
        self._wake_one()

    def _wake_one(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _wait_for_place(self) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # woken and stopped in one turn: the place is another's
                self._wake_one()
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
