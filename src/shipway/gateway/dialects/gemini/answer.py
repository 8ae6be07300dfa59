"""Gemini generateContent: whole answers, usage, finish reasons, errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from shipway.gateway.dialects.conversation import Citation, Image, Reasoning, Text, ToolCall
from shipway.gateway.dialects.dialect import UpstreamPart, document_reader
from shipway.gateway.dialects.events import Answer, AnswerPart, Envelope, StopReason
from shipway.gateway.dialects.gemini.wire import FAMILY
from shipway.gateway.dialects.losses import object_text
from shipway.gateway.dialects.signatures import opened_from, sealed_for
from shipway.gateway.dialects.usage import NOTHING, TokenUsage, counted, less, members, plus, remainder

_READ_STOPS: dict[str, StopReason] = {
    "STOP": "end",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
}
"""Others (`MALFORMED_FUNCTION_CALL`, `OTHER`, …) are failures."""
_WRITTEN_STOPS: dict[StopReason, str] = {
    "end": "STOP",
    "length": "MAX_TOKENS",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "content_filter": "PROHIBITED_CONTENT",
    "refusal": "PROHIBITED_CONTENT",
    "context_window": "MAX_TOKENS",
}


_NOT_TOLD: tuple[int | None, int | None] = (None, None)


def _media(counts: object) -> tuple[int | None, int | None]:
    """Tokens of audio and of images in a list by modality; None where they are not told apart."""
    audio, image = _NOT_TOLD
    if isinstance(counts, list):
        for one in counts:
            kind = members(one).get("modality")
            if kind == "AUDIO":
                audio = plus(audio, counted(one.get("tokenCount")))
            elif kind == "IMAGE":
                image = plus(image, counted(one.get("tokenCount")))
    return audio, image


def read_usage(said: object) -> TokenUsage:
    """The classes of a report, which may be anything.

    Cached tokens are part of the prompt's, thoughts come on top of the candidates', and what tools read on top of the prompt.
    """
    told = members(said).get
    audio, image = _media(told("promptTokensDetails"))
    if audio or image:
        cached_audio, cached_image = _media(told("cacheTokensDetails"))
        audio, image = less(audio, cached_audio), less(image, cached_image)
    fresh, read, audio, image = remainder(
        counted(told("promptTokenCount")), counted(told("cachedContentTokenCount")), audio, image
    )
    for_tools = counted(told("toolUsePromptTokenCount"))
    if for_tools is not None:
        tool_text, tool_audio, tool_image = remainder(for_tools, *_media(told("toolUsePromptTokensDetails")))
        fresh, audio, image = plus(fresh, tool_text), plus(audio, tool_audio), plus(image, tool_image)
    output, output_audio, output_image = remainder(
        counted(told("candidatesTokenCount")), *_media(told("candidatesTokensDetails"))
    )
    thoughts = counted(told("thoughtsTokenCount"))
    return TokenUsage(fresh, read, None, audio, image, output, thoughts, output_audio, output_image)


def written_usage(usage: TokenUsage) -> dict[str, object]:
    written: dict[str, object] = {}
    candidates = plus(plus(usage.output, usage.output_audio), usage.output_image)
    for name, count in (
        ("promptTokenCount", usage.prompt_tokens),
        ("cachedContentTokenCount", usage.cached_read),
        ("candidatesTokenCount", candidates),
        ("thoughtsTokenCount", usage.reasoning),
        ("totalTokenCount", usage.total_tokens),
    ):
        if count is not None:
            written[name] = count
    inputs = (("TEXT", usage.input), ("AUDIO", usage.input_audio), ("IMAGE", usage.input_image))
    outputs = (("TEXT", usage.output), ("AUDIO", usage.output_audio), ("IMAGE", usage.output_image))
    for name, counts in (("promptTokensDetails", inputs), ("candidatesTokensDetails", outputs)):
        if any(count is not None for _, count in counts[1:]):
            written[name] = [{"modality": kind, "tokenCount": count} for kind, count in counts if count is not None]
    return written


class _Blob(UpstreamPart):
    mimeType: str
    data: str


class _FunctionCall(UpstreamPart):
    name: str
    args: Raw | UnsetType = UNSET
    id: str | None = None


class PartRead(UpstreamPart):
    text: str | None = None
    thought: bool | None = None
    thoughtSignature: str | None = None
    functionCall: _FunctionCall | None = None
    inlineData: _Blob | None = None


class _Content(UpstreamPart):
    parts: list[PartRead] | None = None


class _Source(UpstreamPart):
    uri: str | None = None
    title: str | None = None
    startIndex: int = 0
    endIndex: int = 0


class _Sources(UpstreamPart):
    citations: list[_Source] | None = None
    citationSources: list[_Source] | None = None


class _Page(UpstreamPart):
    uri: str | None = None
    title: str | None = None


class _Chunk(UpstreamPart):
    web: _Page | None = None


class _Segment(UpstreamPart):
    startIndex: int = 0
    endIndex: int = 0
    text: str = ""


class _Support(UpstreamPart):
    segment: _Segment | None = None
    groundingChunkIndices: list[int] = msgspec.field(default_factory=list)


class _Grounding(UpstreamPart):
    groundingChunks: list[_Chunk] | None = None
    groundingSupports: list[_Support] | None = None


class CandidateRead(UpstreamPart):
    content: _Content | None = None
    finishReason: str | None = None
    citationMetadata: _Sources | None = None
    groundingMetadata: _Grounding | None = None
    index: int = 0


class _Feedback(UpstreamPart):
    blockReason: str | None = None


class ResponseRead(UpstreamPart):
    candidates: list[CandidateRead] | None = None
    usageMetadata: Any = None
    promptFeedback: _Feedback | None = None
    responseId: str = ""
    modelVersion: str = ""
    error: Raw = Raw(b"null")


_read = document_reader(ResponseRead)
_encode = msgspec.json.Encoder().encode


UNFINISHED = (None, "", "FINISH_REASON_UNSPECIFIED")


def read_stop(reason: str, has_calls: bool) -> StopReason:
    """Raises: ValueError."""
    stop = _READ_STOPS.get(reason)
    if stop is None:
        raise ValueError("a finish reason that is a failure")
    return "tool_calls" if stop == "end" and has_calls else stop


def written_stop(reason: StopReason) -> str:
    return _WRITTEN_STOPS[reason]


def read_parts(candidate: CandidateRead) -> list[AnswerPart]:
    """A signature stands before its part, so that it is not taken for what follows it. Raises: ValueError."""
    read: list[AnswerPart] = []
    content = candidate.content
    for part in (content.parts if content is not None else None) or ():
        if part.thoughtSignature is not None and not part.thought:
            signature, origin = opened_from(FAMILY, part.thoughtSignature)
            read.append(Reasoning("", signature, origin=origin))
        if part.text is not None:
            if part.thought:
                read.append(Reasoning(part.text))
            elif part.text:
                read.append(Text(part.text))
        elif part.functionCall is not None:
            call = part.functionCall
            arguments = "{}" if isinstance(call.args, UnsetType) else bytes(call.args).decode()
            read.append(ToolCall(call.id or "", call.name, "{}" if arguments == "null" else arguments))
        elif part.inlineData is not None:
            read.append(Image(part.inlineData.mimeType, part.inlineData.data))
        elif part.thoughtSignature is None:
            raise ValueError("a part of an unknown type")
    return read


def read_citations(candidate: CandidateRead, text: str) -> Iterator[Citation]:
    """What the answer rests on. Gemini counts places in bytes of UTF-8, others in characters of *text*, the answer's so far."""
    encoded = text.encode()

    def place(index: int) -> int:
        return len(encoded[:index].decode("utf-8", "ignore"))

    sources = candidate.citationMetadata
    if sources is not None:
        for one in sources.citations or sources.citationSources or ():
            yield Citation(one.uri, one.title, unit="answer", start=place(one.startIndex), end=place(one.endIndex))
    grounding = candidate.groundingMetadata
    if grounding is None:
        return
    pages = grounding.groundingChunks or []
    for support in grounding.groundingSupports or ():
        segment = support.segment or _Segment()
        for index in support.groundingChunkIndices:
            page = pages[index].web if 0 <= index < len(pages) else None
            if page is not None:
                start, end = place(segment.startIndex), place(segment.endIndex)
                yield Citation(page.uri, page.title, segment.text, unit="answer", start=start, end=end)


