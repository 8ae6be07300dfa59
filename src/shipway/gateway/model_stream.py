"""A model's stream on its way to the client.

Nothing of it is sent before its first token, so an upstream that is silent, breaks off or says an error until then can be
replaced without the client noticing. From then on the stream ends whole or with an error said in-band.
"""

from __future__ import annotations

from time import perf_counter

from shipway.gateway.attempt import Attempt
from shipway.gateway.call import Call
from shipway.gateway.dialects.openai_stream import StreamReader
from shipway.gateway.http1.client import ResponseHead, UpstreamFault
from shipway.gateway.http1.head import Fields
from shipway.gateway.http1.running import Waiter
from shipway.gateway.refusals import upstream_failed
from shipway.gateway.relay import follow_client

MAX_HELD_BYTES = 256 * 1024
"""How much may come before a first token; more than this is passed on unheld."""

HEARTBEAT = b": waiting for the model\n\n"
"""A comment, which every reader of server-sent events skips; it keeps proxies from closing a silent connection."""


class ModelStream:
    """Takes one attempt's stream and passes it on through *reader*.

    Attributes:
        done: Settled when the stream is over, or failed before anything of it was passed on.
        fault: Why, if it failed.
        first_token_s: How long after the call's arrival its first token came.
    """

    def __init__(self, call: Call, attempt: Attempt, response: ResponseHead, reader: StreamReader) -> None:
        self.done: Waiter[None] = Waiter()
        self.fault: Exception | None = None
        self.first_token_s: float | None = None
        self._call = call
        self._exchange = call.exchange
        self._attempt = attempt
        self._response = response
        self._reader = reader
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._flowing = False
        follow_client(call.exchange, attempt)

    def pieces(self, data: list[bytes]) -> None:
        body = self._reader.pass_on(data[0] if len(data) == 1 else b"".join(data))
        if self._flowing:
            self._exchange.write(body)
            self._attempt.received()
        else:
            self._held.append(body)
            self._held_bytes += len(body)
            if self._reader.begun or self._held_bytes > MAX_HELD_BYTES:
                self._flow()
        if self._reader.failed:
            self._attempt.connection.fail(UpstreamFault("error", "an error inside the stream"))

    def ended(self, trailers: Fields) -> None:
        if not self._reader.ended_well():
            self.failed(UpstreamFault("cut", "the stream ended before it was whole"))
            return
        if not self._flowing:
            self._flow()
        self._exchange.end(trailers)
        self.done.set(None)

    def failed(self, fault: Exception) -> None:
        if not self.done.settled:
            self.fault = fault
            if self._flowing:
                self._call.refuse(upstream_failed(fault.kind if isinstance(fault, UpstreamFault) else "cut"))
            self.done.set(None)

    @property
    def flowing(self) -> bool:
        """Whether anything of this stream was passed on; then no other upstream can take its place."""
        return self._flowing

    def heartbeat(self) -> None:
        """Let the client, and what is between, know that somebody is there. Spends the status, not the failover."""
        self._open()
        self._exchange.write(HEARTBEAT)

    def _flow(self) -> None:
        self._flowing = True
        # Noted at once: the client may leave before the end.
        self._call.record.first_token_s = self.first_token_s = perf_counter() - self._call.arrived_s
        self._attempt.works()
        self._attempt.enter_idle()
        self._open()
        self._exchange.write(b"".join(self._held))
        self._held.clear()

    def _open(self) -> None:
        if not self._exchange.started:
            # Without a length, as an in-band error may come on top.
            head = self._response
            self._exchange.begin(head.status, head.lines + self._call.fields, None, dated=head.dated)
