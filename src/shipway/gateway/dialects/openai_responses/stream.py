"""OpenAI responses: streams. Source: https://platform.openai.com/docs/api-reference/responses-streaming."""

from __future__ import annotations

import msgspec

from shipway.gateway.dialects.calls_in_turn import CallsInTurn
from shipway.gateway.dialects.conversation import Citation, Reasoning, ToolCall
from shipway.gateway.dialects.dialect import NewerKind, Outline, document_reader, outline_of
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
from shipway.gateway.dialects.openai import kind_of_words
from shipway.gateway.dialects.openai_responses.answer import (
    AnnotationRead,
    ItemRead,
    ResponseRead,
    read_citation,
    read_proof,
    read_stop,
    response,
    written_citation,
    written_item,
    written_message,
    written_text,
)
from shipway.gateway.dialects.openai_usage import read_usage
from shipway.gateway.dialects.usage import NOTHING, members
from shipway.gateway.refusals import Refusal


class _Said(msgspec.Struct, gc=False):
    """The fields of all kinds of events."""

    type: str
    delta: str = ""
    output_index: int = 0
    item: ItemRead | None = None
    response: ResponseRead | None = None
    annotation: AnnotationRead | None = None
    code: object = None
    error: object = None


_read = document_reader(_Said)
_KINDS = {"invalid_prompt": "invalid_request_error"}
_THOUGHTS = frozenset(("response.reasoning_summary_text.delta", "response.reasoning_text.delta"))
_FINISHED = frozenset(("response.completed", "response.incomplete", "response.failed"))


class Parser:
    """Reads one stream."""

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}
        self._empty: set[int] = set()
        self._refused = False

    def read(self, name: str, data: bytes) -> list[Event]:
        try:
            said = _read(data)
        except ValueError:
            return _of_another_form(outline_of(name, data))
        kind = said.type
        if kind == "response.output_text.delta":
            return [TextDelta(said.delta)]
        if kind == "response.function_call_arguments.delta":
            if said.output_index not in self._calls:
                raise NewerKind("arguments of no call")
            self._empty.discard(said.output_index)
            return [ToolArguments(self._calls[said.output_index], said.delta)] if said.delta else []
        if kind in _THOUGHTS:
            return [ReasoningDelta(said.delta)]
        if kind == "error":  # its own `type` says no more than that
            error = members(said.error)
            return [Failed(kind_of_words(error.get("type"), error.get("code"), said.code))]
        return self._rare(kind, said)

    def end(self) -> list[Event]:
        return []

    def _rare(self, kind: str, said: _Said) -> list[Event]:
        item, whole = said.item, said.response
        if kind == "response.created" and whole is not None:
            return [Started(whole.id or "", whole.model or "")]
        if kind == "response.output_item.added" and item is not None and item.type == "function_call":
            index = self._calls[said.output_index] = len(self._calls)
            self._empty.add(said.output_index)
            return [ToolCallStarted(index, item.call_id, item.name)]
        if kind == "response.output_item.done" and item is not None:
            return self._item_done(item, said.output_index)
        if kind == "response.refusal.delta":
            self._refused = True
            return [TextDelta(said.delta)]
        if kind == "response.output_text.annotation.added" and said.annotation is not None:
            cited = read_citation(said.annotation)
            return [] if cited is None else [Cited(cited)]
        if kind in _FINISHED and whole is not None:
            return self._finished(kind, whole)
        return []

    def _item_done(self, item: ItemRead, output_index: int) -> list[Event]:
        if item.type == "reasoning":
            thought = read_proof(item)
            return [] if thought.signature is None else [ReasoningSigned(thought.signature, thought.origin)]
        if output_index in self._empty:
            self._empty.discard(output_index)
            return [ToolArguments(self._calls[output_index], item.arguments or "{}")]
        return []

    def _finished(self, kind: str, whole: ResponseRead) -> list[Event]:
        if kind == "response.failed":
            code = whole.error.code if whole.error is not None else None
            return [Failed(_KINDS.get(code or "") or kind_of_words(code))]
        known = [] if whole.usage is None else [UsageKnown(read_usage(whole.usage))]
        try:
            stop = read_stop(whole, bool(self._calls), self._refused)
        except ValueError as error:
            raise NewerKind(str(error), (Stopped("end"), *known, ENDED)) from None
        return [Stopped(stop), *known, ENDED]