def read_answer(body: bytes) -> Answer:
    """Raises: ValueError."""
    response = _read(body)
    usage = NOTHING if response.usageMetadata is None else read_usage(response.usageMetadata)
    if not response.candidates:
        if response.promptFeedback is not None and response.promptFeedback.blockReason:
            return Answer((), "content_filter", None, usage, response.responseId, response.modelVersion)
        raise ValueError("no candidate")
    candidate = response.candidates[0]
    if len(response.candidates) > 1 or candidate.finishReason is None or candidate.finishReason in UNFINISHED:
        raise ValueError("not one finished candidate")
    parts = _signed(read_parts(candidate))
    if candidate.citationMetadata is not None or candidate.groundingMetadata is not None:
        parts.extend(read_citations(candidate, "".join([part.text for part in parts if type(part) is Text])))
    stop = read_stop(candidate.finishReason, ToolCall in map(type, parts))
    return Answer(tuple(parts), stop, None, usage, response.responseId, response.modelVersion)


def _signed(parts: list[AnswerPart]) -> list[AnswerPart]:
    """Signatures joined to the thoughts before them, as a stream's are when it is folded."""
    joined: list[AnswerPart] = []
    last: AnswerPart | None = None
    for part in parts:
        if type(part) is Reasoning and type(last) is Reasoning and last.signature is None:
            joined.pop()
            part = Reasoning(last.text + part.text, part.signature, origin=part.origin)
        joined.append(part)
        last = part
    return joined


