"""OpenAI's sounds and pictures on their way to the client, and rankings beside them: what a request says, streams, usage.

Source: https://platform.openai.com/docs/api-reference/audio and …/images, with the streaming events of each.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from shipway.gateway.dialects.openai import ABSENT, ModelRequest, any_usage, decoded, in_band_kind
from shipway.gateway.dialects.openai_stream import BEGUN, StreamReader
from shipway.gateway.dialects.openai_usage import read_image_usage, read_speech_usage, read_usage
from shipway.gateway.dialects.usage import TokenUsage, counted, members
from shipway.gateway.refusals import Refused, bad_field

_LAST = frozenset(("transcript.text.done", "speech.audio.done"))
"""Types of events that nothing follows."""
_MAY_BE_LAST = frozenset(("image_generation.completed", "image_edit.completed"))
"""Types of events with which a stream may end; of pictures there may be several."""

_decode_text = msgspec.json.Decoder(str).decode


class SpeechRequest(ModelRequest):
    """A text to be spoken, which says in a field of its own whether a stream of events is wanted."""

    __slots__ = ()

    def __init__(self, body: bytes) -> None:
        """Raises: Refused."""
        super().__init__(body)
        wanted = self.fields.get("stream_format")
        if wanted is None or bytes(wanted) == b"null":
            self.stream = False
            return
        try:
            self.stream = _decode_text(wanted) == "sse"
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refused(bad_field("stream_format", "The field 'stream_format' must be a string.")) from None


def ranking_usage(body: bytes) -> TokenUsage | None:
    """The usage of documents in an order, of which some servers say the total alone. Raises: ValueError, for what is none."""
    return any_usage(body, "results", _read_ranking_usage)


def _read_ranking_usage(said: object) -> TokenUsage:
    usage = read_usage(said)
    return TokenUsage(counted(members(said).get("total_tokens"))) if usage.prompt_tokens is None else usage


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    usage: msgspec.Raw = ABSENT


_USAGE_OF: dict[str, Callable[[object], TokenUsage]] = {
    "speech": read_speech_usage,
    "image_generation": read_image_usage,
    "image_edit": read_image_usage,
}
"""By what a type begins with."""
_decode_event = msgspec.json.Decoder(_Event).decode


class MediaStream(StreamReader):
    """Follows a stream of events that have a type, and ends in order after one that says that all is made.

    Some servers stream a transcript as chunks of chat instead: those are followed as such.
    """

    def __init__(self) -> None:
        super().__init__()
        self._may_end = False

    @property
    def whole(self) -> bool:
        return self.done or self._may_end or super().whole

    def finish(self) -> bytes | None:
        """As for chat, but that no `[DONE]` is added: streams of this kind have none."""
        rest = self.pass_on(b"\n\n") if self._held.strip() not in BEGUN else b""
        return rest if not self.failed and self.whole else None

    def _note_document(self, payload: bytes) -> bool:
        try:
            event = _decode_event(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._note_halves(payload)
        if event.type is None:
            return super()._note_document(payload)
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
