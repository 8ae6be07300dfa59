"""What a dialect is to the data path: readers and writers of its four kinds of documents, without I/O.

A caller speaks one dialect and an upstream another. The caller's reads requests and writes answers, streams and errors; the
upstream's does the reverse. Each has both, so that what it writes can be read back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec

from shipway.gateway.dialects.conversation import Conversation
from shipway.gateway.dialects.events import Answer, Envelope, Event
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.sse import EventSplitter, Message
from shipway.gateway.dialects.surrogates import without_halves
from shipway.gateway.dialects.usage import NOTHING, TokenUsage
from shipway.gateway.refusals import Refusal

T = TypeVar("T")


def document_reader(wire: type[T]) -> Callable[[bytes], T]:
    """A function that reads documents of upstreams into *wire* and raises ValueError for what is none."""
    decode = msgspec.json.Decoder(wire).decode

    def read(document: bytes) -> T:
        try:
            return decode(document)
        except (msgspec.DecodeError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
            whole = without_halves(document)
            if whole != document:
                return read(whole)
            raise ValueError("not a document of this dialect") from error

    return read


class UpstreamPart(msgspec.Struct, gc=False):
    """A part of what an upstream says; fields that are not declared are not needed."""


class _Counted(UpstreamPart):
    usage: Any = None


_read_counted = document_reader(_Counted)


def usage_of(body: bytes, read_usage: Callable[[Any], TokenUsage]) -> TokenUsage:
    """The usage of an answer of which no more needs to be known. Raises: ValueError."""
    usage = _read_counted(body).usage
    return NOTHING if usage is None else read_usage(usage)


class Framing(Protocol):
    """Cuts the bytes of a stream into messages."""

    @property
    def whole(self) -> bool: ...

    def feed(self, data: bytes) -> list[Message]:
        """Raises: ValueError."""

    def rest(self) -> list[Message]:
        """What the stream ended with, where only the mark of its end is missing. Raises: ValueError, if it makes no sense."""


class NewerKind(ValueError):
    """A stream says something of a kind that its parser does not know. It cannot be translated, but may pass.

    Attributes:
        events: What can be told of it all the same.
    """

    def __init__(self, what: str, events: Sequence[Event] = ()) -> None:
        super().__init__(what)
        self.events = events


class Outline(msgspec.Struct, gc=False):
    """What is left of a known kind of event that has another form than it had."""

    type: str
    index: Any = None
    message: Any = None
    usage: Any = None
    code: Any = None
    error: Any = None


_read_outline = document_reader(Outline)


def outline_of(name: str, event: bytes) -> Outline:
    """For an event that its parser cannot read: it may pass to who knows the dialect better, unless it could be an error.

    Raises:
        ValueError: it is no object with a type.
    """
    outline = _read_outline(event)
    if name == "error" or outline.error is not None:
        outline.type = "error"
    return outline


class StreamParser(Protocol):
    """Reads one stream of an upstream, message by message."""

    def read(self, name: str, data: bytes) -> list[Event]:
        """The events that a message says. Raises: NewerKind; ValueError, when it makes no sense."""

    def end(self) -> list[Event]:
        """The upstream closed in order: what is still to be said, with `Ended` where the stream may end here."""


class StreamWriter(Protocol):
    """Writes one stream to a caller."""

    def write(self, event: Event) -> bytes:
        """What the caller gets for this event; often nothing, as dialects differ in when things are said."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire format.

    Attributes:
        read_request: Raises Refused, naming the field.
        write_request: A body for the named model. Raises Refused, naming the field in the caller's dialect.
        read_answer: Raises ValueError for what is no answer: another document, or one that says it failed.
        read_error: (status, body) → what the caller is told; never text of the upstream.
        write_error: (refusal, request id) → header lines and body.
        status: The status with which this dialect's SDKs raise the right class for a refusal.
        stream_error: The in-band error that ends a stream whose status is spent.
        framing: How streams are cut into messages.
        read_wait: How many seconds the body of a refusal says to wait; None where that is said in a header or not at all.
        error_statuses: What errors mean whose names, in a header of the provider's, say more than their status.
    """

    name: str
    read_request: Callable[[bytes, Losses], Conversation]
    write_request: Callable[[Conversation, str, Losses], bytes]
    read_answer: Callable[[bytes], Answer]
    write_answer: Callable[[Answer, Envelope], bytes]
    stream_parser: Callable[[], StreamParser]
    stream_writer: Callable[[Envelope], StreamWriter]
    read_error: Callable[[int, bytes], Refusal]
    write_error: Callable[[Refusal, str], tuple[bytes, bytes]]
    stream_error: Callable[[Refusal], bytes]
    status: Callable[[Refusal], int] = lambda refusal: refusal.status.value
    framing: Callable[[], Framing] = EventSplitter
    read_wait: Callable[[bytes], float | None] | None = None
    error_statuses: Mapping[str, int] = field(default_factory=dict)
