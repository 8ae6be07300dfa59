"""Usage of streams of chat and completions whose callers did not ask for it: asked for, read, and taken out again.

OpenAI reports the usage of a stream only where `stream_options.include_usage` says so. It then comes in a chunk of its own,
behind the last choice, and each other chunk has `"usage": null`. Both are taken out, to the byte, so that a caller gets what it
would have got. Usage beside choices stays: those who put it there do so unasked.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from shipway.gateway.dialects.model_request import ModelRequest
from shipway.gateway.dialects.openai_stream import EVENT_END, StreamReader
from shipway.gateway.undecodable import UNDECODABLE

_decode_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode
_NULL_USAGE: Final = re.compile(rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*(?:,\s*)?')
"""Matches members only: inside a string its quotes would have backslashes."""
_MAX_NULLS: Final = 8
"""How many members of that name, at whatever depth, are looked at in one event."""
_TRUE: Final = msgspec.Raw(b"true")


def options_asking(request: ModelRequest) -> msgspec.Raw | None:
    """The `stream_options` that ask for usage; None where the caller's do already, or are none that could be extended."""
    sent = bytes(request.fields.get("stream_options", b"null"))
    if sent == b"null":
        return msgspec.Raw(b'{"include_usage":true}')
    try:
        options = _decode_fields(sent)
    except UNDECODABLE:
        return None
    if bytes(options.get("include_usage", b"false")) not in (b"false", b"null"):
        return None
    return msgspec.Raw(_encode({**options, "include_usage": _TRUE}))


def body_with(request: ModelRequest, model_json: msgspec.Raw, options: msgspec.Raw) -> bytes:
    """The body to send upstream. The request stays as it is, as it may be tried elsewhere."""
    return _encode({**request.fields, "model": model_json, "stream_options": options})


class UnaskedUsage(StreamReader):
    """Follows a stream as `StreamReader` does and passes on what it would have been had nobody asked for usage."""

    def pass_on(self, data: bytes) -> bytes:
        said = super().pass_on(data)
        if said.find(b'"usage"') < 0:
            return said
        self.repeated = None  # it is not passed on as it comes
        return _without_usage(said)

    def finish(self) -> bytes | None:
        rest = super().finish()
        return _without_usage(rest) if rest and b'"usage"' in rest else rest


def _without_usage(events: bytes) -> bytes:
    parts = EVENT_END.split(events)
    parts.append(b"")  # what ends the last one, of which there is nothing
    kept: list[bytes] = []
    for event, end in zip(parts[::2], parts[1::2], strict=True):
        rest = _event_without(event) if b'"usage"' in event else event
        if rest is not None:
            kept += (rest, end)
    return b"".join(kept)


def _event_without(event: bytes) -> bytes | None:
    """*event* without null usage; None where usage is all that there is to it."""
    at = event.find(b"{")
    payload = event[at:]
    if at < 0 or len(payload.splitlines()) > 1:
        return event  # not of one line, as each chunk is
    try:
        fields = _decode_fields(payload)
        usage = bytes(fields.get("usage", b""))
        if usage == b"null":
            return event[:at] + _null_taken_out(payload)
        if usage.startswith(b"{") and msgspec.json.decode(fields.get("choices", b"null")) == []:
            return None
    except UNDECODABLE:
        pass
    return event


def _null_taken_out(payload: bytes) -> bytes:
    """Raises: msgspec.DecodeError."""
    for _, match in zip(range(_MAX_NULLS), _NULL_USAGE.finditer(payload), strict=False):
        rest = payload[: match.start()] + payload[match.end() :]
        if "usage" not in _decode_fields(rest):  # else it was that of something inside
            return rest
    return payload
