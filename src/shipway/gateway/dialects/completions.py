"""OpenAI's legacy completions, for callers alone: one text in, one text out. Providers of other dialects have none, and are
asked to answer the text as a user's turn.

Answers are read too, for guards.

Source: https://platform.openai.com/docs/api-reference/completions.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from shipway.gateway.dialects.conversation import Conversation, Sampling, Text, Turn
from shipway.gateway.dialects.dialect import UpstreamPart, document_reader
from shipway.gateway.dialects.events import (
    ENDED,
    Answer,
    Ended,
    Envelope,
    Event,
    Failed,
    Started,
    Stopped,
    TextDelta,
    UsageKnown,
)
from shipway.gateway.dialects.losses import Losses, StrictReader
from shipway.gateway.dialects.openai import in_band_kind
from shipway.gateway.dialects.openai_chat import DIALECT as CHAT
from shipway.gateway.dialects.openai_chat.answer import (
    read_stop,
    written_stop,
    written_usage,
)
from shipway.gateway.dialects.openai_chat.stream import Chunk, written_end
from shipway.gateway.dialects.openai_usage import read_usage
from shipway.gateway.dialects.usage import NOTHING
from shipway.gateway.refusals import Refused, bad_field


class _StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    include_usage: bool = False


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    prompt: str | list[str | int | list[int]]
    max_tokens: int | None = None
    temperature: int | float | None = None
    top_p: int | float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: int | float | None = None
    frequency_penalty: int | float | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    user: str | None = None


_reader = StrictReader(
    _Request,
    neutral={
        "n": frozenset((b"1",)),
        "best_of": frozenset((b"1",)),
        "echo": frozenset((b"false",)),
        "logit_bias": frozenset((b"{}",)),
        "suffix": frozenset((b'""',)),
        "stream_options.include_obfuscation": frozenset((b"true", b"false")),
    },
)
_encode = msgspec.json.Encoder().encode


def read_request(body: bytes, losses: Losses) -> Conversation:
    """Raises: Refused, also for several prompts, which want several answers, and for tokens, which differ by model."""
    sent = _reader.read(body, losses)
    prompt = sent.prompt
    if isinstance(prompt, list):  # some clients send one in a list
        if not all(isinstance(one, str) for one in prompt):
            raise Refused(bad_field("prompt", "The model behind this name takes text in 'prompt', not tokens."))
        if len(prompt) != 1:
            raise Refused(bad_field("prompt", "The model behind this name takes one text at once in 'prompt'."))
        prompt = str(prompt[0])
    sampling = Sampling(
        sent.max_tokens,
        sent.temperature,
        sent.top_p,
        None,
        (sent.stop,) if isinstance(sent.stop, str) else tuple(sent.stop or ()),
        sent.seed,
        sent.presence_penalty,
        sent.frequency_penalty,
    )
    return Conversation(
        sent.model,
        (Turn("user", (Text(prompt),), "prompt"),),
        sampling=sampling,
        stream=bool(sent.stream),
        include_usage=sent.stream_options is not None and sent.stream_options.include_usage,
        user=sent.user,
    )


def write_answer(answer: Answer, envelope: Envelope) -> bytes:
    """Thoughts are left out; no other part can come, since no tools were sent."""
    choice = {"index": 0, "text": answer.text(), "logprobs": None, "finish_reason": written_stop(answer.stop)}
    document = _head(envelope) | {"choices": [choice]}
    usage = written_usage(answer.usage)
    return _encode(document if usage is None else document | {"usage": usage})


def _head(envelope: Envelope) -> dict[str, object]:
    return {
        "id": f"cmpl-{envelope.id}",
        "object": "text_completion",
        "created": envelope.created_s,
        "model": envelope.model,
    }


class Writer:
    """Writes one stream."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._head = b"data: " + _encode(_head(envelope))[:-1]
        self._usage = NOTHING

    def write(self, event: Event) -> bytes:
        match event:
            case Started():
                return b""
            case TextDelta(text):
                return self._chunk(text, None)
            case Stopped(reason):
                return self._chunk("", written_stop(reason))
            case UsageKnown(usage):
                self._usage = self._usage.updated(usage)
            case Ended():
                return written_end(self._head, self._usage, self._envelope)
        return b""

    def _chunk(self, text: str, finish_reason: str | None) -> bytes:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
        return b'%b,"choices":[%b]}\n\n' % (self._head, _encode(choice))


class _Choice(UpstreamPart):
    text: str = ""
    finish_reason: str | None = None
    index: int = 0


class _Document(Chunk):
    """A whole answer, or a chunk of one."""

    choices: list[_Choice] | None = None


_read_document = document_reader(_Document)


def read_answer(body: bytes) -> Answer:
    """Raises: ValueError."""
    document = _read_document(body)
    if document.choices is None or len(document.choices) != 1:
        raise ValueError("not one choice")
    (choice,) = document.choices
    usage = NOTHING if document.usage is None else read_usage(document.usage)
    stop = read_stop(choice.finish_reason or "stop", False)
    return Answer((Text(choice.text),), stop, usage=usage, id=document.id or "", model=document.model or "")


class Parser:
    """Reads one stream."""

    def read(self, name: str, data: bytes) -> list[Event]:
        """Raises: ValueError, also for a second choice."""
        if data == b"[DONE]":
            return [ENDED]
        chunk = _read_document(data)
        if chunk.is_error(name):
            return [Failed(in_band_kind(data))]
        events: list[Event] = []
        for choice in chunk.choices or ():
            if choice.index:
                raise ValueError("a second choice")
            if choice.text:
                events.append(TextDelta(choice.text))
            if choice.finish_reason:
                events.append(Stopped(read_stop(choice.finish_reason, False)))
        if chunk.usage is not None:
            events.append(UsageKnown(read_usage(chunk.usage)))
        return events

    def end(self) -> list[Event]:
        return [ENDED]


DIALECT = replace(
    CHAT,
    name="completions",
    read_request=read_request,
    read_answer=read_answer,
    write_answer=write_answer,
    stream_parser=Parser,
    stream_writer=Writer,
)
"""Nobody is asked in it, so `write_request` is chat's."""
