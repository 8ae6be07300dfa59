"""What the fake OpenAI server is told to answer, and what it notes down about each request.

`Reply` and `ReceivedRequest` are the two values a test handles; the functions turn one of each into documents.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from shipway.testing import openai_wire as wire

DEFAULT_TEXT: Final = "This is a fake answer."
_ERROR_TYPES: Final = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """How to answer one request. Faults may be combined; without any it is a good answer.

    Attributes:
        text: What the model says, cut into tokens at white space. `tokens` overrides the cutting.
        finish_reason: None takes "stop", or "length" where the request's token limit cut the text.
        usage_on: Where a stream carries usage, if the request asks for it (see `openai_wire.chat_chunks`).
        status: 400 and above answers with an error document of OpenAI's form.
        headers: Added to the response, for `Retry-After` and the like.
        body: These bytes in place of the document, whatever the status (garbage, an HTML error page, a broken JSON).
        raw: These bytes on the wire in place of any HTTP response, then the connection is closed. b"" only closes it.
        delay_s: Silence before the first byte (a slow start).
        token_delay_s: Silence before each token of a stream.
        cut_after: Close the connection, without the framing's end, after this many events of a stream; 0 cuts after
            the head. An unstreamed answer is cut after this many bytes of its body.
        reset: Whether such an end (`cut_after`, `raw`) is a TCP reset instead of an orderly close.
        stall_after: Fall silent at that point instead, until `FakeOpenAI.resume` is called or the client leaves.
        end_after: End a stream at that point in order, as if it were complete: no finish reason, no `[DONE]`.
        error_after: Send an error event at that point of a stream, and end it in order but without `[DONE]`.
        insert: Bytes to put before the event of that number in a stream: comments, garbage, an empty event.
        part_bytes: Cut a stream's events into HTTP chunks of this size, across the lines and characters in them.
        done: Whether the stream ends with `[DONE]`.
    """

    text: str = DEFAULT_TEXT
    tokens: Sequence[str] | None = None
    finish_reason: str | None = None
    usage_on: wire.UsageOn = "final"
    status: int = 200
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


@dataclass(kw_only=True, slots=True, eq=False)
class ReceivedRequest:
    """One request as it came in, and how its answer ended.

    Attributes:
        headers: Names in lower case; repeated ones joined by a comma.
        connection: Number of the connection it came on, from 1: shows whether a client reuses its connections.
        answered: Set when the last byte of the planned answer (cut or whole) was handed to the system.
        gone: Set when the client closed the connection before that.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def faults(reply: Reply) -> list[tuple[int, str]]:
    """Return the reply's faults with their places; where two share a place, later ones win."""
    places = (
        (reply.stall_after, "stall"),
        (reply.end_after, "end"),
        (reply.error_after, "error"),
        (reply.cut_after, "cut"),
    )
    return [(at, fault) for at, fault in places if at is not None]


def document(request: ReceivedRequest, reply: Reply) -> wire.Json:
    """Build the document of an unstreamed answer."""
    if request.path == "/v1/embeddings":
        return wire.embeddings(request.json)
    build = wire.chat_completion if request.path == "/v1/chat/completions" else wire.completion
    return build(request.json, *_said(request, reply))


def chunks(request: ReceivedRequest, reply: Reply) -> Iterable[wire.Json]:
    """Build the documents of a streamed answer, without `[DONE]`."""
    build = wire.chat_chunks if request.path == "/v1/chat/completions" else wire.completion_chunks
    return build(request.json, *_said(request, reply), reply.usage_on)


def parts(data: bytes, part_bytes: int | None) -> list[bytes]:
    """Cut *data* into parts of *part_bytes*; None leaves it whole."""
    step = part_bytes or len(data) or 1
    return [data[start : start + step] for start in range(0, len(data), step)]


def error_body(status: int) -> bytes:
    """Build the body of an answer with an error status."""
    kind = _ERROR_TYPES.get(
        status, "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    )
    return json.dumps(wire.error(f"The fake was told to answer {status}.", kind)).encode()


def _said(request: ReceivedRequest, reply: Reply) -> tuple[tuple[str, ...], str]:
    tokens, reason = wire.limited(wire.pieces(reply.text) if reply.tokens is None else reply.tokens, request.json)
    return tokens, reason if reply.finish_reason is None else reply.finish_reason
