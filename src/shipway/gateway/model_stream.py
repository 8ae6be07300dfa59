"""A model's stream on its way to the client.

Nothing of it is sent before its first token, so an upstream that is silent, breaks off or says an error until then can be
replaced without the client noticing. From then on the stream ends whole or with an error said in-band. Where the silence
before it gets long, comments are sent: they spend the status, but not the failover.
"""

from __future__ import annotations

from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Final

from shipway.gateway.attempt import Attempt
from shipway.gateway.call import Call
from shipway.gateway.dialects.openai import STREAM_FIELDS
from shipway.gateway.http1.content_coding import BadCoding, Inflater
from shipway.gateway.http1.fields import Fields
from shipway.gateway.http1.running import Waiter
from shipway.gateway.http1.shortcut import Shortcut
from shipway.gateway.http1.upstream_connection import UpstreamFault
from shipway.gateway.model_api import AnswerReader
from shipway.gateway.refusals import upstream_failed
from shipway.gateway.relay import follow_client

if TYPE_CHECKING:
    from shipway.gateway.guards.gate import Gate
    from shipway.gateway.http1.exchange import Exchange

_OK: Final = HTTPStatus.OK.value

MAX_HELD_BYTES: Final = 256 * 1024
"""How much may come before a first token; more than this is passed on unheld."""

HEARTBEAT: Final = b": waiting for the model\n\n"
"""A comment, which every reader of server-sent events skips; it keeps proxies from closing a silent connection."""

DONE_GRACE_S: Final = 1.0
"""How long an upstream that said `[DONE]` may take to end its response, which lets its connection be used again."""


class Heart:
    """Comments for the client of one stream while its upstreams are silent, from one attempt to the next."""

    __slots__ = ("_call", "beat_by_s", "every_s")

    def __init__(self, call: Call) -> None:
        self._call = call
        self.every_s = call.snapshot.deadlines.heartbeat_s
        self.beat_by_s = call.now_s + self.every_s

    def beat(self) -> None:
        """Let the client, and what is between, know that somebody is there."""
        exchange = self._call.exchange
        open_stream(self._call)
        exchange.write(HEARTBEAT)


def open_stream(call: Call) -> None:
    """Begin the response, unless it is begun. Without a length, as an in-band error may come on top."""
    if not call.exchange.started:
        call.exchange.begin(_OK, STREAM_FIELDS + call.fields, None)


class ModelStream:
    """Takes one attempt's stream and passes it on through *reader*.

    Attributes:
        done: Settled when the stream is over, or failed before anything of it was passed on.
        fault: Why, if it failed.
        flowing: Whether anything of it was passed on; then no other upstream can take its place.
        first_token_s: How long after the call's arrival its first token came.
    """

    def __init__(
        self,
        call: Call,
        attempt: Attempt,
        reader: AnswerReader,
        inflater: Inflater | None = None,
        gate: Gate | None = None,
    ) -> None:
        """*gate*: what all of it has to go through on its way to the client."""
        self.done: Waiter[None] = Waiter()
        self.fault: Exception | None = None
        self.first_token_s: float | None = None
        self._call = call
        self._gate = gate
        self._as_it_came = gate is None and inflater is None
        """Whether whole chunks may go to the client as they are."""
        self._exchange = call.exchange
        self._out: Exchange | Gate = call.exchange if gate is None else gate
        """Where the stream goes on."""
        self._shortcut: Shortcut | None = None
        self._attempt = attempt
        self._reader = reader
        self._inflater = inflater
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.flowing = False
        self._recognised = 0
        follow_client(call.exchange, attempt)

    def piece(self, data: bytes) -> None:
        self.count_taken()
        reader = self._reader
        if self._inflater is not None:
            try:
                data = self._inflater.feed(data)
            except BadCoding as bad:
                self._attempt.connection.fail(UpstreamFault("garbage", str(bad)))
                return
        body = reader.pass_on(data)
        if self.flowing:
            self._out.write(body)
            self._attempt.received()
        else:
            self._held.append(body)
            self._held_bytes += len(body)
            if reader.begun or self._held_bytes > MAX_HELD_BYTES:
                self._flow()
        if reader.over:
            if reader.failed:
                self._attempt.connection.fail(UpstreamFault(reader.failed, "the stream went wrong"))
            else:
                self._attempt.enter("idle_timeout", DONE_GRACE_S)

    def had_by_client(self) -> bool:
        """Whether a client that left had all of the stream by then: some, OpenAI's SDK among them, go at `[DONE]`.

        Such a stream is finished, as if its upstream had ended it: it may be kept for the next who asks.
        """
        # What is behind a gate need not have reached the client yet.
        return self.flowing and self._gate is None and self._reader.done and self._reader.finish() == b""

    @property
    def pieces(self) -> int:
        """How many pieces of an answer went to the client."""
        return self._reader.pieces + self._recognised if self.flowing else 0

    def open_shortcut(self) -> Shortcut | None:
        """See `ResponseSink`."""
        exchange = self._exchange
        if not (self.flowing and self._as_it_came and exchange.chunked):
            return None
        shortcut = self._shortcut = self._attempt.shortcut = self._reader.repeated
        if shortcut is not None:
            shortcut.lead_to(exchange.connection, exchange.connection.server.outbox)
        return shortcut

    def count_taken(self) -> None:
        """Note what went through the shortcut; called when that is over."""
        shortcut = self._shortcut
        if shortcut is not None:
            self._shortcut = None
            self._recognised += shortcut.taken
            self._exchange.response_bytes += shortcut.taken_bytes

    def ended(self, trailers: Fields) -> None:
        self.count_taken()
        if not self._end_whole():
            self.failed(UpstreamFault(self._reader.failed or "cut", "the stream ended before it was whole"))

    def failed(self, fault: Exception) -> None:
        self.count_taken()
        if self._reader.done:  # all was said; how the connection ends does not matter
            self._end_whole()
        elif not self.done.settled:
            self.fault = fault
            if self.flowing:
                self._call.refuse(upstream_failed(fault.kind if isinstance(fault, UpstreamFault) else "cut"))
            self.done.set(None)

    def _end_whole(self) -> bool:
        """End the response if the stream may end here; else it is as it was."""
        rest = self._reader.finish()
        if rest is None:
            return False
        if self.flowing:
            self._out.write(rest)
        else:
            self._held.append(rest)
            self._flow()
        self._out.end()
        self.done.set(None)
        return True

    def _flow(self) -> None:
        self.flowing = True
        # Noted at once: the client may leave before the end.
        self._call.first_token_s = self.first_token_s = perf_counter() - self._call.arrived_s
        self._attempt.works(self._attempt.age_s())
        self._attempt.enter_idle()
        if self._gate is None:
            open_stream(self._call)
        self._out.write(b"".join(self._held))
        self._held.clear()
