"""What the gateway answers when it does not forward: one value, written in the dialect the client speaks.

No text of an upstream, host name or stack ever enters a refusal; the request id is what connects it to the log.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus

import msgspec

JSON_FIELD = b"Content-Type: application/json\r\n"
PROBLEM_FIELD = b"Content-Type: application/problem+json\r\n"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered by a service or a model.

    Attributes:
        code: Stable and machine-readable, e.g. `invalid_api_key`.
        kind: OpenAI's error `type`.
        param: The request's field at fault, where there is one.
        retry_after_s: Sent as Retry-After when given.
        fields: Further complete header lines.
    """

    status: HTTPStatus
    code: str
    message: str
    kind: str = "invalid_request_error"
    param: str | None = None
    retry_after_s: int | None = None
    fields: bytes = b""

    def with_fields(self, fields: bytes) -> Refusal:
        """The same with more header lines."""
        return replace(self, fields=self.fields + fields)


class Refused(Exception):
    """The request is refused; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


Writer = Callable[[Refusal, str], tuple[bytes, bytes]]
"""(refusal, request id) → (header lines, body)."""


def as_problem(refusal: Refusal, request_id: str) -> tuple[bytes, bytes]:
    """Problem details (RFC 9457), for routes that are not a model API."""
    body = {
        "type": "about:blank",
        "title": refusal.status.phrase,
        "status": refusal.status.value,
        "detail": refusal.message,
        "code": refusal.code,
        "request_id": request_id,
    }
    return PROBLEM_FIELD + extra_fields(refusal), msgspec.json.encode(body)


def extra_fields(refusal: Refusal) -> bytes:
    if refusal.retry_after_s is None:
        return refusal.fields
    return refusal.fields + b"Retry-After: %d\r\n" % refusal.retry_after_s


CODES = (
    "ambiguous_path",
    "body_too_large",
    "client_gone",
    "draining",
    "guard_refused",
    "guard_unavailable",
    "guard_unreadable",
    "internal_error",
    "invalid_api_key",
    "invalid_request",
    "method_not_allowed",
    "missing_api_key",
    "model_not_found",
    "no_route",
    "not_offered",
    "rate_limited",
    "refused_by_model",
    "upstream_connect_timeout",
    "upstream_cut",
    "upstream_error",
    "upstream_first_byte_timeout",
    "upstream_first_token_timeout",
    "upstream_garbage",
    "upstream_idle_timeout",
    "upstream_rate_limited",
    "upstream_reset",
    "upstream_total_timeout",
    "upstream_unavailable",
)
"""Every code of a refusal, as the label of a metric: a closed set."""

BEARER_CHALLENGE = b"WWW-Authenticate: Bearer\r\n"
INVALID_TOKEN_CHALLENGE = b'WWW-Authenticate: Bearer error="invalid_token"\r\n'

MISSING_KEY = Refusal(
    HTTPStatus.UNAUTHORIZED,
    "missing_api_key",
    "No API key was sent. Send it as 'Authorization: Bearer KEY'.",
    kind="authentication_error",
    fields=BEARER_CHALLENGE,
)
INVALID_KEY = Refusal(
    HTTPStatus.UNAUTHORIZED,
    "invalid_api_key",
    "The API key is not known here.",
    kind="authentication_error",
    fields=INVALID_TOKEN_CHALLENGE,
)
NO_ROUTE = Refusal(HTTPStatus.NOT_FOUND, "no_route", "No service answers this path.")
AMBIGUOUS_PATH = Refusal(
    HTTPStatus.BAD_REQUEST,
    "ambiguous_path",
    "Servers would read this path differently: dot segments, backslashes, parameters or escapes.",
)
BODY_TOO_LARGE = Refusal(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", "The request body is larger than max_body."
)
INTERNAL = Refusal(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "internal_error",
    "The gateway failed. The request id names it in the log.",
    kind="api_error",
)
DRAINING = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "draining", "The gateway is stopping. Try again.", kind="api_error", retry_after_s=1
)


def method_not_allowed(allowed: str) -> Refusal:
    return Refusal(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "method_not_allowed",
        f"This path answers {allowed} only.",
        fields=f"Allow: {allowed}\r\n".encode(),
    )


def rate_limited(retry_after_s: int) -> Refusal:
    return Refusal(
        HTTPStatus.TOO_MANY_REQUESTS,
        "rate_limited",
        f"Too many requests with this key. Try again in {retry_after_s} s.",
        kind="rate_limit_error",
        retry_after_s=retry_after_s,
    )


def unknown_model(name: str) -> Refusal:
    return Refusal(
        HTTPStatus.NOT_FOUND,
        "model_not_found",
        f"The model {name[:100]!r} does not exist here.",
        param="model",
    )


def not_offered(name: str, operation: str) -> Refusal:
    return Refusal(
        HTTPStatus.BAD_REQUEST,
        "not_offered",
        f"What answers for the model {name!r} does not offer this operation ({operation.replace('_', ' ')}).",
        param="model",
    )


def bad_field(param: str | None, message: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, "invalid_request", message, param=param)


def resting(retry_after_s: int) -> Refusal:
    """Every upstream that could answer has failed lately or asked not to be called for a while."""
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "upstream_unavailable",
        "What should answer this is not available at the moment.",
        kind="api_error",
        retry_after_s=retry_after_s,
    )


def upstream_busy(status: int, wait_s: float | None) -> Refusal:
    """An upstream that limits its callers (429) or is overloaded, and how long it wants to be left alone."""
    retry_after_s = 1 if wait_s is None else max(1, math.ceil(wait_s))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Refusal(
            HTTPStatus.TOO_MANY_REQUESTS,
            "upstream_rate_limited",
            "What should answer this takes no more requests at the moment.",
            kind="rate_limit_error",
            retry_after_s=retry_after_s,
        )
    return resting(retry_after_s)


def upstream_failed(kind: str) -> Refusal:
    """An upstream that could not be reached or broke off (`kind` is `UpstreamFault.kind`), without saying which."""
    if kind in {"connect", "unsent"}:  # such as an upstream that does not accept the gateway's certificate
        return resting(1)
    if kind.endswith("timeout"):
        return Refusal(
            HTTPStatus.GATEWAY_TIMEOUT,
            f"upstream_{kind}",
            "What should answer this took too long.",
            kind="timeout_error",
        )
    return Refusal(
        HTTPStatus.BAD_GATEWAY,
        f"upstream_{kind}",
        "What should answer this broke off or made no sense.",
        kind="api_error",
    )
