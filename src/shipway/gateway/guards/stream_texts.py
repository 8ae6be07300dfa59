"""The texts of a stream, read in the caller's dialect on its way out: whatever an upstream speaks, the client gets these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from shipway.gateway.dialects.dialect import Framing, NewerKind, StreamParser
from shipway.gateway.dialects.events import (
    Cited,
    Event,
    ImageGiven,
    ReasoningDelta,
    TextDelta,
    ToolArguments,
    ToolCallStarted,
)
from shipway.gateway.dialects.surrogates import without_halves
from shipway.gateway.guards.unread import unread_strings
from shipway.gateway.guards.windows import Key, Said

MAX_FIELDS = 64
"""A stream with more places for text that no reader knows cannot be checked."""

_decode = msgspec.json.Decoder().decode


class Source(Protocol):
    """What a stream comes in; see `dialects.dialect.Dialect`."""

    @property
    def framing(self) -> Callable[[], Framing]: ...
    @property
    def stream_parser(self) -> Callable[[], StreamParser]: ...


class StreamTexts:
    """Reads a stream in the caller's dialect, on its way out, for the texts in it."""

    def __init__(self, source: Source) -> None:
        self._framing = source.framing()
        self._parser = source.stream_parser()
        self._read: dict[Key, list[str]] = {}
        self._lengths: dict[Key, int] = {}
        self._names: set[str] = set()
        self._fields: dict[str, int] = {}

    def read(self, data: bytes) -> list[Said]:
        """The texts in the whole events of *data*. Raises: ValueError, when it cannot be read."""
        said: list[Said] = []
        for name, payload in self._framing.feed(data):
            of_event = [one for event in self._events(name, payload) if (one := _said(event)) is not None]
            for key, called, text in of_event:
                self._read.setdefault(key, []).append(text)
                self._lengths[key] = self._lengths.get(key, 0) + len(text)
                self._names.add(called)
            said += of_event
            if payload.startswith(b"{"):
                said += self._unread(payload, {text for _, _, text in of_event})
        return said

    def _events(self, name: str, payload: bytes) -> Sequence[Event]:
        try:
            return self._parser.read(name, payload)
        except NewerKind as newer:  # its texts are shown as what nobody read
            return newer.events

    def _unread(self, payload: bytes, of_event: set[str]) -> list[Said]:
        """What the parser passes over. Some dialects say a text again when it is whole: that was seen."""
        more: list[Said] = []
        for path, text in unread_strings(_decode(without_halves(payload)), of_event):
            if text in self._names or self._was_read(text):
                continue
            at = self._fields.setdefault(path, len(self._fields))
            if at >= MAX_FIELDS:
                raise ValueError("too many fields that nobody knows")
            more.append((("field", at), path, text))
        return more

    def _was_read(self, text: str) -> bool:
        """Whether *text* is one of the texts as far as they have come."""
        return any(length == len(text) and "".join(self._read[key]) == text for key, length in self._lengths.items())


def _said(event: Event) -> Said | None:
    match event:
        case TextDelta(text):
            return ("text", 0), "", text
        case ReasoningDelta(text):
            return ("reasoning", 0), "", text
        case ToolCallStarted(index, _, name):
            return ("tool_call", index), name, ""
        case ToolArguments(index, text):
            return ("tool_call", index), "", text
        case ImageGiven(image):
            return ("attachment", 0), "", f"{image.url or image.media_type or 'image'}\n"
        case Cited(citation):
            source = " ".join(text for text in (citation.title, citation.url, citation.quote) if text)
            return ("citation", 0), "", f"{source}\n"
    return None
