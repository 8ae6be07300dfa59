"""Anthropic messages: streams. Source: https://docs.anthropic.com/en/api/messages-streaming."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from shipway.gateway.dialects.anthropic.answer import (
    CitationRead,
    ErrorDetail,
    read_citation,
    read_stop,
    read_usage,
    written_citation,
    written_stop,
    written_usage,
)
from shipway.gateway.dialects.anthropic.wire import FAMILY
from shipway.gateway.dialects.calls_in_turn import CallsInTurn
from shipway.gateway.dialects.dialect import NewerKind, Outline, UpstreamPart, document_reader, outline_of
from shipway.gateway.dialects.errors import one_word
from shipway.gateway.dialects.events import (
    CONTENT,
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
from shipway.gateway.dialects.usage import NOTHING, members, repeated


class _Message(UpstreamPart):
    id: str = ""
    model: str = ""
    usage: Any = None


class _Block(UpstreamPart):
    type: str
    text: str = ""
    thinking: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")
    signature: str = ""


class _Delta(UpstreamPart):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    citation: CitationRead | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Said(UpstreamPart):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: Any = None
    error: ErrorDetail | None = None


_read = document_reader(_Said)
_NO_ARGUMENTS = re.compile(rb"\s*(?:\{\s*\}|null|\"\")?\s*")


class Parser:
    """Reads one stream."""

    def __init__(self) -> None:
        self._calls = 0
        self._unknown: set[int] = set()
        self._call: int | None = None
        self._called_with_nothing = False
        self._called_at_once = False
        self._signature = ""
        self._usage: Mapping[str, object] = {}

    def read(self, name: str, data: bytes) -> list[Event]:
        try:
            event = _read(data)
        except ValueError:
            return self._of_another_form(outline_of(name, data))
        kind = event.type
        if kind == "content_block_delta":
            if event.index in self._unknown:
                raise NewerKind("a delta of a block of an unknown type")
            return self._delta(event.delta or _Delta())
        if kind == "content_block_start":
            return self._block(event.content_block, event.index)
        if kind == "content_block_stop":
            return self._block_ended()
        if kind == "message_delta":
            return self._message_delta(event)
        if kind == "message_start":
            message = event.message or _Message()
            return [Started(message.id, message.model), *self._known(message.usage)]
        if kind == "message_stop":
            return [ENDED]
        if kind == "error":
            return [Failed(one_word(event.error.type if event.error else None, "api_error"))]
        return []  # a ping, or what is new and says so

    def end(self) -> list[Event]:
        return []

    def _of_another_form(self, event: Outline) -> list[Event]:
        """An event in which something has another type than it had. Raises: NewerKind, unless it says that the stream failed."""
        if event.type == "error":
            kind = members(event.error).get("type")
            return [Failed(one_word(kind if isinstance(kind, str) else None, "api_error"))]
        events: list[Event] = []
        if event.type == "content_block_start" and isinstance(event.index, int):
            self._unknown.add(event.index)
        elif event.type == "message_start":
            events = self._known(members(event.message).get("usage"))
        elif event.type == "message_delta":
            events = [Stopped("end"), *self._known(event.usage)]
        raise NewerKind("an event of another form", events)

    def _message_delta(self, event: _Said) -> list[Event]:
        delta, known = event.delta, self._known(event.usage)
        if delta is None or delta.stop_reason is None:
            return known
        try:
            stop = read_stop(delta.stop_reason)
        except ValueError as error:
            raise NewerKind(str(error), (Stopped("end"), *known)) from None
        return [Stopped(stop, delta.stop_sequence), *known]

    def _known(self, usage: object) -> list[Event]:
        """What a report says together with those before it: the last may be of the output alone."""
        if usage is None:
            return []
        self._usage = repeated(self._usage, usage)
        return [UsageKnown(read_usage(self._usage))]

    def _delta(self, delta: _Delta) -> list[Event]:
        kind = delta.type
        if kind == "text_delta":
            return [TextDelta(delta.text)]
        if kind == "input_json_delta":
            if self._call is None:
                raise NewerKind("arguments of no call")
            if not delta.partial_json or self._called_at_once:
                return []
            self._called_with_nothing = False
            return [ToolArguments(self._call, delta.partial_json)]
        if kind == "thinking_delta":
            return [ReasoningDelta(delta.thinking)]
        if kind == "signature_delta":
            self._signature += delta.signature
            return []
        if kind == "citations_delta" and delta.citation is not None:
            return [Cited(read_citation(delta.citation))]
        raise NewerKind("a delta of an unknown type")

    def _block(self, block: _Block | None, index: int) -> list[Event]:
        if block is None:
            raise ValueError("a block without content")
        if block.type == "text":
            return [TextDelta(block.text)] if block.text else []
        if block.type == "tool_use":
            self._call = self._calls
            self._calls += 1
            # Anthropic begins with an empty object; servers that imitate it may say all of it here.
            at_once = _NO_ARGUMENTS.fullmatch(block.input) is None
            self._called_with_nothing, self._called_at_once = not at_once, at_once
            begun = ToolCallStarted(self._call, block.id, block.name)
            return [begun, ToolArguments(self._call, bytes(block.input).decode())] if at_once else [begun]
        if block.type == "thinking":
            self._signature = block.signature
            return [ReasoningDelta(block.thinking)] if block.thinking else []
        if block.type == "redacted_thinking":
            data, origin = opened_from(FAMILY, block.data)
            return [ReasoningSealed(data, origin)]
        self._unknown.add(index)
        raise NewerKind("a block of an unknown type")

    def _block_ended(self) -> list[Event]:
        events: list[Event] = []
        if self._signature:
            signature, origin = opened_from(FAMILY, self._signature)
            events.append(ReasoningSigned(signature, origin))
            self._signature = ""
        if self._call is not None and self._called_with_nothing:
            events.append(ToolArguments(self._call, "{}"))
        self._call = None
        return events


_encode = msgspec.json.Encoder().encode
_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":%b}}\n\n'
)
_START = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
_THINKING = b'{"type":"thinking","thinking":"","signature":""}'
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'


class Writer:
    """Writes one stream, one block after another. The stop reason waits for the usage, since both are said in one event."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._blocks = 0
        self._open = ""
        self._calls: dict[int, int] = {}
        self._turns = CallsInTurn()
        self._usage = NOTHING
        self._stopped = Stopped("end")

    def write(self, event: Event) -> bytes:
        if isinstance(event, CONTENT) and not (type(event) is TextDelta and self._turns.open is None):
            return b"".join([self._content(one) for one in self._turns.take(event)])
        return self._content(event)

    def _content(self, event: Event) -> bytes:
        if type(event) is TextDelta:
            return self._delta("text", b'{"type":"text","text":""}', b"text_delta", b"text", event.text)
        if type(event) is ToolArguments:
            return _DELTA % (self._calls[event.index], b"input_json_delta", b"partial_json", _encode(event.text))
        if type(event) is ReasoningDelta:
            return self._delta("thinking", _THINKING, b"thinking_delta", b"thinking", event.text)
        return self._write_rare(event)

    def _write_rare(self, event: Event) -> bytes:
        match event:
            case Started():
                return self._started()
            case ToolCallStarted(index, call_id, name):
                shown_id = call_id or f"call_{self._envelope.id}_{index}"
                block = {"type": "tool_use", "id": shown_id, "name": name, "input": {}}
                written = self._begin("call", _encode(block))
                self._calls[index] = self._blocks - 1
                return written
            case ReasoningSigned(signature, origin):
                shown = sealed_for(FAMILY, signature, origin)
                return self._delta("thinking", _THINKING, b"signature_delta", b"signature", shown) + self._end()
            case ReasoningSealed(data, origin):
                redacted = {"type": "redacted_thinking", "data": sealed_for(FAMILY, data, origin)}
                return self._begin("redacted", _encode(redacted)) + self._end()
            case Cited(citation):
                begun = b"" if self._open == "text" else self._begin("text", b'{"type":"text","text":""}')
                said = _encode(written_citation(citation))
                return begun + _DELTA % (self._blocks - 1, b"citations_delta", b"citation", said)
            case UsageKnown(usage):
                self._usage = self._usage.updated(usage)
            case Stopped():
                self._stopped = event
            case Ended():
                return self._ended()
            case ImageGiven():
                raise ValueError("an image in an answer")
        return b""

    def _started(self) -> bytes:
        message: dict[str, object] = {
            "id": f"msg_{self._envelope.id}",
            "type": "message",
            "role": "assistant",
            "model": self._envelope.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": written_usage(self._usage),
        }
        return b"event: message_start\ndata: %b\n\n" % _encode({"type": "message_start", "message": message})

    def _delta(self, kind: str, block: bytes, delta: bytes, field: bytes, text: str) -> bytes:
        written = _DELTA % (self._blocks - (self._open == kind), delta, field, _encode(text))
        return written if self._open == kind else self._begin(kind, block) + written

    def _begin(self, kind: str, block: bytes) -> bytes:
        written = self._end() + _START % (self._blocks, block)
        self._open = kind
        self._blocks += 1
        return written

    def _end(self) -> bytes:
        """End the open block."""
        if not self._open:
            return b""
        self._open = ""
        return _STOP % (self._blocks - 1)

    def _ended(self) -> bytes:
        waited = b"".join([self._content(one) for one in self._turns.close()])
        delta = {"stop_reason": written_stop(self._stopped.reason), "stop_sequence": self._stopped.sequence}
        said = _encode({"type": "message_delta", "delta": delta, "usage": written_usage(self._usage)})
        return b'%b%bevent: message_delta\ndata: %b\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n' % (
            waited,
            self._end(),
            said,
        )
