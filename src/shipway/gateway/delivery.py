"""How a call is delivered to one upstream and what its answer means: passed on as it is where both speak one dialect, else
translated both ways.

A delivery is worked out once for each candidate, path and kind of answer, and kept with the candidate.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from shipway.cost.prices import Prices
from shipway.gateway.call import Call
from shipway.gateway.dialects import token_counts, unasked_usage
from shipway.gateway.dialects.conversation import Conversation
from shipway.gateway.dialects.dialect import Dialect
from shipway.gateway.dialects.events import Envelope
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.openai import STREAM_CONTENT_TYPE, ModelRequest
from shipway.gateway.dialects.registry import OPERATIONS, open_dialect
from shipway.gateway.dialects.translated_stream import TranslatedStream
from shipway.gateway.dialects.usage import NOTHING
from shipway.gateway.http1.fields import CREDENTIALS, Fields, as_lines, without
from shipway.gateway.http1.response_head import ResponseHead
from shipway.gateway.model_api import AnswerReader, ModelPath, Usage
from shipway.gateway.providers import event_stream
from shipway.gateway.providers.provider import Framing, Outgoing, Provider, Route, field_value
from shipway.gateway.refusals import JSON_FIELD, Refusal
from shipway.gateway.snapshot import Candidate

_VIA_1_0, _VIA_1_1 = b"Via: 1.0 shipway\r\n", b"Via: 1.1 shipway\r\n"


class Delivery(Protocol):
    """Attributes:
    content_type: How the type of a good answer begins; b"" for any but a stream.
    held: Whether a good answer that is not streamed is a document to be read before it is passed on.
    prices: Of the upstream; None where they are unknown or such calls cost nothing.
    id_fields: Headers of a response in which the upstream's request id is looked for before `x-request-id`.
    translated: Whether it would mean nothing to the client as it is.
    read_wait: See `Dialect.read_wait`.
    """

    content_type: bytes
    held: bool
    id_fields: tuple[bytes, ...]
    prices: Prices | None
    translated: bool
    read_wait: Callable[[bytes], float | None] | None

    def message(self, call: Call, request: ModelRequest) -> bytes:
        """The whole request. Raises: Refused, where it cannot be said; NoCredentialError."""

    def reader(self, call: Call, request: ModelRequest) -> AnswerReader:
        """For one stream."""

    def answer(self, call: Call, request: ModelRequest, body: bytes) -> tuple[bytes, Usage | None]:
        """What the client gets for a whole answer, and its usage. Raises: ValueError, for what is no answer."""

    def refusal(self, response: ResponseHead, body: bytes) -> Refusal:
        """What the client is told of an upstream's refusal of its request."""


class RequestHeads:
    """Writes the heads of requests to one route of an upstream."""

    __slots__ = ("_authority", "_beginning", "_default_names", "_defaults", "_own", "_plain", "_provider", "_target")

    def __init__(self, candidate: Candidate, route: Route) -> None:
        endpoint, provider = candidate.endpoint, candidate.upstream.provider
        self._provider: Provider | None = provider if provider.held is not None else None
        self._target = endpoint.address.base_path + route.target
        self._authority = endpoint.authority
        own = provider.fields + route.fields
        self._beginning = b"POST %b HTTP/1.1\r\nHost: %b\r\nAccept-Encoding: identity\r\n%b" % (
            self._target,
            endpoint.authority,
            own,
        )
        # Credentials of clients are not passed on anyway.
        self._own = _names(own) - CREDENTIALS
        self._defaults = provider.defaults
        self._default_names = _names(provider.defaults)
        self._plain = not (self._own or self._defaults or provider.held)

    def message(self, call: Call, body: bytes, fields: bytes | None = None) -> bytes:
        """A whole request, with *fields* in place of the client's where they are given. Raises: NoCredentialError."""
        head = call.exchange.head
        lines = head.lines if fields is None else fields
        if not self._plain:
            lines = self._with_own(lines, head.passed_on if fields is None else [], body)
        via = _VIA_1_0 if head.http_1_0 else _VIA_1_1
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        return b"".join((self._beginning, lines, via, call.id_field, length, body))

    def _with_own(self, lines: bytes, passed_on: Fields, body: bytes) -> bytes:
        """*lines* with what the provider adds; of the client's fields those give way that it has itself."""
        if passed_on:
            passed_on = without(passed_on, self._own)
            lines = as_lines(passed_on)
        if not self._default_names & {field[0] for field in passed_on}:
            lines += self._defaults
        return lines + self._signed(body)

    def _signed(self, body: bytes) -> bytes:
        if self._provider is None:
            return b""
        return self._provider.sign(
            Outgoing("POST", self._target.decode("ascii"), self._authority.decode("ascii"), body, time.time())
        )


