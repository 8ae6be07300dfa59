"""A stream of one dialect on its way to a caller of another. It takes `openai_stream.StreamReader`'s place in the data path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shipway.gateway.dialects.dialect import Dialect
from shipway.gateway.dialects.events import (
    Ended,
    Envelope,
    Event,
    Failed,
    ReasoningDelta,
    Started,
    Stopped,
    TextDelta,
    ToolArguments,
    UsageKnown,
)
from shipway.gateway.dialects.repeated_event import RepeatedEvent
from shipway.gateway.dialects.surrogates import PairJoiner
from shipway.gateway.dialects.usage import NOTHING, TokenUsage


class TranslatedStream:
    """Follows one stream, translates it and decides whether it ended as it should.

    Attributes:
        usage: As the upstream reported it so far; None when it said nothing.
        begun: The first token was seen, or something else that the client should not wait for any longer.
        done: The upstream said its last; nothing follows.
        failed: What the upstream did wrong, as `UpstreamFault.kind`: an error said in-band (`error`), an event that is none
            (`garbage`), an end before the stop reason (`cut`). Nothing is passed on from there.
        over: It is done or has failed.
        pieces: Of text, thoughts and arguments that were said to the caller.
        error_kind: `Refusal.kind` of an error said in-band; "" without one.
        error_wait_s: For how long it asked to be left alone.
    """

    @property
    def repeated(self) -> RepeatedEvent | None:
        """Never: what is translated has to be read."""
        return None

    def __init__(self, source: Dialect, target: Dialect, envelope: Envelope) -> None:
        self.begun = False
        self.done = False
        self.failed = ""
        self.over = False
        self.pieces = 0
        self.error_kind = ""
        self.error_wait_s: float | None = None
        self._usage = NOTHING
        self._stopped = False
        self._pairs = PairJoiner()
        self._framing = source.framing()
        self._parser = source.stream_parser()
        self._writer = target.stream_writer(envelope)

    @property
    def usage(self) -> TokenUsage | None:
        return None if self._usage is NOTHING else self._usage

    @property
    def whole(self) -> bool:
        """The answer has its stop reason."""
        return self._stopped

    def pass_on(self, data: bytes) -> bytes:
        """What *data* lets be said to the caller now: whole events only."""
        written: list[bytes] = []
        try:
            for name, payload in () if self.over else self._framing.feed(data):
                if b"\\ud" in payload or b"\\uD" in payload:
                    payload = self._pairs.joined(payload)
                written.extend(self._say(self._events(name, payload)))
                if self.over:
                    break
        except ValueError:  # of JSON, of UTF-8, of framing, or of sense
            self._fail("garbage")
        return b"".join(written)

    def finish(self) -> bytes | None:
        """The upstream ended in order: what is still to be sent, or None when the stream may not end here."""
        rest: list[bytes] = []
        try:
            for name, payload in () if self.over else self._framing.rest():
                rest.extend(self._say(self._events(name, payload)))
        except ValueError:  # it ended in the middle of an event
            self._fail("cut")
        if not self.over and self._framing.whole:
            try:
                rest.extend(self._say(self._parser.end()))
            except ValueError:
                self._fail("garbage")
        if self.done:
            return b"".join(rest)
        if not self.failed:
            self._fail("cut")
        return None

    def _events(self, name: str, payload: bytes) -> Sequence[Event]:
        """Raises: ValueError."""
        return self._parser.read(name, payload)

    def _say(self, events: Sequence[Event]) -> Iterator[bytes]:
        for event in events:
            yield self._said(event)
            if self.over:
                return

    def _said(self, event: Event) -> bytes:
        kind = type(event)
        if kind is TextDelta or kind is ReasoningDelta or kind is ToolArguments:
            self.begun = True
            self.pieces += 1
        elif type(event) is UsageKnown:
            self._usage = self._usage.updated(event.usage)
        elif type(event) is Failed:
            self.error_kind, self.error_wait_s = event.kind, event.wait_s
            self._fail("error")
            return b""
        elif kind is Ended:
            if not self._stopped:
                self._fail("cut")
                return b""
            self.begun = self.done = self.over = True
        elif kind is not Started:
            self.begun = True
            self._stopped = self._stopped or kind is Stopped
        return self._writer.write(event)

    def _fail(self, kind: str) -> None:
        self.failed = kind
        self.over = True
