"""The paths of the model API: which operation each is, in which dialect, and how its answers are read on their way.

A dialect's own file knows its documents; here stands which of them a path speaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from shipway.gateway.dialects import openai, openai_media
from shipway.gateway.dialects.anthropic.answer import read_answer_usage as anthropic_usage
from shipway.gateway.dialects.anthropic.models import REQUEST_ID as ANTHROPIC_ID
from shipway.gateway.dialects.forms import FormRequest
from shipway.gateway.dialects.model_request import ModelRequest
from shipway.gateway.dialects.openai_media_stream import MediaStream
from shipway.gateway.dialects.openai_responses.answer import read_answer_usage as responses_usage
from shipway.gateway.dialects.openai_stream import StreamReader
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.dialects.repeated_event import RepeatedEvent
from shipway.gateway.dialects.usage import NOTHING, TokenUsage
from shipway.gateway.passed_stream import PassedStream
from shipway.gateway.providers.provider import Operation
from shipway.gateway.refusals import Refusal, Writer


class Usage(Protocol):
    """Tokens of one call as reported; None is unknown, never zero.

    Attributes:
        parts: The tokens in classes; None where there are no others than two plain ones.
    """

    @property
    def prompt_tokens(self) -> int | None: ...
    @property
    def completion_tokens(self) -> int | None: ...
    @property
    def parts(self) -> TokenUsage | None: ...


class AnswerReader(Protocol):
    """Follows a stream on its way; see `openai_stream.StreamReader`."""

    @property
    def pieces(self) -> int: ...
    @property
    def repeated(self) -> RepeatedEvent | None: ...

    @property
    def begun(self) -> bool: ...
    @property
    def done(self) -> bool: ...
    @property
    def failed(self) -> str: ...
    @property
    def error_kind(self) -> str: ...
    @property
    def error_wait_s(self) -> float | None: ...
    @property
    def over(self) -> bool: ...
    @property
    def usage(self) -> Usage | None: ...

    def pass_on(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class ModelPath:
    """One path.

    Attributes:
        name: What metrics call the operation.
        read_request: (body, Content-Type) → what is asked; None where it is a JSON object that says `stream`. Raises Refused.
        conversation: Name of the dialect in which it is a conversation that can be translated; "" where it is none.
        id_name: Header in which this dialect's clients look for the request id, where it is another than `x-request-id`.
        billed: Whether providers bill it; what they report of the others' tokens is no use of them.
        read_usage: Of a whole answer; raises ValueError for what is none.
        read_error: (status, body) of an upstream's refusal → what the client is told.
    """

    operation: Operation
    name: str
    read_request: Callable[[bytes, bytes | None], ModelRequest] | None = None
    conversation: str = ""
    billed: bool = True
    id_name: bytes = b""
    write_refusal: Writer = openai.as_openai_error
    status_of: Callable[[Refusal], int] | None = None
    stream_error: Callable[[Refusal], bytes] = openai.stream_error
    stream_reader: Callable[[], AnswerReader] = StreamReader
    read_usage: Callable[[bytes], Usage | None] = openai.answer_usage
    read_error: Callable[[int, bytes], Refusal] = openai.refused_by_model

    @property
    def form(self) -> bool:
        """Whether it is asked with a form, that is an upload."""
        return self.read_request is FormRequest


def _read_speech(body: bytes, content_type: bytes | None) -> ModelRequest:
    return openai_media.SpeechRequest(body)


def _read_by_parser(name: str, content: str, counted: Callable[[bytes], TokenUsage]) -> dict[str, Any]:
    """How answers of a dialect that has a parser are followed while they pass; *content* is the field that none lacks,
    *counted* reads the usage of those that the parser does not know."""

    def read_usage(body: bytes) -> Usage | None:
        try:
            usage = dialect.read_answer(body).usage
        except ValueError:
            openai.any_usage(body, saying=content)
            try:
                usage = counted(body)  # it may well be an answer of a newer kind, of which the client knows
            except ValueError:
                return None
        return None if usage is NOTHING else usage

    dialect = open_dialect(name)
    return {
        "conversation": name,
        "write_refusal": dialect.write_error,
        "status_of": dialect.status,
        "stream_error": dialect.stream_error,
        "stream_reader": partial(PassedStream, dialect),
        "read_usage": read_usage,
        "read_error": dialect.read_error,
    }


_ANTHROPIC: Final = {**_read_by_parser("anthropic", "content", anthropic_usage), "id_name": ANTHROPIC_ID}
_PICTURES: Final[dict[str, Any]] = {
    "stream_reader": MediaStream,
    "read_usage": openai.image_usage,
}
_HEARD: Final[dict[str, Any]] = {
    "read_request": FormRequest,
    "stream_reader": MediaStream,
    "read_usage": openai.transcript_usage,
}
_CONVERSATIONS: Final = ModelPath("chat_completions", "chat", conversation="openai_chat")

PATHS: Final[dict[bytes, ModelPath]] = {
    b"/v1/chat/completions": _CONVERSATIONS,
    b"/v1/completions": ModelPath("completions", "text_completion", conversation="completions"),
    b"/v1/embeddings": ModelPath("embeddings", "embeddings", read_usage=partial(openai.answer_usage, embeddings=True)),
    b"/v1/responses": ModelPath("responses", "chat", **_read_by_parser("openai_responses", "output", responses_usage)),
    b"/v1/messages": ModelPath("messages", "chat", **_ANTHROPIC),
    b"/v1/messages/count_tokens": ModelPath(
        "count_tokens", "count_tokens", billed=False, **{**_ANTHROPIC, "read_usage": openai.any_usage}
    ),
    b"/v1/images/generations": ModelPath("images", "image_generation", **_PICTURES),
    b"/v1/images/edits": ModelPath("image_edits", "image_generation", read_request=FormRequest, **_PICTURES),
    b"/v1/audio/speech": ModelPath("speech", "speech", read_request=_read_speech, stream_reader=MediaStream),
    b"/v1/audio/transcriptions": ModelPath("transcriptions", "transcription", **_HEARD),
    b"/v1/audio/translations": ModelPath("translations", "transcription", **_HEARD),
    b"/v1/rerank": ModelPath("rerank", "rerank", read_usage=openai_media.ranking_usage),
}
