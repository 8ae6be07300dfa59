"""OpenAI's legacy completions, for callers alone: one text in, one text out. Nobody else offers them.

Source: https://platform.openai.com/docs/api-reference/completions.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from shipway.gateway.dialects.conversation import Conversation, Sampling, Text, Turn
from shipway.gateway.dialects.events import Answer, Ended, Envelope, Event, Started, Stopped, TextDelta, UsageKnown
from shipway.gateway.dialects.losses import Losses, StrictReader
from shipway.gateway.dialects.openai_chat import DIALECT as CHAT
from shipway.gateway.dialects.openai_chat.answer import written_stop, written_usage
from shipway.gateway.dialects.usage import NOTHING


class _StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    include_usage: bool = False


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    prompt: str
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
    },
)
_encode = msgspec.json.Encoder().encode


def read_request(body: bytes, losses: Losses) -> Conversation:
    """Raises: Refused, also for a list of prompts."""
    sent = _reader.read(body, losses)
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
        (Turn("user", (Text(sent.prompt),), "prompt"),),
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
                usage_json = written_usage(self._usage) if self._envelope.include_usage else None
                said = (
                    b""
                    if usage_json is None
                    else b'%b,"choices":[],"usage":%b}\n\n' % (self._head, _encode(usage_json))
                )
                return said + b"data: [DONE]\n\n"
        return b""

    def _chunk(self, text: str, finish_reason: str | None) -> bytes:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
        return b'%b,"choices":[%b]}\n\n' % (self._head, _encode(choice))


DIALECT = replace(CHAT, name="completions", read_request=read_request, write_answer=write_answer, stream_writer=Writer)
"""For callers; what it would read of an upstream is chat's."""
