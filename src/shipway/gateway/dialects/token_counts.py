"""Counting the tokens of a conversation: Anthropic's question and answer, and how other providers are asked.

Source: https://docs.anthropic.com/en/api/messages-count-tokens, https://ai.google.dev/api/tokens, Bedrock's CountTokens and
OpenAI's `responses/input_tokens`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from shipway.gateway.dialects.conversation import Conversation
from shipway.gateway.dialects.dialect import document_reader
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.dialects.usage import counted

_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode


def read_request(body: bytes, losses: Losses) -> Conversation:
    """A question is a request without a length. Raises: Refused."""
    return open_dialect("anthropic").read_request(body, losses)


def _kept(names: frozenset[str]) -> Callable[[dict[str, Raw]], dict[str, Raw]]:
    return lambda fields: {name: value for name, value in fields.items() if name in names}


def _for_bedrock(fields: dict[str, Raw]) -> dict[str, Raw]:
    asked = _kept(frozenset(("messages", "system", "toolConfig", "additionalModelRequestFields")))(fields)
    return {"input": Raw(_encode({"converse": asked}))}


def _for_gemini(fields: dict[str, Raw]) -> dict[str, Raw]:
    return {"generateContentRequest": Raw(_encode(fields))}


_ASKED: Mapping[str, Callable[[dict[str, Raw]], dict[str, Raw]]] = {
    "anthropic": _kept(frozenset(("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"))),
    "openai_responses": _kept(
        frozenset(
            ("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning")
        )
    ),
    "bedrock": _for_bedrock,
    "gemini": _for_gemini,
}
"""Whose tokens can be counted; chat completions have no such question."""


def write_request(conversation: Conversation, name: str, model: str, losses: Losses) -> bytes:
    """The question in this dialect. Raises: Refused, or KeyError where the dialect has none."""
    asked = _ASKED[name]
    if name == "bedrock" and conversation.format is not None:  # CountTokens has no place for one
        losses.lose(conversation.name("format"))
    fields = _fields(open_dialect(name).write_request(conversation, model, losses))
    if name == "gemini":
        fields["model"] = Raw(_encode(f"models/{model}"))
    return _encode(asked(fields))


class _Counted(msgspec.Struct):
    input_tokens: Any = None
    inputTokens: Any = None
    totalTokens: Any = None


_read = document_reader(_Counted)


def read_answer(body: bytes) -> int:
    """Raises: ValueError."""
    said = _read(body)
    for count in map(counted, (said.input_tokens, said.inputTokens, said.totalTokens)):
        if count is not None:
            return count
    raise ValueError("no count")


def write_answer(count: int) -> bytes:
    return b'{"input_tokens":%d}' % count
