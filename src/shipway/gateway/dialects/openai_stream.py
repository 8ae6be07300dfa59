"""Server-sent events of the OpenAI dialect on their way to the client.

Whole events pass untouched; an event cut in two waits for its rest, so that an error said in-band never lands inside
one. Each that is not recognised as the last one with another text (`repeated_event`) is decoded as far as it must be
understood, which keeps what is no JSON from passing.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from shipway.gateway.dialects.openai import ABSENT, Usage, decoded, in_band_kind
from shipway.gateway.dialects.openai_events import (
    Choice,
    Event,
    FlowingEvent,
    OddEvent,
    decode_event,
    decode_flowing,
    decode_odd_event,
)
from shipway.gateway.dialects.openai_usage import read_usage
from shipway.gateway.dialects.repeated_event import MAX_UNLIKE, RepeatedEvent
from shipway.gateway.dialects.surrogates import without_halves
from shipway.gateway.dialects.usage import TokenUsage
from shipway.gateway.http1.fields import CR, LF
from shipway.gateway.undecodable import UNDECODABLE

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""An event larger than this is no event."""

DONE: Final = b"data: [DONE]\n\n"

_NO_ERROR: Final = frozenset((b"", b"null"))
_SAYS_NOTHING: Final = frozenset((b"null", b'""', b"[]"))
"""Values of a delta that leave the answer as it is."""


