"""A stream that passes untouched in a dialect that is read by its parser, on the side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shipway.gateway.dialects.dialect import Dialect, NewerKind
from shipway.gateway.dialects.events import Envelope, Event, TextDelta
from shipway.gateway.dialects.openai_stream import MAX_EVENT_BYTES
from shipway.gateway.dialects.repeated_event import MAX_UNLIKE, RepeatedEvent
from shipway.gateway.dialects.translated_stream import TranslatedStream


class _NobodyToWriteTo:
    def write(self, event: Event) -> bytes:
        return b""


class PassedStream(TranslatedStream):
    """Decides like `TranslatedStream` whether the stream ended as it should, and passes on its events as they came."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect, dialect, Envelope("", "", 0))
        self._writer = _NobodyToWriteTo()
        self._rest = b""
        self._only_text = False
        """Whether nothing was read but texts that go on."""
        self._unlike = 0
        self._repeated: RepeatedEvent | None = None

    @property
    def repeated(self) -> RepeatedEvent | None:
        """See `openai_stream.StreamReader`."""
        return self._repeated

    def pass_on(self, data: bytes) -> bytes:
        """What of *data* (with what was held before it) goes to the client now: whole events only."""
        alone = not self._rest
        data = self._rest + data
        at = 0
        self._only_text = self.begun
        self._repeated = None
        end_of_event = _end_of_event if b"\r" in data else _end_of_plain_event
        while not self.over and (end := end_of_event(data, at)):
            super().pass_on(data[at:end])
            if self.failed:
                break
            alone = alone and not at
            at = end
        self._rest = data[at:]
        if len(self._rest) > MAX_EVENT_BYTES:
            self._fail("garbage")
        if self._only_text and alone and at and not (self._rest or self.over) and self._unlike < MAX_UNLIKE:
            self._unlike += 1
            self._repeated = RepeatedEvent.of(data)
        return data[:at]

    def _said(self, event: Event) -> bytes:
        if type(event) is not TextDelta:
            self._only_text = False
        return super()._said(event)

    def finish(self) -> bytes | None:
        last = b""
        if self._rest.strip() and not self.over:
            last = self.pass_on(b"\n\n")  # of an event that is whole, its end may be left out
            if self.failed == "garbage":
                self._fail("cut")
        rest = super().finish()
        return None if rest is None else last + rest

    def _events(self, name: str, payload: bytes) -> Sequence[Event]:
        try:
            return self._parser.read(name, payload)
        except NewerKind as newer:  # the client may know it
            self.begun, self._only_text = True, False
            return newer.events


_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")


def _end_of_plain_event(data: bytes, start: int) -> int:
    """The same where lines end in LF alone, as nearly always."""
    at = data.find(b"\n\n", start)
    return at + 2 if at >= 0 else 0


def _end_of_event(data: bytes, start: int) -> int:
    """Where the event that begins at *start* ends; 0 while that is not here."""
    ends = [(at, len(mark)) for mark in _ENDS if (at := data.find(mark, start)) >= 0]
    return sum(min(ends)) if ends else 0
