"""Server-sent events of the OpenAI dialect on their way to the client.

Whole events pass untouched; an event cut in two waits for its rest, so that an error said in-band never lands inside
one. Only events that may carry a finish reason, usage, an error or `[DONE]` are parsed: a quote inside a JSON string
is escaped, so the byte patterns below cannot match text that a model wrote.
"""

from __future__ import annotations

import msgspec

from shipway.gateway.dialects.openai import Usage

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""Past this an unfinished event is passed on in pieces rather than held."""

_TELLING = (b'finish_reason":"', b'finish_reason": "', b'usage":{', b'usage": {', b"[DONE]", b'"error"')


_NOTHING = frozenset((b"null", b'""', b"[]"))


class _Choice(msgspec.Struct, gc=False):
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
    error: msgspec.Raw | None = None


_decode_event = msgspec.json.Decoder(_Event).decode


class StreamReader:
    """Follows one stream and decides whether it ended as it should.

    Attributes:
        usage: As the upstream reported it, on whatever event.
        begun: The first token was seen, or something else that the client should not wait for any longer.
        whole: A finish reason was seen.
        failed: The upstream said an error in-band, or `[DONE]` without a finish reason; what follows is not passed on.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.begun = False
        self.whole = False
        self.failed = False
        self._done = False
        self._held = b""

    def pass_on(self, data: bytes) -> bytes:
        """What of *data* (with what was held before it) goes to the client now: whole events only."""
        if self.failed:
            return b""
        if self._held:
            data = self._held + data
            self._held = b""
        if not data.endswith(b"\n\n"):
            end = max(data.rfind(b"\n\n") + 2, data.rfind(b"\r\n\r\n") + 4)
            if end < 4 and not data.startswith(b"\n\n"):
                end = 0
            if len(data) - end <= MAX_EVENT_BYTES:
                self._held = data[end:]
                data = data[:end]
        if not self.begun:
            return self._read(data)
        for telling in _TELLING:
            if telling in data:
                return self._read(data)
        return data

    def ended_well(self) -> bool:
        """Whether the stream may end here: it said `[DONE]`, or at least a finish reason, and no error."""
        return (self._done or self.whole) and not self.failed

    def _read(self, data: bytes) -> bytes:
        """Read every event of *data*. An upstream's error, and a `[DONE]` that no finish reason preceded, are left out."""
        kept: list[bytes] = []
        for event in data.replace(b"\r\n", b"\n").split(b"\n\n"):
            payload = b"".join([line[5:].lstrip() for line in event.split(b"\n") if line.startswith(b"data:")])
            if payload == b"[DONE]":
                if self.whole:
                    self._done = self.begun = True
                else:
                    self.failed = True
            elif payload:
                self._note(payload)
            if self.failed:
                kept.append(b"")
                return b"\n\n".join(kept)
            kept.append(event)
        return data

    def _note(self, payload: bytes) -> None:
        try:
            event = _decode_event(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.begun = True  # what it is we cannot tell, so the client shall
            return
        if event.usage is not None:
            self.usage = event.usage
        if event.error is not None and bytes(event.error) != b"null":
            self.failed = True
        for choice in event.choices or ():
            if choice.finish_reason:
                self.whole = True
            if not self.begun and choice.says_something():
                self.begun = True
