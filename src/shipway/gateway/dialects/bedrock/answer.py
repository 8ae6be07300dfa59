"""Bedrock Converse: whole answers, usage, stop reasons, errors."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from shipway.gateway.dialects.bedrock.wire import FAMILY
from shipway.gateway.dialects.conversation import Citation, Image, Reasoning, Text, ToolCall
from shipway.gateway.dialects.dialect import UpstreamPart, document_reader
from shipway.gateway.dialects.errors import refused_by_model
from shipway.gateway.dialects.events import Answer, AnswerPart, Envelope, StopReason
from shipway.gateway.dialects.losses import object_text
from shipway.gateway.dialects.signatures import opened_from, sealed_for
from shipway.gateway.dialects.usage import TokenUsage, counted, members, plus
from shipway.gateway.refusals import JSON_FIELD, Refusal, extra_fields

_READ_STOPS: dict[str, StopReason] = {
    "end_turn": "end",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "model_context_window_exceeded": "context_window",
}
"""`malformed_model_output` and `malformed_tool_use` are failures."""
_WRITTEN_STOPS: dict[StopReason, str] = {
    "end": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
    "refusal": "content_filtered",
    "context_window": "model_context_window_exceeded",
}


def read_usage(said: object) -> TokenUsage:
    """The classes of a report, which may be anything. Cached tokens come on top of `inputTokens`; thoughts are part of
    `outputTokens` and not told apart."""
    usage = members(said)
    return TokenUsage(
        counted(usage.get("inputTokens")),
        counted(usage.get("cacheReadInputTokens")),
        counted(usage.get("cacheWriteInputTokens")),
        output=counted(usage.get("outputTokens")),
    )


def written_usage(usage: TokenUsage) -> dict[str, int]:
    """The totals must be there, so what is unknown is written as 0."""
    written = {
        "inputTokens": plus(plus(usage.input, usage.input_audio), usage.input_image) or 0,
        "outputTokens": usage.completion_tokens or 0,
        "totalTokens": usage.total_tokens or 0,
    }
    if usage.cached_read is not None:
        written["cacheReadInputTokens"] = usage.cached_read
    if usage.cached_write is not None:
        written["cacheWriteInputTokens"] = usage.cached_write
    return written


class _Place(UpstreamPart):
    documentIndex: int | None = None
    start: int = 0
    end: int = 0
    url: str | None = None


class _Location(UpstreamPart):
    web: _Place | None = None
    documentChar: _Place | None = None
    documentPage: _Place | None = None
    documentChunk: _Place | None = None
    searchResultLocation: _Place | None = None


class _Quote(UpstreamPart):
    text: str = ""


class CitationRead(UpstreamPart):
    title: str | None = None
    source: str | None = None
    sourceContent: list[_Quote] = msgspec.field(default_factory=list)
    location: _Location | None = None


def read_citation(read: CitationRead) -> Citation:
    quote = "".join([one.text for one in read.sourceContent])
    location = read.location or _Location()
    if location.documentPage is not None:
        place = location.documentPage
        return Citation(read.source, read.title, quote, place.documentIndex, "page", place.start, place.end)
    if location.documentChar is not None:
        place = location.documentChar
        return Citation(read.source, read.title, quote, place.documentIndex, "char", place.start, place.end)
    place = location.documentChunk or location.searchResultLocation or location.web or _Place()
    return Citation(place.url or read.source, read.title, quote, place.documentIndex, "block", place.start, place.end)


def written_citation(citation: Citation) -> dict[str, object]:
    written: dict[str, object] = {"sourceContent": [{"text": citation.quote}]}
    if citation.title is not None:
        written["title"] = citation.title
    if citation.document is None:
        written["location"] = {"web": {"url": citation.url or ""}}
    else:
        kind = {"page": "documentPage", "block": "documentChunk"}.get(citation.unit, "documentChar")
        place = {"documentIndex": citation.document, "start": citation.start, "end": citation.end}
        written["location"] = {kind: place}
    return written


class _ToolUse(UpstreamPart):
    toolUseId: str
    name: str
    input: Raw


class _ReasoningText(UpstreamPart):
    text: str
    signature: str | None = None


class _Reasoning(UpstreamPart):
    reasoningText: _ReasoningText | None = None
    redactedContent: str | None = None


class _Cited(UpstreamPart):
    content: list[_Quote] = msgspec.field(default_factory=list)
    citations: list[CitationRead] = msgspec.field(default_factory=list)


class _Source(UpstreamPart):
    bytes: str | None = None


class _Image(UpstreamPart):
    format: str
    source: _Source


class _Block(UpstreamPart):
    text: str | None = None
    toolUse: _ToolUse | None = None
    reasoningContent: _Reasoning | None = None
    citationsContent: _Cited | None = None
    image: _Image | None = None


class _Message(UpstreamPart):
    content: list[_Block]


class _Output(UpstreamPart):
    message: _Message


class _Converse(UpstreamPart):
    output: _Output
    stopReason: str
    usage: Any


_read = document_reader(_Converse)
_encode = msgspec.json.Encoder().encode


def read_stop(reason: str) -> StopReason:
    """Raises: ValueError."""
    stop = _READ_STOPS.get(reason)
    if stop is None:
        raise ValueError("a stop reason that is a failure")
    return stop


def written_stop(reason: StopReason) -> str:
    return _WRITTEN_STOPS[reason]


def read_answer(body: bytes) -> Answer:
    """Raises: ValueError."""
    converse = _read(body)
    parts: list[AnswerPart] = []
    for block in converse.output.message.content:
        if block.text is not None:
            parts.append(Text(block.text))
        elif block.toolUse is not None:
            call = block.toolUse
            parts.append(ToolCall(call.toolUseId, call.name, bytes(call.input).decode()))
        elif block.reasoningContent is not None:
            parts.append(_thought(block.reasoningContent))
        elif block.citationsContent is not None:
            cited = block.citationsContent
            parts.append(Text("".join([one.text for one in cited.content])))
            parts.extend(map(read_citation, cited.citations))
        elif block.image is not None:
            parts.append(Image(f"image/{block.image.format}", block.image.source.bytes))
        else:
            raise ValueError("a block of an unknown type")
    return Answer(tuple(parts), read_stop(converse.stopReason), None, read_usage(converse.usage))


def _thought(thought: _Reasoning) -> Reasoning:
    if thought.reasoningText is None:
        data, origin = opened_from(FAMILY, thought.redactedContent or "")
        return Reasoning(sealed=data, origin=origin)
    text = thought.reasoningText
    if text.signature is None:
        return Reasoning(text.text)
    signature, origin = opened_from(FAMILY, text.signature)
    return Reasoning(text.text, signature, origin=origin)


def write_answer(answer: Answer, envelope: Envelope) -> bytes:
    """Raises: ValueError."""
    content: list[dict[str, Any]] = []
    for part in answer.parts:
        if type(part) is Citation:
            _cite(content, part)
        else:
            content.append(_written_block(part, f"call_{envelope.id}_{len(content)}"))
    return _encode(
        {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": _WRITTEN_STOPS[answer.stop],
            "usage": written_usage(answer.usage),
            "metrics": {"latencyMs": 0},
        }
    )


def _cite(content: list[dict[str, Any]], citation: Citation) -> None:
    """A cited text is a block of another kind."""
    if content and "text" in content[-1]:
        content[-1] = {"citationsContent": {"content": [{"text": content[-1]["text"]}], "citations": []}}
    if content and "citationsContent" in content[-1]:
        content[-1]["citationsContent"]["citations"].append(written_citation(citation))


def _written_block(part: Text | Reasoning | ToolCall | Image, call_id: str) -> dict[str, object]:
    if type(part) is Text:
        return {"text": part.text}
    if type(part) is ToolCall:
        arguments = object_text(part.arguments)
        return {"toolUse": {"toolUseId": part.id or call_id, "name": part.name, "input": arguments}}
    if type(part) is Image:
        if part.data is None:
            raise ValueError("an image's address in an answer")
        kind = (part.media_type or "image/png").removeprefix("image/")
        return {"image": {"format": kind, "source": {"bytes": part.data}}}
    if part.sealed is not None:
        return {"reasoningContent": {"redactedContent": sealed_for(FAMILY, part.sealed, part.origin)}}
    text: dict[str, str] = {"text": part.text}
    if part.signature is not None:
        text["signature"] = sealed_for(FAMILY, part.signature, part.origin)
    return {"reasoningContent": {"reasoningText": text}}


class _Error(UpstreamPart):
    message: str | None = None
    Message: str | None = None


_read_error = document_reader(_Error)

EXCEPTIONS = {
    400: "ValidationException",
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}
ERROR_STATUSES = {
    "ExpiredTokenException": 403,
    "IncompleteSignatureException": 403,
    "ModelErrorException": 502,
    "ServiceQuotaExceededException": 429,
}
"""They come with 400 and 424, which say that the request is at fault."""
KINDS = {
    "throttlingException": "rate_limit_error",
    "validationException": "invalid_request_error",
    "serviceUnavailableException": "overloaded_error",
    "modelNotReadyException": "overloaded_error",
    "modelTimeoutException": "timeout_error",
}


def read_error(status: int, body: bytes) -> Refusal:
    """A model that failed (424) is no fault of the request's."""
    try:
        error = _read_error(body)
    except ValueError:
        error = _Error()
    code = EXCEPTIONS.get(status, "refused_by_model") if status != 424 else "ModelErrorException"
    return refused_by_model(502 if status == 424 else status, code, error.message or error.Message or "")


def exception(refusal: Refusal) -> str:
    """The exception that boto3 raises for a refusal."""
    code = refusal.status.value
    return EXCEPTIONS.get(code) or ("InternalServerException" if code >= 500 else "ValidationException")


def write_error(refusal: Refusal, request_id: str) -> tuple[bytes, bytes]:
    fields = b"x-amzn-ErrorType: %b\r\n" % exception(refusal).encode()
    return JSON_FIELD + fields + extra_fields(refusal), _encode({"message": refusal.message})