class StreamReader:
    """Follows one stream and decides whether it ended as it should.

    Attributes:
        usage: As the upstream reported it, on whatever event.
        begun: The first token was seen, or something else that the client should not wait for any longer.
        done: The upstream said `[DONE]` where it may; nothing follows.
        failed: What the upstream did wrong, as `UpstreamFault.kind`: an error said in-band (`error`), an event that is none
            (`garbage`), `[DONE]` before each choice had its finish reason (`cut`). Nothing is passed on from there.
        error_kind: `Refusal.kind` of an error said in-band; "" without one.
        over: It is done or has failed.
        pieces: Of the answer's text, thoughts and arguments, that were passed on; what is recognised by `repeated` is not in it.
        repeated: The last event, if it said nothing but a text and came alone; one that differs in its text needs no reading.
    """

    error_wait_s: float | None = None
    """Never said in this dialect."""

    def __init__(self) -> None:
        self.usage: Usage | TokenUsage | None = None
        self.begun = False
        self.done = False
        self.failed = ""
        self.error_kind = ""
        self.over = False
        self.pieces = 0
        self.repeated: RepeatedEvent | None = None
        self._unlike = 0
        self._open: set[int | None] = set()
        self._finished: set[int | None] = set()
        self._held = b""

    @property
    def whole(self) -> bool:
        """Nothing of the answer is missing."""
        return self._choices_finished()

    def pass_on(self, data: bytes) -> bytes:
        """What of *data* (with what was held before it) goes to the client now: whole events only."""
        if self.over:
            return b""
        if self._held:
            data = self._held + data
            self._held = b""
        if data.startswith(b"data: {") and data.endswith(b"\n\n"):
            document = data[6:-2]
            if LF not in document and CR not in document:  # one event of one line, as nearly always
                plain = self._note_document(document)
                self._unlike += 1
                self.repeated = RepeatedEvent.of(data) if plain and self._unlike < MAX_UNLIKE else None
                return b"" if self.failed else data
        self.repeated = None
        if not data.endswith(b"\n\n"):
            end = _end_of_events(data)
            if len(data) - end > MAX_EVENT_BYTES:
                self._fail("garbage")
                return b""
            self._held = data[end:]
            data = data[:end]
            if not data:
                return b""
        return self._read(data)

    def finish(self) -> bytes | None:
        """The upstream ended in order: what is still to be sent, or None when the stream may not end here.

        A `[DONE]` that is missing after the last finish reason is added, since some clients wait for it.
        """
        rest = self._end_last_event() if self._held else b""
        if self.failed or not (self.done or self.whole):
            return None
        return rest if self.done else rest + DONE

    def _end_last_event(self) -> bytes:
        """What goes to the client of an event that the upstream did not end."""
        if self._held.strip() in _WITHOUT_DATA:
            return b""
        rest = self.pass_on(b"\n\n")
        if self.failed == "garbage":  # it ended in the middle of an event
            self._fail("cut")
        return rest

    def _read(self, data: bytes) -> bytes:
        """Read every event of *data*; what is wrong, and what follows it, is left out."""
        if CR in data:
            return self._read_lines_of_any_kind(data)
        kept: list[bytes] = []
        for event in data.split(b"\n\n"):
            self._note(event)
            if self.failed:
                kept.append(b"")
                return b"\n\n".join(kept)
            kept.append(event)
            if self.done:
                kept.append(b"")
                return b"\n\n".join(kept)
        return data

    def _read_lines_of_any_kind(self, data: bytes) -> bytes:
        """The same, where lines end with CRLF, CR or LF: what is passed on keeps its own."""
        kept: list[bytes] = []
        for part in EVENT_END.split(data):
            if EVENT_END.fullmatch(part):
                kept.append(part)
                if self.done:
                    break
                continue
            self._note(part.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
            if self.failed:
                break
            kept.append(part)
        return b"".join(kept)

    def _note(self, event: bytes) -> None:
        if event.startswith(b"data: {") and LF not in event:
            self._note_document(event[6:])
        elif event == b"data: [DONE]":
            self._note_done()
        elif event:
            self._note_lines(event)

    def _note_lines(self, event: bytes) -> None:
        lines = event.removeprefix(_BOM).split(b"\n")
        payload = b"".join([line[5:].strip() for line in lines if line.startswith(b"data:")])
        if b"event: error" in lines or b"event:error" in lines:
            self.error_kind = in_band_kind(payload)
            self._fail("error")
        elif payload == b"[DONE]":
            self._note_done()
        elif payload:
            self._note_document(payload)
        elif any(line and line[:1] != b":" and line.partition(b":")[0] not in _FIELDS for line in lines):
            self._fail("garbage")

    def _note_done(self) -> None:
        if self.whole:
            self.done = self.begun = self.over = True
        else:
            self._fail("cut")

    def _choices_finished(self) -> bool:
        """Each choice that was begun has its finish reason."""
        return bool(self._finished) and self._open <= self._finished

    def _fail(self, kind: str) -> None:
        self.failed = kind
        self.over = True

    def _note_document(self, payload: bytes) -> bool:
        """Gives whether there was nothing in it that counts but that a text went on."""
        event: Event | FlowingEvent | OddEvent
        try:
            event = decode_flowing(payload) if self.begun else decode_event(payload)
            if event.usage is not None:
                self.usage = event.usage if self.usage is None else _updated(self.usage, event.usage)
        except msgspec.ValidationError:
            try:
                odd = _odd_event(payload)
            except UNDECODABLE:  # behind what is odd, it is no JSON either
                return self._note_halves(payload)
            if not payload.startswith(b"{"):
                self._fail("garbage")
                return False
            if odd is None:
                self.begun = True  # an object, but not quite as expected: the client shall judge
                return False
            event = odd
            if isinstance(said := decoded(odd.usage), dict):
                self.usage = _updated(self.usage, read_usage(said))
        except UNDECODABLE:
            return self._note_halves(payload)
        if event.object == "error" or (event.error is not ABSENT and bytes(event.error) not in _NO_ERROR):
            self.error_kind = in_band_kind(payload)
            self._fail("error")
            return False
        plain = event.usage is None
        for choice in event.choices or ():
            index, finish_reason = choice.index, choice.finish_reason
            self._open.add(index)
            if finish_reason:
                self._finished.add(index)
                plain = False
            if not self.begun and isinstance(choice, Choice) and (finish_reason or _says_something(choice)):
                self.begun = True
                self.pieces += 1
            elif self.begun and not finish_reason:
                self.pieces += 1
        return plain and self.begun

    def _note_halves(self, payload: bytes) -> bool:
        """Read what could not be read again, if that was for halves of characters: the client can put them together."""
        whole = without_halves(payload)
        if whole != payload:
            return self._note_document(whole)
        self._fail("garbage")
        return False


def _says_something(choice: Choice) -> bool:
    """Whether there is content in it, of whatever kind: more than a role and nulls."""
    if choice.text:
        return True
    delta = choice.delta
    if delta is not None:
        for key, value in delta.items():
            if key != "role" and bytes(value) not in _SAYS_NOTHING:
                return True
    return False


def _updated(earlier: Usage | TokenUsage | None, later: Usage | TokenUsage) -> Usage | TokenUsage:
    """*later*, and what it does not know from *earlier*: some report what went in and what came out apart."""
    whole = later.prompt_tokens is not None and later.completion_tokens is not None
    return later if earlier is None or whole else earlier.classes.updated(later.classes)


def _odd_event(payload: bytes) -> OddEvent | None:
    """An event whose usage has a form of its own; None where more is odd. Raises: DecodeError, for what is no JSON."""
    try:
        return decode_odd_event(payload)
    except msgspec.ValidationError:
        return None


_WITHOUT_DATA: Final = frozenset((b"", b"data", b"data:"))
"""How an event begins. To end it there would make one without data, which clients cannot read."""
_BOM: Final = b"\xef\xbb\xbf"
EVENT_END: Final = re.compile(rb"((?:\r\n|\n|\r(?!\n)){2})")
"""The end of a line and an empty line, each ended in whatever way (the HTML standard, section 9.2.5)."""
_FIELDS: Final = frozenset((b"data", b"event", b"id", b"retry"))


def _end_of_events(data: bytes) -> int:
    plain, crlf, cr = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n"), data.rfind(b"\r\r")
    return max(plain + 2 if plain >= 0 else 0, crlf + 4 if crlf >= 0 else 0, cr + 2 if cr >= 0 else 0)
