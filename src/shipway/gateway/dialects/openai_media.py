"""OpenAI's sounds and pictures on their way to the client, and rankings beside them: what a request says, usage, streams.

Source: https://platform.openai.com/docs/api-reference/audio and …/images, with the streaming events of each.
"""

from __future__ import annotations

import msgspec

from shipway.gateway.dialects.openai import ABSENT, ModelRequest, any_usage
from shipway.gateway.dialects.openai_stream import StreamReader
from shipway.gateway.dialects.usage import TokenUsage, remainder
from shipway.gateway.refusals import Refused, bad_field

LAST_EVENTS = frozenset(
    ("transcript.text.done", "speech.audio.done", "image_generation.completed", "image_edit.completed")
)
"""Types of events with which a stream may end. Of pictures there may be several."""

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


class _Details(msgspec.Struct, gc=False):
    audio_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    """Audio says `input_token_details`, pictures say `input_tokens_details`."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: _Details | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


_decode_usage = msgspec.json.Decoder(_Usage | None).decode


def read_usage(raw: msgspec.Raw, *, drawn: bool) -> TokenUsage | None:
    """The usage of a document about sounds or, where *drawn*, pictures, whose output is pictures unless it says otherwise.

    None where it is counted in other units than tokens, such as seconds.
    """
    try:
        usage = _decode_usage(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if usage is None or (usage.input_tokens is None and usage.output_tokens is None):
        return None
    given = usage.input_token_details or usage.input_tokens_details or _NO_DETAILS
    made = usage.output_tokens_details or _NO_DETAILS
    images = made.image_tokens
    if drawn and images is None and made.text_tokens is None:
        images = usage.output_tokens
    fresh, audio, image = remainder(usage.input_tokens, given.audio_tokens, given.image_tokens)
    output, output_audio, output_image = remainder(usage.output_tokens, made.audio_tokens, images)
    return TokenUsage(
        fresh,
        input_audio=audio,
        input_image=image,
        output=output,
        output_audio=output_audio,
        output_image=output_image,
    )


_NO_DETAILS = _Details()


class _Document(msgspec.Struct, gc=False):
    usage: msgspec.Raw = ABSENT


_decode_document = msgspec.json.Decoder(_Document).decode


def pictures_usage(body: bytes) -> TokenUsage | None:
    """The usage of an answer with pictures. Raises: ValueError, for what is none."""
    any_usage(body, "data")
    return read_usage(_decode_document(body).usage, drawn=True)


def transcript_usage(body: bytes) -> TokenUsage | None:
    """The usage of a transcript, which may be plain text. Raises: ValueError, for an error or a page of HTML."""
    begins = body.lstrip()[:1]
    if begins == b"{":
        any_usage(body)
        return read_usage(_decode_document(body).usage, drawn=False)
    if begins == b"<":
        raise ValueError("a page, not a transcript")
    return None


class _Total(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Ranking(msgspec.Struct, gc=False):
    usage: _Total | None = None


_decode_ranking = msgspec.json.Decoder(_Ranking).decode


def ranking_usage(body: bytes) -> TokenUsage | None:
    """The usage of documents in an order, of which some servers say the total alone. Raises: ValueError."""
    any_usage(body, "results")
    try:
        usage = _decode_ranking(body).usage or _Total()
    except msgspec.ValidationError:
        return None
    count = usage.total_tokens if usage.prompt_tokens is None else usage.prompt_tokens
    return None if count is None else TokenUsage(count)


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    usage: msgspec.Raw = ABSENT


_decode_event = msgspec.json.Decoder(_Event).decode


class MediaStream(StreamReader):
    """Follows a stream of events that have a type, and ends in order after one of `LAST_EVENTS`.

    Some servers stream a transcript as chunks of chat instead: those are followed as such.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last_came = False

    @property
    def whole(self) -> bool:
        return self._last_came or super().whole

    def finish(self) -> bytes | None:
        """As for chat, but that no `[DONE]` is added: streams of this kind have none."""
        rest = self.pass_on(b"\n\n") if self._held else b""
        return rest if not self.failed and (self.done or self.whole) else None

    def _note_document(self, payload: bytes) -> None:
        try:
            event = _decode_event(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._fail("garbage")
            return
        if event.type is None:
            super()._note_document(payload)
            return
        if event.type == "error":
            self._fail("error")
            return
        self.begun = True
        if event.usage is not ABSENT:
            self.usage = read_usage(event.usage, drawn=event.type.startswith("image_")) or self.usage
        if event.type in LAST_EVENTS:
            self._last_came = self.done = True