def _of_another_form(said: Outline) -> list[Event]:
    """An event in which something is not of the type that it had. Raises: NewerKind, unless it says that the stream failed."""
    if said.type not in ("error", "response.failed"):
        raise NewerKind("an event of another form")
    error = members(said.error)
    return [Failed(kind_of_words(error.get("type"), error.get("code"), said.code))]


_encode = msgspec.json.Encoder().encode


class _Open:
    """The item that is being said: a message or thoughts."""

    def __init__(self, kind: str, index: int, item_id: str) -> None:
        self.kind = kind
        self.index = index
        self.item_id = item_id
        self.pieces: list[str] = []
        self.annotations: list[dict[str, object]] = []

    def place(self) -> dict[str, object]:
        """Where it is said that something of it goes."""
        part = "content_index" if self.kind == "message" else "summary_index"
        return {"item_id": self.item_id, "output_index": self.index, part: 0}


class Writer:
    """Writes one stream, one item after another."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._sequence = -1
        self._output: dict[int, dict[str, object]] = {}
        self._items = 0
        self._open: _Open | None = None
        self._called: ToolCallStarted | None = None
        self._turns = CallsInTurn()
        self._proof: Reasoning | None = None
        self._usage = NOTHING
        self._stopped = Stopped("end")

    def write(self, event: Event) -> bytes:
        if isinstance(event, CONTENT) and not (type(event) is TextDelta and self._turns.open is None):
            return b"".join([self._content(one) for one in self._turns.take(event)])
        return self._content(event)

    def _content(self, event: Event) -> bytes:
        match event:
            case TextDelta(text):
                return self._text(text)
            case ToolArguments(_, text):
                return self._arguments(text)
            case ReasoningDelta(text):
                return self._thought(text)
            case ReasoningSigned(signature, origin):
                _, begun = self._thoughts()
                self._proof = Reasoning(signature=signature, origin=origin)
                return begun + self._end()
            case ReasoningSealed(data, origin):
                ended = self._end()
                _, begun = self._thoughts()
                self._proof = Reasoning(sealed=data, origin=origin)
                return ended + begun + self._end()
            case ToolCallStarted():
                return self._call(event)
            case Cited(citation):
                return self._cite(citation)
            case ImageGiven():
                raise ValueError("an image in an answer")
            case Started():
                whole = response(self._envelope, None, [], NOTHING)
                said_first = self._said("response.created", {"response": whole})
                return said_first + self._said("response.in_progress", {"response": whole})
            case UsageKnown(usage):
                self._usage = self._usage.updated(usage)
            case Stopped():
                self._stopped = event
            case Ended():
                return self._ended()
        return b""

    def _said(self, kind: str, fields: dict[str, object]) -> bytes:
        self._sequence += 1
        document = _encode({"type": kind, "sequence_number": self._sequence, **fields})
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), document)

    def _id(self, prefix: str, index: int) -> str:
        return f"{prefix}_{self._envelope.id}_{index}"

    def _added(self, item: dict[str, object]) -> bytes:
        self._items += 1
        return self._said("response.output_item.added", {"output_index": self._items - 1, "item": item})

    def _done(self, index: int, item: dict[str, object]) -> bytes:
        self._output[index] = item
        return self._said("response.output_item.done", {"output_index": index, "item": item})

    def _text(self, text: str) -> bytes:
        item, written = self._message()
        item.pieces.append(text)
        return written + self._said("response.output_text.delta", {**item.place(), "delta": text, "logprobs": []})

    def _message(self) -> tuple[_Open, bytes]:
        """The message that is open, and what begins it if it was not."""
        if self._open is not None and self._open.kind == "message":
            return self._open, b""
        ended = self._end()
        index = self._items
        item = self._open = _Open("message", index, self._id("msg", index))
        added = self._added(written_message([], self._envelope, index, "in_progress"))
        return item, ended + added + self._said(
            "response.content_part.added", {**item.place(), "part": written_text("")}
        )

    def _thoughts(self) -> tuple[_Open, bytes]:
        """The same for thoughts."""
        if self._open is not None and self._open.kind == "reasoning":
            return self._open, b""
        ended = self._end()
        index = self._items
        item = self._open = _Open("reasoning", index, self._id("rs", index))
        return item, ended + self._added({"type": "reasoning", "id": item.item_id, "summary": []})

    def _thought(self, text: str) -> bytes:
        item, written = self._thoughts()
        if not item.pieces:
            part = {"type": "summary_text", "text": ""}
            written += self._said("response.reasoning_summary_part.added", {**item.place(), "part": part})
        item.pieces.append(text)
        delta = {**item.place(), "delta": text}
        return written + self._said("response.reasoning_summary_text.delta", delta)

    def _cite(self, citation: Citation) -> bytes:
        item = self._open
        if item is None or item.kind != "message":
            return b""
        cited = written_citation(citation, sum(map(len, item.pieces)))
        if cited is None:
            return b""
        item.annotations.append(cited)
        said = {**item.place(), "annotation_index": len(item.annotations) - 1, "annotation": cited}
        return self._said("response.output_text.annotation.added", said)

    def _call(self, call: ToolCallStarted) -> bytes:
        ended = self._end()
        place = self._items
        self._open = _Open("call", place, self._id("fc", place))
        self._called = ToolCallStarted(call.index, call.id or f"call_{self._envelope.id}_{call.index}", call.name)
        item = written_item(ToolCall(self._called.id, call.name, ""), self._envelope, place)
        return ended + self._added(item | {"arguments": "", "status": "in_progress"})

    def _arguments(self, text: str) -> bytes:
        call = self._open
        if call is None or call.kind != "call":
            raise ValueError("arguments of no call")
        call.pieces.append(text)
        said = {"item_id": call.item_id, "output_index": call.index, "delta": text}
        return self._said("response.function_call_arguments.delta", said)

    def _call_ended(self, item: _Open, called: ToolCallStarted, arguments: str) -> bytes:
        said = {"item_id": item.item_id, "output_index": item.index, "name": called.name, "arguments": arguments}
        done = written_item(ToolCall(called.id, called.name, arguments), self._envelope, item.index)
        return self._said("response.function_call_arguments.done", said) + self._done(item.index, done)

    def _end(self) -> bytes:
        """End the open item."""
        item, called = self._open, self._called
        if item is None:
            return b""
        text = "".join(item.pieces)
        written = b""
        if item.kind == "call" and called is not None:
            self._open = self._called = None
            return self._call_ended(item, called, text)
        if item.kind == "message":
            part = written_text(text) | {"annotations": item.annotations}
            written = self._said("response.output_text.done", {**item.place(), "text": text, "logprobs": []})
            written += self._said("response.content_part.done", {**item.place(), "part": part})
            done = written_message([part], self._envelope, item.index)
        else:
            if item.pieces:
                place, summary = item.place(), {"type": "summary_text", "text": text}
                written = self._said("response.reasoning_summary_text.done", {**place, "text": text})
                written += self._said("response.reasoning_summary_part.done", {**place, "part": summary})
            proof = self._proof or Reasoning()
            thought = Reasoning(text, proof.signature, proof.sealed, proof.origin)
            done = written_item(thought, self._envelope, item.index)
            self._proof = None
        self._open = None
        return written + self._done(item.index, done)

    def _ended(self) -> bytes:
        written = [self._content(one) for one in self._turns.close()]
        written.append(self._end())
        output = [item for _, item in sorted(self._output.items())]
        whole = response(self._envelope, self._stopped.reason, output, self._usage)
        written.append(self._said(f"response.{whole['status']}", {"response": whole}))
        return b"".join(written)


def stream_error(refusal: Refusal) -> bytes:
    """With the error twice: in the event's own fields, and under `error`, from which OpenAI's client raises."""
    said = {"code": refusal.code, "message": refusal.message, "param": refusal.param}
    document = {"type": "error", "sequence_number": 0, **said, "error": {"type": refusal.kind, **said}}
    return b"event: error\ndata: %b\n\n" % _encode(document)