class Passed:
    """The caller's dialect is the upstream's: bytes pass untouched but for the model's name, and are read on the side."""

    __slots__ = (
        "_heads",
        "_model_json",
        "_path",
        "content_type",
        "held",
        "id_fields",
        "prices",
        "read_wait",
        "translated",
    )

    def __init__(self, candidate: Candidate, path: ModelPath, route: Route) -> None:
        self._heads = RequestHeads(candidate, route)
        self._model_json = msgspec.Raw(msgspec.json.encode(candidate.upstream.model))
        self._path = path
        self.content_type = STREAM_CONTENT_TYPE if route.framing == "sse" else b""
        self.held = route.framing == "json"
        self.id_fields = _id_fields(candidate)
        self.prices = candidate.upstream.prices if path.billed else None
        self.translated = False
        self.read_wait: Callable[[bytes], float | None] | None = None  # callers' dialects say it in a header

    def message(self, call: Call, request: ModelRequest) -> bytes:
        return self._heads.message(call, request.body_for(self._model_json))

    def reader(self, call: Call, request: ModelRequest) -> AnswerReader:
        return self._path.stream_reader()

    def answer(self, call: Call, request: ModelRequest, body: bytes) -> tuple[bytes, Usage | None]:
        return body, self._path.read_usage(body)

    def refusal(self, response: ResponseHead, body: bytes) -> Refusal:
        return self._path.read_error(response.status, body)


class PassedForUsage(Passed):
    """The same of a stream whose usage the gateway asks for where its caller does not."""

    __slots__ = ()

    def message(self, call: Call, request: ModelRequest) -> bytes:
        options = unasked_usage.options_asking(request)
        if options is None:
            return super().message(call, request)
        return self._heads.message(call, unasked_usage.body_with(request, self._model_json, options))

    def reader(self, call: Call, request: ModelRequest) -> AnswerReader:
        if unasked_usage.options_asking(request) is None:
            return super().reader(call, request)
        return unasked_usage.UnaskedUsage()


