"""How a call is delivered to one upstream and what its answer means: passed on as it is, where both speak one dialect.

A delivery is worked out once for each candidate, path and kind of answer, and kept with the candidate.
"""

from __future__ import annotations

import time
from typing import Protocol

import msgspec

from shipway.gateway.call import Call
from shipway.gateway.dialects.openai import STREAM_CONTENT_TYPE, ModelRequest
from shipway.gateway.http1.fields import CREDENTIALS, as_lines, without
from shipway.gateway.http1.response_head import ResponseHead
from shipway.gateway.model_api import AnswerReader, ModelPath, Usage
from shipway.gateway.providers.provider import Outgoing, Provider, Route
from shipway.gateway.refusals import Refusal
from shipway.gateway.snapshot import Candidate

_VIA_1_0, _VIA_1_1 = b"Via: 1.0 shipway\r\n", b"Via: 1.1 shipway\r\n"


class Delivery(Protocol):
    """Attributes:
    content_type: How the type of a good answer begins; b"" for any but a stream.
    held: Whether a good answer that is not streamed is a document to be read before it is passed on.
    """

    content_type: bytes
    held: bool

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

    __slots__ = ("_authority", "_beginning", "_default_names", "_defaults", "_own", "_provider", "_target")

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

    def head(self, call: Call, body: bytes) -> bytes:
        """All before *body*, for a request whose fields are passed on. Raises: NoCredentialError."""
        head = call.exchange.head
        lines = head.lines
        if self._own or self._defaults:
            passed_on = without(head.passed_on, self._own)
            sent = {field[0] for field in passed_on}
            lines = as_lines(passed_on)
            if not self._default_names & sent:
                lines += self._defaults
        return self._with(call, lines, body)

    def bare(self, call: Call, lines: bytes, body: bytes) -> bytes:
        """The same with *lines* in place of the client's fields."""
        return self._with(call, lines + self._defaults, body)

    def _with(self, call: Call, lines: bytes, body: bytes) -> bytes:
        via = _VIA_1_0 if call.exchange.head.http_1_0 else _VIA_1_1
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        if self._provider is not None:
            lines += self._signed(self._provider, body)
        return b"".join((self._beginning, lines, via, call.id_field, length))

    def _signed(self, provider: Provider, body: bytes) -> bytes:
        return provider.sign(
            Outgoing("POST", self._target.decode("ascii"), self._authority.decode("ascii"), body, time.time())
        )


class Passed:
    """The caller's dialect is the upstream's: bytes pass untouched but for the model's name, and are read on the side."""

    __slots__ = ("_heads", "_model_json", "_path", "content_type", "held")

    def __init__(self, candidate: Candidate, path: ModelPath, route: Route) -> None:
        self._heads = RequestHeads(candidate, route)
        self._model_json = msgspec.Raw(msgspec.json.encode(candidate.upstream.model))
        self._path = path
        self.content_type = STREAM_CONTENT_TYPE if route.framing == "sse" else b""
        self.held = route.framing == "json"

    def message(self, call: Call, request: ModelRequest) -> bytes:
        body = request.body_for(self._model_json)
        return self._heads.head(call, body) + body

    def reader(self, call: Call, request: ModelRequest) -> AnswerReader:
        return self._path.stream_reader()

    def answer(self, call: Call, request: ModelRequest, body: bytes) -> tuple[bytes, Usage | None]:
        return body, self._path.read_usage(body)

    def refusal(self, response: ResponseHead, body: bytes) -> Refusal:
        return self._path.read_error(response.status, body)


def delivery_to(candidate: Candidate, path: ModelPath, *, stream: bool) -> Delivery | None:
    """How calls to *path* are delivered to *candidate*; None where it does not offer that."""
    upstream = candidate.upstream
    route = upstream.provider.route(path.operation, upstream.model, stream=stream)
    return None if route is None else Passed(candidate, path, route)


def _names(lines: bytes) -> frozenset[bytes]:
    return frozenset(line.partition(b":")[0].lower() for line in lines.split(b"\r\n") if line)