def write_parts(parts: tuple[AnswerPart, ...], envelope: Envelope) -> list[dict[str, object]]:
    """Raises: ValueError."""
    written: list[dict[str, object]] = []
    signature: str | None = None
    for part in parts:
        if type(part) is Citation:
            continue
        if type(part) is Reasoning:
            if part.text:
                written.append({"text": part.text, "thought": True})
            proof = part.signature if part.sealed is None else part.sealed
            signature = signature if proof is None else sealed_for(FAMILY, proof, part.origin)
            continue
        one = _written_part(part, f"call_{envelope.id}_{len(written)}")
        if signature is not None:
            one["thoughtSignature"], signature = signature, None
        written.append(one)
    if signature is not None:
        written.append({"text": "", "thoughtSignature": signature})
    return written


def _written_part(part: Text | ToolCall | Image, call_id: str) -> dict[str, object]:
    if type(part) is Text:
        return {"text": part.text}
    if type(part) is ToolCall:
        return {"functionCall": {"name": part.name, "args": object_text(part.arguments), "id": part.id or call_id}}
    if part.data is None:
        raise ValueError("an image's address in an answer")
    return {"inlineData": {"mimeType": part.media_type or "image/png", "data": part.data}}


def written_sources(citations: list[Citation]) -> dict[str, object]:
    sources = [
        {"uri": one.url, "title": one.title, "startIndex": one.start, "endIndex": one.end}
        for one in citations
        if one.url is not None
    ]
    return {"citationMetadata": {"citations": sources}} if sources else {}


def write_answer(answer: Answer, envelope: Envelope) -> bytes:
    """Raises: ValueError."""
    candidate: dict[str, object] = {
        "content": {"role": "model", "parts": write_parts(answer.parts, envelope)},
        "finishReason": _WRITTEN_STOPS[answer.stop],
        "index": 0,
        **written_sources([part for part in answer.parts if type(part) is Citation]),
    }
    return _encode(response(envelope, [candidate], answer.usage))


def response(envelope: Envelope, candidates: list[dict[str, object]], usage: TokenUsage) -> dict[str, object]:
    written: dict[str, object] = {"candidates": candidates}
    if usage is not NOTHING:
        written["usageMetadata"] = written_usage(usage)
    return written | {"modelVersion": envelope.model, "responseId": envelope.id}
