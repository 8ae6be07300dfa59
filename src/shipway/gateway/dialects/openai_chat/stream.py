"""Chat completions: streams. Source: https://platform.openai.com/docs/api-reference/chat-streaming."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

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
from shipway.gateway.dialects.media import image_from
from shipway.gateway.dialects.openai import in_band_kind
from shipway.gateway.dialects.openai_chat.answer import (
    Said,
    extra_content,
    read_citation,
    read_stop,
    written_citation,
    written_image,
    written_stop,
    written_usage,
)
from shipway.gateway.dialects.openai_chat.wire import FAMILY, ReasoningDetail
from shipway.gateway.dialects.openai_usage import read_usage
from shipway.gateway.dialects.signatures import opened_from, sealed_for
from shipway.gateway.dialects.usage import NOTHING, TokenUsage


class _Function(UpstreamPart):
    name: str | None = None
    arguments: str | None = None


class _Call(UpstreamPart):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(Said):
    tool_calls: list[_Call] | None = None


class _Choice(UpstreamPart):
    delta: _Delta | None = None
    finish_reason: str | None = None
    index: int | None = 0


class Chunk(UpstreamPart):
    """What chunks of chats and of completions have in common."""

    usage: Any = None
    id: str | None = None
    model: str | None = None
    object: str | None = None
    error: Raw = Raw(b"null")

    def is_error(self, event_name: str) -> bool:
        return event_name == "error" or self.object == "error" or bytes(self.error) != b"null"


class _Chunk(Chunk):
    choices: list[_Choice] | None = None


_read = document_reader(_Chunk)


class Parser:
    """Reads one stream."""

    def __init__(self) -> None:
        self._started = False
        self._stopped = False
        self._refused = False
        self._calls: dict[int, int] = {}
        self._ids: list[str] = []
        self._thought: list[str] = []
        self._empty: set[int] = set()

    def read(self, name: str, data: bytes) -> list[Event]:
        if data == b"[DONE]":
            return [ENDED]
        chunk = _read(data)
        if chunk.is_error(name):
            return [Failed(in_band_kind(data))]
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(Started(chunk.id or "", chunk.model or ""))
        for choice in chunk.choices or ():
            if choice.index:
                raise ValueError("a second choice")
            if choice.delta is not None:
                self._delta(choice.delta, events)
            if choice.finish_reason and not self._stopped:
                self._stopped = True
                events.extend(ToolArguments(index, "{}") for index in sorted(self._empty))
                events.append(Stopped("refusal" if self._refused else read_stop(choice.finish_reason, bool(self._ids))))
        if chunk.usage is not None:
            events.append(UsageKnown(read_usage(chunk.usage)))
        return events

    def end(self) -> list[Event]:
        """Some providers leave `[DONE]` out."""
        return [ENDED] if self._stopped else []

    def _delta(self, delta: _Delta, events: list[Event]) -> None:
        thought = delta.reasoning_content or delta.reasoning
        if delta.reasoning_details:
            self._details(delta.reasoning_details, events)
        elif thought:
            self._thought.append(thought)
            events.append(ReasoningDelta(thought))
        if delta.content:
            events.append(TextDelta(delta.content))
        if delta.refusal:
            self._refused = True
            events.append(TextDelta(delta.refusal))
        for call in delta.tool_calls or ():
            self._call(call, events)
        for annotation in delta.annotations or ():
            if (cited := read_citation(annotation)) is not None:
                events.append(Cited(cited))
        events.extend(ImageGiven(image_from(image.image_url.url)) for image in delta.images or ())

    def _call(self, call: _Call, events: list[Event]) -> None:
        function = call.function or _Function()
        place = call.index or 0
        index = self._calls.get(place)
        # Some servers count all calls as the first; then a new id with a name begins another.
        if index is None or (call.id and function.name and self._ids[index] not in ("", call.id)):
            index = self._calls[place] = len(self._ids)
            self._ids.append(call.id or "")
            self._empty.add(index)
            events.append(ToolCallStarted(index, call.id or "", function.name or ""))
        if function.arguments:
            self._empty.discard(index)
            events.append(ToolArguments(index, function.arguments))

    def _details(self, details: list[ReasoningDetail], events: list[Event]) -> None:
        said = "".join(self._thought)
        self._thought.clear()
        for detail in details:
            if detail.data is not None:
                data, origin = opened_from(FAMILY, detail.data)
                events.append(ReasoningSealed(data, origin))
                continue
            text = detail.text or detail.summary
            if text and text != said:  # a proof may come with the whole text that it proves
                events.append(ReasoningDelta(text))
            if detail.signature is not None:
                signature, origin = opened_from(FAMILY, detail.signature)
                events.append(ReasoningSigned(signature, origin))


_encode = msgspec.json.Encoder().encode


def written_end(head: bytes, usage: TokenUsage, envelope: Envelope) -> bytes:
    """What ends a stream whose chunks all begin with *head*: the usage, if the caller asked for it and it is known, first."""
    usage_json = written_usage(usage) if envelope.include_usage else None
    said = b"" if usage_json is None else b'%b,"choices":[],"usage":%b}\n\n' % (head, _encode(usage_json))
    return said + b"data: [DONE]\n\n"


class Writer:
    """Writes one stream. Usage is said in a chunk of its own behind the last choice, if the caller asked for it."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        head = _encode(
            {
                "id": f"chatcmpl-{envelope.id}",
                "object": "chat.completion.chunk",
                "created": envelope.created_s,
                "model": envelope.model,
            }
        )
        self._head = b"data: " + head[:-1]
        self._before = self._head + b',"choices":[{"index":0,"delta":{"content":'
        self._usage = NOTHING
        self._text_length = 0
        self._thought: list[str] = []
        self._proof: str | None = None
        self._given = {"reasoning_details": 0, "images": 0, "annotations": 0}

    def write(self, event: Event) -> bytes:
        if type(event) is TextDelta:
            self._text_length += len(event.text)
            return b'%b%b},"finish_reason":null}]}\n\n' % (self._before, _encode(event.text))
        if type(event) is ToolArguments:
            arguments = _encode(event.text)
            return self._delta(b'"tool_calls":[{"index":%d,"function":{"arguments":%b}}]' % (event.index, arguments))
        return self._write_rare(event)

    def _write_rare(self, event: Event) -> bytes:
        match event:
            case Started():
                return self._delta(b'"role":"assistant","content":""')
            case ReasoningDelta(text):
                self._thought.append(text)
                return self._delta(b'"reasoning_content":%b' % _encode(text))
            case ReasoningSigned(signature, origin):
                # With all of the text: a proof is of no use without exactly what it proves.
                thought = "".join(self._thought)
                self._thought.clear()
                self._proof = signature if origin == "gemini" else None
                proof = {"signature": sealed_for(FAMILY, signature, origin)}
                said = {"text": thought} if thought else {}
                return self._listed("reasoning_details", {"type": "reasoning.text", **said, **proof})
            case ReasoningSealed(data, origin):
                detail: dict[str, object] = {"type": "reasoning.encrypted", "data": sealed_for(FAMILY, data, origin)}
                return self._listed("reasoning_details", detail)
            case ToolCallStarted(index, call_id, name):
                shown_id = call_id or f"call_{self._envelope.id}_{index}"
                function = {"name": name, "arguments": ""}
                beside, self._proof = extra_content(self._proof), None
                call = {"index": index, "id": shown_id, "type": "function", "function": function, **beside}
                return self._delta(b'"tool_calls":[%b]' % _encode(call))
            case ImageGiven(image):
                return self._listed("images", written_image(image))
            case Cited(citation):
                cited = written_citation(citation, self._text_length)
                return b"" if cited is None else self._listed("annotations", cited)
            case UsageKnown(usage):
                self._usage = self._usage.updated(usage)
            case Stopped(reason):
                return self._delta(b"", _encode(written_stop(reason)))
            case Ended():
                return written_end(self._head, self._usage, self._envelope)
        return b""

    def _delta(self, fields: bytes, finish_reason: bytes = b"null") -> bytes:
        form = b'%b,"choices":[{"index":0,"delta":{%b},"finish_reason":%b}]}\n\n'
        return form % (self._head, fields, finish_reason)

    def _listed(self, name: str, item: dict[str, object]) -> bytes:
        """One more of a list: OpenAI's client puts the pieces of lists together by their indices."""
        index = self._given[name]
        self._given[name] += 1
        return self._delta(b'"%b":[%b]' % (name.encode(), _encode({"index": index, **item})))
