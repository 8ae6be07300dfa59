"""Server-sent events of the OpenAI dialect on their way to the client.

Whole events pass untouched; an event cut in two waits for its rest, so that an error said in-band never lands inside
one. Of a stream that flows only events that may carry a finish reason, usage, an error or `[DONE]`, or that do not look
like the rest, are parsed: a quote inside a JSON string is escaped, so the byte patterns below cannot match text that a
model wrote.
"""

from __future__ import annotations

import msgspec

from shipway.gateway.dialects.openai import ABSENT, Usage

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""An event larger than this is no event."""

DONE = b"data: [DONE]\n\n"

_NO_ERROR = frozenset((b"", b"null"))
_NOTHING = frozenset((b"null", b'""', b"[]"))


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    finish_reason: str | None = None
    text: str | None = None
    delta: dict[str, msgspec.Raw] | None = None

    def says_something(self) -> bool:
        """Whether there is content in it, of whatever kind: more than a role and nulls."""
        if self.text or self.finish_reason:
            return True
        return any(bytes(value) not in _NOTHING for key, value in (self.delta or {}).items() if key != "role")


class _Event(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Usage | None = None
    error: msgspec.Raw = ABSENT
    object: str | None = None


_decode_event = msgspec.json.Decoder(_Event).decode


class StreamReader:
    """Follows one stream and decides whether it ended as it should.

    Attributes:
        usage: As the upstream reported it, on whatever event.
        begun: The first token was seen, or something else that the client should not wait for any longer.
        done: The upstream said `[DONE]` where it may; nothing follows.
        failed: What the upstream did wrong, as `UpstreamFault.kind`: an error said in-band (`error`), an event that is none
            (`garbage`), `[DONE]` before each choice had its finish reason (`cut`). Nothing is passed on from there.
        over: It is done or has failed.
    """

    def __init__(self, *, several: bool = False) -> None:
        """*several*: whether there may be more than one choice; then each event is read, to know that all are whole."""
        self.usage: Usage | None = None
        self.begun = False
        self.done = False
        self.failed = ""
        self.over = False
        self._several = several
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self._held = b""

    @property
    def whole(self) -> bool:
        """Each choice that was begun has its finish reason."""
        return bool(self._finished) and self._open <= self._finished

    def pass_on(self, data: bytes) -> bytes:
        """What of *data* (with what was held before it) goes to the client now: whole events only."""
        if self.over:
            return b""
        if self._held:
            data = self._held + data
            self._held = b""
        if not data.endswith(b"\n\n"):
            end = _end_of_events(data)
            if len(data) - end > MAX_EVENT_BYTES:
                self._fail("garbage")
                return b""
            self._held = data[end:]
            data = data[:end]
            if not data:
                return b""
        if self.begun and not self._several and _looks_ordinary(data):
            return data
        return self._read(data)

    def finish(self) -> bytes | None:
        """The upstream ended in order: what is still to be sent, or None when the stream may not end here.

        A `[DONE]` that is missing after the last finish reason is added, since some clients wait for it.
        """
        rest = self.pass_on(b"\n\n") if self._held else b""
        if self.failed or not (self.done or self.whole):
            return None
        return rest if self.done else rest + DONE

    def _read(self, data: bytes) -> bytes:
        """Read every event of *data*; what is wrong, and what follows it, is left out."""
        kept: list[bytes] = []
        for event in data.replace(b"\r\n", b"\n").split(b"\n\n"):
            self._note(event)
            if self.failed:
                kept.append(b"")
                return b"\n\n".join(kept)
            kept.append(event)
            if self.done:
                kept.append(b"")
                return b"\n\n".join(kept)
        return data

    def _note(self, event: bytes) -> None:
        lines = event.split(b"\n")
        payload = b"".join([line[5:].strip() for line in lines if line.startswith(b"data:")])
        if b"event: error" in lines or b"event:error" in lines:
            self._fail("error")
        elif payload == b"[DONE]":
            if self.whole:
                self.done = self.begun = self.over = True
            else:
                self._fail("cut")
        elif payload:
            self._note_document(payload)
        elif any(line and line[:1] != b":" and line.partition(b":")[0] not in _FIELDS for line in lines):
            self._fail("garbage")

    def _fail(self, kind: str) -> None:
        self.failed = kind
        self.over = True

    def _note_document(self, payload: bytes) -> None:
        try:
            event = _decode_event(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if isinstance(error, msgspec.ValidationError) and payload.startswith(b"{"):
                self.begun = True  # an object, but not quite as expected: the client shall judge
            else:
                self._fail("garbage")
            return
        if event.usage is not None:
            self.usage = event.usage
        if event.object == "error" or bytes(event.error) not in _NO_ERROR:
            self._fail("error")
            return
        for choice in event.choices or ():
            self._open.add(choice.index)
            if choice.finish_reason:
                self._finished.add(choice.index)
            if not self.begun and choice.says_something():
                self.begun = True


_FIELDS = frozenset((b"data", b"event", b"id", b"retry"))


def _end_of_events(data: bytes) -> int:
    plain, crlf = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")
    return max(plain + 2 if plain >= 0 else 0, crlf + 4 if crlf >= 0 else 0)


def _looks_ordinary(data: bytes) -> bool:
    """Whether *data*, whole events, is nothing but objects that say nothing of usage, of an error or of the end.

    Each has one finish reason, which is null, written without a space, as most servers do; any other is read.
    """
    # Not `in`: bytes try to take what is looked for as a number first, which costs five times the search.
    if not (data.startswith(b"data: {") and data.endswith(b"}\n\n")):
        return False
    if data.find(b'"error"') >= 0 or data.find(b'usage":{') >= 0:
        return False
    if data.find(b"\n\n") == len(data) - 2:
        return data.count(b'finish_reason":null') == 1
    events = data.count(b"\n\n")
    return data.count(b'finish_reason":null') == events and data.count(b"}\n\ndata: {") == events - 1
