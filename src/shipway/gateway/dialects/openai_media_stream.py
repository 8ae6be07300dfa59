"""Streams of OpenAI's sounds and pictures on their way to the client.

Source: https://platform.openai.com/docs/api-reference/audio and …/images, with the streaming events of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from shipway.gateway.dialects.openai import ABSENT, decoded, in_band_kind
from shipway.gateway.dialects.openai_events import decode_media_event
from shipway.gateway.dialects.openai_stream import StreamReader
from shipway.gateway.dialects.openai_usage import read_image_usage, read_speech_usage, read_usage
from shipway.gateway.dialects.usage import TokenUsage
from shipway.gateway.undecodable import UNDECODABLE

_LAST: Final = frozenset(("transcript.text.done", "speech.audio.done"))
"""Types of events that nothing follows."""
_MAY_BE_LAST: Final = frozenset(("image_generation.completed", "image_edit.completed"))
"""Types of events with which a stream may end; of pictures there may be several."""

_USAGE_OF: Final[dict[str, Callable[[object], TokenUsage]]] = {
    "speech": read_speech_usage,
    "image_generation": read_image_usage,
    "image_edit": read_image_usage,
}
"""By what a type begins with."""


class MediaStream(StreamReader):
    """Follows a stream of events that have a type, and ends in order after one that says that all is made.

    Some servers stream a transcript as chunks of chat instead: those are followed as such.
    """

    def __init__(self) -> None:
        StreamReader.__init__(self)
        self._may_end = False

    @property
    def whole(self) -> bool:
        return self.done or self._may_end or self._choices_finished()

    def finish(self) -> bytes | None:
        """As for chat, but that no `[DONE]` is added: streams of this kind have none."""
        rest = self._end_last_event() if self._held else b""
        return rest if not self.failed and self.whole else None

    def _note_document(self, payload: bytes) -> bool:
        try:
            event = decode_media_event(payload)
        except UNDECODABLE:
            return self._note_halves(payload)
        if event.type is None:
            return StreamReader._note_document(self, payload)
        if event.type == "error":
            self.error_kind = in_band_kind(payload)
            self._fail("error")
            return False
        self.begun = True
        if event.usage is not ABSENT:
            read = _USAGE_OF.get(event.type.partition(".")[0], read_usage)
            self.usage = read(decoded(event.usage))
        if event.type in _LAST:
            self.done = True
        elif event.type in _MAY_BE_LAST:
            self._may_end = True
        return False
