"""Anthropic messages: whole answers, usage, stop reasons, errors."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Raw

from shipway.gateway.dialects.anthropic.wire import FAMILY
from shipway.gateway.dialects.conversation import Citation, Image, Reasoning, Text, ToolCall
from shipway.gateway.dialects.dialect import UpstreamPart, document_reader, usage_of
from shipway.gateway.dialects.errors import kind_of, one_word, refused_by_model
from shipway.gateway.dialects.events import Answer, AnswerPart, Envelope, StopReason
from shipway.gateway.dialects.losses import object_text
from shipway.gateway.dialects.signatures import opened_from, sealed_for
from shipway.gateway.dialects.usage import TokenUsage, counted, members, plus, remainder
from shipway.gateway.refusals import JSON_FIELD, Refusal, extra_fields

_READ_STOPS: dict[str, StopReason] = {
    "end_turn": "end",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "pause_turn": "end",  # only with tools of the provider's own, which cannot be asked for from another dialect
    "refusal": "refusal",
    "model_context_window_exceeded": "context_window",
}
_WRITTEN_STOPS: dict[StopReason, str] = {
    "end": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "context_window": "model_context_window_exceeded",
}


def read_usage(said: object) -> TokenUsage:
    """The classes of a report, which may be anything. Cached tokens come on top of `input_tokens`; thoughts are part of
    `output_tokens`."""
    usage = members(said)
    thought = counted(members(usage.get("output_tokens_details")).get("thinking_tokens"))
    output, reasoning = remainder(counted(usage.get("output_tokens")), thought)
    return TokenUsage(
        counted(usage.get("input_tokens")),
        counted(usage.get("cache_read_input_tokens")),
        counted(usage.get("cache_creation_input_tokens")),
        output=output,
        reasoning=reasoning,
    )


def written_usage(usage: TokenUsage) -> dict[str, object]:
    """Both totals must be there, so what is unknown is written as 0."""
    written: dict[str, object] = {
        "input_tokens": plus(plus(usage.input, usage.input_audio), usage.input_image) or 0,
        "output_tokens": usage.completion_tokens or 0,
    }
    if usage.cached_write is not None:
        written["cache_creation_input_tokens"] = usage.cached_write
    if usage.cached_read is not None:
        written["cache_read_input_tokens"] = usage.cached_read
    if usage.reasoning is not None:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return written


class CitationRead(UpstreamPart):
    type: str
    cited_text: str = ""
    document_index: int | None = None
    document_title: str | None = None
    title: str | None = None
    url: str | None = None
    source: str | None = None
    start_char_index: int = 0
    end_char_index: int = 0
    start_page_number: int = 0
    end_page_number: int = 0
    start_block_index: int = 0
    end_block_index: int = 0


def read_citation(read: CitationRead) -> Citation:
    url, title = read.url or read.source, read.document_title or read.title
    where: tuple[Literal["page", "char", "block"], int, int]
    if read.type == "page_location":
        where = ("page", read.start_page_number, read.end_page_number)
    elif read.type == "char_location":
        where = ("char", read.start_char_index, read.end_char_index)
    else:
        where = ("block", read.start_block_index, read.end_block_index)
    return Citation(url, title, read.cited_text, read.document_index, *where)


def written_citation(citation: Citation) -> dict[str, object]:
    if citation.document is None:
        return {
            "type": "web_search_result_location",
            "url": citation.url or "",
            "title": citation.title,
            "cited_text": citation.quote,
            "encrypted_index": "",
        }
    kind, first, last = {
        "page": ("page_location", "start_page_number", "end_page_number"),
        "block": ("content_block_location", "start_block_index", "end_block_index"),
    }.get(citation.unit, ("char_location", "start_char_index", "end_char_index"))
    return {
        "type": kind,
        "cited_text": citation.quote,
        "document_index": citation.document,
        "document_title": citation.title,
        first: citation.start,
        last: citation.end,
    }


class _Text(UpstreamPart, tag_field="type", tag="text"):
    text: str
    citations: list[CitationRead] | None = None


class _Thinking(UpstreamPart, tag_field="type", tag="thinking"):
    thinking: str
    signature: str = ""


class _Redacted(UpstreamPart, tag_field="type", tag="redacted_thinking"):
    data: str


class _ToolUse(UpstreamPart, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: Raw


class _Message(UpstreamPart):
    content: list[_Text | _Thinking | _Redacted | _ToolUse]
    stop_reason: str
    usage: Any
    id: str = ""
    model: str = ""
    stop_sequence: str | None = None


_read = document_reader(_Message)
_encode = msgspec.json.Encoder().encode


def read_answer_usage(body: bytes) -> TokenUsage:
    """See `usage_of`."""
    return usage_of(body, read_usage)


def read_stop(reason: str) -> StopReason:
    """Raises: ValueError."""
    stop = _READ_STOPS.get(reason)
    if stop is None:
        raise ValueError("an unknown stop reason")
    return stop


def written_stop(reason: StopReason) -> str:
    return _WRITTEN_STOPS[reason]


def read_answer(body: bytes) -> Answer:
    """Raises: ValueError."""
    message = _read(body)
    parts: list[AnswerPart] = []
    for block in message.content:
        if isinstance(block, _Text):
            parts.append(Text(block.text))
            parts.extend(read_citation(citation) for citation in block.citations or ())
        elif isinstance(block, _ToolUse):
            parts.append(ToolCall(block.id, block.name, bytes(block.input).decode()))
        elif isinstance(block, _Thinking):
            signature, origin = opened_from(FAMILY, block.signature)
            parts.append(Reasoning(block.thinking, signature or None, origin=origin if signature else ""))
        else:
            data, origin = opened_from(FAMILY, block.data)
            parts.append(Reasoning(sealed=data, origin=origin))
    return Answer(
        tuple(parts),
        read_stop(message.stop_reason),
        message.stop_sequence,
        read_usage(message.usage),
        message.id,
        message.model,
    )


def write_answer(answer: Answer, envelope: Envelope) -> bytes:
    """Raises: ValueError, for an image, which this dialect has no place for."""
    content: list[dict[str, Any]] = []
    for part in answer.parts:
        if type(part) is Citation:
            if content and content[-1]["type"] == "text":
                content[-1].setdefault("citations", []).append(written_citation(part))
        else:
            content.append(_written_block(part, f"call_{envelope.id}_{len(content)}", answer.stop))
    return _encode(
        {
            "id": f"msg_{envelope.id}",
            "type": "message",
            "role": "assistant",
            "model": envelope.model,
            "content": content,
            "stop_reason": _WRITTEN_STOPS[answer.stop],
            "stop_sequence": answer.sequence,
            "usage": written_usage(answer.usage),
        }
    )


_CUT: frozenset[StopReason] = frozenset(("length", "context_window"))


def _written_block(part: Text | Reasoning | ToolCall | Image, call_id: str, stop: StopReason) -> dict[str, object]:
    if type(part) is Text:
        return {"type": "text", "text": part.text}
    if type(part) is ToolCall:
        try:
            arguments = object_text(part.arguments)
        except ValueError:
            if stop not in _CUT:
                raise
            arguments = Raw(b"{}")  # nobody may act on it, as the stop reason says
        return {"type": "tool_use", "id": part.id or call_id, "name": part.name, "input": arguments}
    if type(part) is Image:
        raise ValueError("an image in an answer")
    if part.sealed is not None:
        return {"type": "redacted_thinking", "data": sealed_for(FAMILY, part.sealed, part.origin)}
    signature = "" if part.signature is None else sealed_for(FAMILY, part.signature, part.origin)
    return {"type": "thinking", "thinking": part.text, "signature": signature}


class ErrorDetail(UpstreamPart):
    type: str | None = None
    message: str | None = None


class _Error(UpstreamPart):
    error: ErrorDetail | None = None


_read_error = document_reader(_Error)


def read_error(status: int, body: bytes) -> Refusal:
    try:
        detail = _read_error(body).error or ErrorDetail()
    except ValueError:
        detail = ErrorDetail()
    return refused_by_model(status, one_word(detail.type), detail.message or "")


def error_kind(refusal: Refusal) -> str:
    """The error's type, from which (with the status) the SDK chooses the class that it raises."""
    return kind_of(refusal.status.value)


def write_error(refusal: Refusal, request_id: str) -> tuple[bytes, bytes]:
    error: dict[str, object] = {"type": error_kind(refusal), "message": refusal.message}
    if refusal.param == "thread":  # upon which the SDK's tool runner goes on and sends whole conversations
        error["details"] = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    return JSON_FIELD + extra_fields(refusal), _encode({"type": "error", "error": error, "request_id": request_id})


def stream_error(refusal: Refusal) -> bytes:
    error = {"type": error_kind(refusal), "message": refusal.message}
    return b"event: error\ndata: %b\n\n" % _encode({"type": "error", "error": error})


def status(refusal: Refusal) -> int:
    """Anthropic says 529, and only so, that it is overloaded."""
    return 529 if refusal.status.value == 503 else refusal.status.value
