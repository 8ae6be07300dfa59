"""A listener: the connections of its sockets, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, cast

from shipway.gateway.http1.client_connection import ClientConnection
from shipway.gateway.http1.exchange import Exchange
from shipway.gateway.http1.known_heads import KnownHeads
from shipway.gateway.http1.outbox import Outbox

Handler = Callable[[Exchange], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Limits:
    """Bounds of one listener, in bytes and seconds."""

    max_header_bytes: int = 32 * 1024
    max_target_bytes: int = 8 * 1024
    header_s: float = 10.0
    """From the first byte of a head to its last."""
    body_s: float = 30.0
    """Between two pieces of a request body."""
    keep_alive_s: float = 75.0
    unread_s: float = 60.0
    """How long a client may leave a response unread."""


class Server:
    """The connections of one or more listening sockets, and what they share."""

    def __init__(self, handler: Handler, limits: Limits, outbox: Outbox) -> None:
        self.handler = handler
        self.outbox = outbox
        self.limits = limits
        self.heads = _heads_within(limits)
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.connections: set[ClientConnection] = set()
        self.date_field = _date_field()
        """The Date of this second as a header line; see `tick`."""
        self.draining = False
        self.on_bad_message: Callable[[int], None] = _nobody
        """Told the status with which a message was refused that never became a request."""
        self.on_deadline: Callable[[str], None] = _nobody
        """Told which deadline a client let pass: `header`, `body` or `unread`."""
        self._second = 0
        self._ended: asyncio.Future[None] | None = None

    def connect(self) -> asyncio.Protocol:
        """The protocol factory for `loop.create_server`."""
        return cast(asyncio.Protocol, ClientConnection(self))

    def limit(self, limits: Limits) -> None:
        """Have *limits* hold for new connections."""
        self.limits = limits
        self.heads.retire()
        self.heads = _heads_within(limits)

    def tick(self, now_s: float) -> None:
        """Called from the sweep: keeps `date_field` true to the second, and no head for long."""
        second = int(now_s)
        if second != self._second:
            self._second = second
            self.date_field = _date_field()
            self.heads.tick(second)

    def connection_ended(self) -> None:
        if self._ended is not None and not self.connections and not self._ended.done():
            self._ended.set_result(None)

    async def drain(self, budget_s: float) -> int:
        """Let the exchanges under way finish for at most *budget_s* seconds.

        Returns:
            How many connections were still busy at the end; they have been told so in their dialect, and closed.
        """
        self.draining = True
        for connection in tuple(self.connections):
            connection.close_when_idle()
        if self.connections:
            self._ended = self.loop.create_future()
            await asyncio.wait((self._ended,), timeout=budget_s)
        busy = tuple(self.connections)
        for connection in busy:
            exchange = connection.exchange
            if exchange is not None:
                exchange.cut_by_drain()
            connection.close()
            if exchange is not None:
                exchange.client_gone()  # the handler ends now, and with it what it holds and its line in the log
        return len(busy)


def _heads_within(limits: Limits) -> KnownHeads:
    return KnownHeads(max_target_bytes=limits.max_target_bytes, max_header_bytes=limits.max_header_bytes)


def _nobody(what: object) -> None:
    """Whoever has not asked is not told."""


def _date_field() -> bytes:
    return b"Date: %b\r\n" % formatdate(usegmt=True).encode()
