"""Server-sent events of the OpenAI dialect on their way to the client.

Whole events pass untouched; an event cut in two waits for its rest, so that an error said in-band never lands inside
one. Only events that may carry a finish reason, usage, an error or `[DONE]` are parsed: a quote inside a JSON string
is escaped, so the byte patterns below cannot match text that a model wrote.
"""

from __future__ import annotations

import msgspec

from shipway.gateway.dialects.openai import stream_error
from shipway.gateway.refusals import upstream_failed

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""Past this an unfinished event is passed on in pieces rather than held."""

_TELLING = (b'finish_reason":"', b'finish_reason": "', b'usage":{', b'usage": {', b"[DONE]", b'"error"')


class Usage(msgspec.Struct, gc=False):
    """Tokens of one call as reported; None is unknown, never zero."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None


class _Event(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Usage | None = None
    error: msgspec.Raw | None = None


_decode_event = msgspec.json.Decoder(_Event).decode


class StreamReader:
    """Follows one stream and decides whether it ended as it should.

    Attributes:
        usage: As the upstream reported it, on whatever event.
        whole: A finish reason was seen.
        failed: The upstream, or this reader, said an error in-band.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.whole = False
        self.failed = False
        self._done = False
        self._held = b""

    def pass_on(self, data: bytes) -> bytes:
        """What of *data* (with what was held before it) goes to the client now: whole events only."""
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
        for telling in _TELLING:
            if telling in data:
                return self._read(data)
        return data

    def closing_bytes(self, *, cut: bool) -> bytes:
        """What to say before the stream closes: an in-band error unless it is whole, else nothing."""
        if self.failed or self._done or (self.whole and not cut):
            return b""
        self.failed = True
        return stream_error(upstream_failed("cut"))

    def _read(self, data: bytes) -> bytes:
        """Read every event of *data*; a `[DONE]` that no finish reason preceded becomes an error."""
        kept: list[bytes] = []
        for event in data.replace(b"\r\n", b"\n").split(b"\n\n"):
            payload = b"".join(line[5:].lstrip() for line in event.split(b"\n") if line.startswith(b"data:"))
            if payload == b"[DONE]":
                if not self.whole and not self.failed:
                    self.failed = True
                    kept.append(stream_error(upstream_failed("cut"))[:-2])
                    continue
                self._done = True
            elif payload:
                self._note(payload)
            kept.append(event)
        return data if not self.failed else b"\n\n".join(kept)

    def _note(self, payload: bytes) -> None:
        try:
            event = _decode_event(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if event.usage is not None:
            self.usage = event.usage
        if event.error is not None and bytes(event.error) != b"null":
            self.failed = True
        if event.choices and any(choice.finish_reason for choice in event.choices):
            self.whole = True
