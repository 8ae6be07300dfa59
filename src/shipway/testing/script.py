"""What a fake provider is told to answer, what it notes down about each request, and what it says in no dialect yet.

`Reply` and `ReceivedRequest` are the values a test handles. `said` works out what a reply comes to for one request; each
dialect's wire module makes documents and events of that.
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from email import message_from_bytes
from email.message import Message
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

UsageOn = Literal["final", "last-content", "never"]

DEFAULT_TEXT: Final = "This is a fake answer."
DEFAULT_JSON: Final = '{"answer": "This is a fake answer."}'
ARGUMENT_PART: Final = 7
"""How many characters of a tool's arguments come in one event of a stream."""
_OUTPUT_CLASSES: Final = ("reasoning", "audio_output", "image_output")
_PIECE = re.compile(r"\s*\S+\s*$|\s*\S+")


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """How to answer one request. Faults may be combined; without any it is a good answer.

    Attributes:
        text: What the model says, cut into tokens at white space. `tokens` overrides the cutting. By default an object
            where the request wants JSON.
        reasoning: What it thinks before, where the dialect shows that.
        tool_calls: Tools that it calls afterwards.
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


@dataclass(frozen=True, slots=True)
class Said:
    """What a reply comes to for one request: pieces of reasoning and of text, calls of tools, why it ended."""

    reasoning: tuple[str, ...]
    tokens: tuple[str, ...]
    tool_calls: tuple[ToolCall, ...]
    finish: str
    stop: str | None
    """The stop sequence that was met."""
    usage: Usage

    @property
    def text(self) -> str:
        return "".join(self.tokens)


def said(
    reply: Reply, prompt: str, *, limit: int | None = None, stops: Sequence[str] = (), json_mode: bool = False
) -> Said:
    """Work out what *reply* says to a request.

    Args:
        prompt: All text of the request, which is counted by words.
        limit: The request's limit of tokens.
        stops: Its stop sequences: the text ends before the first that it has.
        json_mode: Whether it wants JSON.
    """
    text = DEFAULT_JSON if json_mode and reply.text == DEFAULT_TEXT else reply.text
    tokens = () if reply.tool_calls and reply.text == DEFAULT_TEXT else pieces(text)
    tokens = tokens if reply.tokens is None else tuple(reply.tokens)
    tokens, stop = _stopped(tokens, stops)
    finish = "stop" if stop is None else "stop_sequence"
    if reply.tool_calls:
        finish = "tool_calls"
    if limit is not None and limit < len(tokens):
        tokens, finish, stop = tokens[:limit], "length", None
    reasoning = pieces(reply.reasoning)
    called = sum(len(pieces(call.arguments)) + 1 for call in reply.tool_calls)
    usage = Usage(input=len(pieces(prompt)), output=len(tokens) + called, reasoning=len(reasoning))
    return Said(reasoning, tokens, tuple(reply.tool_calls), reply.finish_reason or finish, stop, reply.usage or usage)


def with_ids(heard: Said, prefix: str) -> Said:
    """The same with an id, as the dialect writes them, for each call that has none."""
    calls = tuple(
        replace(call, id=call.id or f"{prefix}{number}") for number, call in enumerate(heard.tool_calls, start=1)
    )
    return replace(heard, tool_calls=calls)


def told_apart(heard: Said, *names: str) -> Said:
    """The same with usage as a dialect reports it that tells only the classes *names* from plain input and output."""
    counts = asdict(heard.usage)
    folded = {name: 0 for name in counts if name not in names and name not in ("input", "output")}
    kept = {name: count for name, count in counts.items() if name in names}
    outputs = heard.usage.all_output - sum(kept.get(name, 0) for name in _OUTPUT_CLASSES)
    inputs = heard.usage.all_input - sum(count for name, count in kept.items() if name not in _OUTPUT_CLASSES)
    return replace(heard, usage=replace(heard.usage, **folded, input=inputs, output=outputs))


def pieces(text: str) -> tuple[str, ...]:
    """Split *text* into its "tokens": words with the white space before them. Joined they are *text* again."""
    return tuple(_PIECE.findall(text)) or ((text,) if text else ())


def argument_parts(arguments: str) -> list[str]:
    """A tool's arguments as they are streamed; nothing for none."""
    return [arguments[at : at + ARGUMENT_PART] for at in range(0, len(arguments), ARGUMENT_PART)]


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


def all_text(content: object) -> str:
    """Every text in a message's content, however its parts are nested, joined by spaces. Calls and images are not text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(filter(None, map(all_text, content)))
    if isinstance(content, dict):
        return " ".join(
            filter(None, (all_text(content.get(name)) for name in ("text", "content", "parts", "toolResult")))
        )
    return ""


def _stopped(tokens: tuple[str, ...], stops: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    text = "".join(tokens)
    found = min(((text.find(stop), stop) for stop in stops if stop in text), default=None)
    return (tokens, None) if found is None else (pieces(text[: found[0]]), found[1])
