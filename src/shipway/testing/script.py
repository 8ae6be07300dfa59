"""What a fake provider is told to answer, and what it notes down about each request: the values that a test handles."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

UsageOn = Literal["final", "last-content", "never"]

DEFAULT_TEXT: Final = "This is a fake answer."


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens in classes that do not overlap, whatever a dialect makes of them. All of them together are `total`.

    Attributes:
        input: Of the prompt, but for those in the classes below.
        output: Of the answer, but for reasoning and audio.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    audio_input: int = 0
    image_input: int = 0
    output: int = 0
    reasoning: int = 0
    audio_output: int = 0
    image_output: int = 0

    @property
    def all_input(self) -> int:
        return self.input + self.cache_read + self.cache_write + self.audio_input + self.image_input

    @property
    def all_output(self) -> int:
        return self.output + self.reasoning + self.audio_output + self.image_output

    @property
    def total(self) -> int:
        return self.all_input + self.all_output


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool. *arguments* are JSON text, sent to the byte where the dialect has text for them."""

    name: str
    arguments: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """A page of the web that the whole text is said to rest on, with the words there."""

    url: str
    title: str
    quote: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """How to answer one request. Faults may be combined; without any it is a good answer.

    Attributes:
        text: What the model says, cut into tokens at white space. `tokens` overrides the cutting. By default an object
            where the request wants JSON.
        reasoning: What it thinks before, where the dialect shows that.
        tool_calls: Tools that it calls afterwards.
        citations: What its text rests on.
        finish_reason: None takes what follows from the rest ("stop", "length", "tool_calls", "stop_sequence"); each
            dialect has words of its own for these and for "content_filter". Any other word is sent as it is.
        usage: None counts words.
        usage_on: Where an OpenAI stream carries usage, if the request asks for it (see `openai_wire.chat_chunks`).
        status: 400 and above answers with an error document of the dialect.
        error_type: Which error that is, or `error_after` sends, in the dialect's own word. None takes the usual one.
        error_message: Its text.
        headers: Added to the response, for `Retry-After` and the like.
        body: These bytes in place of the document, whatever the status (garbage, an HTML error page, a broken JSON).
        raw: These bytes on the wire in place of any HTTP response, then the connection is closed. b"" only closes it.
        delay_s: Silence before the first byte (a slow start).
        token_delay_s: Silence before each event of a stream.
        cut_after: Close the connection, without the framing's end, after this many events of a stream; 0 cuts after
            the head. An unstreamed answer is cut after this many bytes of its body.
        reset: Whether such an end (`cut_after`, `raw`) is a TCP reset instead of an orderly close.
        stall_after: Fall silent at that point instead, until `resume` is called or the client leaves.
        end_after: End a stream at that point in order, as if it were complete: no finish reason, no last event.
        error_after: Send an error event at that point of a stream, and end it in order but without its last event.
        insert: Bytes to put before the event of that number in a stream: comments, garbage, an empty event.
        part_bytes: Cut a stream's events into HTTP chunks of this size, across the lines and characters in them.
        done: Whether an OpenAI stream ends with `[DONE]`.
    """

    text: str = DEFAULT_TEXT
    tokens: Sequence[str] | None = None
    reasoning: str = ""
    tool_calls: Sequence[ToolCall] = ()
    citations: Sequence[Citation] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    usage_on: UsageOn = "final"
    status: int = 200
    error_type: str | None = None
    error_message: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    raw: bytes | None = None
    delay_s: float = 0.0
    token_delay_s: float = 0.0
    cut_after: int | None = None
    reset: bool = False
    stall_after: int | None = None
    end_after: int | None = None
    error_after: int | None = None
    insert: Mapping[int, bytes] = field(default_factory=dict)
    part_bytes: int | None = None
    done: bool = True

    def message(self, default: str) -> str:
        """The text of its error."""
        return default if self.error_message is None else self.error_message


@dataclass(kw_only=True, slots=True, eq=False)
class ReceivedRequest:
    """One request as it came in, and how its answer ended.

    Attributes:
        headers: Names in lower case; repeated ones joined by a comma.
        connection: Number of the connection it came on, from 1: shows whether a client reuses its connections.
        usage: What answering it cost; None where it was refused.
        reported: What of that was sent to the client so far; None where nothing said it (yet).
        events: How many events of a stream were sent.
        answered: Set when the last byte of the planned answer (cut or whole) was handed to the system.
        gone: Set when the client closed the connection before that.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    usage: Usage | None = None
    reported: Usage | None = None
    events: int = 0
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, bytes]:
        """The parts of a `multipart/form-data` body by name."""
        head = f"Content-Type: {self.headers.get('content-type', '')}\r\n\r\n".encode()
        parts: Any = message_from_bytes(head + self.body).get_payload()
        named: dict[str, bytes] = {}
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, Message):
                content = part.get_payload(decode=True)
                name = part.get_param("name", header="content-disposition")
                named[str(name)] = content if isinstance(content, bytes) else b""
        return named


def faults(reply: Reply) -> list[tuple[int, str]]:
    """Return the reply's faults with their places; where two share a place, later ones win."""
    places = (
        (reply.stall_after, "stall"),
        (reply.end_after, "end"),
        (reply.error_after, "error"),
        (reply.cut_after, "cut"),
    )
    return [(at, fault) for at, fault in places if at is not None]


def parts(data: bytes, part_bytes: int | None) -> list[bytes]:
    """Cut *data* into parts of *part_bytes*; None leaves it whole."""
    step = part_bytes or len(data) or 1
    return [data[start : start + step] for start in range(0, len(data), step)]
