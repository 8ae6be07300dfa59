"""How a call is delivered to one upstream and what its answer means: passed on as it is where both speak one dialect, else
translated both ways.

A delivery is worked out once for each candidate, path and kind of answer, and kept with the candidate.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Generic, TypeVar, cast

import msgspec

from shipway.gateway.call import Call
from shipway.gateway.dialects import embeddings, token_counts, unasked_usage
from shipway.gateway.dialects.conversation import Conversation
from shipway.gateway.dialects.dialect import Dialect
from shipway.gateway.dialects.errors import CONTEXT_LENGTH
from shipway.gateway.dialects.events import Envelope
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.model_request import ModelRequest
from shipway.gateway.dialects.openai import STREAM_CONTENT_TYPE
from shipway.gateway.dialects.registry import OPERATIONS, open_dialect, open_embeddings
from shipway.gateway.dialects.translated_stream import TranslatedStream
from shipway.gateway.dialects.usage import MOST_DIGITS, NOTHING, TokenUsage
from shipway.gateway.http1.fields import as_lines
from shipway.gateway.http1.response_head import ResponseHead
from shipway.gateway.model_api import AnswerReader, ModelPath, Usage
from shipway.gateway.providers import event_stream
from shipway.gateway.providers.provider import Framing, Operation, Route, field_value
from shipway.gateway.refusals import JSON_FIELD, Refusal, Refused, bad_field
from shipway.gateway.request_heads import RequestHeads
from shipway.gateway.snapshot import Candidate


class Delivery(ABC):
    """One way to ask one upstream.

    Attributes:
        content_type: How the type of a good answer begins; b"" for any but a stream.
        held: Whether a good answer that is not streamed is a document to be read before it is passed on.
        prices: Of the upstream; None where they are unknown or such calls cost nothing.
        id_fields: Headers of a response in which the upstream's request id is looked for before `x-request-id`.
        translated: Whether it would mean nothing to the client as it is.
        read_wait: See `Dialect.read_wait`.
    """

    __slots__ = ("_heads", "content_type", "held", "id_fields", "prices", "read_wait", "translated")

    def __init__(self, candidate: Candidate, route: Route) -> None:
        self._heads = RequestHeads(candidate, route)
        self.content_type = _STREAM_TYPES.get(route.framing, b"")
        self.held = self.translated = True
        self.id_fields = _id_fields(candidate)
        self.prices = candidate.upstream.prices
        self.read_wait: Callable[[bytes], float | None] | None = None

    @abstractmethod
    def message(self, call: Call, request: ModelRequest) -> bytes:
        """The whole request. Raises: Refused, where it cannot be said; NoCredentialError."""

    @abstractmethod
    def reader(self, call: Call, request: ModelRequest) -> AnswerReader:
        """For one stream."""

    @abstractmethod
    def answer(
        self, call: Call, request: ModelRequest, response: ResponseHead, body: bytes
    ) -> tuple[bytes, Usage | None]:
        """What the client gets for a whole answer, and its usage. Raises: ValueError, for what is no answer."""

    @abstractmethod
    def refusal(self, response: ResponseHead, body: bytes) -> Refusal:
        """What the client is told of an upstream's refusal of its request."""


class Passed(Delivery):
    """The caller's dialect is the upstream's: bytes pass untouched but for the model's name, and are read on the side.

    No `read_wait`: the dialects of callers say it in a header.
    """

    __slots__ = ("_model_json", "_path")

    def __init__(self, candidate: Candidate, path: ModelPath, route: Route) -> None:
        super().__init__(candidate, route)
        self._model_json = msgspec.Raw(msgspec.json.encode(candidate.upstream.model))
        self._path = path
        self.held = route.framing == "json"
        self.translated = False
        if not path.billed:
            self.prices = None

    def message(self, call: Call, request: ModelRequest) -> bytes:
        return self._heads.message(call, request.body_for(self._model_json))

    def reader(self, call: Call, request: ModelRequest) -> AnswerReader:
        return self._path.stream_reader()

    def answer(
        self, call: Call, request: ModelRequest, response: ResponseHead, body: bytes
    ) -> tuple[bytes, Usage | None]:
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


Asked = TypeVar("Asked", Conversation, embeddings.Request)


class _Rewritten(Delivery, Generic[Asked]):
    """The upstream is asked in another format: what the caller asks is read, as *Asked*, and written anew."""

    __slots__ = ("_error_type_field", "_may_drop", "_model", "_upstream")

    def __init__(self, candidate: Candidate, upstream: Dialect, route: Route) -> None:
        """*upstream* is at least what errors are read by."""
        super().__init__(candidate, route)
        self._model = candidate.upstream.model
        self._may_drop = candidate.upstream.may_drop
        self._error_type_field = candidate.upstream.provider.error_type_field
        self._upstream = upstream
        self.read_wait = upstream.read_wait

    def message(self, call: Call, request: ModelRequest) -> bytes:
        asked, losses = self._read(request)
        losses = losses.again()
        body = self._body(asked, losses)
        fields = call.exchange.head.passed_on
        for field in fields:
            if field[0] in _FOR_ONE:
                losses.note(field[0].decode())
        call.note_dropped(losses.header_value())
        traced = as_lines([field for field in fields if field[0] in _FOR_ANYBODY])
        return self._heads.message(call, body, JSON_FIELD + traced)

    def refusal(self, response: ResponseHead, body: bytes) -> Refusal:
        status = response.status
        if self._error_type_field is not None:
            name = field_value(response.lines, (self._error_type_field,)) or b""
            # Of AWS it may be followed by a colon and an address.
            status = self._upstream.error_statuses.get(name.partition(b":")[0].decode("latin-1"), status)
        return self._upstream.read_error(status, body)

    def _read(self, request: ModelRequest) -> tuple[Asked, Losses]:
        """What is asked, read once for all that the request is tried on, and what was lost in reading it."""
        if request.read is None:
            losses = Losses(self._may_drop)
            request.read = (self._parsed(request.body, losses), losses)
        return cast("tuple[Asked, Losses]", request.read)

    @abstractmethod
    def _parsed(self, body: bytes, losses: Losses) -> Asked:
        """What the caller asks. Raises: Refused."""

    @abstractmethod
    def _body(self, asked: Asked, losses: Losses) -> bytes:
        """How the upstream is asked for it. Raises: Refused."""


