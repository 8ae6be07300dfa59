"""Gemini streamGenerateContent with `alt=sse`: each event is a response of its own, and the last has the finish reason."""

from __future__ import annotations

import msgspec

from shipway.gateway.dialects.conversation import Citation, Image, Reasoning, Text, ToolCall
from shipway.gateway.dialects.dialect import document_reader
from shipway.gateway.dialects.events import (
    ENDED,
    AnswerPart,
    Cited,
    Ended,
    Envelope,
    Event,
    Failed,
    ImageGiven,
    ReasoningDelta,
    ReasoningSealed,
    ReasoningSigned,
    Started,
    Stopped,
    TextDelta,
    ToolArguments,
    ToolCallStarted,
    UsageKnown,
)
from shipway.gateway.dialects.gemini.answer import (
    UNFINISHED,
    ResponseRead,
    read_citations,
    read_parts,
    read_stop,
    read_usage,
    response,
    write_parts,
    written_sources,
    written_stop,
)
from shipway.gateway.dialects.gemini.errors import KINDS, ErrorDetail, wait_s
from shipway.gateway.dialects.sse import framed
from shipway.gateway.dialects.usage import NOTHING

_read = document_reader(ResponseRead)
_read_detail = document_reader(ErrorDetail)


class Parser:
    """Reads one stream, which ends when it is closed behind its finish reason.

    Some models say a finish reason with every event, so it counts once nothing follows.
    """

    def __init__(self) -> None:
        self._started = False
        self._reason = ""
        self._calls = 0
        self._texts: list[str] = []

    def read(self, name: str, data: bytes) -> list[Event]:
        answer = _read(data)
        if bytes(answer.error) != b"null":
            detail = _read_detail(bytes(answer.error))
            return [Failed(KINDS.get(detail.status or "", "api_error"), wait_s(detail))]
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(Started(answer.responseId, answer.modelVersion))
        for candidate in answer.candidates or ():
            if candidate.index:
                raise ValueError("a second candidate")
            for part in read_parts(candidate):
                self._part(part, events)
            if candidate.groundingMetadata is not None or candidate.citationMetadata is not None:
                events.extend(map(Cited, read_citations(candidate, "".join(self._texts))))
            reason = candidate.finishReason
            if reason is not None and reason not in UNFINISHED:
                read_stop(reason, False)  # a failure is one at once
                self._reason = reason
        if not answer.candidates and answer.promptFeedback is not None and answer.promptFeedback.blockReason:
            self._reason = self._reason or "PROHIBITED_CONTENT"
        if answer.usageMetadata is not None:
            events.append(UsageKnown(read_usage(answer.usageMetadata)))
        return events

    def end(self) -> list[Event]:
        return [Stopped(read_stop(self._reason, self._calls > 0)), ENDED] if self._reason else []

    def _part(self, part: AnswerPart, events: list[Event]) -> None:
        if type(part) is Text:
            self._texts.append(part.text)
            events.append(TextDelta(part.text))
        elif type(part) is Reasoning:
            if part.text:
                events.append(ReasoningDelta(part.text))
            if part.signature is not None:
                events.append(ReasoningSigned(part.signature, part.origin))
        elif type(part) is ToolCall:
            events.append(ToolCallStarted(self._calls, part.id, part.name))
            events.append(ToolArguments(self._calls, part.arguments))
            self._calls += 1
        elif type(part) is Image:
            events.append(ImageGiven(part))
        else:
            events.append(Cited(part))


_encode = msgspec.json.Encoder().encode


class Writer:
    """Writes one stream. Calls are said whole, so their pieces wait for the stop reason."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._calls: dict[int, tuple[str, str, list[str]]] = {}
        self._proof: Reasoning | None = None
        self._citations: list[Citation] = []
        self._usage = NOTHING
        self._stopped = Stopped("end")

    def write(self, event: Event) -> bytes:
        match event:
            case TextDelta(text):
                return self._said(Text(text))
            case ReasoningDelta(text):
                return self._said(Reasoning(text))
            case ToolArguments(index, text):
                self._calls[index][2].append(text)
            case ToolCallStarted(index, call_id, name):
                self._calls[index] = (call_id or f"call_{self._envelope.id}_{index}", name, [])
            case ReasoningSigned(signature, origin):
                self._proof = Reasoning(signature=signature, origin=origin)
            case ReasoningSealed(data, origin):
                self._proof = Reasoning(sealed=data, origin=origin)
            case ImageGiven(image):
                return self._said(image)
            case Cited(citation):
                self._citations.append(citation)
            case UsageKnown(usage):
                self._usage = self._usage.updated(usage)
            case Stopped():
                self._stopped = event
            case Ended():
                return self._ended()
        return b""

    def _said(self, part: AnswerPart) -> bytes:
        parts: tuple[AnswerPart, ...] = (part,)
        if self._proof is not None and not self._calls and type(part) is not Reasoning:
            parts, self._proof = (self._proof, part), None
        return self._chunk({"content": {"role": "model", "parts": write_parts(parts, self._envelope)}, "index": 0})

    def _chunk(self, candidate: dict[str, object]) -> bytes:
        return framed(_encode(response(self._envelope, [candidate], NOTHING)))

    def _ended(self) -> bytes:
        calls = [ToolCall(call_id, name, "".join(pieces)) for call_id, name, pieces in self._calls.values()]
        proof = () if self._proof is None else (self._proof,)
        candidate: dict[str, object] = {
            "content": {"role": "model", "parts": write_parts((*proof, *calls), self._envelope)},
            "finishReason": written_stop(self._stopped.reason),
            "index": 0,
            **written_sources(self._citations),
        }
        return framed(_encode(response(self._envelope, [candidate], self._usage)))
