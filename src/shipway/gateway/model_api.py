"""The paths of the model API: which operation each is, in which dialect, and how its answers are read on their way.

A dialect's own file knows its documents; here stands which of them a path speaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shipway.gateway.dialects import openai
from shipway.gateway.dialects.openai_stream import StreamReader
from shipway.gateway.providers.provider import Operation
from shipway.gateway.refusals import Refusal, Writer


class Usage(Protocol):
    """Tokens of one call as reported; None is unknown, never zero."""

    @property
    def prompt_tokens(self) -> int | None: ...
    @property
    def completion_tokens(self) -> int | None: ...


class AnswerReader(Protocol):
    """Follows a stream on its way; see `openai_stream.StreamReader`."""

    begun: bool
    done: bool
    failed: str
    over: bool

    @property
    def usage(self) -> Usage | None: ...

    def pass_on(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class ModelPath:
    """One path.

    Attributes:
        name: What metrics call the operation.
        conversation: Name of the dialect in which it is a conversation that can be translated; "" where it is none.
        read_usage: Of a whole answer; raises ValueError for what is none.
        read_error: (status, body) of an upstream's refusal → what the client is told.
    """

    operation: Operation
    name: str
    conversation: str = ""
    write_refusal: Writer = openai.as_openai_error
    stream_error: Callable[[Refusal], bytes] = openai.stream_error
    stream_reader: Callable[[], AnswerReader] = StreamReader
    read_usage: Callable[[bytes], Usage | None] = openai.answer_usage
    read_error: Callable[[int, bytes], Refusal] = openai.refused_by_model


PATHS: dict[bytes, ModelPath] = {
    b"/v1/chat/completions": ModelPath("chat_completions", "chat", conversation="openai"),
    b"/v1/completions": ModelPath("completions", "text_completion"),
    b"/v1/embeddings": ModelPath("embeddings", "embeddings"),
    b"/v1/images/generations": ModelPath("images", "image_generation", read_usage=openai.any_usage),
    b"/v1/audio/speech": ModelPath("speech", "speech", read_usage=openai.any_usage),
    b"/v1/rerank": ModelPath("rerank", "rerank", read_usage=openai.any_usage),
}