class Translated:
    """The upstream speaks another dialect than the caller."""

    __slots__ = (
        "_caller",
        "_error_type_field",
        "_heads",
        "_may_drop",
        "_model",
        "_upstream",
        "content_type",
        "held",
        "id_fields",
        "prices",
        "read_wait",
        "translated",
    )

    def __init__(self, candidate: Candidate, caller: Dialect, upstream: Dialect, route: Route) -> None:
        self._heads = RequestHeads(candidate, route)
        self._model = candidate.upstream.model
        self._may_drop = candidate.upstream.may_drop
        self._error_type_field = candidate.upstream.provider.error_type_field
        self._caller = caller
        self._upstream = upstream
        self.content_type = _STREAM_TYPES.get(route.framing, b"")
        self.held = self.translated = True
        self.read_wait = upstream.read_wait
        self.id_fields = _id_fields(candidate)
        self.prices = candidate.upstream.prices

    def message(self, call: Call, request: ModelRequest) -> bytes:
        conversation, losses = self._read(request)
        losses = losses.again()
        body = self._body(conversation, losses)
        call.note_dropped(losses.header_value())
        head = call.exchange.head
        traced = as_lines([field for field in head.passed_on if field[0] in _FOR_ANYBODY])
        return self._heads.message(call, body, JSON_FIELD + traced)

    def reader(self, call: Call, request: ModelRequest) -> AnswerReader:
        conversation, _ = self._read(request)
        return TranslatedStream(
            self._upstream, self._caller, _envelope(call, request, include_usage=conversation.include_usage)
        )

    def answer(self, call: Call, request: ModelRequest, body: bytes) -> tuple[bytes, Usage | None]:
        answer = self._upstream.read_answer(body)
        usage = None if answer.usage is NOTHING else answer.usage
        return self._caller.write_answer(answer, _envelope(call, request, include_usage=True)), usage

    def refusal(self, response: ResponseHead, body: bytes) -> Refusal:
        status = response.status
        if self._error_type_field is not None:
            name = field_value(response.lines, (self._error_type_field,)) or b""
            # Of AWS it may be followed by a colon and an address.
            status = self._upstream.error_statuses.get(name.partition(b":")[0].decode("latin-1"), status)
        return self._upstream.read_error(status, body)

    def _body(self, conversation: Conversation, losses: Losses) -> bytes:
        return self._upstream.write_request(conversation, self._model, losses)

    def _read(self, request: ModelRequest) -> tuple[Conversation, Losses]:
        """The conversation, read once for all that the request is tried on, and what was lost in reading it."""
        if request.read is None:
            losses = Losses(self._may_drop)
            request.read = (self._caller.read_request(request.body, losses), losses)
        return request.read


class Counted(Translated):
    """The question how many tokens a conversation has."""

    __slots__ = ()

    def answer(self, call: Call, request: ModelRequest, body: bytes) -> tuple[bytes, Usage | None]:
        return token_counts.write_answer(token_counts.read_answer(body)), None

    def _body(self, conversation: Conversation, losses: Losses) -> bytes:
        return token_counts.write_request(conversation, self._upstream.name, self._model, losses)


_STREAM_TYPES: dict[Framing, bytes] = {"sse": STREAM_CONTENT_TYPE, "event-stream": event_stream.CONTENT_TYPE}
_FOR_ANYBODY = frozenset((b"traceparent", b"tracestate", b"baggage"))
"""Fields of a client that mean the same to every provider."""


def _envelope(call: Call, request: ModelRequest, *, include_usage: bool) -> Envelope:
    return Envelope(call.request_id.decode("ascii"), request.model, int(time.time()), include_usage)


def _id_fields(candidate: Candidate) -> tuple[bytes, ...]:
    return tuple(name for name in candidate.upstream.provider.request_id_fields if name != b"x-request-id")


def delivery_to(candidate: Candidate, path: ModelPath, *, stream: bool) -> Delivery | None:
    """How calls to *path* are delivered to *candidate*; None where it does not offer that."""
    upstream = candidate.upstream
    provider = upstream.provider
    route = provider.route(path.operation, upstream.model, stream=stream)
    if route is not None:
        asks = stream and upstream.stream_usage and path.operation in ("chat_completions", "completions")
        return (PassedForUsage if asks else Passed)(candidate, path, route)
    counting = path.operation == "count_tokens"
    operation = provider.counts_in if counting else provider.converses_in
    route = None if operation is None else provider.route(operation, upstream.model, stream=stream)
    if not path.conversation or operation is None or route is None:
        return None
    dialects = open_dialect(path.conversation), open_dialect(OPERATIONS[operation])
    return (Counted if counting else Translated)(candidate, *dialects, route)


def _names(lines: bytes) -> frozenset[bytes]:
    return frozenset(line.partition(b":")[0].lower() for line in lines.split(b"\r\n") if line)
