"""Bedrock ConverseStream: events, each the payload of one message.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shipway.gateway.dialects.bedrock.answer import (
    KINDS,
    CitationRead,
    exception,
    read_citation,
    read_stop,
    read_usage,
    written_citation,
    written_stop,
    written_usage,
)
from shipway.gateway.dialects.bedrock.framing import framed
from shipway.gateway.dialects.bedrock.wire import FAMILY
from shipway.gateway.dialects.conversation import Image
from shipway.gateway.dialects.dialect import UpstreamPart, document_reader
from shipway.gateway.dialects.events import (
    ENDED,
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
from shipway.gateway.dialects.signatures import opened_from, sealed_for
from shipway.gateway.dialects.usage import NOTHING
from shipway.gateway.refusals import Refusal


class _ToolStart(UpstreamPart):
    toolUseId: str
    name: str


class _ImageStart(UpstreamPart):
    format: str


class _Start(UpstreamPart):
    toolUse: _ToolStart | None = None
    image: _ImageStart | None = None


class _ToolDelta(UpstreamPart):
    input: str = ""


class _ReasoningDelta(UpstreamPart):
    text: str | None = None
    redactedContent: str | None = None
    signature: str | None = None


class _Source(UpstreamPart):
    bytes: str | None = None


class _ImageDelta(UpstreamPart):
    source: _Source | None = None


class _Delta(UpstreamPart):
    text: str | None = None
    toolUse: _ToolDelta | None = None
    reasoningContent: _ReasoningDelta | None = None
    citation: CitationRead | None = None
    image: _ImageDelta | None = None


class _Payload(UpstreamPart):
    """The fields of all kinds of events, whose names tell which are there."""

    contentBlockIndex: int = 0
    start: _Start | None = None
    delta: _Delta | None = None
    stopReason: str | None = None
    usage: Any = None


_read = document_reader(_Payload)


class Parser:
    """Reads one stream. It ends with `metadata`, which brings the usage."""

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}
        self._empty: set[int] = set()
        self._signature = ""
        self._image_type = ""
        self._stopped = False

    def read(self, name: str, data: bytes) -> list[Event]:
        if name.startswith("!"):
            return [Failed(KINDS.get(name[1:], "api_error"))]
        payload = _read(data)
        if name == "contentBlockDelta":
            return self._delta(payload.delta or _Delta(), payload.contentBlockIndex)
        if name == "contentBlockStart":
            return self._start(payload.start or _Start(), payload.contentBlockIndex)
        if name == "contentBlockStop":
            return self._block_ended(payload.contentBlockIndex)
        if name == "messageStart":
            return [Started()]
        if name == "messageStop":
            self._stopped = True
            return [Stopped(read_stop(payload.stopReason or ""))]
        if name == "metadata":
            known: list[Event] = [] if payload.usage is None else [UsageKnown(read_usage(payload.usage))]
            return [*known, ENDED] if self._stopped else known
        return []

    def end(self) -> list[Event]:
        return [ENDED] if self._stopped else []

    def _start(self, start: _Start, block: int) -> list[Event]:
        if start.image is not None:
            self._image_type = f"image/{start.image.format}"
        if start.toolUse is None:
            return []
        index = self._calls[block] = len(self._calls)
        self._empty.add(block)
        return [ToolCallStarted(index, start.toolUse.toolUseId, start.toolUse.name)]

    def _delta(self, delta: _Delta, block: int) -> list[Event]:
        if delta.text is not None:
            return [TextDelta(delta.text)] if delta.text else []
        if delta.toolUse is not None:
            if block not in self._calls:
                raise ValueError("arguments of no call")
            if not delta.toolUse.input:
                return []
            self._empty.discard(block)
            return [ToolArguments(self._calls[block], delta.toolUse.input)]
        if delta.reasoningContent is not None:
            return self._thought(delta.reasoningContent)
        if delta.citation is not None:
            return [Cited(read_citation(delta.citation))]
        if delta.image is not None and delta.image.source is not None:
            return [ImageGiven(Image(self._image_type, delta.image.source.bytes))]
        raise ValueError("a delta of an unknown type")

    def _thought(self, delta: _ReasoningDelta) -> list[Event]:
        if delta.signature is not None:
            self._signature += delta.signature
            return []
        if delta.redactedContent is not None:
            data, origin = opened_from(FAMILY, delta.redactedContent)
            return [ReasoningSealed(data, origin)]
        return [ReasoningDelta(delta.text)] if delta.text else []

    def _block_ended(self, block: int) -> list[Event]:
        events: list[Event] = []
        if self._signature:
            signature, origin = opened_from(FAMILY, self._signature)
            events.append(ReasoningSigned(signature, origin))
            self._signature = ""
        if block in self._empty:
            self._empty.discard(block)
            events.append(ToolArguments(self._calls[block], "{}"))
        return events


_encode = msgspec.json.Encoder().encode


class Writer:
    """Writes one stream; a call's block is ended with the answer, as arguments of several calls may come in turns."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._blocks = 0
        self._open = ""
        self._calls: dict[int, int] = {}
        self._usage = NOTHING
        self._stopped = Stopped("end")

    def write(self, event: Event) -> bytes:
        match event:
            case TextDelta(text):
                return self._delta("text", {"text": text})
            case ReasoningDelta(text):
                return self._delta("reasoning", {"reasoningContent": {"text": text}})
            case ToolArguments(index, text):
                return self._said({"toolUse": {"input": text}}, self._calls[index])
            case ToolCallStarted(index, call_id, name):
                shown_id = call_id or f"call_{self._envelope.id}_{index}"
                return self._begin_call(index, {"toolUse": {"toolUseId": shown_id, "name": name}})
            case ReasoningSigned(signature, origin):
                shown = sealed_for(FAMILY, signature, origin)
                return self._delta("reasoning", {"reasoningContent": {"signature": shown}}) + self._end()
            case ReasoningSealed(data, origin):
                shown = sealed_for(FAMILY, data, origin)
                return (
                    self._end() + self._delta("sealed", {"reasoningContent": {"redactedContent": shown}}) + self._end()
                )
            case Cited(citation):
                return self._delta("text", {"citation": written_citation(citation)})
            case ImageGiven(image):
                return self._image(image)
            case Started():
                return framed(b"messageStart", b'{"role":"assistant"}')
            case UsageKnown(usage):
                self._usage = self._usage.updated(usage)
            case Stopped():
                self._stopped = event
            case Ended():
                return self._ended()
        return b""

    def _delta(self, kind: str, delta: dict[str, object]) -> bytes:
        ended = b""
        if self._open != kind:
            ended = self._end()
            self._open = kind
            self._blocks += 1
        return ended + self._said(delta, self._blocks - 1)

    def _said(self, delta: dict[str, object], block: int) -> bytes:
        return framed(b"contentBlockDelta", _encode({"delta": delta, "contentBlockIndex": block}))

    def _begin_call(self, index: int, start: dict[str, object]) -> bytes:
        ended = self._end()
        self._calls[index] = self._blocks
        self._blocks += 1
        return ended + framed(b"contentBlockStart", _encode({"start": start, "contentBlockIndex": self._calls[index]}))

    def _image(self, image: Image) -> bytes:
        if image.data is None:
            raise ValueError("an image's address in an answer")
        kind = (image.media_type or "image/png").removeprefix("image/")
        ended = self._end()
        start = {"start": {"image": {"format": kind}}, "contentBlockIndex": self._blocks}
        self._blocks += 1
        self._open = "image"
        said = self._said({"image": {"source": {"bytes": image.data}}}, self._blocks - 1)
        return ended + framed(b"contentBlockStart", _encode(start)) + said + self._end()

    def _end(self) -> bytes:
        if not self._open:
            return b""
        self._open = ""
        return _stop(self._blocks - 1)

    def _ended(self) -> bytes:
        stop = framed(b"messageStop", _encode({"stopReason": written_stop(self._stopped.reason)}))
        known = {"usage": written_usage(self._usage), "metrics": {"latencyMs": 0}}
        calls = b"".join([_stop(block) for block in self._calls.values()])
        return self._end() + calls + stop + framed(b"metadata", _encode(known))


def _stop(block: int) -> bytes:
    return framed(b"contentBlockStop", b'{"contentBlockIndex":%d}' % block)


def stream_error(refusal: Refusal) -> bytes:
    name = exception(refusal)
    return framed((name[0].lower() + name[1:]).encode(), _encode({"message": refusal.message}), b"exception")
