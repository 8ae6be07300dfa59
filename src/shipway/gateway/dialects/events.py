"""What a model answers, whatever dialect it comes in: a stream of events, or one answer, which is the same folded.

The order within a stream: `Started`, then content, `Stopped`, `UsageKnown` at any place, `Ended` when the upstream says that
nothing follows. A stream without `Stopped` was cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, final

import msgspec

from shipway.gateway.dialects.conversation import Citation, Image, Reasoning, Text, ToolCall
from shipway.gateway.dialects.usage import NOTHING, TokenUsage

StopReason = Literal["end", "length", "stop_sequence", "tool_calls", "content_filter", "refusal", "context_window"]


class _Event(msgspec.Struct, frozen=True, gc=False):
    """Holds no cycles. Its kind is its type, as a part's is."""


@final
class Started(_Event, frozen=True):
    """With what the upstream calls the answer and its model; "" where it does not say."""

    id: str = ""
    model: str = ""


@final
class TextDelta(_Event, frozen=True):
    text: str


@final
class ReasoningDelta(_Event, frozen=True):
    text: str


@final
class ReasoningSigned(_Event, frozen=True):
    """Ends the thoughts before it; without any, it is the proof of what follows."""

    signature: str
    origin: str


@final
class ReasoningSealed(_Event, frozen=True):
    """Thoughts that only their provider can read."""

    data: str
    origin: str


@final
class ToolCallStarted(_Event, frozen=True):
    """*index* counts the answer's calls from 0; "" where the upstream gave no id."""

    index: int
    id: str
    name: str


@final
class ToolArguments(_Event, frozen=True):
    """A piece of the text of a call's arguments, cut anywhere between two characters."""

    index: int
    text: str


@final
class ImageGiven(_Event, frozen=True):
    image: Image


@final
class Cited(_Event, frozen=True):
    """A source of the text so far."""

    citation: Citation


@final
class Stopped(_Event, frozen=True):
    reason: StopReason
    sequence: str | None = None


@final
class UsageKnown(_Event, frozen=True):
    """Replaces what was known before, class by class."""

    usage: TokenUsage


@final
class Ended(_Event, frozen=True):
    """The upstream said its last."""


@final
class Failed(_Event, frozen=True):
    """The upstream said an error in-band; *kind* is what Refusal calls it (`rate_limit_error`, `api_error`, …), *wait_s* how long
    it wants to be left alone."""

    kind: str = "api_error"
    wait_s: float | None = None


Event = (
    Started
    | TextDelta
    | ReasoningDelta
    | ReasoningSigned
    | ReasoningSealed
    | ToolCallStarted
    | ToolArguments
    | ImageGiven
    | Cited
    | Stopped
    | UsageKnown
    | Ended
    | Failed
)

ENDED = Ended()

CONTENT = (
    TextDelta,
    ReasoningDelta,
    ReasoningSigned,
    ReasoningSealed,
    ToolCallStarted,
    ToolArguments,
    ImageGiven,
    Cited,
)
"""The events that say something of the answer itself."""

AnswerPart = Text | Reasoning | ToolCall | Image | Citation


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A whole answer. A citation stands behind the text that it is about."""

    parts: tuple[AnswerPart, ...]
    stop: StopReason
    sequence: str | None = None
    usage: TokenUsage = NOTHING
    id: str = ""
    model: str = ""

    def text(self) -> str:
        return "".join([part.text for part in self.parts if type(part) is Text])


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What an answer says of itself in the caller's dialect, whoever gave it.

    Attributes:
        id: Unique and without a prefix; dialects put theirs in front.
        model: As the caller called it.
        created_s: Wall time.
        include_usage: The caller of a stream asked for its usage, in dialects where that is a wish.
    """

    id: str
    model: str
    created_s: int
    include_usage: bool = True


def unfold(answer: Answer) -> Iterator[Event]:
    """The stream that an answer would have been."""
    yield Started(answer.id, answer.model)
    calls = 0
    for part in answer.parts:
        if type(part) is Text:
            yield TextDelta(part.text)
        elif type(part) is ToolCall:
            yield ToolCallStarted(calls, part.id, part.name)
            yield ToolArguments(calls, part.arguments)
            calls += 1
        elif type(part) is Image:
            yield ImageGiven(part)
        elif type(part) is Citation:
            yield Cited(part)
        elif part.sealed is not None:
            yield ReasoningSealed(part.sealed, part.origin)
        else:
            if part.text:
                yield ReasoningDelta(part.text)
            if part.signature is not None:
                yield ReasoningSigned(part.signature, part.origin)
    yield Stopped(answer.stop, answer.sequence)
    yield UsageKnown(answer.usage)
    yield ENDED


class Fold:
    """Collects a stream's events into an answer."""

    def __init__(self) -> None:
        self._parts: list[AnswerPart] = []
        self._pieces: list[str] = []
        self._open: type[Text] | type[Reasoning] | None = None
        self._calls: dict[int, tuple[int, str, str, list[str]]] = {}
        self._stopped: Stopped | None = None
        self._started = Started()
        self._usage = NOTHING

    def add(self, event: Event) -> None:
        match event:
            case TextDelta(text):
                self._say(Text, text)
            case ReasoningDelta(text):
                self._say(Reasoning, text)
            case ReasoningSigned(signature, origin):
                text = "".join(self._pieces) if self._open is Reasoning else ""
                if self._open is Reasoning:
                    self._pieces.clear()
                self._close()
                self._parts.append(Reasoning(text, signature, origin=origin))
            case ToolArguments(index, text):
                self._calls[index][3].append(text)
            case Stopped():
                self._stopped = event
            case UsageKnown(usage):
                self._usage = self._usage.updated(usage)
            case Started():
                self._started = event
            case _:
                self._close()
                self._add_whole(event)

    def answer(self) -> Answer:
        """Raises: ValueError, when the stream was cut or failed."""
        if self._stopped is None:
            raise ValueError("a stream without a stop reason")
        self._close()
        for place, call_id, name, pieces in self._calls.values():
            self._parts[place] = ToolCall(call_id, name, "".join(pieces))
        stopped, started = self._stopped, self._started
        return Answer(tuple(self._parts), stopped.reason, stopped.sequence, self._usage, started.id, started.model)

    def _say(self, kind: type[Text] | type[Reasoning], text: str) -> None:
        if self._open is not kind:
            self._close()
            self._open = kind
        self._pieces.append(text)

    def _close(self) -> None:
        if self._open is not None and self._pieces:
            self._parts.append(self._open("".join(self._pieces)))
        self._pieces.clear()
        self._open = None

    def _add_whole(self, event: Event) -> None:
        match event:
            case ToolCallStarted(index, call_id, name):
                self._calls[index] = (len(self._parts), call_id, name, [])
                self._parts.append(ToolCall(call_id, name, ""))
            case ReasoningSealed(data, origin):
                self._parts.append(Reasoning(sealed=data, origin=origin))
            case ImageGiven(image):
                self._parts.append(image)
            case Cited(citation):
                self._parts.append(citation)
            case Failed():
                raise ValueError("the upstream said an error")


def fold(events: Iterator[Event] | list[Event]) -> Answer:
    """The answer that a stream amounts to. Raises: ValueError, when it was cut or failed."""
    folded = Fold()
    for event in events:
        folded.add(event)
    return folded.answer()
