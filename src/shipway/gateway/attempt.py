"""One try at having an upstream answer: a connection for as long as it takes, its deadlines, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import perf_counter
from typing import Protocol

from shipway.gateway.call import Call
from shipway.gateway.http1.deadlines import NEVER
from shipway.gateway.http1.exchange import BodyTooLarge
from shipway.gateway.http1.response_head import ResponseHead
from shipway.gateway.http1.running import Waiter
from shipway.gateway.http1.shortcut import Shortcut
from shipway.gateway.http1.unsent import Unsent
from shipway.gateway.http1.upstream_connection import ResponseSink, UpstreamConnection, UpstreamFault
from shipway.gateway.relay import Download, Tunnel, Upload, follow_client
from shipway.gateway.upstreams import Endpoint


class Heart(Protocol):
    """Says to a client that waits that somebody is there.

    Attributes:
        every_s: How long a silence may get.
        beat_by_s: When it is to beat next, on the loop's clock, unless something is received.
    """

    every_s: float
    beat_by_s: float

    def beat(self) -> None: ...


class Attempt:
    """One try at one endpoint. Whoever makes one must `end` it, whatever happened.

    Attributes:
        began_s: On the loop's clock.
        connection: The one that the request was sent on; None before `send` and after `end`.
        midway_fault: What the upstream failed with when part of its answer had gone to the client.
        shortcut: Passes parts of the answer on by itself; what it took counts as received.
    """

    __slots__ = (
        "_body_follows",
        "_call",
        "_endpoint",
        "_exchange",
        "_first_token_by_s",
        "_heart",
        "_held",
        "_idle_s",
        "_inform",
        "_loop",
        "_message",
        "_method",
        "_outbox",
        "_paused",
        "_phase",
        "_phase_ends_s",
        "_received_s",
        "_renewed",
        "_safe",
        "_started_s",
        "_waiting_since_s",
        "_works",
        "began_s",
        "midway_fault",
        "shortcut",
    )

    def __init__(self, call: Call, endpoint: Endpoint) -> None:
        self._call = call
        exchange = self._exchange = call.exchange
        self._endpoint = endpoint
        server = exchange.connection.server
        self._outbox = server.outbox
        loop = self._loop = server.loop
        self._held: UpstreamConnection | None = None
        self._idle_s = call.snapshot.deadlines.idle_s
        self._heart: Heart | None = None
        self.began_s = loop.time()
        self._started_s = perf_counter()
        self._waiting_since_s = NEVER
        self._works = False
        self._paused = False
        self._renewed = False
        """Whether the phase begins anew with all that is received."""
        self._received_s = self.began_s
        self.shortcut: Shortcut | None = None
        self.midway_fault: str | None = None
        exchange.on_expire = self._expired
        endpoint.in_flight += 1

    def works(self, latency_s: float | None = None) -> None:
        """The endpoint answers; said as soon as that is known, since a probe should not take as long as a stream.

        Args:
            latency_s: How fast it is, where this answer says so.
        """
        if not self._works:
            self._works = True
            now_s = self._loop.time()
            self._endpoint.breaker.succeeded(now_s, self.began_s)
            if latency_s is not None:
                self._endpoint.latency.observe(now_s, latency_s or 1e-6)

    def age_s(self) -> float:
        """Seconds since the attempt began."""
        return perf_counter() - self._started_s

    def end(self) -> None:
        """Give the connection back, or close it if its response was not read to the end."""
        self._endpoint.in_flight -= 1
        exchange = self._exchange
        exchange.on_slow = exchange.on_expire = None
        exchange.deadline_s = NEVER
        if self._waiting_since_s != NEVER:
            self.answered()
        connection, self._held = self._held, None
        if connection is not None:
            self._endpoint.pool.release(connection)

    @property
    def connection(self) -> UpstreamConnection:
        if self._held is None:
            raise RuntimeError("this attempt holds no connection")
        return self._held

    def send(
        self,
        method: bytes,
        message: bytes,
        *,
        safe: bool,
        body_follows: bool = False,
        first_token_by_s: float = NEVER,
        inform: Callable[[ResponseHead], None] | None = None,
    ) -> Awaitable[ResponseHead]:
        """Send a request; gives what to await for the response's head, until *first_token_by_s* on the loop's clock at
        the latest. Then call `answered`, or `send_again` where that raised `UpstreamFault`.

        Args:
            safe: Whether it may be executed twice.
            inform: Told of interim responses.

        Raises (when awaited):
            UpstreamFault: no response; its kind says how far it came.
            BodyTooLarge: the piped request body passed max_body.
        """
        self._method = method
        self._message = message
        self._safe = safe
        self._body_follows = body_follows
        self._first_token_by_s = first_token_by_s
        self._inform = inform
        connection = self._endpoint.pool.take_idle(self.began_s, check=not safe)
        if connection is None:
            return self._connect_and_send()
        return self._send_on(connection, self.began_s)

    def send_again(self, fault: UpstreamFault) -> Awaitable[ResponseHead]:
        """As `send`, after it failed with *fault* on a kept connection that its upstream had closed in the meantime.

        It is replaced, once, where no byte of the request was written to it, and where the request is safe to send
        again and no byte of a response came.

        Raises:
            UpstreamFault: *fault*, where there is more to it or the request may not be sent again.
        """
        connection = self.connection if self._held is not None else None
        if connection is None or connection.used == 1 or self._body_follows:
            raise fault
        if fault.kind != "unsent" and not (self._safe and fault.kind == "reset"):
            raise fault
        self.answered()
        self._call.stale += 1
        pool = self._endpoint.pool
        self._held = None
        pool.discard(connection)
        now_s = self._loop.time()
        # After a reset it may have been executed: not once more for each connection in the pool.
        kept = pool.take_idle(now_s, check=not self._safe) if fault.kind == "unsent" else None
        return self._connect_and_send() if kept is None else self._send_on(kept, now_s)

    def answered(self) -> None:
        """What was awaited is here, or never comes."""
        self._call.waited_s += perf_counter() - self._waiting_since_s
        self._waiting_since_s = NEVER

    async def _connect_and_send(self) -> ResponseHead:
        self._waiting_since_s = perf_counter()
        now_s = self._loop.time()
        kind, by_s = "connect_timeout", now_s + self._call.snapshot.deadlines.connect_s
        if self._first_token_by_s < by_s:
            kind, by_s = "first_token_timeout", self._first_token_by_s
        if self._call.total_deadline_s < by_s:
            kind, by_s = "total_timeout", self._call.total_deadline_s
        self.enter_until(kind, NEVER)  # the pool ends it in time, but its silence is one to a client of a stream too
        try:
            connection = await self._endpoint.pool.connect(by_s - now_s)
        except UpstreamFault as fault:
            if fault.kind != "connect_timeout":
                raise
            raise UpstreamFault(kind, "no connection in time") from fault
        self.answered()
        return await self._send_on(connection, self._loop.time())

    def _send_on(self, connection: UpstreamConnection, now_s: float) -> Waiter[ResponseHead]:
        self._held = connection
        deadlines = self._call.snapshot.deadlines
        first_byte_by_s = now_s + deadlines.first_byte_s
        if self._first_token_by_s < first_byte_by_s:
            self.enter_until("first_token_timeout", self._first_token_by_s)
        else:
            self.enter_until("first_byte_timeout", first_byte_by_s)
        connection.on_inform = None if self._inform is None else self._pass_interim
        answer = connection.send(self._method, self._message, complete=not self._body_follows)
        if self._body_follows:
            self._exchange.pipe_body(
                Upload(
                    self._exchange,
                    connection,
                    max_bytes=self._call.snapshot.max_body_bytes,
                    # Whoever still sends has not been kept waiting for an answer yet.
                    moved=lambda: self.enter("first_byte_timeout", deadlines.first_byte_s),
                    too_large=self._too_large,
                )
            )
        self._waiting_since_s = perf_counter()
        return answer

    def _pass_interim(self, response: ResponseHead) -> None:
        # A client that takes none of them stops them too: there is no end to how many may come.
        if self._exchange.on_slow is None:
            follow_client(self._exchange, self)
            if self._exchange.slow:  # by an answer before this one
                self.pause()
        if self._inform is not None:
            self._inform(response)

    async def read(self, max_bytes: int, within_s: float | None = None) -> list[bytes] | None:
        """The response's body; see `UpstreamConnection.read`.

        Args:
            within_s: How long all of it may take; None: only each silence of the upstream counts.

        Raises:
            UpstreamFault: it broke off, or took too long.
        """
        began_s = perf_counter()
        connection = self.connection
        connection.on_piece = self.received
        if within_s is None:
            self.enter_idle()
        else:
            self.enter("idle_timeout", within_s)
        try:
            return await connection.read(max_bytes)
        finally:
            connection.on_piece = None
            self._call.waited_s += perf_counter() - began_s

    def enter(self, phase: str, within_s: float) -> None:
        """From now, *phase* may take *within_s* seconds; the name is what its fault will be called."""
        self.enter_until(phase, self._loop.time() + within_s)

    def enter_until(self, phase: str, ends_s: float) -> None:
        """From now, *phase* may take until *ends_s* on the loop's clock."""
        self._phase = phase
        self._phase_ends_s = ends_s
        self._renewed = False
        self._set_deadline()

    def enter_idle(self) -> None:
        """From now, each silence of the upstream may take as long as the idle deadline says."""
        self.enter("idle_timeout", self._idle_s)
        self._renewed = True

    def now_s(self) -> float:
        return self._loop.time()

    def received(self) -> None:
        """Something came: the idle time starts anew. What follows from that is worked out when the old deadline passes."""
        self._received_s = self._outbox.now_s()  # called for each chunk, for which the clock of its turn will do

    def pause(self) -> None:
        """The client is slow: stop reading, and let no deadline but the total one count."""
        self.connection.pause_reading()
        self._paused = True
        self._exchange.deadline_s = self._call.total_deadline_s

    def resume(self) -> None:
        self.connection.resume_reading()
        self._paused = False
        self.received()
        self._set_deadline()

    def beat_with(self, heart: Heart) -> None:
        """Have *heart* beat whenever nothing is received for as long as it says."""
        self._heart = heart

    async def relay(self, response: ResponseHead, fields: bytes | None = None) -> None:
        """Pass the response on as it comes, to its end. A fault after its beginning cuts the client's connection too.

        Args:
            fields: Header lines to send in place of the response's own.
        """
        exchange = self._exchange
        lines = response.lines if fields is None else fields
        if response.status == HTTPStatus.UPGRADE_REQUIRED and response.upgrade is not None:
            # It says what the client has to ask for, which only this response can (RFC 9110 section 15.5.22).
            lines += b"Upgrade: %b\r\nConnection: Upgrade\r\n" % response.upgrade
        exchange.begin(
            response.status,
            lines + self._call.fields,
            self.connection.content_length,
            dated=response.dated and fields is None,
        )
        self.enter_idle()
        download = Download(exchange, self)
        await self.pour(download, download.done)
        if download.fault is not None:
            if isinstance(download.fault, BodyTooLarge):  # the client's doing, of which the upstream is not to blame
                self.midway_fault, self._call.error = "client_left", "body_too_large"
            else:
                self.midway_fault = fault_kind(download.fault)
                self._call.error = f"upstream_{self.midway_fault}"

    async def pour(self, sink: ResponseSink, done: Waiter[None]) -> None:
        """Let the response's body flow into *sink* until it has settled *done*."""
        began_s = perf_counter()
        self.connection.relay(sink)
        exchange = self._exchange
        exchange.flush()
        if exchange.slow and not done.settled:  # before it had anything of this answer: another is still to be taken
            self.pause()
        try:
            await done
        finally:  # also where the client left: it was not the gateway that took so long
            self._call.waited_s += perf_counter() - began_s

    async def tunnel(self, response: ResponseHead) -> None:
        """Join both connections until either side closes, or the service takes nothing of what waits for it."""
        exchange = self._exchange
        connection = self.connection
        client = exchange.connection
        closed: Waiter[None] = Waiter()

        def ended() -> None:
            closed.set(None)

        to_client = Tunnel(client, ended)
        early = connection.become_tunnel(to_client)
        exchange.status = HTTPStatus.SWITCHING_PROTOCOLS.value
        exchange.keep_alive = False
        upgrade = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % (response.upgrade or b"")
        fields = response.lines + self._call.fields
        client.server.outbox.flush()
        client.transport.write(b"".join((b"HTTP/1.1 101 Switching Protocols\r\n", fields, upgrade, b"\r\n", early)))
        to_upstream = Tunnel(connection, ended)
        client.become_tunnel(to_upstream)
        if exchange.slow:
            to_upstream.pause_writing()
        if exchange.after_upgrade:
            connection.transport.write(exchange.after_upgrade)
        unsent, pauses = Unsent(), 0

        def look() -> None:
            # While the service takes nothing its client is not read, so that nobody would notice who leaves.
            nonlocal pauses
            look_again_s = self._loop.time() + self._idle_s
            if connection.writable:
                unsent.due_s = NEVER
            elif unsent.due_s == NEVER or pauses != to_client.pauses or unsent.moved(connection.transport):
                unsent.watch(connection.transport, look_again_s)
                pauses = to_client.pauses
            else:
                self.midway_fault = "idle_timeout"
                self._call.error = "upstream_idle_timeout"
                client.transport.abort()
                return
            exchange.deadline_s = look_again_s

        exchange.on_expire = look
        exchange.deadline_s = self._loop.time() + self._idle_s
        began_s = perf_counter()
        try:
            await closed
        finally:
            self._call.waited_s += perf_counter() - began_s
        client.transport.close()

    def _set_deadline(self) -> None:
        # Three comparisons cost less than a call of min().
        soonest_s = self._call.total_deadline_s
        if self._phase_ends_s < soonest_s:
            soonest_s = self._phase_ends_s
        if self._heart is not None and self._heart.beat_by_s < soonest_s:
            soonest_s = self._heart.beat_by_s
        self._exchange.deadline_s = soonest_s

    def _expired(self) -> None:
        now_s = self._loop.time()
        if now_s >= self._call.total_deadline_s:
            self._fail("total_timeout")
            return
        if self._paused:
            self._exchange.deadline_s = self._call.total_deadline_s
            return
        if self.shortcut is not None:
            self._received_s = max(self._received_s, self.shortcut.taken_s)
        heart = self._heart
        if heart is not None:
            heart.beat_by_s = max(heart.beat_by_s, self._received_s + heart.every_s)
        if self._renewed:
            self._phase_ends_s = max(self._phase_ends_s, self._received_s + self._idle_s)
        if now_s >= self._phase_ends_s:
            self._fail(self._phase)
        else:
            if heart is not None and now_s >= heart.beat_by_s:
                heart.beat_by_s = now_s + heart.every_s
                heart.beat()
            self._set_deadline()

    def _fail(self, kind: str) -> None:
        if self._held is not None:
            self._held.fail(UpstreamFault(kind, "no answer in time"))

    def _too_large(self) -> None:
        self.connection.fail(BodyTooLarge())


def fault_kind(fault: Exception) -> str:
    """What a failed attempt is called in logs and metrics."""
    return fault.kind if isinstance(fault, UpstreamFault) else type(fault).__name__