class Translated(_Rewritten[Conversation]):
    """The upstream speaks another dialect than the caller."""

    __slots__ = ("_caller",)

    def __init__(self, candidate: Candidate, caller: Dialect, upstream: Dialect, route: Route) -> None:
        super().__init__(candidate, upstream, route)
        self._caller = caller

    def reader(self, call: Call, request: ModelRequest) -> AnswerReader:
        conversation, _ = self._read(request)
        return TranslatedStream(
            self._upstream, self._caller, _envelope(call, request, include_usage=conversation.include_usage)
        )

    def answer(
        self, call: Call, request: ModelRequest, response: ResponseHead, body: bytes
    ) -> tuple[bytes, Usage | None]:
        answer = self._upstream.read_answer(body)
        usage = None if answer.usage is NOTHING else answer.usage
        return self._caller.write_answer(answer, _envelope(call, request, include_usage=True)), usage

    def _parsed(self, body: bytes, losses: Losses) -> Conversation:
        return self._caller.read_request(body, losses)

    def _body(self, asked: Conversation, losses: Losses) -> bytes:
        return self._upstream.write_request(asked, self._model, losses)


class Counted(Translated):
    """The question how many tokens a conversation has."""

    __slots__ = ()

    def answer(
        self, call: Call, request: ModelRequest, response: ResponseHead, body: bytes
    ) -> tuple[bytes, Usage | None]:
        return token_counts.write_answer(token_counts.read_answer(body)), None

    def _body(self, asked: Conversation, losses: Losses) -> bytes:
        return token_counts.write_request(asked, self._upstream.name, self._model, losses)


class Embedded(_Rewritten[embeddings.Request]):
    """Texts for a provider whose embeddings have another format than OpenAI's."""

    __slots__ = ("_format",)

    def __init__(self, candidate: Candidate, operation: Operation, route: Route) -> None:
        super().__init__(candidate, open_dialect(OPERATIONS[operation]), route)
        self._format = open_embeddings(operation)

    def refusal(self, response: ResponseHead, body: bytes) -> Refusal:
        refusal = super().refusal(response, body)
        if refusal.code == CONTEXT_LENGTH:
            return replace(refusal, message="A text is longer than the model takes.", param="input")
        return refusal

    def reader(self, call: Call, request: ModelRequest) -> AnswerReader:
        raise Refused(bad_field("stream", "Vectors do not come in a stream."))  # as reading the request does before

    def answer(
        self, call: Call, request: ModelRequest, response: ResponseHead, body: bytes
    ) -> tuple[bytes, Usage | None]:
        asked, _ = self._read(request)
        vectors = embeddings.read_answer(body, asked, self._format)
        if vectors.tokens is None and self._format.tokens_field:
            count = field_value(response.lines, (self._format.tokens_field,)) or b""
            vectors = vectors._replace(tokens=int(count) if count.isdigit() and len(count) <= MOST_DIGITS else None)
        usage = None if vectors.tokens is None else TokenUsage(vectors.tokens)
        return embeddings.write_answer(vectors, asked, _envelope(call, request, include_usage=True)), usage

    def _parsed(self, body: bytes, losses: Losses) -> embeddings.Request:
        return embeddings.read_request(body, losses)

    def _body(self, asked: embeddings.Request, losses: Losses) -> bytes:
        return embeddings.write_request(asked, self._format, self._model, losses)


_STREAM_TYPES: Final[dict[Framing, bytes]] = {"sse": STREAM_CONTENT_TYPE, "event-stream": event_stream.CONTENT_TYPE}
_FOR_ANYBODY: Final = frozenset((b"traceparent", b"tracestate", b"baggage"))
"""Fields of a client that mean the same to every provider."""
_FOR_ONE: Final = frozenset((b"anthropic-beta", b"openai-beta"))
"""Fields in which a client asks for what one provider alone has; SDKs send them unasked, so their loss is only reported."""


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
    if path.operation == "embeddings":
        return _embedded(candidate)
    counting = path.operation == "count_tokens"
    operation = provider.counts_in if counting else provider.converses_in
    route = None if operation is None else provider.route(operation, upstream.model, stream=stream)
    if not path.conversation or operation is None or route is None:
        return None
    dialects = open_dialect(path.conversation), open_dialect(OPERATIONS[operation])
    return (Counted if counting else Translated)(candidate, *dialects, route)


def _embedded(candidate: Candidate) -> Delivery | None:
    upstream = candidate.upstream
    for operation in upstream.provider.embeds_in:
        route = upstream.provider.route(operation, upstream.model, stream=False)
        if route is not None:
            return Embedded(candidate, operation, route)
    return None
